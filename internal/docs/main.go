// Command docs writes the pages that are made from the directive table:
// docs/directives.md, what each directive means, and docs/coverage.md, how much
// of each works. Run it from the repository's root: `make docs`.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	for name, text := range pages() {
		path := filepath.Join("docs", name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			fmt.Fprintf(os.Stderr, "docs: error: %v\n", err)
			os.Exit(1)
		}
		fmt.Println(path)
	}
}
