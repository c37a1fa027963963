package enginetest

import (
	"bytes"
	"reflect"

	"github.com/muster-init/muster/pkg/engine"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit"
)

// checker holds the invariants of package engine against every step. It knows the rules in its own words, not by calling the
// engine's code for them.
type checker struct {
	w          *World
	open       map[job.ID]string // jobs announced and not removed: unit
	lastID     job.ID
	states     map[string]machine.ActiveState // as announced
	tokens     map[machine.Token]string       // open queries: unit
	waiting    map[job.ID]jobView             // jobs before the step
	mirror     map[string][]byte              // records as they were written
	loaded     map[string]bool
	newJobs    []job.ID // of this step
	unloaded   bool     // something was, in this step
	ev         machine.Event
	asked      map[machine.Reply]machine.Event
	refs       map[string][]string // unit → clients that hold a reference
	moved      map[string]uint64   // unit → its last change of state
	timers     map[string]*timerView
	starts     map[string][]uint64 // unit → when it was triggered, or began to start
	activation map[string]string   // unit → its invocation
	results    map[string]job.Result
	lowered    map[string]bool                // sockets whose configuration was changed
	given      map[string]bool                // paths that had something to do while a stop was queued
	marks      map[string]map[string]bool     // unit → what it is marked with
	marking    map[machine.Reply]machine.Mark // requests that are not answered yet
}

// jobView is what the order rule needs to know of a job.
type jobView struct {
	unit    string
	typ     job.Type
	waiting bool
	ignore  bool
}

func (c *checker) init(w *World) {
	*c = checker{w: w, open: map[job.ID]string{}, states: map[string]machine.ActiveState{}, tokens: map[machine.Token]string{},
		mirror: map[string][]byte{}, loaded: map[string]bool{}, asked: map[machine.Reply]machine.Event{}, refs: map[string][]string{},
		moved: map[string]uint64{}, timers: map[string]*timerView{}, starts: map[string][]uint64{}, results: map[string]job.Result{}, given: map[string]bool{}, activation: map[string]string{}, lowered: map[string]bool{},
		marks: map[string]map[string]bool{}, marking: map[machine.Reply]machine.Mark{}}
	for _, u := range w.E.Units() {
		c.loaded[u.Name()] = true
	}
	c.write()
}

// restored begins anew after a re-execution: queries are asked again.
func (c *checker) restored() {
	c.tokens = map[machine.Token]string{}
	c.asked = map[machine.Reply]machine.Event{}
	clear(c.marking)
	c.ev, c.newJobs, c.unloaded = nil, nil, false
	c.loaded = map[string]bool{}
	for _, u := range c.w.E.Units() {
		c.loaded[u.Name()] = true
	}
}

// before notes the jobs, to judge afterwards whether the one that began to run was allowed to.
func (c *checker) before(ev machine.Event) {
	c.waiting, c.newJobs, c.unloaded, c.ev = nil, nil, false, ev
	c.request(ev)
	if _, idle := ev.(machine.Idle); idle {
		c.waiting = views(c.w.E)
	}
	if t := machine.AnswerToken(ev); t != 0 {
		delete(c.tokens, t)
	}
}

func views(e *engine.Engine) map[job.ID]jobView {
	out := map[job.ID]jobView{}
	for _, j := range e.Jobs() {
		out[j.ID] = jobView{j.Unit.Name(), j.Type, j.State == job.Waiting, j.IgnoreOrder}
	}
	return out
}

// after checks everything.
func (c *checker) after(ev machine.Event, effects []machine.Effect) error {
	for _, f := range effects {
		if err := c.effect(f); err != nil {
			return err
		}
	}
	for _, check := range []func() error{c.jobs, c.acyclic, c.units, c.apart, c.references, c.markers, func() error { return first(c.w.E.Check()) }} {
		if err := check(); err != nil {
			return err
		}
	}
	c.write()
	return nil
}

// write keeps the records as a shell does.
func (c *checker) write() {
	for _, key := range c.w.E.Dirty() {
		if r := c.w.E.Record(key); r != nil {
			c.mirror[key] = r
		} else {
			delete(c.mirror, key)
		}
	}
}

func first(list []string) error {
	if len(list) > 0 {
		return violation(indexes, "%s (%d faults)", list[0], len(list))
	}
	return nil
}

// effect checks what is announced.
func (c *checker) effect(f machine.Effect) error {
	if t := machine.QueryToken(f); t != 0 {
		if c.tokens[t] != "" {
			return violation(tokensOnce, "token %d is used twice", t)
		}
		c.tokens[t] = reflect.ValueOf(f).FieldByName("Unit").String()
	}
	switch v := f.(type) {
	case machine.CancelQuery:
		delete(c.tokens, v.Token)
	case machine.UnitNew:
		c.loaded[v.Unit] = true
	case machine.UnitRemoved:
		return c.removedUnit(v.Unit)
	case machine.UnitChanged:
		old := c.states[v.Unit]
		c.states[v.Unit] = v.Active
		c.unmarked(v, old)
		if !v.Properties {
			return c.changedState(v, old)
		}
	case machine.SendReply:
		if m, ok := c.marking[v.Reply]; ok && v.Err == nil {
			c.marked(m)
		}
		delete(c.marking, v.Reply)
	case machine.JobNew:
		if v.ID <= c.lastID {
			return violation(jobsAnnounced, "job id %d after %d", v.ID, c.lastID)
		}
		c.lastID = v.ID
		c.open[v.ID] = v.Unit
		c.newJobs = append(c.newJobs, v.ID)
	case machine.JobChanged:
		return c.mayRun(v.ID)
	case machine.JobRemoved:
		if c.open[v.ID] != v.Unit {
			return violation(jobsAnnounced, "job %d of %s is removed, announced was one of %q", v.ID, v.Unit, c.open[v.ID])
		}
		delete(c.open, v.ID)
		if v.Type == job.Start {
			c.results[v.Unit] = v.Result
		}
		return c.removed(v)
	}
	return nil
}

// removed checks that the announced state of the unit fits the result of a job: clients see the state before the end.
func (c *checker) removed(v machine.JobRemoved) error {
	st := c.states[v.Unit]
	if u := c.w.E.Unit(v.Unit); u != nil && st == "" {
		st = u.ActiveState()
	}
	if v.Result == job.Done && v.Type == job.Stop && !st.IsInactiveOrFailed() {
		return violation(stateFirst, "stop job %d of %s is done while it is %s", v.ID, v.Unit, st)
	}
	if v.Result == job.Done && v.Type == job.VerifyActive && !st.IsActiveOrReloading() {
		return violation(stateFirst, "verify-active job %d of %s is done while it is %s", v.ID, v.Unit, st)
	}
	return nil
}

// mayRun checks the order rule for a job that has begun to run: none of the jobs that were there before may hold it back.
func (c *checker) mayRun(id job.ID) error {
	j, ok := c.waiting[id]
	if !ok || !j.waiting || j.ignore || j.typ == job.Nop {
		return nil
	}
	u := c.w.E.Unit(j.unit)
	if u == nil {
		return nil
	}
	stopping := j.typ == job.Stop || j.typ == job.Restart
	// order-free: any fault ends the run
	for other, o := range c.waiting {
		if other == id || o.ignore || o.typ == job.Nop || o.unit == j.unit {
			continue
		}
		theyStop := o.typ == job.Stop || o.typ == job.Restart
		if c.ordered(u, o.unit, unit.DepAfter) && !stopping || c.ordered(u, o.unit, unit.DepBefore) && theyStop {
			return violation(ordered, "job %d %s/%s runs while job %d %s/%s should go first", id, j.unit, j.typ, other, o.unit, o.typ)
		}
	}
	return nil
}

func (c *checker) ordered(u *engine.Unit, peer string, t unit.DepType) bool {
	for _, n := range c.w.E.Deps(u, t) {
		if n == peer {
			return true
		}
	}
	return false
}

// jobs checks that announced and installed jobs are the same, one for a unit.
func (c *checker) jobs() error {
	e := c.w.E
	byUnit := map[string]job.ID{}
	list := e.Jobs()
	for _, j := range list {
		if c.open[j.ID] == "" {
			return violation(jobsAnnounced, "job %d of %s was never announced", j.ID, j.Unit.Name())
		}
		if j.Type == job.Nop {
			continue
		}
		if k, twice := byUnit[j.Unit.Name()]; twice {
			return violation(indexes, "%s has the jobs %d and %d", j.Unit.Name(), k, j.ID)
		}
		byUnit[j.Unit.Name()] = j.ID
		switch j.Type {
		case job.Start, job.VerifyActive, job.Stop, job.Restart, job.Reload:
		default:
			return violation(indexes, "job %d has the type %s", j.ID, j.Type)
		}
	}
	if len(list) != len(c.open) {
		return violation(jobsAnnounced, "%d jobs are installed, %d announced and not removed", len(list), len(c.open))
	}
	return nil
}

// acyclic checks that no jobs wait for each other in a circle.
func (c *checker) acyclic() error {
	e := c.w.E
	state := map[job.ID]int{}
	var visit func(j *engine.Job) error
	visit = func(j *engine.Job) error {
		state[j.ID] = 1
		for _, o := range e.JobsBefore(j) {
			switch state[o.ID] {
			case 1:
				return violation(acyclicJobs, "jobs wait in a circle: %s/%s and %s/%s", j.Unit.Name(), j.Type, o.Unit.Name(), o.Type)
			case 0:
				if err := visit(o); err != nil {
					return err
				}
			}
		}
		state[j.ID] = 2
		return nil
	}
	for _, j := range e.Jobs() {
		if state[j.ID] == 0 {
			if err := visit(j); err != nil {
				return err
			}
		}
	}
	return nil
}

// units checks states against what was announced and what is held.
func (c *checker) units() error {
	n := 0
	for _, u := range c.w.E.Units() {
		n++
		if !c.loaded[u.Name()] {
			return violation(statesAnnounced, "%s is loaded, but that was not announced", u.Name())
		}
		st := u.ActiveState()
		if at := u.StateChange().Monotonic; at < c.moved[u.Name()] || at > c.w.now {
			return violation(clocksMonotone, "%s changed its state at %d, after %d, and it is %d", u.Name(), at, c.moved[u.Name()], c.w.now)
		} else if at != 0 {
			c.moved[u.Name()] = at
		}
		if said, ok := c.states[u.Name()]; ok && said != st {
			return violation(statesAnnounced, "%s is %s, announced was %s", u.Name(), st, said)
		}
		if len(c.w.pending) > 0 || c.w.asking(u.Name()) {
			continue // what an answer means is not settled before it is there
		}
		main, control := u.PIDs()
		if st.IsInactiveOrFailed() && st != machine.Maintenance && (main != 0 || control != 0) && u.SubState() != "dead-resources-pinned" {
			return violation(processesKnown, "%s is %s and holds the processes %d %d", u.Name(), u.SubState(), main, control)
		}
		for _, pid := range []int32{main, control} {
			if pid != 0 && c.w.E.UnitByPID(pid) != u {
				return violation(indexes, "process %d of %s (main %d, control %d) is not in the index", pid, u.Name(), main, control)
			}
		}
	}
	if n != len(c.loaded) {
		return violation(statesAnnounced, "%d units are loaded, announced are %d", n, len(c.loaded))
	}
	return nil
}

// records checks that the records written one by one make the same snapshot.
func (c *checker) records(data []byte) error {
	got, err := engine.Assemble(c.mirror)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, data) {
		return violation(roundTrip, "the records make another snapshot:\n%s\n%s", got, data)
	}
	return nil
}
