package socket_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/muster-init/muster/pkg/engine/enginetest"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/engine/service"
	"github.com/muster-init/muster/pkg/engine/socket"
)

// TestEngineScripts runs testdata/engine/*.txt: sockets in an engine, beside puppets, or beside services where a connection has to be
// served (connect*.txt).
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
			types := []machine.Descriptor{enginetest.Puppets(), socket.Descriptor()}
			if ok, _ := filepath.Match("connect*", filepath.Base(f)); ok {
				types[0] = service.Descriptor()
			}
			got, err := enginetest.NewScript(types...).Run(string(want))
			if err != nil {
				t.Fatal(err)
			}
			enginetest.Compare(t, f, string(want), got)
		})
	}
}
