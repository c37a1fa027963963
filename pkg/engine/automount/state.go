// Package automount is the state machine of automount units (systemd.automount(5)): a point in the file system that mounts the mount unit of
// the same name when somebody looks there, and unmounts it when nobody has for a while.
//
//	      start            opened                  unit mounted: openers go on
//	dead ───────▶ waiting ───────────▶ running ───────────────────────────────┐
//	 ▲               ▲                    │  ▲                                │
//	 │               └────────────────────┘  └────────────────────────────────┘
//	 │                 unit is down: openers get an error
//	 └── stop          failed: the point was unmounted by somebody, can't be made, the unit's start limit
//
//	sub-state  active state  holds        timer
//	dead       inactive      –            –
//	waiting    active        the point    –
//	running    active        the point    TimeoutIdleSec= / 10, at least 1 s, while the unit is mounted
//	failed     failed        –            –
//
// Invariants:
//
//  1. Tokens are those who sleep until the unit is mounted, Expiring those that wait until it is not. Each gets one answer: none is
//     forgotten in a change of sub-state or in a restart of the manager, where the point stays and the openers go on sleeping.
package automount

import (
	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit"
)

// SubState is the sub-state of an automount.
type SubState string

// Sub-states.
const (
	Dead    SubState = "dead"
	Waiting SubState = "waiting"
	Running SubState = "running"
	Failed  SubState = "failed"
)

// SubStates lists all sub-states.
func SubStates() []SubState { return []SubState{Dead, Waiting, Running, Failed} }

// Results (property Result).
const (
	ResultSuccess         = "success"
	ResultResources       = "resources"
	ResultUnmounted       = "unmounted"
	ResultStartLimit      = "start-limit-hit"
	ResultMountStartLimit = "mount-start-limit-hit"
)

var active = map[SubState]machine.ActiveState{
	Dead: machine.Inactive, Waiting: machine.Active, Running: machine.Active, Failed: machine.Failed,
}

// ActiveStateOf maps a sub-state to the active state.
func ActiveStateOf(sub SubState) machine.ActiveState { return active[sub] }

// State is all that is known of an automount at run time.
type State struct {
	Sub      SubState       `json:"sub"`
	Result   string         `json:"result,omitempty"` // "" is success
	Handle   machine.Handle `json:"handle,omitempty"`
	Device   uint32         `json:"device,omitempty"`
	Tokens   []uint32       `json:"tokens,omitempty"`
	Expiring []uint32       `json:"expiring,omitempty"`
	Looked   uint64         `json:"looked,omitempty"` // when it was last asked whether the mount is in use, monotonic µs; 0: it is not mounted
	Opening  machine.Token  `json:"opening,omitempty"`
}

// Machine is the state machine of one automount.
type Machine struct {
	control.Passive
	s         State
	supported bool
}

// The interfaces an automount offers.
var (
	_ machine.Machine   = (*Machine)(nil)
	_ machine.Triggerer = (*Machine)(nil)
)

// State gives the run-time state for reading.
func (m *Machine) State() *State { return &m.s }

// Data is the serializable state.
func (m *Machine) Data() any { return &m.s }

// Descriptor describes the unit type. supported: the kernel has automount points and we may make them.
func Descriptor(supported bool) machine.Descriptor {
	return machine.Descriptor{
		Type:         unit.TypeAutomount,
		New:          func() machine.Machine { return &Machine{s: State{Sub: Dead}, supported: supported} },
		CanTransient: true,
		CanFail:      true,
		CanStart:     true,
		CanStop:      true,
		Finished: map[job.Type]map[job.Result]string{
			job.Start: {job.Done: "Set up automount %s.", job.Failed: "Failed to set up automount %s."},
			job.Stop:  {job.Done: "Unset automount %s.", job.Failed: "Failed to unset automount %s."},
		},
	}
}

// ActiveState is the active state that the sub-state maps to.
func (m *Machine) ActiveState(*unit.Unit) machine.ActiveState { return active[m.s.Sub] }

// SubState is the sub-state as a word.
func (m *Machine) SubState() string { return string(m.s.Sub) }

// Result is the Result property.
func (m *Machine) Result() string {
	if m.s.Result == "" {
		return ResultSuccess
	}
	return m.s.Result
}

// lookEveryMinUSec is how often it is asked at most whether the mount is in use.
const lookEveryMinUSec = 1_000_000

// Deadline is when it is asked again whether the mount is in use.
func (m *Machine) Deadline(cfg *unit.Unit) uint64 {
	idle := cfg.GetAutomount().TimeoutIdleUSec
	if m.s.Sub != Running || m.s.Looked == 0 || !control.Positive(idle) {
		return machine.Never
	}
	return control.AddUSec(m.s.Looked, max(idle/10, lookEveryMinUSec))
}

// Where is the automount point.
func Where(u *unit.Unit) string {
	if w := u.GetAutomount().Where; w != "" {
		return w
	}
	p, err := unit.NameToPath(u.Name)
	if err != nil {
		return ""
	}
	return p
}
