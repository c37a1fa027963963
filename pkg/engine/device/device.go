// Package device is the state machine of device units (systemd.device(5)): they are there when the device is. Nobody starts or stops a device;
// a start job waits until it has come, a stop job until it has gone.
//
//	       in use (mount table)          found
//	dead ───────────────────▶ tentative ──────▶ plugged
//	 ▲                            │    ◀──────     │
//	 └────────────────────────────┴── gone ────────┘
//
//	sub-state  active state  meaning
//	dead       inactive      nobody has seen it
//	tentative  activating    it is mounted or swapped to, but udev has not said that it is ready
//	plugged    active        udev (or where there is none, the kernel) has it and SYSTEMD_READY= isn't 0
//
// Where there can be no devices (a container), jobs end with unsupported.
package device

import (
	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit"
)

// SubState is the sub-state of a device.
type SubState string

// Sub-states.
const (
	Dead      SubState = "dead"
	Tentative SubState = "tentative"
	Plugged   SubState = "plugged"
)

// SubStates lists all sub-states.
func SubStates() []SubState { return []SubState{Dead, Tentative, Plugged} }

var active = map[SubState]machine.ActiveState{Dead: machine.Inactive, Tentative: machine.Activating, Plugged: machine.Active}

// ActiveStateOf maps a sub-state to the active state.
func ActiveStateOf(sub SubState) machine.ActiveState { return active[sub] }

// State is all that is known of a device at run time.
type State struct {
	Sub   SubState `json:"sub"`
	Sysfs string   `json:"sysfs,omitempty"`
}

// Machine is the state machine of one device.
type Machine struct {
	control.Passive
	s         State
	supported bool
}

var (
	_ machine.Machine  = (*Machine)(nil)
	_ machine.Follower = (*Machine)(nil)
)

// State gives the run-time state for reading.
func (m *Machine) State() *State { return &m.s }

// Data is the serializable state.
func (m *Machine) Data() any { return &m.s }

// Start waits for the device.
func (m *Machine) Start(h machine.Host) machine.Answer {
	switch {
	case m.s.Sub == Plugged:
		return machine.Already
	case !m.supported:
		return machine.Unsupported
	}
	return machine.Accepted
}

// Stop waits until the device is gone.
func (m *Machine) Stop(machine.Host) machine.Answer {
	if m.s.Sub == Dead {
		return machine.Already
	}
	return machine.Accepted
}

// Step takes an event of the unit.
func (m *Machine) Step(h machine.Host, ev machine.Event) {
	e, ok := ev.(machine.DeviceFound)
	if !ok {
		return
	}
	sub := Dead
	switch {
	case e.Sysfs != "":
		sub = Plugged
	case e.InUse:
		sub = Tentative
	}
	old, sysfs := m.s.Sub, m.s.Sysfs
	m.s = State{Sub: sub, Sysfs: e.Sysfs}
	switch {
	case old != sub:
		if sub != Dead && old == Dead {
			h.NewInvocation()
		}
		h.StateChanged(active[old])
	case sysfs != e.Sysfs:
		h.PropertiesChanged()
	}
}

// Following is the unit of the device's path in /sys.
func (m *Machine) Following() string {
	if m.s.Sysfs == "" {
		return ""
	}
	name, err := unit.NameFromPath(m.s.Sysfs, ".device")
	if err != nil {
		return ""
	}
	return name
}

// Deadline is never: how long a job waits is its own business.
func (m *Machine) Deadline(*unit.Unit) uint64 { return machine.Never }

// Expire has nothing to do.
func (m *Machine) Expire(machine.Host) {}

// ActiveState is the active state that the sub-state maps to.
func (m *Machine) ActiveState(*unit.Unit) machine.ActiveState { return active[m.s.Sub] }

// SubState is the sub-state as a word.
func (m *Machine) SubState() string { return string(m.s.Sub) }

// Result is "": devices have none.
func (m *Machine) Result() string { return "" }

// ResetFailed has nothing to do: devices don't fail.
func (m *Machine) ResetFailed(machine.Host) {}

// CatchUp has nothing to do: the shell lists all devices after a restart of the manager.
func (m *Machine) CatchUp(machine.Host) {}

// Descriptor describes the unit type. supported: there can be devices.
func Descriptor(supported bool) machine.Descriptor {
	return machine.Descriptor{
		Type: unit.TypeDevice,
		New:  func() machine.Machine { return &Machine{s: State{Sub: Dead}, supported: supported} },
		Finished: map[job.Type]map[job.Result]string{
			job.Start: {job.Done: "Found device %s.", job.Timeout: "Timed out waiting for device %s."},
		},
	}
}
