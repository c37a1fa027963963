package engine

import (
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/unit"
)

// fixed is the machine of unit types that this engine has no machine for. Such units load, take part in dependencies, and refuse
// jobs with result unsupported; perpetual ones (-.mount, init.scope) are there and stay.
type fixed struct {
	s   fixedState
	typ unit.Type
}

type fixedState struct {
	Present bool `json:"present,omitempty"`
}

// presentSub is the sub-state of a unit that is there.
var presentSub = map[unit.Type]string{
	unit.TypeMount: "mounted", unit.TypeDevice: "plugged", unit.TypeSocket: "listening", unit.TypeTimer: "waiting",
	unit.TypePath: "waiting", unit.TypeSwap: "active", unit.TypeAutomount: "waiting", unit.TypeScope: "running",
	unit.TypeService: "running",
}

func unsupported(t unit.Type) machine.Descriptor {
	return machine.Descriptor{Type: t, CanStart: true, CanStop: true, New: func() machine.Machine { return &fixed{typ: t} }}
}

var _ machine.Perpetual = (*fixed)(nil)

func (m *fixed) Perpetual() { m.s.Present = true }

func (m *fixed) Start(h machine.Host) machine.Answer {
	if m.s.Present {
		return machine.Already
	}
	h.Log(levelWarning, "", "units of type "+m.typ.String()+" can't be started by this manager.")
	return machine.Unsupported
}

func (m *fixed) Stop(machine.Host) machine.Answer {
	if !m.s.Present {
		return machine.Already
	}
	return machine.Unsupported
}

func (m *fixed) Reload(machine.Host) machine.Answer { return machine.Unsupported }
func (m *fixed) Step(machine.Host, machine.Event)   {}
func (m *fixed) Deadline(*unit.Unit) uint64         { return machine.Never }
func (m *fixed) Expire(machine.Host)                {}
func (m *fixed) Result() string                     { return "success" }
func (m *fixed) CanReload(*unit.Unit) bool          { return false }
func (m *fixed) Held() bool                         { return false }
func (m *fixed) ResetFailed(machine.Host)           {}
func (m *fixed) PIDs() (main, control int32)        { return 0, 0 }
func (m *fixed) CatchUp(machine.Host)               {}
func (m *fixed) Data() any                          { return &m.s }

func (m *fixed) ActiveState(*unit.Unit) machine.ActiveState {
	if m.s.Present {
		return machine.Active
	}
	return machine.Inactive
}

func (m *fixed) SubState() string {
	if m.s.Present {
		return presentSub[m.typ]
	}
	return "dead"
}
