package mount

import (
	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit"
)

// SubState is the sub-state of a mount.
type SubState string

// Sub-states.
const (
	Dead              SubState = "dead"
	Mounting          SubState = "mounting"
	MountingDone      SubState = "mounting-done"
	Mounted           SubState = "mounted"
	Remounting        SubState = "remounting"
	Unmounting        SubState = "unmounting"
	RemountingSigterm SubState = "remounting-sigterm"
	RemountingSigkill SubState = "remounting-sigkill"
	UnmountingSigterm SubState = "unmounting-sigterm"
	UnmountingSigkill SubState = "unmounting-sigkill"
	Failed            SubState = "failed"
	Cleaning          SubState = "cleaning"
)

// SubStates lists all sub-states.
func SubStates() []SubState {
	return []SubState{Dead, Mounting, MountingDone, Mounted, Remounting, Unmounting, RemountingSigterm, RemountingSigkill,
		UnmountingSigterm, UnmountingSigkill, Failed, Cleaning}
}

// Results (property Result).
const (
	ResultSuccess    = control.ResultSuccess
	ResultResources  = "resources"
	ResultTimeout    = "timeout"
	ResultProtocol   = "protocol"
	ResultStartLimit = "start-limit-hit"
)

var active = map[SubState]machine.ActiveState{
	Dead: machine.Inactive, Mounting: machine.Activating, MountingDone: machine.Activating, Mounted: machine.Active,
	Remounting: machine.Reloading, RemountingSigterm: machine.Reloading, RemountingSigkill: machine.Reloading,
	Unmounting: machine.Deactivating, UnmountingSigterm: machine.Deactivating, UnmountingSigkill: machine.Deactivating,
	Failed: machine.Failed, Cleaning: machine.Maintenance,
}

// ActiveStateOf maps a sub-state to the active state.
func ActiveStateOf(sub SubState) machine.ActiveState { return active[sub] }

// HoldsProcess reports whether a control process runs in the sub-state.
func HoldsProcess(sub SubState) bool {
	switch sub {
	case Dead, Mounted, Failed, Cleaning:
		return false
	}
	return true
}

const thenSettle = "settle"

var ladder = control.Ladder{
	string(RemountingSigterm): {Op: control.Terminate, Harder: string(RemountingSigkill), Then: thenSettle},
	string(RemountingSigkill): {Op: control.Final, Then: thenSettle},
	string(UnmountingSigterm): {Op: control.Terminate, Harder: string(UnmountingSigkill), Then: thenSettle},
	string(UnmountingSigkill): {Op: control.Final, Then: thenSettle},
}

// State is all that is known of a mount at run time.
type State struct {
	Sub          SubState           `json:"sub"`
	Result       string             `json:"result,omitempty"` // "" is success
	ReloadResult string             `json:"reload_result,omitempty"`
	CleanResult  string             `json:"clean_result,omitempty"`
	Timer        control.Timer      `json:"timer,omitzero"`
	Kernel       *machine.MountInfo `json:"kernel,omitempty"` // what is mounted there; nil nothing
	ControlPID   int32              `json:"control,omitempty"`
	Phase        machine.Phase      `json:"phase,omitempty"` // of the control process
	History      control.History    `json:"history,omitempty"`
	Retries      int                `json:"retries,omitempty"` // umount(8) was run again so often
	Realized     bool               `json:"cgroup,omitempty"`
	Preparing    machine.Token      `json:"preparing,omitempty"` // open PrepareMount
	Spawning     machine.Token      `json:"spawning,omitempty"`  // open Spawn of Phase
	Killing      machine.Token      `json:"killing,omitempty"`   // open Kill
	Rung         SubState           `json:"rung,omitempty"`      // what Killing is for
	Removing     machine.Token      `json:"removing,omitempty"`  // open RemoveDirectories
	CleanKinds   []string           `json:"clean_kinds,omitempty"`
}

// Machine is the state machine of one mount.
type Machine struct{ s State }

// New makes a mount that is dead.
func New() *Machine { return &Machine{s: State{Sub: Dead}} }

// The interfaces a mount offers.
var (
	_ machine.Machine        = (*Machine)(nil)
	_ machine.Perpetual      = (*Machine)(nil)
	_ machine.ReloadResulter = (*Machine)(nil)
	_ machine.Cleaner        = (*Machine)(nil)
)

// State gives the run-time state for reading.
func (m *Machine) State() *State { return &m.s }

// Data is the serializable state.
func (m *Machine) Data() any { return &m.s }

// Perpetual makes the mount one that was there before the manager (-.mount).
func (m *Machine) Perpetual() { m.s.Sub = Mounted }

// CanReload is true: a reload is a remount.
func (m *Machine) CanReload(*unit.Unit) bool { return true }

// ReloadFailed reports whether the last remount failed.
func (m *Machine) ReloadFailed() bool { return m.s.ReloadResult != "" }

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

// Held is false: a dead mount holds nothing.
func (m *Machine) Held() bool { return false }

// PIDs are the control process only.
func (m *Machine) PIDs() (main, ctl int32) { return 0, m.s.ControlPID }

// Deadline is when Expire is due.
func (m *Machine) Deadline(cfg *unit.Unit) uint64 {
	if m.s.Killing != 0 || !HoldsProcess(m.s.Sub) {
		return machine.Never
	}
	return m.s.Timer.Due(cfg.GetMount().TimeoutUSec)
}

// Descriptor describes the unit type.
func Descriptor() machine.Descriptor {
	return machine.Descriptor{
		Type:         unit.TypeMount,
		New:          func() machine.Machine { return New() },
		CanTransient: true,
		CanFail:      true,
		CanStart:     true,
		CanStop:      true,
		Starting:     "Mounting %s...",
		Stopping:     "Unmounting %s...",
		Finished: map[job.Type]map[job.Result]string{
			job.Start: {job.Done: "Mounted %s.", job.Failed: "Failed to mount %s.", job.Timeout: "Timed out mounting %s."},
			job.Stop:  {job.Done: "Unmounted %s.", job.Failed: "Failed unmounting %s.", job.Timeout: "Timed out unmounting %s."},
		},
	}
}
