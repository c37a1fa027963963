package enginetest

import (
	"strings"

	"github.com/muster-init/muster/pkg/engine"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/unit"
)

// timerView is what is known of a timer from outside.
type timerView struct {
	since machine.Instant // when it was started
	last  machine.Instant // when it elapsed last; Monotonic 0: by its stamp
	busy  uint64          // when it last had a job
}

// changedState takes a change of the sub-state.
func (c *checker) changedState(v machine.UnitChanged, old machine.ActiveState) error {
	now := c.w.instant()
	typ := unit.TypeOf(v.Unit)
	if typ == unit.TypeTimer {
		if err := c.timerChanged(v, old, now); err != nil {
			return err
		}
	}
	if u := c.w.E.Unit(v.Unit); u != nil && typ == unit.TypeService && u.Invocation() != c.activation[v.Unit] {
		c.activation[v.Unit] = u.Invocation()
		cfg := &u.Config().Unit
		return c.limited(v.Unit, cfg.StartLimitIntervalUSec, int(cfg.StartLimitBurst))
	}
	return nil
}

// limited counts something that is allowed burst times in an interval. Intervals begin with what is counted first, so any span of that length
// may have parts of two.
func (c *checker) limited(name string, interval uint64, burst int) error {
	if interval == 0 || interval == unit.Infinity || burst <= 0 || burst > 100 {
		return nil
	}
	list := append(c.starts[name], c.w.now)
	c.starts[name] = list
	if n := len(list); n > 2*burst && list[n-1]-list[n-1-2*burst] < interval {
		return violation(limitsHold, "%s: %d times within %d µs, the limit is %d", name, 2*burst+1, list[n-1]-list[n-1-2*burst], burst)
	}
	return nil
}

// changed forgets what was counted by an old configuration.
func (c *checker) changed(name string) {
	delete(c.starts, name)
	c.lowered[name] = true
}

// clockSet follows the realtime clock back: what a timer has elapsed at before is still to come.
func (c *checker) clockSet(machine.Event) {
	now := c.w.instant().Realtime
	for _, t := range c.timers {
		t.last.Realtime = min(t.last.Realtime, now)
		t.since.Realtime = min(t.since.Realtime, now)
	}
}

// stamped checks what is written into a stamp file.
func (c *checker) stamped(q machine.WriteStamp) error {
	u := c.w.E.Unit(q.Unit)
	switch {
	case q.RealtimeUSec != c.w.instant().Realtime:
		return violation(stampsTrue, "the stamp of %s is %d, now is %d", q.Unit, q.RealtimeUSec, c.w.instant().Realtime)
	case u == nil || !u.Config().GetTimer().Persistent:
		return violation(stampsTrue, "%s gets a stamp without Persistent=", q.Unit)
	}
	return nil
}

// timerChanged follows a timer, and judges whether it may elapse.
func (c *checker) timerChanged(v machine.UnitChanged, old machine.ActiveState, now machine.Instant) error {
	t := c.timers[v.Unit]
	if t == nil {
		t = &timerView{}
		c.timers[v.Unit] = t
	}
	u := c.w.E.Unit(v.Unit)
	if u == nil {
		return nil
	}
	cfg := u.Config().GetTimer()
	if v.Active == machine.Active && (old == "" || old.IsInactiveOrFailed()) {
		t.since = now
	}
	if a, ok := c.ev.(machine.StampRead); ok && a.RealtimeUSec != 0 && a.RealtimeUSec <= now.Realtime {
		t.last = machine.Instant{Realtime: a.RealtimeUSec}
	}
	if v.Sub != "running" {
		return nil
	}
	if !c.mayElapse(u, cfg, t, now) {
		return violation(notEarly, "%s elapses at %+v, started at %+v, elapsed last at %+v: %s", v.Unit, now, t.since, t.last, timerText(cfg))
	}
	t.last = now
	return nil
}

func timerText(t *unit.Timer) string {
	var b strings.Builder
	for _, s := range t.Timers {
		b.WriteString("On" + s.Base + "=" + s.Calendar + " ")
	}
	return b.String()
}

// mayElapse reports whether one of the lines has come.
func (c *checker) mayElapse(u *engine.Unit, cfg *unit.Timer, t *timerView, now machine.Instant) bool {
	if e, ok := c.ev.(machine.ClockChanged); ok && (e.Timezone && cfg.OnTimezoneChange || !e.Timezone && cfg.OnClockChange) {
		return true
	}
	for _, s := range cfg.Timers {
		if due, clock, ok := c.lineDue(u, cfg, t, s, true); ok && due <= now.On(clock) {
			return true
		}
	}
	return false
}

// lineDue is when one line of a timer elapses next; earliest: without what chance may add.
func (c *checker) lineDue(u *engine.Unit, cfg *unit.Timer, t *timerView, s unit.TimerSpec, earliest bool) (uint64, machine.Clock, bool) {
	if s.Base == "Calendar" {
		after := t.since.Realtime
		if t.last.Realtime != 0 {
			after = t.last.Realtime
		}
		if earliest {
			after -= min(after, cfg.RandomizedOffsetUSec)
		}
		at, ok := calendarNext(s.Calendar, after)
		if !earliest && t.last.Monotonic == 0 {
			at = max(at, t.since.Realtime) // what was missed before the timer was started is due then
		}
		return at, machine.Realtime, ok
	}
	clock, base, ok := machine.Monotonic, machine.Instant{}, true
	var peer *engine.Unit
	if name := cfg.Unit; name != "" {
		peer = c.w.E.Unit(name)
	} else {
		peer = c.w.E.Unit(unit.ChangeSuffix(u.Name(), ".service"))
	}
	switch s.Base {
	case "Active":
		base = t.since
	case "Startup":
		base = c.w.engOpt.Startup
	case "UnitActive", "UnitInactive":
		if peer != nil {
			base = peer.InactiveEnter()
			if s.Base == "UnitActive" {
				base = peer.InactiveExit()
			}
		}
		if t.last.Monotonic > base.Monotonic {
			base = t.last
		}
		ok = !base.IsZero()
	}
	at := base.Monotonic
	if cfg.WakeSystem {
		clock = machine.BoottimeAlarm
		if earliest {
			at = base.Boottime // the time asleep since then may count or not
		} else {
			at = base.Monotonic + c.w.asleep
		}
	}
	return at + s.USec, clock, ok
}

// late requires that no timer waits for a moment that has passed.
func (c *checker) late() error {
	now := c.w.instant()
	for _, u := range c.w.E.Units() {
		t := c.timers[u.Name()]
		if t == nil || u.SubState() != "waiting" {
			continue
		}
		if u.Config().LoadState != unit.StateLoaded {
			continue // its file went bad while it waited: it holds on to no unit whose times could be looked up
		}
		if u.Job() != nil {
			t.busy = now.Monotonic
		}
		if t.busy != 0 && now.Monotonic-t.busy < 2_000_000 {
			continue // while a stop is queued nothing is activated
		}
		cfg := u.Config().GetTimer()
		slack := cfg.AccuracyUSec + cfg.RandomizedDelayUSec + cfg.RandomizedOffsetUSec + 1_000_000
		for _, s := range cfg.Timers {
			if s.Base != "Calendar" && s.Base != "UnitActive" && s.Base != "UnitInactive" && !t.last.IsZero() {
				continue // it elapses once
			}
			if cfg.DeferReactivation && s.Base == "Calendar" {
				continue
			}
			if due, clock, ok := c.lineDue(u, cfg, t, s, false); ok && due+slack < now.On(clock) {
				return violation(notLate, "%s still waits, On%s=%s was due at %d, it is %+v: %s", u.Name(), s.Base, s.Calendar, due, now, c.w.E.Record("unit/"+u.Name()))
			}
		}
	}
	return nil
}
