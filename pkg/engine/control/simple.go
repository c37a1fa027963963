package control

import (
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/unit"
)

// Simple is what unit types have in common that are active or not and nothing else: targets and slices. They can't fail, be
// reloaded or run a process, so no event and no time concerns them. It is the whole serializable state.
type Simple struct {
	Passive
	Active bool `json:"active,omitempty"`
}

// Step ignores all events: nothing but jobs concerns the unit.
func (*Simple) Step(machine.Host, machine.Event) {}

// Deadline is never.
func (*Simple) Deadline(*unit.Unit) uint64 { return machine.Never }

// Expire does nothing.
func (*Simple) Expire(machine.Host) {}

// ActiveState is active or inactive.
func (s *Simple) ActiveState(*unit.Unit) machine.ActiveState {
	if s.Active {
		return machine.Active
	}
	return machine.Inactive
}

// SubState is active or dead.
func (s *Simple) SubState() string {
	if s.Active {
		return "active"
	}
	return "dead"
}

// Result is always success.
func (*Simple) Result() string { return "success" }

// ResetFailed does nothing: the unit can't fail.
func (*Simple) ResetFailed(machine.Host) {}

// CatchUp does nothing.
func (*Simple) CatchUp(machine.Host) {}

// Data is the serializable state.
func (s *Simple) Data() any { return s }
