package socket

import (
	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/machine"
)

// v255: socket_enter_start_pre
func (m *Machine) enterStartPre(h machine.Host) {
	if m.has(h, machine.ExecStartPre) {
		m.spawn(h, machine.ExecStartPre, 0)
		return
	}
	m.enterStartOpen(h)
}

// DEVIATION: sockets are opened off the loop in a sub-state of its own (start-open, as in 258), where 257 opens them in no time that clients
// can see; and start-chown has no control process: a worker of the manager changes the owner.
func (m *Machine) enterStartOpen(h machine.Host) {
	m.setState(h, StartOpen)
	m.s.Timer.Arm(h.Now().Monotonic)
	m.askSlowly(h, &Pending{Kind: askOpen})
}

// opened goes on when the listeners are there. v255: socket_enter_start_chown
func (m *Machine) opened(h machine.Host, e machine.SocketsOpened) {
	if e.Message != "" {
		h.Log(control.LogErr, "unit-resources", "Failed to create listening socket: "+e.Message)
		m.enterStopPre(h, ResultResources)
		return
	}
	m.s.Ports = e.Ports
	s := h.Unit().GetSocket()
	if s.SocketUser == "" && s.SocketGroup == "" {
		m.enterStartPost(h)
		return
	}
	m.setState(h, StartChown)
	m.s.Timer.Arm(h.Now().Monotonic)
	m.askSlowly(h, &Pending{Kind: askChown})
}

func (m *Machine) chowned(h machine.Host, message string) {
	if message != "" {
		h.Log(control.LogErr, "", "Failed to change the owner of sockets: "+message)
		m.enterStopPre(h, ResultExitCode)
		return
	}
	m.enterStartPost(h)
}

// v255: socket_enter_start_post
func (m *Machine) enterStartPost(h machine.Host) {
	if m.has(h, machine.ExecStartPost) {
		m.spawn(h, machine.ExecStartPost, 0)
		return
	}
	m.enterListening(h)
}

// v255: socket_enter_listening
func (m *Machine) enterListening(h machine.Host) {
	s := h.Unit().GetSocket()
	m.s.DeferUntil, m.s.Paused = 0, nil
	if !s.Accept && s.FlushPending {
		h.Emit(machine.FlushSockets{Unit: h.Unit().Name, Ports: m.all()})
	}
	m.setState(h, Listening)
	m.watch(h, m.s.handles())
}

func (m *Machine) watch(h machine.Host, ports []machine.Handle) {
	if len(ports) > 0 {
		h.Emit(machine.WatchSockets{Unit: h.Unit().Name, Ports: ports, Accept: h.Unit().GetSocket().Accept})
	}
}

func (m *Machine) all() []machine.Handle {
	var out []machine.Handle
	for _, p := range m.s.Ports {
		out = append(out, p.Handle)
	}
	return out
}

// v255: socket_enter_stop_pre
func (m *Machine) enterStopPre(h machine.Host, result string) {
	m.s.fail(result)
	if m.has(h, machine.ExecStopPre) {
		m.spawn(h, machine.ExecStopPre, 0)
		return
	}
	m.enterClose(h, ResultSuccess)
}

// enterClose closes the listeners. If something of them is to be removed from the file system, the end of that is waited for.
func (m *Machine) enterClose(h machine.Host, result string) {
	m.s.fail(result)
	if len(m.s.Ports) == 0 || !h.Unit().GetSocket().RemoveOnStop {
		m.enterStopPost(h, ResultSuccess)
		return
	}
	if states[m.s.Sub].active != machine.Deactivating {
		m.setState(h, StopPre)
	}
	m.s.Timer.Arm(h.Now().Monotonic)
	ports := m.s.Ports
	m.s.Ports, m.s.Paused = nil, nil
	m.askSlowly(h, &Pending{Kind: askClose, Ports: ports})
}

// closeNow closes the listeners without waiting for anything.
func (m *Machine) closeNow(h machine.Host) {
	if len(m.s.Ports) > 0 {
		h.Emit(machine.CloseSockets{Unit: h.Unit().Name, Ports: m.s.Ports})
	}
	m.s.Ports, m.s.Paused = nil, nil
}

// v255: socket_enter_stop_post
func (m *Machine) enterStopPost(h machine.Host, result string) {
	m.s.fail(result)
	m.leaveListening(h)
	m.closeNow(h)
	if m.has(h, machine.ExecStopPost) {
		m.spawn(h, machine.ExecStopPost, 0)
		return
	}
	m.enterSignal(h, FinalSigterm, ResultSuccess)
}

// enterSignal climbs the ladder from rung on. v255: socket_enter_signal
func (m *Machine) enterSignal(h machine.Host, rung SubState, result string) {
	m.s.fail(result)
	m.dropSlow(h)
	procs := control.Processes{Control: m.s.ControlPID, Cgroup: m.s.Processes}
	sub, kill, then, ok := ladder.Climb(h.Unit(), string(rung), "", procs)
	if !ok {
		m.leaveLadder(h, then)
		return
	}
	m.ask(h, &Pending{Kind: askKill, Rung: SubState(sub), Kill: &kill})
}

// killed goes on when the signals of a rung are sent: wait there, or climb on.
func (m *Machine) killed(h machine.Host, p *Pending, left bool) {
	if left {
		m.setState(h, p.Rung)
		m.s.Timer.Arm(h.Now().Monotonic)
		return
	}
	if p.Kill.Cgroup && m.s.ControlPID == 0 {
		m.s.Processes = false
	}
	next, then, more := ladder.Next(h.Unit(), string(p.Rung))
	if more {
		m.enterSignal(h, SubState(next), ResultSuccess)
		return
	}
	m.leaveLadder(h, then)
}

func (m *Machine) leaveLadder(h machine.Host, then string) {
	if then == thenStopPost {
		m.enterClose(h, ResultSuccess)
		return
	}
	m.enterDead(h, ResultSuccess)
}

// v255: socket_enter_dead
func (m *Machine) enterDead(h machine.Host, result string) {
	m.s.fail(result)
	m.leaveListening(h)
	m.closeNow(h)
	sub := Dead
	if m.s.Result != "" {
		sub = Failed
		h.Log(control.LogWarning, "unit-failure-result", "Failed with result '"+m.s.Result+"'.", "UNIT_RESULT="+m.s.Result)
	} else {
		h.Log(control.LogDebug, "unit-success", "Deactivated successfully.")
	}
	m.setState(h, sub)
	h.Emit(machine.ReleaseRuntime{Unit: h.Unit().Name})
	if m.s.Realized {
		m.s.Realized = false
		h.Emit(machine.ReleaseCgroup{Unit: h.Unit().Name})
	}
}

// setState enters a sub-state: what it does not hold is let go, then the change is announced.
func (m *Machine) setState(h machine.Host, sub SubState) {
	s := &m.s
	before := states[s.Sub].active
	if sub != Listening {
		m.leaveListening(h)
	}
	f := states[sub]
	if !f.control {
		m.dropControl(h)
	}
	if !f.timer {
		s.Timer = control.Timer{}
	}
	s.Sub = sub
	m.dropSlow(h)
	// Told even if it is the old one: a start that failed at once leaves a failed unit failed, and its job must end.
	m.dirty = false
	h.StateChanged(before)
}

func (m *Machine) leaveListening(h machine.Host) {
	if m.s.Sub != Listening {
		return
	}
	if ports := m.s.handles(); len(ports) > 0 {
		h.Emit(machine.UnwatchSockets{Unit: h.Unit().Name, Ports: ports})
	}
}

func (m *Machine) dropControl(h machine.Host) {
	if m.s.ControlPID != 0 {
		h.Forget(m.s.ControlPID)
	}
	m.s.ControlPID, m.s.ControlPhase, m.s.ControlIndex = 0, "", 0
}

// dropSlow cancels a slow query.
func (m *Machine) dropSlow(h machine.Host) {
	if m.s.Slow != nil {
		h.Emit(machine.CancelQuery{Token: m.s.Slow.Token})
		m.s.Slow = nil
	}
}

func (m *Machine) has(h machine.Host, phase machine.Phase) bool {
	return len(Commands(h.Unit().GetSocket(), phase)) > 0
}

func (m *Machine) cgroupEmpty(h machine.Host) {
	m.s.Processes = false
	if m.s.ControlPID != 0 {
		return
	}
	switch m.s.Sub {
	case StopPreSigterm, StopPreSigkill:
		m.enterClose(h, ResultSuccess)
	case FinalSigterm, FinalSigkill:
		m.enterDead(h, ResultSuccess)
	case Dead, Failed:
		h.Emit(machine.ReleaseCgroup{Unit: h.Unit().Name})
	}
}
