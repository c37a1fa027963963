package socket

import (
	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/unit"
)

// span is how long the timer of the sub-state lasts in µs.
func (m *Machine) span(cfg *unit.Unit) uint64 {
	if m.s.Sub == Cleaning {
		return cfg.GetExec().TimeoutCleanUSec
	}
	if t := cfg.GetSocket().TimeoutUSec; t != 0 {
		return t
	}
	return unit.Infinity
}

func (m *Machine) timerDue(cfg *unit.Unit) uint64 {
	if !states[m.s.Sub].timer {
		return machine.Never
	}
	return m.s.Timer.Due(m.span(cfg))
}

// pollDue is when the next listener may be watched again.
func (m *Machine) pollDue(cfg *unit.Unit) uint64 {
	due := machine.Never
	if m.s.Sub != Listening {
		return due
	}
	for _, p := range m.s.Paused {
		if p.Off {
			due = min(due, control.AddUSec(p.Rate.Begin, cfg.GetSocket().PollLimitIntervalUSec))
		}
	}
	return due
}

func (m *Machine) deferDue() uint64 {
	if m.s.Sub != Deferred || m.s.DeferUntil == 0 {
		return machine.Never
	}
	return m.s.DeferUntil
}

// Deadline is when Expire is due.
func (m *Machine) Deadline(cfg *unit.Unit) uint64 {
	if m.s.Pending != nil {
		return machine.Never
	}
	return min(m.timerDue(cfg), m.pollDue(cfg), m.deferDue())
}

// Expire handles what is due.
func (m *Machine) Expire(h machine.Host) {
	defer m.finish(h)
	if m.s.Pending != nil {
		return
	}
	now := h.Now().Monotonic
	switch {
	case m.timerDue(h.Unit()) <= now:
		m.timedOut(h)
	case m.pollDue(h.Unit()) <= now:
		m.resume(h, now)
	case m.deferDue() <= now:
		h.Log(control.LogWarning, "", "Activation was deferred for too long, giving up.")
		m.enterStopPre(h, ResultTimeout)
	}
}

// resume watches the listeners again whose span is over.
func (m *Machine) resume(h machine.Host, now uint64) {
	var back []machine.Handle
	kept := m.s.Paused[:0]
	for _, p := range m.s.Paused {
		over := control.AddUSec(p.Rate.Begin, h.Unit().GetSocket().PollLimitIntervalUSec) <= now
		switch {
		case over && p.Off:
			back = append(back, p.Handle)
		case !over:
			kept = append(kept, p)
		}
	}
	if len(kept) == 0 {
		kept = nil
	}
	m.s.Paused = kept
	m.watch(h, back)
}

// timedOut ends what takes too long. v255: socket_dispatch_timer
func (m *Machine) timedOut(h machine.Host) {
	warn := func(text string) { h.Log(control.LogWarning, "", text) }
	kills := h.Unit().GetKill().SendSIGKILL
	switch m.s.Sub {
	case StartPre:
		warn("Starting timed out. Terminating.")
		m.enterSignal(h, FinalSigterm, ResultTimeout)
	case StartOpen, StartChown, StartPost:
		warn("Starting timed out. Stopping.")
		m.enterSignal(h, StopPreSigterm, ResultTimeout)
	case StopPre:
		warn("Stopping timed out. Terminating.")
		m.dropSlow(h)
		m.enterSignal(h, StopPreSigterm, ResultTimeout)
	case StopPreSigterm:
		if kills {
			warn("Stopping timed out. Killing.")
			m.enterSignal(h, StopPreSigkill, ResultTimeout)
			return
		}
		warn("Stopping timed out. Skipping SIGKILL. Ignoring.")
		m.enterClose(h, ResultTimeout)
	case StopPreSigkill:
		warn("Processes still around after SIGKILL. Ignoring.")
		m.enterClose(h, ResultTimeout)
	case StopPost:
		warn("Stopping timed out (2). Terminating.")
		m.enterSignal(h, FinalSigterm, ResultTimeout)
	case FinalSigterm:
		if kills {
			warn("Stopping timed out (2). Killing.")
			m.enterSignal(h, FinalSigkill, ResultTimeout)
			return
		}
		warn("Stopping timed out (2). Skipping SIGKILL. Ignoring.")
		m.enterDead(h, ResultTimeout)
	case FinalSigkill:
		warn("Still around after SIGKILL (2). Entering failed mode.")
		m.enterDead(h, ResultTimeout)
	case Cleaning:
		warn("Cleaning timed out. killing.")
		if m.s.CleanResult == "" {
			m.s.CleanResult = ResultTimeout
		}
		m.enterDead(h, ResultSuccess)
	}
}
