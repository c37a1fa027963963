package path

import (
	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit"
)

// SubState is the sub-state of a path.
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
	ResultSuccess        = "success"
	ResultResources      = "resources"
	ResultStartLimit     = "start-limit-hit"
	ResultUnitStartLimit = "unit-start-limit-hit"
	ResultTriggerLimit   = "trigger-limit-hit"
)

var active = map[SubState]machine.ActiveState{
	Dead: machine.Inactive, Waiting: machine.Active, Running: machine.Active, Failed: machine.Failed,
}

// ActiveStateOf maps a sub-state to the active state.
func ActiveStateOf(sub SubState) machine.ActiveState { return active[sub] }

// State is all that is known of a path at run time.
type State struct {
	Sub      SubState      `json:"sub"`
	Result   string        `json:"result,omitempty"` // "" is success
	Existed  []bool        `json:"existed,omitempty"`
	Watching machine.Token `json:"watching,omitempty"` // open WatchPaths
	Initial  bool          `json:"initial,omitempty"`  // it is the first look of an activation
	Notified bool          `json:"notified,omitempty"` // it looks because the unit has changed its state
	Touched  string        `json:"touched,omitempty"`  // path that has triggered last
	Begin    uint64        `json:"begin,omitempty"`    // of the interval of the trigger limit, monotonic µs
	Count    uint32        `json:"n,omitempty"`        // triggers in it
}

// Machine is the state machine of one path.
type Machine struct {
	control.Passive
	s State
}

// New makes a path that is dead.
func New() *Machine { return &Machine{s: State{Sub: Dead}} }

// The interfaces a path offers.
var (
	_ machine.Machine         = (*Machine)(nil)
	_ machine.Triggerer       = (*Machine)(nil)
	_ machine.Reconfigured    = (*Machine)(nil)
	_ machine.Releaser        = (*Machine)(nil)
	_ machine.TriggerDetailer = (*Machine)(nil)
)

// State gives the run-time state for reading.
func (m *Machine) State() *State { return &m.s }

// Data is the serializable state.
func (m *Machine) Data() any { return &m.s }

// Descriptor describes the unit type.
func Descriptor() machine.Descriptor {
	return machine.Descriptor{
		Type:         unit.TypePath,
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

// Deadline is never.
func (m *Machine) Deadline(*unit.Unit) uint64 { return machine.Never }

// Expire has nothing to do.
func (m *Machine) Expire(machine.Host) {}

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

// TriggerDetails is the path for the activated unit.
func (m *Machine) TriggerDetails() []string {
	if m.s.Touched == "" {
		return nil
	}
	return []string{"TRIGGER_PATH=" + m.s.Touched}
}
