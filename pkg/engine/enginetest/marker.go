package enginetest

import (
	"slices"
	"strings"

	"github.com/muster-init/muster/pkg/engine"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
)

// mark is a client that changes the markers of a unit: both, one of them, or none.
func (w *World) mark(name string, r machine.Reply) machine.Event {
	some := func() []string {
		return pick(w.rnd, nil, []string{engine.NeedsReload}, []string{engine.NeedsRestart}, []string{engine.NeedsRestart, engine.NeedsReload})
	}
	return machine.Mark{Unit: name, Clear: some(), Set: some(), Reply: r}
}

// enqueueMarked is EnqueueMarkedJobs, which is a request for each unit that is marked.
func (w *World) enqueueMarked() error {
	var marked []string
	for _, u := range w.E.Units() {
		if len(u.Markers()) > 0 {
			marked = append(marked, u.Name())
		}
	}
	for _, name := range marked {
		u := w.E.Unit(name)
		if u == nil {
			continue // unloaded by what the ones before led to
		}
		restart := slices.Contains(u.Markers(), engine.NeedsRestart)
		ev := machine.Enqueue{Unit: name, Type: job.TryRestart, Mode: job.Fail, ReloadIfPossible: !restart, Reply: w.ask(name)}
		if err := w.deliver(ev); err != nil {
			return err
		}
	}
	return nil
}

// marked takes a change of markers that was answered.
func (c *checker) marked(v machine.Mark) {
	u := c.w.E.Unit(v.Unit)
	if u == nil {
		return // unloaded with the answer
	}
	set := c.marks[u.Name()]
	if set == nil {
		set = map[string]bool{}
		c.marks[u.Name()] = set
	}
	for _, m := range v.Clear {
		delete(set, m)
	}
	for _, m := range v.Set {
		set[m] = true
	}
}

// unmarked drops the markers that a change of state has made needless.
func (c *checker) unmarked(v machine.UnitChanged, old machine.ActiveState) {
	switch {
	case v.Active == old, old == "" && v.Active == machine.Inactive: // another sub-state, or what it was before anything was announced
	case v.Active.IsInactiveOrFailed():
		delete(c.marks, v.Unit)
	case v.Active == machine.Reloading:
		delete(c.marks[v.Unit], engine.NeedsReload)
	}
}

// markers compares what units are marked with with what clients said and what has happened since.
func (c *checker) markers() error {
	for _, u := range c.w.E.Units() {
		var want []string
		// order-free: sorted below
		for m := range c.marks[u.Name()] {
			want = append(want, m)
		}
		slices.Sort(want)
		if !slices.Equal(want, u.Markers()) {
			return violation(marksKept, "%s is marked with %q, should be with %q", u.Name(), strings.Join(u.Markers(), " "), strings.Join(want, " "))
		}
	}
	return nil
}
