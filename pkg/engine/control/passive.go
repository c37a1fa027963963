package control

import (
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/unit"
)

// Passive is what unit types have in common that run no process, can't be reloaded and hold nothing once they are dead. It has no state.
type Passive struct{}

// Reload is not possible.
func (Passive) Reload(machine.Host) machine.Answer { return machine.Invalid }

// CanReload is false.
func (Passive) CanReload(*unit.Unit) bool { return false }

// Held is false: what the unit has goes with it.
func (Passive) Held() bool { return false }

// PIDs are none.
func (Passive) PIDs() (main, control int32) { return 0, 0 }
