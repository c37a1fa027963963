// Package target is the state machine of target units (systemd.target(5)).
//
//	dead ──Start──▶ active ──Stop──▶ dead
//
// A target has nothing but its dependencies. Both changes happen at once; what a target stands for is that its start job
// runs after those of the units that it is ordered after.
package target

import (
	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit"
)

// Machine is the state machine of one target.
type Machine struct{ control.Simple }

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
	if m.Active == active {
		return machine.Already
	}
	old := m.ActiveState(nil)
	if active {
		h.NewInvocation()
	}
	m.Active = active
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
