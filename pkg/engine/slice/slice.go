// Package slice is the state machine of slice units (systemd.slice(5)).
//
//	dead ──Start──▶ active ──Stop──▶ dead
//
// A slice is an inner part of the cgroup tree. It has no processes of its own: starting makes its cgroup, stopping
// removes it; the units inside are stopped first because they require their slice. Perpetual slices (-.slice, system.slice)
// are active from the beginning.
package slice

import (
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit"
)

// State is the serializable state.
type State struct {
	Active bool `json:"active,omitempty"`
}

// Machine is the state machine of one slice.
type Machine struct{ s State }

var (
	_ machine.Machine   = (*Machine)(nil)
	_ machine.Perpetual = (*Machine)(nil)
)

// Descriptor says what slices are.
func Descriptor() machine.Descriptor {
	return machine.Descriptor{
		Type: unit.TypeSlice, CanTransient: true, CanStart: true, CanStop: true,
		New: func() machine.Machine { return &Machine{} },
		Finished: map[job.Type]map[job.Result]string{
			job.Start: {job.Done: "Created slice %s."},
			job.Stop:  {job.Done: "Removed slice %s."},
		},
	}
}

// Perpetual makes the slice active without a job.
func (m *Machine) Perpetual() { m.s.Active = true }

// Start makes the cgroup.
func (m *Machine) Start(h machine.Host) machine.Answer {
	if m.s.Active {
		return machine.Already
	}
	h.NewInvocation()
	h.Emit(machine.RealizeCgroup{Unit: h.Unit().Name})
	m.s.Active = true
	h.StateChanged(machine.Inactive)
	return machine.Accepted
}

// Stop removes the cgroup.
func (m *Machine) Stop(h machine.Host) machine.Answer {
	if !m.s.Active {
		return machine.Already
	}
	m.s.Active = false
	h.StateChanged(machine.Active)
	h.Emit(machine.ReleaseCgroup{Unit: h.Unit().Name})
	return machine.Accepted
}

// Reload is not possible for slices.
func (m *Machine) Reload(machine.Host) machine.Answer { return machine.Invalid }

// Step ignores all events. What happens to processes inside concerns the units that they belong to.
func (m *Machine) Step(machine.Host, machine.Event) {}

// Deadline is never.
func (m *Machine) Deadline(*unit.Unit) uint64 { return machine.Never }

// Expire does nothing.
func (m *Machine) Expire(machine.Host) {}

// ActiveState is active or inactive.
func (m *Machine) ActiveState(*unit.Unit) machine.ActiveState {
	if m.s.Active {
		return machine.Active
	}
	return machine.Inactive
}

// SubState is active or dead.
func (m *Machine) SubState() string {
	if m.s.Active {
		return "active"
	}
	return "dead"
}

// Result is always success.
func (m *Machine) Result() string { return "success" }

// CanReload is false.
func (m *Machine) CanReload(*unit.Unit) bool { return false }

// Held is false: the cgroup goes with the unit.
func (m *Machine) Held() bool { return false }

// ResetFailed does nothing: a slice can't fail.
func (m *Machine) ResetFailed(machine.Host) {}

// PIDs are none.
func (m *Machine) PIDs() (main, control int32) { return 0, 0 }

// CatchUp makes sure that the cgroup is there.
func (m *Machine) CatchUp(h machine.Host) {
	if m.s.Active {
		h.Emit(machine.RealizeCgroup{Unit: h.Unit().Name})
	}
}

// Data is the serializable state.
func (m *Machine) Data() any { return &m.s }
