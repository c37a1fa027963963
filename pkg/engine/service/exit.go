package service

import (
	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/machine"
)

// mainExited handles the end of the main process. A daemon may hand over to a successor by its PID file first: the file
// is read before the end is believed.
func (m *Machine) mainExited(h machine.Host, e machine.Exit) {
	if h.Unit().GetService().PIDFile != "" && m.s.MainPID != 0 {
		switch m.s.Sub {
		case StartPost, Running, RefreshExtensions, RefreshCredentials, Reload, ReloadSignal, ReloadNotify, ReloadPost:
			m.askSlowly(h, &Pending{Kind: askPIDFile, Then: thenSucceeded, Exit: e})
			return
		}
	}
	m.mainOver(h, e)
}

// settle stops waiting for a successor of a main process that has ended: something else has happened.
func (m *Machine) settle(h machine.Host) {
	p := m.s.Slow
	if p == nil || p.Then != thenSucceeded {
		return
	}
	h.Emit(machine.CancelQuery{Token: p.Token})
	m.s.Slow = nil
	m.mainOver(h, p.Exit)
}

// settleUnless settles before ev, except for news that do not concern the main process.
func (m *Machine) settleUnless(h machine.Host, ev machine.Event) {
	switch ev.(type) {
	case machine.ProcessExited, machine.Notify, machine.CgroupEmpty, machine.OOMKill, machine.NameOwnerChanged:
		m.settle(h)
	}
}

// meanwhile takes an event that came while an answer is awaited, which can only be because of the event itself: it made settle believe in the end of the
// main process. What follows from that end is under way, so no other step may be begun.
func (m *Machine) meanwhile(h machine.Host, ev machine.Event) bool {
	switch e := ev.(type) {
	case machine.CgroupEmpty:
		if m.s.Pending.Kind != askSpawn && m.s.ControlPID == 0 {
			m.s.Processes, m.s.Leftovers = false, false
		}
	case machine.OOMKill:
		control.LogOOM(h, e)
		if policy := h.Unit().GetService().OOMPolicy; policy == "stop" || policy == "kill" {
			m.s.fail(ResultOOMKill)
		}
	case machine.NameOwnerChanged:
		if m.s.BusNameWatched != "" && e.Bus == m.s.BusNameWatched {
			m.s.BusNameOwner = e.New
		}
	case machine.Notify:
		closeAll(h, e.Msg.FDs)
		if m.authorized(h, e.PID) {
			m.heardStatus(h, &e.Msg)
		}
	default:
		return false
	}
	return true
}

// mainOver records the end of the main process. v255: service_sigchld_event, first half
func (m *Machine) mainOver(h machine.Host, e machine.Exit) {
	s := &m.s
	svc := h.Unit().GetService()
	result := control.ResultOf(e, typeOf(svc) != typeOneshot, svc.SuccessExitStatus)
	if s.MainPID != 0 {
		h.Forget(s.MainPID)
	}
	s.MainPID, s.MainWatched = 0, false
	s.Main.Over(e, h.Now())
	index := s.MainIndex - 1
	if control.Ignored(svc.ExecStart, max(index, 0)) {
		result = ResultSuccess
	}
	control.LogExit(h, "Main process", "ExecStart", e, result == ResultSuccess)
	s.fail(result)
	m.dirty = true
	// DEVIATION: systemd goes on with the next command even after a stop, if the one that got SIGTERM ends well.
	if index >= 0 && index+1 < len(svc.ExecStart) && typeOf(svc) == typeOneshot && result == ResultSuccess && s.Sub == Start {
		m.spawn(h, machine.SlotMain, machine.ExecStart, index+1)
		return
	}
	switch {
	case svc.ExitType != "cgroup" || !m.s.Processes:
		m.mainGone(h, result)
	default:
		m.askCgroup(h, thenGone, result)
	}
}

// mainGone goes on after the main process; with ExitType=cgroup only once the cgroup is empty.
func (m *Machine) mainGone(h machine.Host, result string) {
	svc := h.Unit().GetService()
	switch m.s.Sub {
	case StartPost, RefreshExtensions, RefreshCredentials, Reload, ReloadSignal, ReloadNotify, ReloadPost:
		// Without main and control process nothing can end these states any more.
		if !m.controlAlive() {
			m.enterStop(h, result)
		}
	case Start:
		m.mainGoneInStart(h, typeOf(svc), result)
	case Running:
		m.enterRunning(h, result)
	case StopWatchdog, StopSigterm, StopSigkill:
		if !m.controlAlive() {
			m.enterStopPost(h, result)
		}
	case StopPost:
		if !m.controlAlive() {
			m.enterSignal(h, FinalSigterm, result)
		}
	case FinalWatchdog, FinalSigterm, FinalSigkill:
		if !m.controlAlive() {
			m.enterDead(h, result, true)
		}
	case Stop:
		// ExecStop= is still at work.
	}
}

func (m *Machine) mainGoneInStart(h machine.Host, t, result string) {
	svc := h.Unit().GetService()
	switch t {
	case typeOneshot:
		if result == ResultSuccess {
			m.enterStartPost(h)
		} else {
			m.enterSignal(h, StopSigterm, result)
		}
	case typeNotify, typeNotifyReload:
		switch {
		case result != ResultSuccess:
			m.enterSignal(h, StopSigterm, result)
		case !svc.RemainAfterExit || m.notifyAccess(svc) == "main":
			// Nobody is left who could say READY=1.
			m.enterSignal(h, StopSigterm, ResultProtocol)
		default:
			m.askCgroup(h, thenReady, ResultSuccess)
		}
	default:
		m.enterRunning(h, result)
	}
}

// controlExited handles the end of the control process. v255: service_sigchld_event, second half
func (m *Machine) controlExited(h machine.Host, e machine.Exit) {
	s := &m.s
	svc := h.Unit().GetService()
	phase, index := s.ControlPhase, s.ControlIndex
	list := control.ServiceCommands(svc, phase)
	// Only what ExecStart= of a forking service starts is a daemon.
	result := control.ResultOf(e, phase == machine.ExecStart && typeOf(svc) != typeOneshot, svc.SuccessExitStatus)
	if s.ControlPID != 0 {
		h.Forget(s.ControlPID)
	}
	s.ControlPID = 0
	st := s.History.Get(phase, index)
	st.Over(e, h.Now())
	s.History.Set(phase, index, st)
	if control.Ignored(list, index) {
		result = ResultSuccess
	}
	kind, success := "Control process", result == ResultSuccess
	if s.Sub == Condition {
		kind = "Condition check process"
		switch {
		case result == ResultExitCode && e.Status < 255:
			s.ConditionUnmet = true
			result, success = ResultExecCondition, true
		case success:
			s.ConditionUnmet = false
		}
	}
	control.LogExit(h, kind, string(phase), e, success)
	switch s.Sub {
	case RefreshExtensions, RefreshCredentials, Reload, ReloadSignal, ReloadNotify, ReloadPost:
		// A failed reload leaves the service as it is.
	default:
		s.fail(result)
	}
	m.dirty = true
	// DEVIATION: as for the main process, a stop ends the list.
	if index+1 < len(list) && result == ResultSuccess && s.Sub == phaseState[phase] && phase != machine.ExecStart {
		m.spawn(h, machine.SlotControl, phase, index+1)
		return
	}
	s.ControlPhase, s.ControlIndex = "", 0
	m.controlGone(h, result)
}

// controlGone goes on after the last command of a phase.
func (m *Machine) controlGone(h machine.Host, result string) {
	ok := result == ResultSuccess
	switch m.s.Sub {
	case Condition:
		if ok {
			m.enterStartPre(h)
		} else {
			m.enterSignal(h, StopSigterm, result)
		}
	case StartPre:
		if ok {
			m.enterStart(h)
		} else {
			m.enterSignal(h, StopSigterm, result)
		}
	case Start:
		// Only Type=forking has a control process here; after a reload the type may be another by now.
		if ok {
			m.forked(h)
		} else {
			m.enterSignal(h, StopSigterm, result)
		}
	case StartPost:
		if ok {
			m.posted(h)
		} else {
			m.enterSignal(h, StopSigterm, result)
		}
	case RefreshExtensions, RefreshCredentials:
		m.refreshed(h, result)
	case Reload, ReloadSignal, ReloadNotify, ReloadPost:
		m.reloadCommandsDone(h, result)
	case Stop:
		m.enterSignal(h, StopSigterm, result)
	case StopWatchdog, StopSigterm, StopSigkill:
		if !m.mainAlive() {
			m.enterStopPost(h, result)
		}
	case StopPost:
		if !m.mainAlive() {
			m.enterSignal(h, FinalSigterm, result)
		}
	case FinalWatchdog, FinalSigterm, FinalSigkill:
		if !m.mainAlive() {
			m.enterDead(h, result, true)
		}
	}
}

func (m *Machine) reloadCommandsDone(h machine.Host, result string) {
	if result != ResultSuccess {
		m.s.ReloadResult = result
	} else {
		m.lookAgainForMain(h)
	}
	if m.s.Saying == SaidReloading && m.s.Sub != ReloadPost {
		// The service says that it is still at it; its READY=1 ends the reload.
		m.setState(h, ReloadNotify)
		return
	}
	m.reloadDone(h)
}

// execDone: a process of Type=exec has executed its program.
func (m *Machine) execDone(h machine.Host, e machine.ExecDone) {
	s := &m.s
	switch e.PID {
	case 0:
		return
	case s.MainPID:
		if !e.Handoff.IsZero() {
			s.Main.Handoff = e.Handoff
			m.dirty = true
		}
		if s.Sub == Start && typeOf(h.Unit().GetService()) == typeExec {
			m.enterStartPost(h)
		}
	case s.ControlPID:
		if !e.Handoff.IsZero() {
			st := s.History.Get(s.ControlPhase, s.ControlIndex)
			st.Handoff = e.Handoff
			s.History.Set(s.ControlPhase, s.ControlIndex, st)
		}
	}
}
