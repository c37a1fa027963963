package busapi

import (
	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/engine"
	"github.com/muster-init/muster/pkg/unit"
)

// execLeftovers are properties of everything that executes programs which no directive of that type stands for: old names, and settings only services
// have. Clients that decode all properties expect them.
func execLeftovers(t unit.Type) []property {
	off := func(name string) property {
		return unitBool(name, bus.EmitsConst, func(*Server, *engine.Unit) bool { return false })
	}
	list := []property{
		// A process of the manager's group passes an automount point instead of waiting for itself (autofs).
		unitBool("SameProcessGroup", bus.EmitsConst, func(*Server, *engine.Unit) bool { return t == unit.TypeMount }),
		{name: "SyslogPriority", sig: "i", emits: bus.EmitsConst, unit: func(_ *Server, u *engine.Unit, e *bus.Encoder) {
			x := u.Config().GetExec()
			e.Int32(x.SyslogFacility<<3 | x.SyslogLevel)
		}},
	}
	if t != unit.TypeService {
		list = append(list, off("NonBlocking"))
	}
	return list
}
