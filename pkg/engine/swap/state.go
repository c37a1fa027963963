// Package swap is the state machine of swap units (systemd.swap(5)). swapon(8) and swapoff(8) do the work as control processes; what really is
// swapped to is what /proc/swaps says, and a unit follows it whoever switched something on or off.
//
//	      start               in the table                exit
//	dead ─────▶ activating ────────────────▶ activating-done ─────▶ active
//	 ▲              │ timeout, stop              │                    │ ▲
//	 │              ▼                            ▼               stop │ │ swapoff failed
//	 ├── deactivating-sigterm ──▶ deactivating-sigkill                ▼ │
//	 └─────────────────────────────────────────────────────────  deactivating
//
//	sub-state             active state   process  timer          how it ends
//	dead                  inactive       –        –              start; somebody switched it on
//	activating            activating     swapon   TimeoutSec=    in the table; exit; timeout or stop
//	activating-done       active         swapon   TimeoutSec=    exit
//	active                active         –        –              stop; gone from the table
//	deactivating          deactivating   swapoff  TimeoutSec=    exit, timeout
//	deactivating-sigterm  deactivating   either   TimeoutSec=    exit, timeout
//	deactivating-sigkill  deactivating   either   TimeoutSec=    exit, timeout
//	cleaning              maintenance    –        –              directories removed
//	failed                failed         –        –              start, ResetFailed; somebody switched it on
//
// Where there is no swapping of our own (a container), jobs end with unsupported.
package swap

import (
	"strconv"
	"strings"

	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// SubState is the sub-state of a swap.
type SubState string

// Sub-states.
const (
	Dead                SubState = "dead"
	Activating          SubState = "activating"
	ActivatingDone      SubState = "activating-done"
	Active              SubState = "active"
	Deactivating        SubState = "deactivating"
	DeactivatingSigterm SubState = "deactivating-sigterm"
	DeactivatingSigkill SubState = "deactivating-sigkill"
	Failed              SubState = "failed"
	Cleaning            SubState = "cleaning"
)

// SubStates lists all sub-states.
func SubStates() []SubState {
	return []SubState{Dead, Activating, ActivatingDone, Active, Deactivating, DeactivatingSigterm, DeactivatingSigkill, Failed, Cleaning}
}

// Results (property Result).
const (
	ResultSuccess    = control.ResultSuccess
	ResultResources  = "resources"
	ResultTimeout    = "timeout"
	ResultStartLimit = "start-limit-hit"
)

var active = map[SubState]machine.ActiveState{
	Dead: machine.Inactive, Activating: machine.Activating, ActivatingDone: machine.Active, Active: machine.Active,
	Deactivating: machine.Deactivating, DeactivatingSigterm: machine.Deactivating, DeactivatingSigkill: machine.Deactivating,
	Failed: machine.Failed, Cleaning: machine.Maintenance,
}

// ActiveStateOf maps a sub-state to the active state.
func ActiveStateOf(sub SubState) machine.ActiveState { return active[sub] }

// HoldsProcess reports whether a control process runs in the sub-state.
func HoldsProcess(sub SubState) bool {
	switch sub {
	case Dead, Active, Failed, Cleaning:
		return false
	}
	return true
}

const thenSettle = "settle"

var ladder = control.Ladder{
	string(DeactivatingSigterm): {Op: control.Terminate, Harder: string(DeactivatingSigkill), Then: thenSettle},
	string(DeactivatingSigkill): {Op: control.Final, Then: thenSettle},
}

// State is all that is known of a swap at run time.
type State struct {
	Sub         SubState          `json:"sub"`
	Result      string            `json:"result,omitempty"` // "" is success
	CleanResult string            `json:"clean_result,omitempty"`
	Timer       control.Timer     `json:"timer,omitzero"`
	Kernel      *machine.SwapInfo `json:"kernel,omitempty"` // the kernel swaps to it; nil it doesn't
	ControlPID  int32             `json:"control,omitempty"`
	Phase       machine.Phase     `json:"phase,omitempty"` // of the control process
	History     control.History   `json:"history,omitempty"`
	Realized    bool              `json:"cgroup,omitempty"`
	Spawning    machine.Token     `json:"spawning,omitempty"` // open Spawn of Phase
	Killing     machine.Token     `json:"killing,omitempty"`  // open Kill
	Rung        SubState          `json:"rung,omitempty"`     // what Killing is for
	Removing    machine.Token     `json:"removing,omitempty"` // open RemoveDirectories
	CleanKinds  []string          `json:"clean_kinds,omitempty"`
}

// Machine is the state machine of one swap.
type Machine struct {
	s         State
	supported bool
}

// The interfaces a swap offers.
var (
	_ machine.Machine = (*Machine)(nil)
	_ machine.Cleaner = (*Machine)(nil)
)

// State gives the run-time state for reading.
func (m *Machine) State() *State { return &m.s }

// Data is the serializable state.
func (m *Machine) Data() any { return &m.s }

// Descriptor describes the unit type. supported: swapping is ours.
func Descriptor(supported bool) machine.Descriptor {
	return machine.Descriptor{
		Type:         unit.TypeSwap,
		New:          func() machine.Machine { return &Machine{s: State{Sub: Dead}, supported: supported} },
		CanTransient: true,
		CanFail:      true,
		CanStart:     true,
		CanStop:      true,
		Starting:     "Activating swap %s...",
		Stopping:     "Deactivating swap %s...",
		Finished: map[job.Type]map[job.Result]string{
			job.Start: {job.Done: "Activated swap %s.", job.Failed: "Failed to activate swap %s.", job.Timeout: "Timed out activating swap %s."},
			job.Stop:  {job.Done: "Deactivated swap %s.", job.Failed: "Failed deactivating swap %s.", job.Timeout: "Timed out deactivating swap %s."},
		},
	}
}

// Reload does not apply to swaps.
func (m *Machine) Reload(machine.Host) machine.Answer { return machine.Invalid }

// CanReload is false.
func (m *Machine) CanReload(*unit.Unit) bool { return false }

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

// Held is false: a dead swap holds nothing.
func (m *Machine) Held() bool { return false }

// PIDs are the control process only.
func (m *Machine) PIDs() (main, ctl int32) { return 0, m.s.ControlPID }

// Deadline is when Expire is due.
func (m *Machine) Deadline(cfg *unit.Unit) uint64 {
	if m.s.Killing != 0 || !HoldsProcess(m.s.Sub) {
		return machine.Never
	}
	return m.s.Timer.Due(cfg.GetSwap().TimeoutUSec)
}

// Programs that do the work; swapon(8).
const (
	swaponProgram  = "/usr/sbin/swapon"
	swapoffProgram = "/usr/sbin/swapoff"
)

// Commands gives the command line of a phase.
func Commands(u *unit.Unit, phase machine.Phase) []value.Command {
	c := u.GetSwap()
	var argv []string
	switch phase {
	case machine.ExecActivate:
		argv = []string{swaponProgram, "--fixpgsz"}
		if o := options(c); o != "" {
			argv = append(argv, "-o", o)
		}
		argv = append(argv, c.What)
	case machine.ExecDeactivate:
		argv = []string{swapoffProgram, c.What}
	default:
		return nil
	}
	return []value.Command{{Path: argv[0], Argv: argv}}
}

// options joins Options= with Priority=, unless a priority stands in the options already.
func options(c *unit.Swap) string {
	var out []string
	has := false
	for o := range strings.SplitSeq(c.Options, ",") {
		if o != "" {
			out = append(out, o)
			has = has || strings.HasPrefix(o, "pri=")
		}
	}
	if c.Priority.Set && c.Priority.Value >= 0 && !has {
		out = append([]string{"pri=" + strconv.Itoa(int(c.Priority.Value))}, out...)
	}
	return strings.Join(out, ",")
}
