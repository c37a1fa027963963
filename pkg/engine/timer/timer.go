package timer

import (
	"strconv"

	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit"
)

// stopPendingUSec is how often a timer that has elapsed while a stop job for it is queued looks whether it still is.
const stopPendingUSec = 1_000_000

// Start begins to wait.
func (m *Machine) Start(h machine.Host) machine.Answer {
	if m.s.Sub != Dead && m.s.Sub != Failed {
		return machine.Already
	}
	if m.s.Stamp != 0 {
		return machine.Accepted
	}
	if !control.CanTrigger(h, trigger(h.Unit())) {
		return machine.Refused
	}
	if !h.StartLimitOK() {
		m.enterDead(h, ResultStartLimit)
		return machine.StartLimit
	}
	h.NewInvocation()
	cfg := h.Unit().GetTimer()
	m.s.Result = ""
	m.fit(cfg)
	for i, spec := range cfg.Timers {
		if spec.Base == baseActive {
			m.s.Elapses[i].Disabled = false
		}
	}
	m.s.Since = h.Now().Realtime
	if cfg.Persistent {
		m.s.Stamp = h.Query(machine.ReadStamp{Unit: h.Unit().Name})
		return machine.Accepted
	}
	m.enterWaiting(h, false)
	return machine.Accepted
}

// Stop ends the waiting.
func (m *Machine) Stop(h machine.Host) machine.Answer {
	if m.s.Stamp != 0 {
		return machine.Again
	}
	if m.s.Sub == Dead || m.s.Sub == Failed {
		return machine.Already
	}
	m.enterDead(h, ResultSuccess)
	return machine.Accepted
}

// Step takes an event of the unit.
func (m *Machine) Step(h machine.Host, ev machine.Event) {
	switch e := ev.(type) {
	case machine.StampRead:
		if e.Token == m.s.Stamp && e.Token != 0 {
			m.s.Stamp = 0
			m.stampRead(h, e)
		}
	case machine.ClockChanged:
		m.clockChanged(h, e.Timezone)
	}
}

func (m *Machine) stampRead(h machine.Host, e machine.StampRead) {
	if t, _ := h.Job(); t != job.Start {
		return // the start was given up meanwhile
	}
	switch {
	case e.Message != "":
		h.Log(control.LogWarning, "", "Stamp file: "+e.Message)
	case e.RealtimeUSec > h.Now().Realtime:
		h.Log(control.LogWarning, "", "Not using persistent time stamp: it is in the future.")
	case e.RealtimeUSec != 0:
		m.s.LastTrigger = machine.Instant{Realtime: e.RealtimeUSec}
	}
	m.s.Since = h.Now().Realtime
	m.enterWaiting(h, false)
}

// clockChanged takes a jump of the realtime clock or another time zone into account.
func (m *Machine) clockChanged(h machine.Host, timezone bool) {
	// DEVIATION: systemd looks at the clock only while the timer waits. One that has just activated its unit would be late by what the clock was set back.
	m.rewind(h)
	if m.s.Sub != Waiting {
		return
	}
	cfg := h.Unit().GetTimer()
	if timezone && cfg.OnTimezoneChange || !timezone && cfg.OnClockChange {
		m.enterRunning(h)
		return
	}
	m.enterWaiting(h, !timezone)
}

// rewind follows the clock back: what it has shown before is still to come.
//
// DEVIATION: on systemd a calendar timer that was started before the clock was set back waits until the clock shows that moment again, which is
// what happens on a machine whose clock is wrong until the network is up.
func (m *Machine) rewind(h machine.Host) {
	now := h.Now().Realtime
	m.s.LastTrigger.Realtime = min(m.s.LastTrigger.Realtime, now)
	m.s.Since = min(m.s.Since, now)
}

// Expire looks whether the timer has elapsed.
func (m *Machine) Expire(h machine.Host) {
	if m.s.Sub == Waiting && m.due(h.Now()) {
		m.enterRunning(h)
	}
}

// enterWaiting works out what to wait for.
func (m *Machine) enterWaiting(h machine.Host, clockSet bool) {
	cfg := h.Unit().GetTimer()
	n := m.compute(h, clockSet)
	if n.monotonic == 0 && n.realtime == 0 && !cfg.OnClockChange && !cfg.OnTimezoneChange {
		if cfg.RemainAfterElapse || n.follows {
			m.setState(h, Elapsed)
			return
		}
		m.enterDead(h, ResultSuccess)
		return
	}
	m.s.NextMonotonic, m.s.NextRealtime = 0, 0
	if n.monotonic != 0 {
		m.s.NextMonotonic = control.AddUSec(n.monotonic, delay(h, cfg))
	}
	if n.realtime != 0 {
		m.s.NextRealtime = control.AddUSec(n.realtime, delay(h, cfg))
	}
	m.setState(h, Waiting)
}

// enterRunning activates the unit.
func (m *Machine) enterRunning(h machine.Host) {
	if h.StopPending() {
		// The stop may have to wait for others, and may be canceled: the timer looks again, but not all the time.
		now := h.Now()
		m.s.NextRealtime, m.s.NextMonotonic = 0, control.AddUSec(now.Monotonic, stopPendingUSec)
		if m.s.Boottime {
			m.s.NextMonotonic = control.AddUSec(now.Boottime, stopPendingUSec)
		}
		return
	}
	if err := h.Trigger(trigger(h.Unit()), job.Replace); err != nil {
		h.Log(control.LogWarning, "", "Failed to queue unit startup job: "+err.Message)
		m.enterDead(h, ResultResources)
		return
	}
	m.s.LastTrigger = h.Now()
	if h.Unit().GetTimer().Persistent {
		h.Emit(machine.WriteStamp{Unit: h.Unit().Name, RealtimeUSec: m.s.LastTrigger.Realtime})
	}
	m.setState(h, Running)
}

// enterDead ends the timer.
func (m *Machine) enterDead(h machine.Host, result string) {
	if m.s.Result == "" && result != ResultSuccess {
		m.s.Result = result
	}
	if m.s.Result != "" {
		h.Log(control.LogWarning, "unit-failure-result", "Failed with result '"+m.s.Result+"'.", "UNIT_RESULT="+m.s.Result)
		m.announce(h, Failed)
		return
	}
	if m.s.Sub != Dead {
		h.Log(control.LogInfo, "unit-success", "Deactivated successfully.")
	}
	m.announce(h, Dead)
}

func (m *Machine) setState(h machine.Host, sub SubState) {
	if m.s.Sub == sub {
		h.PropertiesChanged()
		return
	}
	m.announce(h, sub)
}

// announce enters a sub-state and tells so even if it is the old one: a start that leads to nothing leaves a dead unit dead, and its job must end.
func (m *Machine) announce(h machine.Host, sub SubState) {
	old := m.s.Sub
	m.s.Sub = sub
	if sub != Waiting {
		m.s.NextMonotonic, m.s.NextRealtime = 0, 0
	}
	h.StateChanged(active[old])
}

// TriggerChanged follows the activated unit.
func (m *Machine) TriggerChanged(h machine.Host, name, _ string, now machine.ActiveState) {
	if !h.Peer(name).Loaded {
		return
	}
	cfg := h.Unit().GetTimer()
	m.fit(cfg)
	for i, spec := range cfg.Timers {
		if follows(spec.Base) {
			m.s.Elapses[i].Disabled = false
		}
	}
	switch m.s.Sub {
	case Waiting, Elapsed:
		m.enterWaiting(h, false)
	case Running:
		if now.IsInactiveOrFailed() {
			m.enterWaiting(h, false)
		}
	}
}

// ConfigChanged works out anew what to wait for.
func (m *Machine) ConfigChanged(h machine.Host) {
	if m.s.Sub == Waiting || m.s.Sub == Elapsed {
		m.enterWaiting(h, false)
	}
}

// ResetFailed leaves the failed state.
func (m *Machine) ResetFailed(h machine.Host) {
	m.s.Result = ""
	if m.s.Sub == Failed {
		m.setState(h, Dead)
		return
	}
	h.PropertiesChanged()
}

// CatchUp goes on after a restart of the manager: the clock may have been set meanwhile.
func (m *Machine) CatchUp(h machine.Host) {
	if m.s.Stamp != 0 {
		m.s.Stamp = h.Query(machine.ReadStamp{Unit: h.Unit().Name})
	}
	if m.s.Sub == Waiting {
		m.clockWentOn(h)
	}
}

// clockWentOn is clockChanged without the wish to elapse because of it.
func (m *Machine) clockWentOn(h machine.Host) {
	m.rewind(h)
	m.enterWaiting(h, true)
}

// CanClean is state for a timer that has a stamp file.
func (m *Machine) CanClean(cfg *unit.Unit) []string {
	if cfg.GetTimer().Persistent {
		return []string{"state"}
	}
	return nil
}

// Clean removes the stamp file.
func (m *Machine) Clean(h machine.Host, mask []string) *machine.Error {
	if !control.Wanted(mask, "state") || !h.Unit().GetTimer().Persistent {
		return control.ErrNothingToClean
	}
	m.s.LastTrigger = machine.Instant{}
	h.Emit(machine.RemoveStamp{Unit: h.Unit().Name})
	h.PropertiesChanged()
	return nil
}

// TriggerDetails are the variables about the last elapse for the activated unit.
func (m *Machine) TriggerDetails() []string {
	if m.s.LastTrigger.Monotonic == 0 {
		return nil
	}
	return []string{
		"TRIGGER_TIMER_REALTIME_USEC=" + strconv.FormatUint(m.s.LastTrigger.Realtime, 10),
		"TRIGGER_TIMER_MONOTONIC_USEC=" + strconv.FormatUint(m.s.LastTrigger.Monotonic, 10),
	}
}
