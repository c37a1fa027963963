package scope

import (
	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit"
)

// SubState is the sub-state of a scope.
type SubState string

// Sub-states.
const (
	Dead        SubState = "dead"
	Running     SubState = "running"
	Abandoned   SubState = "abandoned"
	StopSigterm SubState = "stop-sigterm"
	StopSigkill SubState = "stop-sigkill"
	Failed      SubState = "failed"
)

// SubStates lists all sub-states.
func SubStates() []SubState {
	return []SubState{Dead, Running, Abandoned, StopSigterm, StopSigkill, Failed}
}

// Results (property Result).
const (
	ResultSuccess   = control.ResultSuccess
	ResultResources = "resources"
	ResultTimeout   = "timeout"
	ResultOOMKill   = "oom-kill"
)

var active = map[SubState]machine.ActiveState{
	Dead:        machine.Inactive,
	Running:     machine.Active,
	Abandoned:   machine.Active,
	StopSigterm: machine.Deactivating,
	StopSigkill: machine.Deactivating,
	Failed:      machine.Failed,
}

const thenDead = "dead"

var ladder = control.Ladder{
	string(StopSigterm): {Op: control.Terminate, Harder: string(StopSigkill), Then: thenDead},
	string(StopSigkill): {Op: control.Final, Then: thenDead},
}

// ActiveStateOf maps a sub-state to the active state.
func ActiveStateOf(sub SubState) machine.ActiveState { return active[sub] }

// State is all that is known of a scope at run time.
type State struct {
	Sub          SubState      `json:"sub"`
	Result       string        `json:"result,omitempty"` // "" is success
	Timer        control.Timer `json:"timer,omitzero"`
	ActiveSince  uint64        `json:"since,omitempty"`      // monotonic µs
	RuntimeExtra uint64        `json:"extra,omitempty"`      // µs, drawn by RuntimeRandomizedExtraSec=
	Controller   string        `json:"controller,omitempty"` // bus name; "" none, or gone, or abandoned
	WasAbandoned bool          `json:"abandoned,omitempty"`  // say in the log who is killed
	Realized     bool          `json:"cgroup,omitempty"`     // the cgroup exists
	Attaching    machine.Token `json:"attaching,omitempty"`  // open AttachPIDs
	Killing      machine.Token `json:"killing,omitempty"`    // open Kill
	Rung         SubState      `json:"rung,omitempty"`       // what Killing is for
	Emptied      bool          `json:"emptied,omitempty"`    // the cgroup became empty while Killing was open
}

// ResultName is the Result property.
func (s *State) ResultName() string {
	if s.Result == "" {
		return ResultSuccess
	}
	return s.Result
}

// Machine is the state machine of one scope.
type Machine struct{ s State }

// New makes a scope that is dead.
func New() *Machine { return &Machine{s: State{Sub: Dead}} }

// The interfaces a scope offers.
var (
	_ machine.Machine   = (*Machine)(nil)
	_ machine.Abandoner = (*Machine)(nil)
	_ machine.Perpetual = (*Machine)(nil)
)

// State gives the run-time state for reading.
func (m *Machine) State() *State { return &m.s }

// Data is the serializable state.
func (m *Machine) Data() any { return &m.s }

// Start makes the cgroup and moves the processes of PIDs= into it.
func (m *Machine) Start(h machine.Host) machine.Answer {
	cfg := h.Unit()
	switch m.s.Sub {
	case Running, Abandoned:
		return machine.Already
	case StopSigterm, StopSigkill:
		return machine.Again
	case Failed:
		return machine.Refused
	}
	if m.s.Attaching != 0 {
		return machine.Accepted
	}
	if !cfg.Transient {
		// Without the processes that its maker named, there is nothing to start.
		return machine.Refused
	}
	h.NewInvocation()
	controller := cfg.GetScope().Controller
	m.s = State{Sub: m.s.Sub, Realized: true, Controller: controller}
	if controller != "" {
		h.Emit(machine.WatchName{Name: controller})
	}
	h.Emit(machine.RealizeCgroup{Unit: cfg.Name})
	pids := make([]int32, 0, len(cfg.GetScope().PIDs))
	for _, pid := range cfg.GetScope().PIDs {
		pids = append(pids, int32(pid))
	}
	m.s.Attaching = h.Query(machine.AttachPIDs{Unit: cfg.Name, PIDs: pids})
	return machine.Accepted
}

// Perpetual makes the scope one that was there before the manager (init.scope).
func (m *Machine) Perpetual() { m.s.Sub, m.s.Realized = Running, true }

// Stop ends the scope.
func (m *Machine) Stop(h machine.Host) machine.Answer {
	switch {
	case m.s.Attaching != 0:
		return machine.Again
	case m.s.Killing != 0:
		return machine.Accepted
	}
	switch m.s.Sub {
	case Dead, Failed:
		return machine.Already
	case Running, Abandoned:
		m.enterSignal(h, StopSigterm, ResultSuccess)
	}
	return machine.Accepted
}

// Reload does not apply to scopes.
func (m *Machine) Reload(machine.Host) machine.Answer { return machine.Invalid }

// CanReload is false.
func (m *Machine) CanReload(*unit.Unit) bool { return false }

// Step takes an event of the unit.
func (m *Machine) Step(h machine.Host, ev machine.Event) {
	switch e := ev.(type) {
	case machine.ProcessesAttached:
		if e.Token == m.s.Attaching && e.Token != 0 {
			m.s.Attaching = 0
			m.attached(h, e.Message)
		}
	case machine.Killed:
		if e.Token == m.s.Killing && e.Token != 0 {
			m.s.Killing = 0
			m.killed(h, e.Left)
		}
	case machine.CgroupEmpty:
		m.cgroupEmpty(h)
	case machine.OOMKill:
		m.oomKilled(h, e)
	case machine.NameOwnerChanged:
		if e.Bus == m.s.Controller && e.New == "" && m.s.Controller != "" {
			m.dropController(h)
			h.PropertiesChanged()
		}
	}
}

func (m *Machine) attached(h machine.Host, message string) {
	if message != "" {
		h.Log(control.LogWarning, "", "Failed to add PIDs to scope's control group: "+message)
		m.enterDead(h, ResultResources)
		return
	}
	scope := h.Unit().GetScope()
	m.s.ActiveSince = h.Now().Monotonic
	if control.Positive(scope.RuntimeRandomizedExtraUSec) {
		m.s.RuntimeExtra = h.Random() % (scope.RuntimeRandomizedExtraUSec + 1)
	}
	m.s.Timer.Arm(m.s.ActiveSince)
	m.setState(h, Running)
}

func (m *Machine) setState(h machine.Host, sub SubState) {
	old := m.s.Sub
	m.s.Sub = sub
	h.StateChanged(active[old])
	if (sub == Dead || sub == Failed) && m.s.Realized {
		m.s.Realized = false
		h.Emit(machine.ReleaseCgroup{Unit: h.Unit().Name})
	}
}

// enterSignal stops the processes. A controller is asked first: it knows better how, and has TimeoutStopSec= for it.
func (m *Machine) enterSignal(h machine.Host, rung SubState, result string) {
	m.fail(result)
	if rung == StopSigterm && m.s.Controller != "" {
		h.Emit(machine.RequestStop{Unit: h.Unit().Name, Client: m.s.Controller})
		m.s.Timer.Arm(h.Now().Monotonic)
		m.setState(h, StopSigterm)
		return
	}
	var op control.Operation
	if rung == StopSigterm && m.s.WasAbandoned {
		op = control.TerminateLogged
	}
	sub, kill, _, ok := ladder.Climb(h.Unit(), string(rung), op, control.Processes{Cgroup: m.s.Realized})
	if !ok {
		m.enterDead(h, ResultSuccess)
		return
	}
	m.s.Rung, m.s.Emptied = SubState(sub), false
	m.s.Killing = h.Query(kill)
}

func (m *Machine) killed(h machine.Host, left bool) {
	rung := m.s.Rung
	m.s.Rung = ""
	if left && !m.s.Emptied {
		m.s.Timer.Arm(h.Now().Monotonic)
		m.setState(h, rung)
		return
	}
	if next, _, more := ladder.Next(h.Unit(), string(rung)); more && !m.s.Emptied {
		m.enterSignal(h, SubState(next), ResultSuccess)
		return
	}
	m.enterDead(h, ResultSuccess)
}

func (m *Machine) cgroupEmpty(h machine.Host) {
	if m.s.Killing != 0 {
		m.s.Emptied = true
		return
	}
	switch m.s.Sub {
	case Running, Abandoned, StopSigterm, StopSigkill:
		if !h.Unit().Perpetual {
			m.enterDead(h, ResultSuccess)
		}
	case Dead, Failed:
		h.Emit(machine.ReleaseCgroup{Unit: h.Unit().Name})
	}
}

func (m *Machine) fail(result string) {
	if m.s.Result == "" && result != ResultSuccess {
		m.s.Result = result
	}
}

func (m *Machine) enterDead(h machine.Host, result string) {
	m.fail(result)
	m.dropController(h)
	m.s.Timer = control.Timer{}
	if m.s.Result != "" {
		h.Log(control.LogWarning, "unit-failure-result", "Failed with result '"+m.s.Result+"'.", "UNIT_RESULT="+m.s.Result)
		m.setState(h, Failed)
		return
	}
	h.Log(control.LogInfo, "unit-success", "Deactivated successfully.")
	m.setState(h, Dead)
}

func (m *Machine) dropController(h machine.Host) {
	if m.s.Controller != "" {
		h.Emit(machine.UnwatchName{Name: m.s.Controller})
		m.s.Controller = ""
	}
}

// oomKilled acts by OOMPolicy=.
func (m *Machine) oomKilled(h machine.Host, e machine.OOMKill) {
	control.LogOOM(h, e)
	policy := h.Unit().GetScope().OOMPolicy
	if policy != "stop" && policy != "kill" || m.s.Killing != 0 {
		return
	}
	switch m.s.Sub {
	case Running, Abandoned:
		if policy == "kill" {
			m.enterSignal(h, StopSigkill, ResultOOMKill)
		} else {
			m.enterSignal(h, StopSigterm, ResultOOMKill)
		}
	case StopSigterm:
		m.enterSignal(h, StopSigkill, ResultOOMKill)
	case StopSigkill:
		m.fail(ResultOOMKill)
	}
}

// Abandon gives the scope up: it stays until its processes have ended, without a controller.
func (m *Machine) Abandon(h machine.Host) *machine.Error {
	if m.s.Sub != Running && m.s.Sub != Abandoned || h.Unit().Perpetual {
		return &machine.Error{Name: "org.freedesktop.systemd1.ScopeNotRunning", Message: "Scope " + h.Unit().Name + " is not running, cannot abandon."}
	}
	m.s.WasAbandoned = true
	m.dropController(h)
	m.setState(h, Abandoned)
	return nil
}

// span is how long the timer of the sub-state lasts in µs.
func (m *Machine) span(cfg *unit.Unit) uint64 {
	scope := cfg.GetScope()
	switch m.s.Sub {
	case Running, Abandoned:
		if control.Positive(scope.RuntimeMaxUSec) {
			return control.AddUSec(scope.RuntimeMaxUSec, m.s.RuntimeExtra)
		}
	case StopSigterm, StopSigkill:
		if scope.TimeoutStopUSec != 0 {
			return scope.TimeoutStopUSec
		}
	}
	return unit.Infinity
}

// Deadline is when Expire is due.
func (m *Machine) Deadline(cfg *unit.Unit) uint64 {
	if m.s.Killing != 0 {
		return machine.Never
	}
	return m.s.Timer.Due(m.span(cfg))
}

// Expire handles the timeout that is due.
func (m *Machine) Expire(h machine.Host) {
	if m.Deadline(h.Unit()) > h.Now().Monotonic {
		return
	}
	switch m.s.Sub {
	case Running, Abandoned:
		h.Log(control.LogWarning, "", "Scope reached runtime time limit. Stopping.")
		m.enterSignal(h, StopSigterm, ResultTimeout)
	case StopSigterm:
		if h.Unit().GetKill().SendSIGKILL {
			h.Log(control.LogWarning, "", "Stopping timed out. Killing.")
			m.enterSignal(h, StopSigkill, ResultTimeout)
			return
		}
		h.Log(control.LogWarning, "", "Stopping timed out. Skipping SIGKILL.")
		m.enterDead(h, ResultTimeout)
	case StopSigkill:
		h.Log(control.LogWarning, "", "Still around after SIGKILL. Ignoring.")
		m.enterDead(h, ResultTimeout)
	}
}

// ActiveState is the active state that the sub-state maps to.
func (m *Machine) ActiveState(*unit.Unit) machine.ActiveState { return active[m.s.Sub] }

// SubState is the sub-state as a word.
func (m *Machine) SubState() string { return string(m.s.Sub) }

// Result is the Result property.
func (m *Machine) Result() string { return m.s.ResultName() }

// Held is false: a dead scope holds nothing.
func (m *Machine) Held() bool { return m.s.Attaching != 0 }

// ResetFailed leaves the failed state.
func (m *Machine) ResetFailed(h machine.Host) {
	m.s.Result = ""
	if m.s.Sub == Failed {
		m.setState(h, Dead)
		return
	}
	h.PropertiesChanged()
}

// PIDs are none: all processes are known through the cgroup only.
func (m *Machine) PIDs() (main, ctl int32) { return 0, 0 }

// CatchUp takes up the work after a restart of the manager.
func (m *Machine) CatchUp(h machine.Host) {
	if m.s.Controller != "" {
		h.Emit(machine.WatchName{Name: m.s.Controller})
	}
	if m.s.Attaching != 0 {
		pids := make([]int32, 0, len(h.Unit().GetScope().PIDs))
		for _, pid := range h.Unit().GetScope().PIDs {
			pids = append(pids, int32(pid))
		}
		m.s.Attaching = h.Query(machine.AttachPIDs{Unit: h.Unit().Name, PIDs: pids})
	}
	if m.s.Killing != 0 {
		rung := m.s.Rung
		m.s.Killing, m.s.Rung = 0, ""
		m.enterSignal(h, rung, ResultSuccess)
	}
}

// Descriptor describes the unit type.
func Descriptor() machine.Descriptor {
	return machine.Descriptor{
		Type:         unit.TypeScope,
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
