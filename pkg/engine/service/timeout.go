package service

import (
	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// span is how long the timer of the sub-state lasts in µs.
func (m *Machine) span(cfg *unit.Unit) uint64 {
	svc := cfg.GetService()
	switch states[m.s.Sub].timer {
	case startTimer:
		return startTimeout(svc)
	case runtimeTimer:
		if !control.Positive(svc.RuntimeMaxUSec) {
			return unit.Infinity
		}
		return control.AddUSec(svc.RuntimeMaxUSec, m.s.RuntimeExtra)
	case stopTimer:
		return stopTimeout(svc)
	case abortTimer:
		return abortTimeout(svc)
	case restartTimer:
		return m.restartDelay(svc)
	case cleanTimer:
		return cfg.GetExec().TimeoutCleanUSec
	}
	return unit.Infinity
}

func (m *Machine) timerDue(cfg *unit.Unit) uint64 {
	if states[m.s.Sub].timer == noTimer {
		return machine.Never
	}
	return m.s.Timer.Due(m.span(cfg))
}

func (m *Machine) watchdogDue(cfg *unit.Unit) uint64 {
	usec := m.watchdogUSec(cfg.GetService())
	if m.s.Watchdog.IsZero() || usec == 0 {
		return machine.Never
	}
	return max(control.AddUSec(m.s.Watchdog.Monotonic, usec), m.s.WatchdogUntil)
}

// Deadline is when Expire is due.
func (m *Machine) Deadline(cfg *unit.Unit) uint64 {
	if m.s.Pending != nil {
		return machine.Never
	}
	return min(m.timerDue(cfg), m.watchdogDue(cfg))
}

// Expire handles the timeout or the missed watchdog ping that is due.
func (m *Machine) Expire(h machine.Host) {
	if m.s.Pending != nil {
		return
	}
	m.settle(h)
	if m.s.Pending != nil {
		return
	}
	now := h.Now().Monotonic
	if m.timerDue(h.Unit()) <= now {
		m.timedOut(h)
	} else if m.watchdogDue(h.Unit()) <= now {
		m.watchdogMissed(h)
	}
	m.finish(h)
}

func (m *Machine) timedOut(h machine.Host) {
	switch m.s.Sub {
	case Condition, StartPre, Start, StartPost:
		m.escalate(h, string(m.s.Sub)+" operation timed out.", h.Unit().GetService().TimeoutStartFailureMode, StopSigterm, "")
	case Running:
		h.Log(control.LogWarning, "", "Service reached runtime time limit. Stopping.")
		m.enterStop(h, ResultTimeout)
	case RefreshExtensions, RefreshCredentials, Reload, ReloadSignal, ReloadNotify, ReloadPost:
		h.Log(control.LogWarning, "", "Reload operation timed out. Killing reload process.")
		if m.s.ControlPID != 0 {
			h.Emit(machine.Kill{Unit: h.Unit().Name, Signal: 9, ControlPID: m.s.ControlPID, Log: true})
		}
		m.s.ReloadResult = ResultTimeout
		// DEVIATION: what it announced is not believed any more. systemd goes back to reload-notify and times out again and again.
		if m.s.Saying == SaidReloading {
			m.s.Saying = SaidNothing
		}
		m.enterRunning(h, ResultSuccess)
	case Stop:
		m.escalate(h, "Stopping timed out.", h.Unit().GetService().TimeoutStopFailureMode, StopSigterm, "")
	case StopSigterm, FinalSigterm:
		mode := "kill"
		if h.Unit().GetService().TimeoutStopFailureMode == "abort" {
			mode = "abort"
		}
		m.escalate(h, "State '"+string(m.s.Sub)+"' timed out.", mode, m.s.Sub, finalWord(m.s.Sub))
	case StopWatchdog, FinalWatchdog:
		m.escalate(h, "State '"+string(m.s.Sub)+"' timed out.", "kill", m.s.Sub, finalWord(m.s.Sub))
	case StopPost:
		m.escalate(h, "State 'stop-post' timed out.", h.Unit().GetService().TimeoutStopFailureMode, FinalSigterm, finalWord(FinalSigterm))
	case StopSigkill:
		h.Log(control.LogWarning, "", "Processes still around after SIGKILL. Ignoring.")
		m.enterStopPost(h, ResultTimeout)
	case FinalSigkill:
		h.Log(control.LogWarning, "", "Processes still around after final SIGKILL. Entering failed mode.")
		m.enterDead(h, ResultTimeout, true)
	case AutoRestart:
		m.enterRestart(h, false)
	case Cleaning:
		h.Log(control.LogWarning, "", "Cleaning timed out. killing.")
		if m.s.CleanResult == "" {
			m.s.CleanResult = ResultTimeout
		}
		m.enterSignal(h, FinalSigkill, ResultSuccess)
	}
}

func finalWord(sub SubState) string {
	switch sub {
	case FinalSigterm, FinalWatchdog:
		return " Entering failed mode."
	}
	return ""
}

// escalate goes to the rung that mode (terminate, abort, kill) names; rung says which half of the ladder is meant.
func (m *Machine) escalate(h machine.Host, what, mode string, rung SubState, skipped string) {
	final := rung == FinalSigterm || rung == FinalWatchdog
	pick := func(stop, end SubState) SubState {
		if final {
			return end
		}
		return stop
	}
	switch mode {
	case "abort":
		h.Log(control.LogWarning, "", what+" Aborting.")
		m.enterSignal(h, pick(StopWatchdog, FinalWatchdog), ResultTimeout)
	case "kill":
		if h.Unit().GetKill().SendSIGKILL {
			h.Log(control.LogWarning, "", what+" Killing.")
			m.enterSignal(h, pick(StopSigkill, FinalSigkill), ResultTimeout)
			return
		}
		h.Log(control.LogWarning, "", what+" Skipping SIGKILL."+skipped)
		if final {
			m.enterDead(h, ResultTimeout, false)
		} else {
			m.enterStopPost(h, ResultTimeout)
		}
	default:
		h.Log(control.LogWarning, "", what+" Terminating.")
		m.enterSignal(h, pick(StopSigterm, FinalSigterm), ResultTimeout)
	}
}

// extendTimeout is EXTEND_TIMEOUT_USEC=: neither the timeout nor the watchdog is due before by µs from now.
func (m *Machine) extendTimeout(h machine.Host, by uint64) {
	if !control.Positive(by) {
		return
	}
	now := h.Now().Monotonic
	if states[m.s.Sub].timer != noTimer {
		m.s.Timer.Extend(now, m.span(h.Unit()), by)
	}
	until := control.AddUSec(now, by)
	if due := m.watchdogDue(h.Unit()); due != machine.Never && due < until {
		m.s.WatchdogUntil = until
	}
}

// pingWatchdog notes a sign of life and begins to wait for the next.
func (m *Machine) pingWatchdog(h machine.Host) {
	if m.s.Frozen {
		return
	}
	m.s.Watchdog, m.s.WatchdogUntil = machine.Instant{}, 0
	if m.watchdogUSec(h.Unit().GetService()) != 0 {
		m.s.Watchdog = h.Now()
	}
}

// frozen: while the cgroup is frozen nobody can ping.
func (m *Machine) frozen(h machine.Host, on bool) {
	if on == m.s.Frozen {
		return
	}
	m.s.Frozen = on
	switch {
	case on:
		m.stopWatchdog()
	case states[m.s.Sub].watchdog:
		m.pingWatchdog(h)
	}
}

func (m *Machine) stopWatchdog() { m.s.Watchdog, m.s.WatchdogUntil = machine.Instant{}, 0 }

func (m *Machine) watchdogMissed(h machine.Host) {
	limit := value.USec(m.watchdogUSec(h.Unit().GetService())).String()
	if !h.WatchdogsEnabled() {
		h.Log(control.LogWarning, "", "Watchdog disabled! Ignoring watchdog timeout (limit "+limit+")!")
		m.stopWatchdog()
		return
	}
	h.Log(control.LogErr, "", "Watchdog timeout (limit "+limit+")!")
	m.enterSignal(h, StopWatchdog, ResultWatchdog)
}

// forceWatchdog is WATCHDOG=trigger.
func (m *Machine) forceWatchdog(h machine.Host) {
	f := states[m.s.Sub]
	if !f.main || f.active == machine.Deactivating || !h.WatchdogsEnabled() {
		return
	}
	text := m.s.StatusText
	if text == "" {
		text = "n/a"
	}
	h.Log(control.LogErr, "", "Watchdog request (last status: "+text+")!")
	m.enterSignal(h, StopWatchdog, ResultWatchdog)
}
