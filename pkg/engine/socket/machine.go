package socket

import (
	"slices"

	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// Machine is the state machine of one socket.
type Machine struct {
	s     State
	dirty bool // properties have changed since clients were told
}

// New makes a socket that is dead.
func New() *Machine { return &Machine{s: State{Sub: Dead}} }

// The interfaces a socket offers.
var (
	_ machine.Machine      = (*Machine)(nil)
	_ machine.Triggerer    = (*Machine)(nil)
	_ machine.Listener     = (*Machine)(nil)
	_ machine.Cleaner      = (*Machine)(nil)
	_ machine.Releaser     = (*Machine)(nil)
	_ machine.Deferrer     = (*Machine)(nil)
	_ machine.Reconfigured = (*Machine)(nil)
)

// Descriptor describes the unit type.
func Descriptor() machine.Descriptor {
	return machine.Descriptor{
		Type:         unit.TypeSocket,
		New:          func() machine.Machine { return New() },
		CanTransient: true,
		CanFail:      true,
		CanStart:     true,
		CanStop:      true,
		Finished: map[job.Type]map[job.Result]string{
			job.Start: {job.Done: "Listening on %s.", job.Failed: "Failed to listen on %s."},
			job.Stop:  {job.Done: "Closed %s.", job.Failed: "Failed stopping %s."},
		},
	}
}

// State gives the run-time state for reading.
func (m *Machine) State() *State { return &m.s }

// Data is the serializable state.
func (m *Machine) Data() any { return &m.s }

// Commands is the list of a phase in [Socket].
func Commands(s *unit.Socket, phase machine.Phase) []value.Command {
	switch phase {
	case machine.ExecStartPre:
		return s.ExecStartPre
	case machine.ExecStartPost:
		return s.ExecStartPost
	case machine.ExecStopPre:
		return s.ExecStopPre
	case machine.ExecStopPost:
		return s.ExecStopPost
	}
	return nil
}

// serviceName is the service that a socket without Accept=yes starts.
func serviceName(cfg *unit.Unit) string {
	if name := cfg.GetSocket().Service; name != "" {
		return name
	}
	return unit.ChangeSuffix(cfg.Name, ".service")
}

// Start begins an activation. v255: socket_start
func (m *Machine) Start(h machine.Host) machine.Answer {
	defer m.finish(h)
	if m.s.Pending != nil {
		return machine.Again
	}
	switch m.s.Sub {
	case StartPre, StartOpen, StartChown, StartPost:
		return machine.Accepted
	case Listening, Deferred, Running:
		return machine.Already
	case StopPre, StopPreSigterm, StopPreSigkill, StopPost, FinalSigterm, FinalSigkill, Cleaning:
		return machine.Again
	}
	if !h.StartLimitOK() {
		m.enterDead(h, ResultStartLimit)
		return machine.StartLimit
	}
	if !h.Unit().GetSocket().Accept && !m.serviceReady(h) {
		return machine.Refused
	}
	h.NewInvocation()
	s := &m.s
	s.Result, s.History, s.Trigger, s.Paused, s.DeferUntil = "", nil, rate{}, nil, 0
	m.enterStartPre(h)
	return machine.Accepted
}

// serviceReady reports whether the service is there to be started. A socket can't be opened beside a service that runs without it.
func (m *Machine) serviceReady(h machine.Host) bool {
	p := h.Peer(serviceName(h.Unit()))
	if !p.Loaded {
		h.Log(control.LogErr, "", "Socket service "+p.Name+" not loaded, refusing.")
		return false
	}
	if p.Active.IsInactiveOrFailed() {
		return true
	}
	switch p.Sub {
	case "auto-restart", "auto-restart-queued":
		return true
	}
	h.Log(control.LogErr, "", "Socket service "+p.Name+" already active, refusing.")
	return false
}

// Stop ends an activation. v255: socket_stop
func (m *Machine) Stop(h machine.Host) machine.Answer {
	defer m.finish(h)
	if m.s.Pending != nil {
		return machine.Again
	}
	switch m.s.Sub {
	case Dead, Failed:
		return machine.Already
	case StopPre, StopPreSigterm, StopPreSigkill, StopPost, FinalSigterm, FinalSigkill:
		return machine.Accepted
	case StartPre, StartOpen, StartChown, StartPost:
		// Something is on its way: straight to the signals.
		m.enterSignal(h, StopPreSigterm, ResultSuccess)
	case Cleaning:
		m.enterSignal(h, FinalSigterm, ResultSuccess)
	default:
		m.enterStopPre(h, ResultSuccess)
	}
	return machine.Accepted
}

// Reload is not for sockets.
func (m *Machine) Reload(machine.Host) machine.Answer { return machine.Invalid }

// CanReload is false.
func (m *Machine) CanReload(*unit.Unit) bool { return false }

// ActiveState is the active state that the sub-state maps to.
func (m *Machine) ActiveState(*unit.Unit) machine.ActiveState { return states[m.s.Sub].active }

// SubState is the sub-state as a word.
func (m *Machine) SubState() string { return string(m.s.Sub) }

// Result is the Result property.
func (m *Machine) Result() string { return m.s.ResultName() }

// Held reports whether something would be lost: connections that are still being served.
func (m *Machine) Held() bool { return len(m.s.Connections) > 0 || m.s.ControlPID != 0 }

// PIDs are the main process, which sockets have none of, and the control process.
func (m *Machine) PIDs() (main, ctl int32) { return 0, m.s.ControlPID }

// ResetFailed leaves the failed state and forgets results.
func (m *Machine) ResetFailed(h machine.Host) {
	m.s.Result, m.s.CleanResult = "", ""
	if m.s.Sub == Failed {
		m.setState(h, Dead)
	} else {
		m.dirty = true
	}
	m.finish(h)
}

// Release closes what a socket that goes away still has open.
func (m *Machine) Release(h machine.Host) {
	if !states[m.s.Sub].ports && len(m.s.Ports) > 0 {
		m.closeNow(h)
	}
}

// ListenFDs lists the listeners for the service, in the order of the configuration.
func (m *Machine) ListenFDs(cfg *unit.Unit) []machine.FD {
	name := cfg.GetSocket().FileDescriptorName
	if name == "" {
		name = cfg.Name
	}
	var fds []machine.FD
	for _, p := range m.s.Ports {
		fds = append(fds, machine.FD{Handle: p.Handle, Name: name})
		for _, x := range p.Aux {
			fds = append(fds, machine.FD{Handle: x, Name: name})
		}
	}
	return fds
}

// Step takes an event of the unit.
func (m *Machine) Step(h machine.Host, ev machine.Event) {
	if p := m.answered(ev); p != nil {
		m.answer(h, p, ev)
	} else {
		m.happened(h, ev)
	}
	m.finish(h)
}

// finish ends each step: clients hear of changes that no sub-state has announced.
func (m *Machine) finish(h machine.Host) {
	if m.dirty && m.s.Pending == nil {
		m.dirty = false
		h.PropertiesChanged()
	}
}

func (m *Machine) happened(h machine.Host, ev machine.Event) {
	switch e := ev.(type) {
	case machine.SocketReady:
		m.ready(h, e)
	case machine.ProcessExited:
		if e.PID != 0 && e.PID == m.s.ControlPID {
			m.controlExited(h, e.Exit)
		}
	case machine.CgroupEmpty:
		m.cgroupEmpty(h)
	case machine.OOMKill:
		control.LogOOM(h, e)
	case machine.ExecDone:
		if e.PID == m.s.ControlPID && e.PID != 0 && !e.Handoff.IsZero() {
			st := m.s.History.Get(m.s.ControlPhase, m.s.ControlIndex)
			st.Handoff = e.Handoff
			m.s.History.Set(m.s.ControlPhase, m.s.ControlIndex, st)
		}
	}
}

// ConfigChanged closes the listeners that a new configuration does not have any more, and puts the others into its order. What it has in
// addition is opened by the next start. v255: socket_deserialize_item
func (m *Machine) ConfigChanged(h machine.Host) {
	have := map[unit.Listen][]machine.Port{}
	for _, p := range m.s.Ports {
		l := unit.Listen{Kind: p.Kind, Address: p.Address}
		have[l] = append(have[l], p)
	}
	var kept, gone []machine.Port
	for _, l := range h.Unit().GetSocket().Listen {
		if list := have[l]; len(list) > 0 {
			kept = append(kept, list[0])
			have[l] = list[1:]
		}
	}
	for _, p := range m.s.Ports {
		if l := (unit.Listen{Kind: p.Kind, Address: p.Address}); len(have[l]) > 0 {
			gone = append(gone, have[l][0])
			have[l] = have[l][1:]
		}
	}
	m.s.Ports = kept
	if len(gone) == 0 {
		return
	}
	var closing []machine.Handle
	for _, p := range gone {
		closing = append(closing, p.Handle)
	}
	if m.s.Sub == Listening {
		h.Emit(machine.UnwatchSockets{Unit: h.Unit().Name, Ports: closing})
	}
	m.s.Paused = slices.DeleteFunc(m.s.Paused, func(p Paused) bool { return slices.Contains(closing, p.Handle) })
	if len(m.s.Paused) == 0 {
		m.s.Paused = nil
	}
	h.Emit(machine.CloseSockets{Unit: h.Unit().Name, Ports: gone})
	if len(kept) == 0 {
		h.Log(control.LogWarning, "", "Socket unit configuration has changed while unit has been running, no open socket file descriptor left. "+
			"The socket unit is not functional until restarted.")
	}
}

// CatchUp takes up the work after a restart of the manager.
func (m *Machine) CatchUp(h machine.Host) {
	s := &m.s
	if s.ControlPID != 0 {
		h.Track(s.ControlPID)
	}
	for _, p := range []*Pending{s.Pending, s.Slow} {
		if p != nil {
			p.Token = h.Query(m.question(h, p))
		}
	}
	if s.Sub == Listening {
		m.watch(h, s.handles())
	}
}
