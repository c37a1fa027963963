package engine_test

import (
	"testing"

	"github.com/muster-init/muster/pkg/engine/enginetest"
)

// TestScripts runs testdata/*.txt; package enginetest says what is in them.
func TestScripts(t *testing.T) { enginetest.RunScripts(t) }
