package socket_test

import (
	"strings"
	"testing"

	"github.com/muster-init/muster/pkg/engine/enginetest"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/engine/service"
	"github.com/muster-init/muster/pkg/engine/socket"
)

// TestEngineScripts runs testdata/engine/*.txt: sockets in an engine, beside puppets, or beside services where a connection has to be
// served (connect*.txt).
func TestEngineScripts(t *testing.T) {
	enginetest.RunScriptFiles(t, "testdata/engine/*.txt", func(name string) []machine.Descriptor {
		if strings.HasPrefix(name, "connect") {
			return []machine.Descriptor{service.Descriptor(), socket.Descriptor()}
		}
		return []machine.Descriptor{enginetest.Puppets(), socket.Descriptor()}
	})
}
