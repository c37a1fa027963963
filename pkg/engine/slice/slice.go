// Package slice is the state machine of slice units (systemd.slice(5)).
//
//	dead ──Start──▶ active ──Stop──▶ dead
//
// A slice is an inner part of the cgroup tree. It has no processes of its own: starting makes its cgroup, stopping
// removes it; the units inside are stopped first because they require their slice. Perpetual slices (-.slice, system.slice)
// are active from the beginning. How many units may be inside (ConcurrencyHardMax= and its kin) is the engine's business, because only it sees them.
package slice

import (
	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit"
)

// Machine is the state machine of one slice.
type Machine struct{ control.Simple }

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
func (m *Machine) Perpetual() { m.Active = true }

// Start makes the cgroup.
func (m *Machine) Start(h machine.Host) machine.Answer {
	if m.Active {
		return machine.Already
	}
	h.NewInvocation()
	h.Emit(machine.RealizeCgroup{Unit: h.Unit().Name})
	m.Active = true
	h.StateChanged(machine.Inactive)
	return machine.Accepted
}

// Stop removes the cgroup.
func (m *Machine) Stop(h machine.Host) machine.Answer {
	if !m.Active {
		return machine.Already
	}
	m.Active = false
	h.StateChanged(machine.Active)
	h.Emit(machine.ReleaseCgroup{Unit: h.Unit().Name})
	return machine.Accepted
}

// CatchUp makes sure that the cgroup is there.
func (m *Machine) CatchUp(h machine.Host) {
	if m.Active {
		h.Emit(machine.RealizeCgroup{Unit: h.Unit().Name})
	}
}
