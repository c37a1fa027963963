package busapi

import (
	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/engine"
)

// Degraded is a setting that a unit has and that can't be had here, with the reason.
type Degraded struct{ Setting, Reason string }

// ownUnitProperties are muster's own properties of every unit. They are hidden: GetAll and introspection show what systemd has, and who asks for
// one of these by name gets it.
func ownUnitProperties() []property {
	return []property{{name: "Degraded", sig: "a(ss)", emits: bus.EmitsNothing, hidden: true, unit: func(s *Server, u *engine.Unit, e *bus.Encoder) {
		mark := e.BeginArray('(')
		for _, d := range s.b.Degraded(u.Name()) {
			e.Struct()
			e.String(d.Setting)
			e.String(d.Reason)
		}
		e.EndArray(mark)
	}}}
}
