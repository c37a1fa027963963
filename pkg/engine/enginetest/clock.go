package enginetest

import (
	"fmt"

	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/unit/value"
)

// scriptEpoch is the realtime clock of scripts and worlds at monotonic 0: 2023-11-14 22:13:20 UTC.
const scriptEpoch = 1_700_000_000_000_000

// calendars keeps calendar events that were parsed.
var calendars = map[string]*value.Calendar{}

// calendarNext is Options.CalendarNext of scripts and worlds, in UTC.
func calendarNext(event string, afterUSec uint64) (uint64, bool) {
	c := calendars[event]
	if c == nil {
		parsed, err := value.ParseCalendar(event)
		if err != nil {
			return 0, false
		}
		c = parsed
		calendars[event] = c
	}
	at, ok := c.Next(value.USec(afterUSec), nil)
	return uint64(at), ok
}

// clock is the three clocks of a world, in µs.
type clock struct {
	now    uint64 // monotonic
	asleep uint64 // time in suspend so far
	set    int64  // how far the realtime clock has been moved by hand
}

func newClock() clock { return clock{now: 1_000_000} }

func (c *clock) instant() machine.Instant {
	boot := c.now + c.asleep
	return machine.Instant{Monotonic: c.now, Realtime: uint64(scriptEpoch + c.set + int64(boot)), Boottime: boot}
}

// nextDue is how many µs from now something is due: a deadline of the engine on any clock, or a process.
func (w *World) nextDue() uint64 {
	now := w.instant()
	left := machine.Never
	for c := range machine.ClockMax {
		if at := w.E.DeadlineOn(c); at != machine.Never {
			left = min(left, at-min(at, now.On(c)))
		}
	}
	for _, p := range w.procs {
		if p.due != 0 {
			left = min(left, p.due-min(p.due, w.now))
		}
	}
	return left
}

// advance moves the clocks, with a Tick at each deadline on the way.
func (w *World) advance(usec uint64) error {
	end := w.now + usec
	for range 10000 {
		next := w.nextDue()
		if next == machine.Never || w.now+next > end {
			w.now = end
			return nil
		}
		w.now += next
		if err := w.endDue(); err != nil {
			return err
		}
		if err := w.tick(); err != nil {
			return err
		}
	}
	return violation(liveClock, "there is always a new deadline")
}

// tick sends a Tick if one is due.
func (w *World) tick() error {
	for range 20 {
		if !w.E.Due(w.instant()) {
			return nil
		}
		if err := w.deliver(machine.Tick{}); err != nil {
			return err
		}
	}
	return violation(liveClock, "a deadline stays due after its Tick")
}

// jump sets the realtime clock, changes the time zone, or lets the machine sleep for a while.
func (w *World) jump() error {
	span := int64(1+w.rnd.N(100_000)) * pick(w.rnd, int64(1_000), 1_000_000)
	ev := machine.ClockChanged{}
	switch k := w.rnd.N(10); {
	case k < 4:
		w.set += span
		w.note("clock", fmt.Sprintf("set forward by %d µs", span))
	case k < 7:
		w.set -= span
		w.note("clock", fmt.Sprintf("set back by %d µs", span))
	case k < 9:
		w.asleep += uint64(span)
		w.note("clock", fmt.Sprintf("asleep for %d µs", span))
		if w.rnd.P(70) {
			return w.tick() // a clock that was not set cancels no timer: only alarms and deadlines tell of it
		}
	default:
		ev.Timezone = true
	}
	w.check.clockSet(ev)
	if err := w.deliver(ev); err != nil {
		return err
	}
	return w.tick()
}
