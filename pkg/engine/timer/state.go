package timer

import (
	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit"
)

// SubState is the sub-state of a timer.
type SubState string

// Sub-states.
const (
	Dead    SubState = "dead"
	Waiting SubState = "waiting"
	Running SubState = "running"
	Elapsed SubState = "elapsed"
	Failed  SubState = "failed"
)

// SubStates lists all sub-states.
func SubStates() []SubState { return []SubState{Dead, Waiting, Running, Elapsed, Failed} }

// Results (property Result).
const (
	ResultSuccess    = "success"
	ResultResources  = "resources"
	ResultStartLimit = "start-limit-hit"
)

var active = map[SubState]machine.ActiveState{
	Dead: machine.Inactive, Waiting: machine.Active, Running: machine.Active, Elapsed: machine.Active, Failed: machine.Failed,
}

// ActiveStateOf maps a sub-state to the active state.
func ActiveStateOf(sub SubState) machine.ActiveState { return active[sub] }

// Elapse is what is known of one On…= line, by its place in the configuration. Line is the line itself: after a reload another one may stand there.
type Elapse struct {
	Line     string `json:"line,omitempty"`
	At       uint64 `json:"at,omitempty"`  // µs of its clock, without random delay; 0 never
	Disabled bool   `json:"off,omitempty"` // it elapses once and has
}

// State is all that is known of a timer at run time. Moments are µs.
type State struct {
	Sub           SubState        `json:"sub"`
	Result        string          `json:"result,omitempty"` // "" is success
	LastTrigger   machine.Instant `json:"last,omitzero"`    // Monotonic 0: from the stamp file
	Since         uint64          `json:"since,omitempty"`  // realtime at the start, never later than what the clock was set back to
	Elapses       []Elapse        `json:"elapses,omitempty"`
	NextMonotonic uint64          `json:"monotonic,omitempty"` // 0 none
	NextRealtime  uint64          `json:"realtime,omitempty"`  // 0 none
	Boottime      bool            `json:"boottime,omitempty"`  // NextMonotonic, and At of the spans, count the time asleep (WakeSystem=)
	Stamp         machine.Token   `json:"stamp,omitempty"`     // open ReadStamp
}

// Machine is the state machine of one timer.
type Machine struct {
	control.Passive
	s State
}

// New makes a timer that is dead.
func New() *Machine { return &Machine{s: State{Sub: Dead}} }

// The interfaces a timer offers.
var (
	_ machine.Machine         = (*Machine)(nil)
	_ machine.Waker           = (*Machine)(nil)
	_ machine.Triggerer       = (*Machine)(nil)
	_ machine.ClockWatcher    = (*Machine)(nil)
	_ machine.Reconfigured    = (*Machine)(nil)
	_ machine.Cleaner         = (*Machine)(nil)
	_ machine.TriggerDetailer = (*Machine)(nil)
)

// State gives the run-time state for reading.
func (m *Machine) State() *State { return &m.s }

// Data is the serializable state.
func (m *Machine) Data() any { return &m.s }

// Descriptor describes the unit type.
func Descriptor() machine.Descriptor {
	return machine.Descriptor{
		Type:         unit.TypeTimer,
		New:          func() machine.Machine { return New() },
		CanTransient: true,
		CanFail:      true,
		CanStart:     true,
		CanStop:      true,
		Stopping:     "Stopping %s...",
		Finished: map[job.Type]map[job.Result]string{
			job.Start: {job.Done: "Started %s.", job.Failed: "Failed to start %s."},
			job.Stop:  {job.Done: "Stopped %s.", job.Failed: "Stopped (with error) %s."},
		},
	}
}

// Deadline is never: the windows say more.
func (m *Machine) Deadline(*unit.Unit) uint64 { return machine.Never }

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

// WatchesClock marks the machine as one that wants ClockChanged.
func (m *Machine) WatchesClock() {}
