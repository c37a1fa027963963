package control

import "github.com/muster-init/muster/pkg/engine/machine"

// CanTrigger tells whether a unit that activates another one may start: the other one has to be loaded. Otherwise that is logged.
func CanTrigger(h machine.Host, name string) bool {
	if h.Peer(name).Loaded {
		return true
	}
	h.Log(LogErr, "", "Refusing to start, unit "+name+" to trigger not loaded.")
	return false
}
