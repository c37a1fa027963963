package service

import (
	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit"
)

// Machine is the state machine of one service.
type Machine struct {
	s     State
	dirty bool // properties have changed since clients were told
}

// New makes a service that is dead.
func New() *Machine { return &Machine{s: State{Sub: Dead}} }

// The interfaces a service offers.
var (
	_ machine.Machine        = (*Machine)(nil)
	_ machine.Releaser       = (*Machine)(nil)
	_ machine.ReloadResulter = (*Machine)(nil)
	_ machine.Monitored      = (*Machine)(nil)
	_ machine.Cleaner        = (*Machine)(nil)
	_ machine.Finisher       = (*Machine)(nil)
	_ machine.Immediate      = (*Machine)(nil)
	_ machine.Connector      = (*Machine)(nil)
	_ machine.Reconfigured   = (*Machine)(nil)
)

// State gives the run-time state for reading.
func (m *Machine) State() *State { return &m.s }

// Data is the serializable state.
func (m *Machine) Data() any { return &m.s }

// Start begins an activation.
func (m *Machine) Start(h machine.Host) machine.Answer {
	defer m.finish(h)
	return m.startJob(h)
}

func (m *Machine) startJob(h machine.Host) machine.Answer {
	if m.s.Pending != nil {
		return machine.Again
	}
	switch m.s.Sub {
	case Condition, StartPre, Start, StartPost:
		return machine.Accepted
	case Running, Exited, RefreshExtensions, RefreshCredentials, Reload, ReloadSignal, ReloadNotify, ReloadPost:
		return machine.Already
	case Stop, StopWatchdog, StopSigterm, StopSigkill, StopPost, FinalWatchdog, FinalSigterm, FinalSigkill, Cleaning:
		return machine.Again
	}
	// Each attempt counts, also one that only hurries up an automatic restart.
	if !h.StartLimitOK() {
		m.enterDead(h, ResultStartLimit, false)
		return machine.StartLimit
	}
	switch m.s.Sub {
	case AutoRestart:
		// A start by hand ends the hold-off time; the job waits until the restart job has taken over.
		m.enterRestart(h, true)
		return machine.Again
	case DeadBeforeAutoRestart, FailedBeforeAutoRestart:
		return machine.Again
	}
	m.begin(h)
	return machine.Accepted
}

// begin forgets the previous activation and enters the first phase.
func (m *Machine) begin(h machine.Host) {
	s := &m.s
	h.NewInvocation()
	restarts := s.NRestarts
	if s.FlushRestarts {
		restarts = 0
	}
	*s = State{
		Sub: s.Sub, CleanResult: s.CleanResult, Timer: s.Timer, Store: s.Store, NRestarts: restarts, DebugNext: s.DebugNext,
		BusNameWatched: s.BusNameWatched, BusNameOwner: s.BusNameOwner, Conn: s.Conn, Given: s.Given,
		Realized: s.Realized, Processes: s.Processes, Leftovers: s.Processes, Frozen: s.Frozen,
	}
	m.watchBusName(h)
	m.enterCondition(h)
}

// Stop ends an activation.
func (m *Machine) Stop(h machine.Host) machine.Answer {
	defer m.finish(h)
	return m.stopJob(h)
}

func (m *Machine) stopJob(h machine.Host) machine.Answer {
	if m.s.Pending != nil {
		return machine.Again
	}
	m.settle(h)
	if m.s.Pending != nil {
		return machine.Again
	}
	m.s.ForbidRestart = true
	switch m.s.Sub {
	case Dead, Failed, DeadResourcesPinned, DeadBeforeAutoRestart, FailedBeforeAutoRestart:
		m.s.ForbidRestart = false
		return machine.Already
	case Stop, StopSigterm, StopSigkill, StopPost, FinalWatchdog, FinalSigterm, FinalSigkill:
		return machine.Accepted
	case AutoRestart, AutoRestartQueued:
		// The restart is given up, and what follows counts from nothing.
		m.s.ForbidRestart, m.s.FlushRestarts, m.s.DebugNext = false, true, false
		m.setState(h, m.deadState(h.Unit()))
		h.Emit(machine.ReleaseRuntime{Unit: h.Unit().Name, Restarting: m.willRestart(h)})
		m.unwatchBusName(h)
	case Condition, StartPre, Start, StartPost, RefreshExtensions, RefreshCredentials, Reload, ReloadSignal, ReloadNotify, ReloadPost, StopWatchdog:
		// Something is on its way: no ExecStop=, straight to the signals.
		m.enterSignal(h, StopSigterm, ResultSuccess)
	case Cleaning:
		m.enterSignal(h, FinalSigterm, ResultSuccess)
	case Running, Exited:
		m.enterStop(h, ResultSuccess)
	}
	return machine.Accepted
}

// Reload begins a reload.
func (m *Machine) Reload(h machine.Host) machine.Answer {
	defer m.finish(h)
	return m.reloadJob(h)
}

func (m *Machine) reloadJob(h machine.Host) machine.Answer {
	if m.s.Pending != nil {
		return machine.Again
	}
	m.settle(h)
	switch {
	case m.s.Pending != nil:
		return machine.Again
	case !m.CanReload(h.Unit()):
		return machine.Invalid
	}
	switch m.s.Sub {
	case Running, Exited:
		m.enterReload(h)
		return machine.Accepted
	case RefreshExtensions, RefreshCredentials, Reload, ReloadSignal, ReloadNotify, ReloadPost:
		return machine.Again
	}
	return machine.Invalid
}

// CanReload reports whether the service has a way to reload: ExecReload=, Type=notify-reload or something that RefreshOnReload= is about.
func (m *Machine) CanReload(cfg *unit.Unit) bool {
	svc := cfg.GetService()
	return len(svc.ExecReload) > 0 || typeOf(svc) == typeNotifyReload || len(refreshes(cfg)) > 0
}

// ReloadFailed reports whether the last reload failed.
func (m *Machine) ReloadFailed() bool { return m.s.ReloadResult != "" }

// MainExit is how the main process ended ($EXIT_CODE and $EXIT_STATUS), "" if it did not.
func (m *Machine) MainExit() (code, status string) {
	if !m.s.Main.Ended() {
		return "", ""
	}
	return m.s.Main.Code, control.StatusWord(m.s.Main.End())
}

// Step takes an event of the unit.
func (m *Machine) Step(h machine.Host, ev machine.Event) {
	if p := m.answered(ev); p != nil {
		m.answer(h, p, ev)
	} else {
		m.settleUnless(h, ev)
		m.happened(h, ev)
	}
	m.finish(h)
}

// finish ends each step: what is owed is done, and clients hear of changes that no sub-state has announced.
func (m *Machine) finish(h machine.Host) {
	m.payOwed(h)
	if m.dirty && m.s.Pending == nil {
		m.dirty = false
		h.PropertiesChanged()
	}
}

func (m *Machine) happened(h machine.Host, ev machine.Event) {
	if m.s.Pending != nil && m.meanwhile(h, ev) {
		return
	}
	switch e := ev.(type) {
	case machine.ProcessExited:
		switch {
		case e.PID == 0:
		case e.PID == m.s.MainPID:
			m.mainExited(h, e.Exit)
		case e.PID == m.s.ControlPID:
			m.controlExited(h, e.Exit)
		}
	case machine.ExecDone:
		m.execDone(h, e)
	case machine.Notify:
		m.notified(h, e)
	case machine.CgroupEmpty:
		m.cgroupEmpty(h)
	case machine.OOMKill:
		m.oomKilled(h, e)
	case machine.NameOwnerChanged:
		m.nameOwnerChanged(h, e)
	case machine.HandleHangup:
		m.handleHangup(h, e.Handle)
	case machine.CgroupFrozen:
		m.frozen(h, e.Frozen)
	}
}

// ActiveState is the active state that the sub-state maps to.
func (m *Machine) ActiveState(cfg *unit.Unit) machine.ActiveState {
	return ActiveStateOf(m.s.Sub, typeOf(cfg.GetService()) == typeIdle)
}

// SubState is the sub-state as a word.
func (m *Machine) SubState() string { return string(m.s.Sub) }

// Result is the Result property.
func (m *Machine) Result() string { return m.s.ResultName() }

// Held reports whether the service has processes, or a dead one an fd store, that would be lost.
func (m *Machine) Held() bool {
	switch m.s.Sub {
	case Dead, Failed, DeadResourcesPinned:
		return len(m.s.Store) > 0 || m.s.MainPID != 0 || m.s.ControlPID != 0
	}
	return true
}

// PIDs are the main and the control process.
func (m *Machine) PIDs() (main, ctl int32) { return m.s.MainPID, m.s.ControlPID }

// ResetFailed leaves the failed state and forgets results and the restart counter.
func (m *Machine) ResetFailed(h machine.Host) {
	m.s.Result, m.s.ReloadResult, m.s.CleanResult = "", "", ""
	m.s.NRestarts, m.s.FlushRestarts = 0, false
	if m.s.Sub == Failed {
		m.setState(h, m.deadState(h.Unit()))
	} else {
		m.dirty = true
	}
	m.finish(h)
}

// setState enters a sub-state: what it does not hold is let go, then the change is announced.
func (m *Machine) setState(h machine.Host, sub SubState) {
	s := &m.s
	before, wasDown := m.ActiveState(h.Unit()), states[s.Sub].down
	f := states[sub]
	if !f.main {
		m.dropMain(h)
	}
	if !f.control {
		m.dropControl(h)
	}
	if !f.watchdog {
		m.stopWatchdog()
	}
	if f.timer == noTimer {
		s.Timer = control.Timer{}
	}
	if f.down && sub != Exited {
		m.dropConnection(h)
	}
	s.Sub = sub
	m.dropSlow(h)
	now := m.ActiveState(h.Unit())
	if now.IsActiveOrReloading() && !before.IsActiveOrReloading() {
		s.ActiveSince = h.Now().Monotonic
	}
	// Told even if it is the old one: a start that failed at once leaves a failed unit failed, and its job must end.
	m.dirty = false
	h.StateChanged(before)
	if f.down && (s.Realized || !wasDown) {
		// It goes if it is empty; if not, its end is tried again when it is.
		s.Realized = false
		h.Emit(machine.ReleaseCgroup{Unit: h.Unit().Name})
	}
}

// dropMain forgets the main process. It may still run: what the ladder left is not waited for.
func (m *Machine) dropMain(h machine.Host) {
	s := &m.s
	if s.MainPID != 0 {
		h.Forget(s.MainPID)
		if s.MainWatched {
			h.Emit(machine.UnwatchPID{PID: s.MainPID})
		}
	}
	s.MainPID, s.MainWatched = 0, false
}

func (m *Machine) dropControl(h machine.Host) {
	s := &m.s
	if s.ControlPID != 0 {
		h.Forget(s.ControlPID)
	}
	s.ControlPID, s.ControlPhase, s.ControlIndex = 0, "", 0
}

func (m *Machine) realizeCgroup(h machine.Host) {
	if !m.s.Realized {
		m.s.Realized = true
		h.Emit(machine.RealizeCgroup{Unit: h.Unit().Name})
	}
}

func (m *Machine) mainAlive() bool {
	return m.s.MainPID != 0 || m.s.Owed != nil && m.s.Owed.Slot == machine.SlotMain
}

func (m *Machine) controlAlive() bool {
	return m.s.ControlPID != 0 || m.s.Owed != nil && m.s.Owed.Slot == machine.SlotControl
}

// willRestart reports whether the service comes back: by itself or because a job says so.
func (m *Machine) willRestart(h machine.Host) bool {
	switch m.s.Sub {
	case DeadBeforeAutoRestart, FailedBeforeAutoRestart, AutoRestart, AutoRestartQueued:
		return true
	}
	t, _ := h.Job()
	return t == job.Start || t == job.Restart
}

// deadState is the sub-state of a service that is down without failure.
func (m *Machine) deadState(cfg *unit.Unit) SubState {
	if len(m.s.Store) > 0 && cfg.GetService().FileDescriptorStorePreserve == "yes" {
		return DeadResourcesPinned
	}
	return Dead
}

// CatchUp takes up the work after a restart of the manager.
func (m *Machine) CatchUp(h machine.Host) {
	s := &m.s
	if s.MainPID != 0 {
		h.Track(s.MainPID)
		if s.MainWatched {
			h.Emit(machine.WatchPID{PID: s.MainPID})
		}
	}
	if s.ControlPID != 0 {
		h.Track(s.ControlPID)
	}
	if s.BusNameWatched != "" {
		h.Emit(machine.WatchName{Name: s.BusNameWatched})
	}
	for _, fd := range s.Store {
		if fd.Poll {
			h.Emit(machine.PollHandle{Handle: fd.Handle})
		}
	}
	for _, p := range []*Pending{s.Pending, s.Slow} {
		if p != nil {
			p.Token = h.Query(m.question(h, p))
		}
	}
}
