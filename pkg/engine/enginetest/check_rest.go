package enginetest

import (
	"slices"

	"github.com/muster-init/muster/pkg/engine"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit"
)

// rested checks what holds when nothing moves any more.
func (w *World) rested() error {
	if n := w.E.JobCount(); n > w.deviceJobs() {
		return violation(liveJobs, "%d jobs never end: %s", n, w.busy())
	}
	for _, u := range w.E.Units() {
		if u.Config().Type == unit.TypeDevice {
			continue
		}
		switch u.ActiveState() {
		case machine.Activating, machine.Deactivating, machine.Reloading, machine.Maintenance:
			return violation(restful, "%s stays %s (%s), %s", u.Name(), u.ActiveState(), u.SubState(), w.E.Record("unit/"+u.Name()))
		}
		main, control := u.PIDs()
		for _, pid := range []int32{main, control} {
			if pid != 0 && w.procs[pid] == nil {
				return violation(processesKnown, "%s (%s) still has process %d, which is gone", u.Name(), u.SubState(), pid)
			}
		}
		if err := w.restedUnit(u); err != nil {
			return err
		}
	}
	for r, what := range w.replies {
		return violation(onceAnswered, "request %d (%s) was never answered", r, what)
	}
	for t, name := range w.check.tokens {
		return violation(restful, "query %d of %s is neither answered nor given up", t, name)
	}
	return w.openersRest()
}

// deviceJobs counts the jobs that wait for a device to go: nobody can say how long.
func (w *World) deviceJobs() int {
	n := 0
	for _, j := range w.E.Jobs() {
		if j.Unit.Config().Type == unit.TypeDevice {
			n++
		}
	}
	return n
}

// restedUnit checks one unit that is at rest.
func (w *World) restedUnit(u *engine.Unit) error {
	up := u.ActiveState().IsActiveOrReloading()
	if up && w.E.Plan(u.Name(), job.Stop, job.Replace).Err == nil {
		for _, name := range w.E.Deps(u, unit.DepBindsTo) {
			if p := w.E.Unit(name); p.ActiveState().IsInactiveOrFailed() && u.FreezerState() == "running" && !u.Perpetual() {
				return violation(needsMet, "%s is up, %s, which it is bound to, is %s", u.Name(), name, p.SubState())
			}
		}
	}
	if u.Config().Type == unit.TypeScope && up && !u.Perpetual() && !w.populated(u.Name()) {
		return violation(processesKnown, "%s is up without any process", u.Name())
	}
	if u.Config().Type == unit.TypePath && u.SubState() == "waiting" && !w.check.given[u.Name()] {
		for _, p := range u.Config().GetPath().Paths {
			if !onChange(p.Type) && w.files.there[p.Path] {
				return violation(pathsSeen, "%s waits for %s=%s, which is there", u.Name(), p.Type, p.Path)
			}
		}
	}
	return nil
}

// judgements is how many single requests are judged in the last phase.
const judgements = 4

// judge sends single requests when everything is at rest and nothing fails, and looks what has come of each.
func (w *World) judge() error {
	if err := w.sober(); err != nil {
		return err
	}
	if err := w.settle(); err != nil {
		return err
	}
	for range judgements {
		name := w.name()
		w.check.results = map[string]job.Result{}
		ev := machine.Enqueue{Unit: name, Type: job.Start, Mode: pick(w.rnd, job.Replace, job.Replace, job.Isolate), Reply: w.ask(name)}
		if err := w.deliver(ev); err != nil {
			return err
		}
		if err := w.settle(); err != nil {
			return err
		}
		if err := w.verdict(name); err != nil {
			return err
		}
	}
	return nil
}

// verdict looks at a unit whose start has ended.
func (w *World) verdict(name string) error {
	u := w.E.Unit(name)
	if u == nil || w.check.results[name] != job.Done || !u.ActiveState().IsActiveOrReloading() {
		return nil
	}
	for _, p := range w.E.Deps(u, unit.DepConflicts) {
		if peer := w.E.Unit(p); peer.ActiveState().IsActiveOrReloading() && w.check.results[p] == "" && peer.Config().Type != unit.TypeDevice {
			return violation(noConflicts, "%s was started, %s, which it conflicts with, is still up", name, p)
		}
	}
	for _, t := range []unit.DepType{unit.DepRequires, unit.DepBindsTo} {
		for _, p := range w.E.Deps(u, t) {
			if r := w.check.results[p]; (r == job.Failed || r == job.Timeout || r == job.Dependency) && slices.Contains(w.E.Deps(u, unit.DepAfter), p) {
				return violation(needsMet, "%s was started although %s, which it requires and comes after, ended with %s", name, p, r)
			}
		}
	}
	return nil
}
