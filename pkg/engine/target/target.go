// Package target is the state machine of target units (systemd.target(5)).
//
//	dead ──Start──▶ active ──Stop──▶ dead
//
// A target has nothing but its dependencies. Both changes happen at once; what a target stands for is that its start job
// runs after those of the units that it is ordered after.
package target

import (
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit"
)

// State is the serializable state.
type State struct {
	Active bool `json:"active,omitempty"`
}

// Machine is the state machine of one target.
type Machine struct{ s State }

var _ machine.Machine = (*Machine)(nil)

// Descriptor says what targets are.
func Descriptor() machine.Descriptor {
	return machine.Descriptor{
		Type: unit.TypeTarget, CanStart: true, CanStop: true, CanIsolate: true,
		New: func() machine.Machine { return &Machine{} },
		Finished: map[job.Type]map[job.Result]string{
			job.Start: {job.Done: "Reached target %s."},
			job.Stop:  {job.Done: "Stopped target %s."},
		},
	}
}

// set changes the state and reports it.
func (m *Machine) set(h machine.Host, active bool) machine.Answer {
	if m.s.Active == active {
		return machine.Already
	}
	old := m.ActiveState(nil)
	if active {
		h.NewInvocation()
	}
	m.s.Active = active
	h.StateChanged(old)
	return machine.Accepted
}

// Start reaches the target. Each start counts against the start limit.
func (m *Machine) Start(h machine.Host) machine.Answer {
	if !h.StartLimitOK() {
		return machine.StartLimit
	}
	return m.set(h, true)
}

// Stop leaves the target.
func (m *Machine) Stop(h machine.Host) machine.Answer { return m.set(h, false) }

// Reload is not possible for targets.
func (m *Machine) Reload(machine.Host) machine.Answer { return machine.Invalid }

// Step ignores all events: nothing but jobs concerns a target.
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

// Held is false: a target holds nothing.
func (m *Machine) Held() bool { return false }

// ResetFailed does nothing: a target can't fail.
func (m *Machine) ResetFailed(machine.Host) {}

// PIDs are none.
func (m *Machine) PIDs() (main, control int32) { return 0, 0 }

// CatchUp does nothing.
func (m *Machine) CatchUp(machine.Host) {}

// Data is the serializable state.
func (m *Machine) Data() any { return &m.s }
