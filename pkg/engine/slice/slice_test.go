package slice_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/muster-init/muster/pkg/engine/enginetest"
)

// TestScripts runs testdata/*.txt; package enginetest says what is in them.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			want, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			got, err := enginetest.NewScript().Run(string(want))
			if err != nil {
				t.Fatal(err)
			}
			enginetest.Compare(t, f, string(want), got)
		})
	}
}
