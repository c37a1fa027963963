package busapi

import (
	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/engine"
	"github.com/muster-init/muster/pkg/engine/timer"
	"github.com/muster-init/muster/pkg/unit"
)

// timerState gives the run-time state of a timer for reading.
func timerState(u *engine.Unit) *timer.State {
	if m, ok := u.Machine().(*timer.Machine); ok {
		return m.State()
	}
	return &timer.State{Sub: timer.Dead}
}

// timerNext is a moment that the timer waits for: 0 if it waits for something else, infinity if it doesn't wait.
func timerNext(s *timer.State, at uint64) uint64 {
	if s.Sub != timer.Waiting {
		return unit.Infinity
	}
	return at
}

// asMonotonic turns a moment that counts the time asleep into one of the monotonic clock.
func asMonotonic(s *Server, t *timer.State, at uint64) uint64 {
	if !t.Boottime || at == 0 || at == unit.Infinity {
		return at
	}
	now := s.b.Now()
	return at - min(now.Boottime-now.Monotonic, at)
}

// timerRuntime are the run-time properties of timers.
func timerRuntime() []property {
	usec := func(name string, emits bus.Emits, get func(s *Server, t *timer.State) uint64) property {
		return property{name: name, sig: "t", emits: emits, unit: func(s *Server, u *engine.Unit, e *bus.Encoder) { e.Uint64(get(s, timerState(u))) }}
	}
	elapses := func(name, sig string, calendar bool) property {
		return property{name: name, sig: sig, emits: bus.EmitsInvalidates, unit: func(s *Server, u *engine.Unit, e *bus.Encoder) {
			t := timerState(u)
			w := writer{e: e}
			unit.WriteTimers(&w, u.Config().GetTimer().Timers, calendar, func(i int) uint64 {
				switch {
				case i >= len(t.Elapses):
					return 0
				case calendar:
					return t.Elapses[i].At
				}
				return asMonotonic(s, t, t.Elapses[i].At)
			})
		}}
	}
	return []property{
		unitString("Unit", bus.EmitsConst, func(_ *Server, u *engine.Unit) string {
			if name := u.Config().GetTimer().Unit; name != "" {
				return name
			}
			return unit.ChangeSuffix(u.Name(), ".service")
		}),
		elapses("TimersMonotonic", "a(stt)", false),
		elapses("TimersCalendar", "a(sst)", true),
		usec("NextElapseUSecRealtime", bus.EmitsChange, func(_ *Server, t *timer.State) uint64 { return timerNext(t, t.NextRealtime) }),
		usec("NextElapseUSecMonotonic", bus.EmitsChange, func(s *Server, t *timer.State) uint64 {
			return asMonotonic(s, t, timerNext(t, t.NextMonotonic))
		}),
		usec("LastTriggerUSec", bus.EmitsChange, func(_ *Server, t *timer.State) uint64 { return t.LastTrigger.Realtime }),
		usec("LastTriggerUSecMonotonic", bus.EmitsChange, func(_ *Server, t *timer.State) uint64 { return t.LastTrigger.Monotonic }),
		unitString("Result", bus.EmitsChange, func(_ *Server, u *engine.Unit) string { return success(u.Result()) }),
	}
}
