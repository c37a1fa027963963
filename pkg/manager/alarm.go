package manager

import (
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/kernel"
)

// alarms are the few things that the shell itself has to do at a moment (monotonic µs): feed watchdogs, give up on a trial. The deadlines of units are
// the engine's.
type alarms struct {
	list map[string]alarm
}

type alarm struct {
	at  uint64
	run func()
}

// set arms the alarm of that name, in place of one that is armed.
func (a *alarms) set(name string, at uint64, run func()) {
	if a.list == nil {
		a.list = map[string]alarm{}
	}
	a.list[name] = alarm{at, run}
}

// after is set with a delay in µs.
func (a *alarms) after(name string, usec uint64, run func()) {
	a.set(name, kernel.Monotonic()+usec, run)
}

func (a *alarms) cancel(name string) { delete(a.list, name) }

// deadline is when the loop has to wake up, machine.Never if not.
func (a *alarms) deadline() uint64 {
	at := machine.Never
	for _, x := range a.list {
		at = min(at, x.at)
	}
	return at
}

// due runs what is due. What an alarm sets again is looked at in the next turn.
func (a *alarms) due() {
	if len(a.list) == 0 {
		return
	}
	now := kernel.Monotonic()
	var ripe []func()
	for name, x := range a.list {
		if x.at <= now {
			delete(a.list, name)
			ripe = append(ripe, x.run)
		}
	}
	for _, run := range ripe {
		run()
	}
}
