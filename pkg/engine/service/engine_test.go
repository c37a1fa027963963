package service

import (
	"testing"

	"github.com/muster-init/muster/pkg/engine/enginetest"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/engine/mount"
)

// TestEngineScripts runs testdata/engine/*.txt: services and mounts in an engine, for what only the two together show.
func TestEngineScripts(t *testing.T) {
	enginetest.RunScriptFiles(t, "testdata/engine/*.txt", func(string) []machine.Descriptor {
		return []machine.Descriptor{Descriptor(), mount.Descriptor()}
	})
}
