package service

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/muster-init/muster/pkg/engine/enginetest"
	"github.com/muster-init/muster/pkg/engine/mount"
)

// TestEngineScripts runs testdata/engine/*.txt: services and mounts in an engine, for what only the two together show.
func TestEngineScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/engine/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			want, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			got, err := enginetest.NewScript(Descriptor(), mount.Descriptor()).Run(string(want))
			if err != nil {
				t.Fatal(err)
			}
			enginetest.Compare(t, f, string(want), got)
		})
	}
}
