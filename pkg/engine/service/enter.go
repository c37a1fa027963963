package service

import (
	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/machine"
)

// v255: service_enter_condition
func (m *Machine) enterCondition(h machine.Host) {
	m.dropControl(h)
	if commands(h, machine.ExecCondition) > 0 {
		m.spawn(h, machine.SlotControl, machine.ExecCondition, 0)
		return
	}
	m.enterStartPre(h)
}

// v255: service_enter_start_pre
func (m *Machine) enterStartPre(h machine.Host) {
	m.dropControl(h)
	if commands(h, machine.ExecStartPre) == 0 {
		m.enterStart(h)
		return
	}
	if m.s.Processes && m.s.Leftovers {
		m.askCgroup(h, thenPre, ResultSuccess)
		return
	}
	m.spawn(h, machine.SlotControl, machine.ExecStartPre, 0)
}

// v255: service_enter_start
func (m *Machine) enterStart(h machine.Host) {
	m.dropControl(h)
	m.dropMain(h)
	if m.s.Processes && m.s.Leftovers {
		m.askCgroup(h, thenStart, ResultSuccess)
		return
	}
	m.execStart(h)
}

// execStart runs the first command of ExecStart=.
func (m *Machine) execStart(h machine.Host) {
	svc := h.Unit().GetService()
	t := typeOf(svc)
	if len(svc.ExecStart) == 0 {
		if t != typeOneshot {
			// Only a reload of the configuration can bring us here.
			h.Log(control.LogErr, "", "There's no 'start' task anymore we could start.")
			m.enterSignal(h, StopSigterm, ResultResources)
			return
		}
		// Shown, so that what depends on the unit having been activating or active takes effect.
		m.setState(h, Start)
		m.enterStartPost(h)
		return
	}
	slot := machine.SlotMain
	if t == typeForking {
		slot = machine.SlotControl
	}
	m.spawn(h, slot, machine.ExecStart, 0)
}

// v255: service_enter_start_post
func (m *Machine) enterStartPost(h machine.Host) {
	m.dropControl(h)
	m.pingWatchdog(h)
	if commands(h, machine.ExecStartPost) > 0 {
		m.spawn(h, machine.SlotControl, machine.ExecStartPost, 0)
		return
	}
	m.enterRunning(h, ResultSuccess)
}

// enterRunning decides between running, exited and stop: a service is up while its main process runs or, where that is
// not known or does not count, while its cgroup has processes. v255: service_enter_running
func (m *Machine) enterRunning(h machine.Host, result string) {
	m.dropControl(h)
	m.s.fail(result)
	svc := h.Unit().GetService()
	switch {
	case typeOf(svc) == typeDBus && m.s.BusNameOwner == "":
		m.run(h, false, result)
	case m.mainAlive():
		m.run(h, true, result)
	case m.s.MainKnown && svc.ExitType != "cgroup", !m.s.Processes:
		m.run(h, false, result)
	default:
		m.askCgroup(h, thenRun, result)
	}
}

func (m *Machine) run(h machine.Host, good bool, result string) {
	switch {
	case good && m.s.Saying == SaidReloading:
		m.enterReloadByNotify(h)
	case good && m.s.Saying == SaidStopping:
		m.enterStopByNotify(h)
	case good:
		m.setRunning(h)
	case m.s.Result != "":
		// Whatever failed before, here or while a control process was at work, is no clean end: no ExecStop=.
		m.enterSignal(h, StopSigterm, result)
	case h.Unit().GetService().RemainAfterExit:
		m.setState(h, Exited)
	default:
		m.enterStop(h, ResultSuccess)
	}
}

func (m *Machine) setRunning(h machine.Host) {
	svc := h.Unit().GetService()
	if m.s.Sub != Running {
		m.s.RuntimeExtra = draw(h, svc.RuntimeRandomizedExtraUSec)
	}
	m.setState(h, Running)
	m.s.Timer.Arm(m.s.ActiveSince)
}

// draw is a random span up to max µs.
func draw(h machine.Host, max uint64) uint64 {
	if !control.Positive(max) {
		return 0
	}
	return h.Random() % (max + 1)
}

// enterReloadByNotify: the service says itself that it reloads.
func (m *Machine) enterReloadByNotify(h machine.Host) {
	m.s.Timer.Arm(h.Now().Monotonic)
	m.setState(h, ReloadNotify)
	h.PropagateReload()
}

// enterStopByNotify: the service says itself that it goes down, which is as good as a SIGTERM.
func (m *Machine) enterStopByNotify(h machine.Host) {
	m.s.Timer.Arm(h.Now().Monotonic)
	m.setState(h, StopSigterm)
}

// reloadDone goes on when ExecReload= or the service itself has finished the reload.
func (m *Machine) reloadDone(h machine.Host) {
	if m.s.Sub != ReloadPost && m.s.ReloadResult == "" && commands(h, machine.ExecReloadPost) > 0 {
		m.spawn(h, machine.SlotControl, machine.ExecReloadPost, 0)
		return
	}
	m.enterRunning(h, ResultSuccess)
}

// v255: service_enter_stop
func (m *Machine) enterStop(h machine.Host, result string) {
	m.s.fail(result)
	m.dropControl(h)
	if commands(h, machine.ExecStop) > 0 {
		m.spawn(h, machine.SlotControl, machine.ExecStop, 0)
		return
	}
	m.enterSignal(h, StopSigterm, ResultSuccess)
}

// v255: service_enter_stop_post
func (m *Machine) enterStopPost(h machine.Host, result string) {
	m.s.fail(result)
	m.dropControl(h)
	if commands(h, machine.ExecStopPost) > 0 {
		m.spawn(h, machine.SlotControl, machine.ExecStopPost, 0)
		return
	}
	m.enterSignal(h, FinalSigterm, ResultSuccess)
}

// enterSignal climbs the ladder from rung on. v255: service_enter_signal
func (m *Machine) enterSignal(h machine.Host, rung SubState, result string) {
	m.s.fail(result)
	var op control.Operation
	if rung == StopSigterm && restarting(h) {
		op = control.Restart
	}
	procs := control.Processes{Main: m.s.MainPID, Control: m.s.ControlPID, Cgroup: m.s.Processes}
	sub, kill, then, ok := ladder.Climb(h.Unit(), string(rung), op, procs)
	if !ok {
		m.leaveLadder(h, then)
		return
	}
	m.ask(h, &Pending{Kind: askKill, Rung: SubState(sub), Kill: &kill})
}

// killed goes on when the signals of a rung are sent: wait there, or climb on.
func (m *Machine) killed(h machine.Host, p *Pending, left bool) {
	if left {
		m.s.Timer.Arm(h.Now().Monotonic)
		m.setState(h, p.Rung)
		return
	}
	if p.Kill.Cgroup && m.s.MainPID == 0 && m.s.ControlPID == 0 {
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
		m.enterStopPost(h, ResultSuccess)
		return
	}
	m.enterDead(h, ResultSuccess, true)
}
