package timer

import (
	"strconv"

	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/unit"
)

// Bases of the lines, as TimerSpec has them.
const (
	baseActive       = "Active"
	baseBoot         = "Boot"
	baseStartup      = "Startup"
	baseUnitActive   = "UnitActive"
	baseUnitInactive = "UnitInactive"
	baseCalendar     = "Calendar"
)

// once reports whether a line elapses one time only.
func once(base string) bool { return base == baseActive || base == baseBoot || base == baseStartup }

// follows reports whether a line waits for the activated unit.
func follows(base string) bool { return base == baseUnitActive || base == baseUnitInactive }

// fit makes one entry per line: the configuration may have changed.
func (m *Machine) fit(cfg *unit.Timer) {
	for len(m.s.Elapses) < len(cfg.Timers) {
		m.s.Elapses = append(m.s.Elapses, Elapse{})
	}
	m.s.Elapses = m.s.Elapses[:len(cfg.Timers)]
	for i, spec := range cfg.Timers {
		e := &m.s.Elapses[i]
		line := spec.Base + "=" + spec.Calendar
		if spec.Base != baseCalendar {
			line += strconv.FormatUint(spec.USec, 10)
		}
		if e.Line != line {
			if e.Line != "" {
				*e = Elapse{}
			}
			e.Line = line
		}
	}
	if len(m.s.Elapses) == 0 {
		m.s.Elapses = nil
	}
}

// next is what all lines together come to.
type next struct {
	monotonic, realtime uint64 // 0 none
	follows             bool   // a line waits for the unit's state
}

// earlier is the smaller of two moments that are set.
func earlier(a, b uint64) uint64 {
	if a == 0 || b < a {
		return b
	}
	return a
}

// compute works out when each line elapses next. clockSet: the realtime clock was set; nothing has been missed because of that.
func (m *Machine) compute(h machine.Host, clockSet bool) (n next) {
	cfg := h.Unit().GetTimer()
	m.fit(cfg)
	now := h.Now()
	m.s.Boottime = cfg.WakeSystem
	for i, spec := range cfg.Timers {
		e := &m.s.Elapses[i]
		if e.Disabled {
			continue
		}
		if spec.Base == baseCalendar {
			e.At = m.calendar(h, cfg, spec.Calendar)
			if e.At != 0 {
				n.realtime = earlier(n.realtime, e.At)
			}
			continue
		}
		n.follows = n.follows || follows(spec.Base)
		base, ok := m.base(h, spec.Base)
		if !ok {
			continue
		}
		clock := now.Monotonic
		if m.s.Boottime {
			base, clock = control.AddUSec(base, now.Boottime-now.Monotonic), now.Boottime
		}
		e.At = control.AddUSec(base, spec.USec)
		if once(spec.Base) && !m.s.LastTrigger.IsZero() && !clockSet && e.At <= clock {
			e.Disabled = true
			continue
		}
		if e.At != machine.Never {
			n.monotonic = earlier(n.monotonic, max(e.At, 1))
		}
	}
	return n
}

// base is the monotonic moment that a span counts from; false: it has not come yet.
func (m *Machine) base(h machine.Host, base string) (uint64, bool) {
	switch base {
	case baseActive:
		if active[m.s.Sub] == machine.Active {
			exit, _ := h.PeerTimes(h.Unit().Name)
			return exit.Monotonic, true
		}
		return h.Now().Monotonic, true
	case baseBoot:
		boot, _ := h.BootTime()
		return boot.Monotonic, true
	case baseStartup:
		_, startup := h.BootTime()
		return startup.Monotonic, true
	}
	exit, enter := h.PeerTimes(trigger(h.Unit()))
	at := max(exit.Monotonic, m.s.LastTrigger.Monotonic)
	if base == baseUnitInactive {
		at = max(enter.Monotonic, m.s.LastTrigger.Monotonic)
	}
	return at, at != 0
}

// calendar is the next match of a calendar event: after the last elapse, or else after the moment at which the timer was started.
func (m *Machine) calendar(h machine.Host, cfg *unit.Timer, event string) uint64 {
	after := h.Now().Realtime
	missed := false
	_, startup := h.BootTime()
	if !m.s.LastTrigger.IsZero() {
		after = m.s.LastTrigger.Realtime
		if cfg.DeferReactivation {
			_, enter := h.PeerTimes(trigger(h.Unit()))
			after = max(after, enter.Realtime)
		}
		missed = m.s.LastTrigger.Monotonic < startup.Monotonic
	} else if m.s.Since != 0 {
		after = m.s.Since
	}
	offset := uint64(0)
	if control.Positive(cfg.RandomizedOffsetUSec) {
		offset = h.FixedRandom() >> 1 % cfg.RandomizedOffsetUSec
	}
	at, ok := h.CalendarNext(event, after-min(after, offset))
	if !ok {
		return 0
	}
	at = control.AddUSec(at, offset)
	if missed {
		// What was missed while the machine was off counts as due at startup, so that a random delay is still to come.
		began := min(startup.Realtime, h.Now().Realtime)
		if m.s.Since != 0 {
			began = min(began, m.s.Since)
		}
		at = max(at, began)
	}
	return at
}

// delay is RandomizedDelaySec=.
func delay(h machine.Host, cfg *unit.Timer) uint64 {
	if !control.Positive(cfg.RandomizedDelayUSec) {
		return 0
	}
	if cfg.FixedRandomDelay {
		return h.FixedRandom() % cfg.RandomizedDelayUSec
	}
	return h.Random() % cfg.RandomizedDelayUSec
}

// trigger is the name of the unit that is activated.
func trigger(u *unit.Unit) string {
	if name := u.GetTimer().Unit; name != "" {
		return name
	}
	return unit.ChangeSuffix(u.Name, ".service")
}

// Windows are the spans of AccuracySec= behind the moments that the timer waits for.
func (m *Machine) Windows(cfg *unit.Unit) [machine.ClockMax]machine.Window {
	w := machine.NoWindows
	if m.s.Sub != Waiting {
		return w
	}
	t := cfg.GetTimer()
	window := func(from uint64) machine.Window {
		return machine.Window{From: from, Until: control.AddUSec(from, t.AccuracyUSec)}
	}
	if m.s.NextMonotonic != 0 {
		c := machine.Monotonic
		if m.s.Boottime {
			c = machine.BoottimeAlarm
		}
		w[c] = window(m.s.NextMonotonic)
	}
	if m.s.NextRealtime != 0 {
		c := machine.Realtime
		if t.WakeSystem {
			c = machine.RealtimeAlarm
		}
		w[c] = window(m.s.NextRealtime)
	}
	return w
}

// due reports whether a moment that the timer waits for has come.
func (m *Machine) due(now machine.Instant) bool {
	clock := now.Monotonic
	if m.s.Boottime {
		clock = now.Boottime
	}
	return m.s.NextMonotonic != 0 && m.s.NextMonotonic <= clock || m.s.NextRealtime != 0 && m.s.NextRealtime <= now.Realtime
}
