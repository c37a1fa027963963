// Command docs writes what can be derived, so that it is never typed twice and never stale:
//
//	docs/directives.md, docs/coverage.md    from the directive table: what each directive means, how much of each works
//	docs/musterctl.md                       from the tables of verbs and options
//	docs/deviations.md                      its list of `// DEVIATION:` comments
//	docs/deps-muster.txt, -executor.txt     what is linked into PID 1 and into the executor
//	README.md                               its numbers
//
// Run it from anywhere in the repository: `make docs`. A test compares what it would write with what is there.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/muster-init/muster/internal/tidy"
)

func main() {
	if err := write(); err != nil {
		fmt.Fprintf(os.Stderr, "docs: error: %v\n", err)
		os.Exit(1)
	}
}

func write() error {
	root, err := tidy.Root()
	if err != nil {
		return err
	}
	all, err := pages(root)
	if err != nil {
		return err
	}
	for name, text := range all {
		path := filepath.Join(root, name)
		if old, err := os.ReadFile(path); err == nil && string(old) == text {
			continue
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
		fmt.Println(name)
	}
	return nil
}
