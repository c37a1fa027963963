package engine

import (
	"github.com/muster-init/muster/pkg/engine/machine"
)

// wakeTimers are the windows of one unit in the heaps of the clocks.
type wakeTimers struct{ from, until [machine.ClockMax]timer }

// wakes is one clock: the windows by their beginning, and by their end.
type wakes struct{ from, until timers }

// rearmClocks asks a machine for its windows.
func (e *Engine) rearmClocks(u *Unit) {
	w, ok := u.machine.(machine.Waker)
	if !ok {
		return
	}
	s := u.st()
	if s.wake == nil {
		s.wake = &wakeTimers{}
	}
	for c, window := range w.Windows(u.cfg) {
		e.clocks[c].from.set(&s.wake.from[c], window.From, timerUnit, uint64(u.id))
		until := window.Until
		if window.From == machine.Never {
			until = machine.Never
		}
		e.clocks[c].until.set(&s.wake.until[c], until, timerUnit, uint64(u.id))
	}
}

// dropClocks takes a unit out of the heaps.
func (e *Engine) dropClocks(u *Unit) {
	if u.state == nil || u.state.wake == nil {
		return
	}
	for c := range machine.ClockMax {
		e.clocks[c].from.remove(&u.state.wake.from[c])
		e.clocks[c].until.remove(&u.state.wake.until[c])
	}
}

// DeadlineOn is the next moment on a clock, in µs, at which a Tick is due; machine.Never if there is none. Windows that overlap end in one
// wake-up, at a moment that is the same in each minute (or 10 s, 1 s, 250 ms, as far as the windows allow) of one machine and another in that
// of the next, so that machines that share hardware don't wake up together.
func (e *Engine) DeadlineOn(c machine.Clock) uint64 {
	at := wakeBetween(e.clocks[c].from.next(), e.clocks[c].until.next(), e.opt.Perturb)
	if c == machine.Monotonic {
		at = min(at, e.timers.next())
	}
	return at
}

// Due reports whether a Tick at this moment would do something: a deadline has passed, or a window has begun. The shell asks whenever it is awake, so
// that what can be done early needs no wake-up of its own.
func (e *Engine) Due(now machine.Instant) bool {
	if e.timers.next() <= now.Monotonic {
		return true
	}
	for c := range machine.ClockMax {
		if e.clocks[c].from.next() <= now.On(c) {
			return true
		}
	}
	return false
}

// wakeGrids are the distances of wake-ups in µs, the best first.
var wakeGrids = [...]uint64{60_000_000, 10_000_000, 1_000_000, 250_000}

// wakeBetween chooses a moment in from…until.
func wakeBetween(from, until, perturb uint64) uint64 {
	if from == machine.Never || until <= from {
		return min(from, until)
	}
	for _, grid := range wakeGrids {
		at := until/grid*grid + perturb%grid
		if at > until {
			if at < grid {
				continue
			}
			at -= grid
		}
		if at >= from {
			return at
		}
	}
	return until
}

// tickClocks lets every machine whose window has begun have its call.
func (e *Engine) tickClocks() {
	for c := range machine.ClockMax {
		now := e.now.On(c)
		for range expireMax {
			if e.clocks[c].from.next() > now {
				break
			}
			t := e.clocks[c].from.heap[0]
			e.clocks[c].from.remove(t)
			u := e.units[t.key&(1<<32-1)]
			if u == nil {
				continue
			}
			m := e.with(u)
			m.Expire(&host{e: e, u: u})
			e.retryJob(u)
			e.settle()
		}
	}
}

// tellClockWatchers tells those who wait on clocks that a clock was set.
func (e *Engine) tellClockWatchers(ev machine.ClockChanged) {
	for _, u := range e.units {
		if u == nil || u.machine == nil {
			continue
		}
		if _, ok := u.machine.(machine.ClockWatcher); ok {
			e.step(u, ev)
		}
	}
}

// PeerTimes is when a loaded unit last left and entered the states inactive and failed.
func (h *host) PeerTimes(name string) (inactiveExit, inactiveEnter machine.Instant) {
	if u := h.e.names[name]; u != nil {
		return u.InactiveExit(), u.InactiveEnter()
	}
	return
}

// BootTime is what OnBootSec= and OnStartupSec= count from. In a container the time that the host was up before does not count.
func (h *host) BootTime() (boot, startup machine.Instant) {
	o := &h.e.opt
	if o.Depend.Container {
		return o.Startup, o.Startup
	}
	return machine.Instant{}, o.Startup
}

// CalendarNext is the first match of a calendar event after a moment.
func (h *host) CalendarNext(event string, afterUSec uint64) (uint64, bool) {
	if h.e.opt.CalendarNext == nil {
		return 0, false
	}
	return h.e.opt.CalendarNext(event, afterUSec)
}

// FixedRandom mixes the machine and the name of the unit.
func (h *host) FixedRandom() uint64 {
	sum := uint64(14695981039346656037)
	for _, text := range [...]string{h.e.opt.MachineID, "\x00", h.u.Name()} {
		for i := range len(text) {
			sum = (sum ^ uint64(text[i])) * 1099511628211
		}
	}
	g := generator{State: [2]uint64{sum, ^sum}}
	return g.next()
}
