package engine

import (
	"slices"

	"github.com/muster-init/muster/pkg/depend"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit"
)

// queueJob puts a waiting job into the run queue.
func (e *Engine) queueJob(j *Job) {
	if !j.queued && j.State == job.Waiting {
		j.queued = true
		e.runQueue = append(e.runQueue, j.ID)
	}
}

// wake puts the jobs that wait for j into the run queue. Each blocked job waits for one other job, the first that was found
// to hold it back, and looks for the next one when that is gone: a target behind a thousand services is looked at once per
// service, and nothing has to search for the jobs behind a unit.
func (e *Engine) wake(j *Job) {
	for _, id := range j.waiters {
		if w := e.jobs[id]; w != nil {
			e.queueJob(w)
		}
	}
	j.waiters = nil
}

// holds reports whether job b, of a unit that a's unit is ordered after (after) or before, must end before a may run. A stop
// goes before whatever the order says about the start of the other; two stops go in reverse order.
func holds(a, b *Job, after bool) bool {
	if a == b || a.Type == job.Nop || b.Type == job.Nop || a.IgnoreOrder || b.IgnoreOrder {
		return false
	}
	if after {
		return !a.stops()
	}
	return b.stops()
}

// blocker gives a job that holds j back, nil if it may run.
func (e *Engine) blocker(j *Job) *Job {
	if j.Type == job.Nop || j.IgnoreOrder || e.opt.SimulateFault == "order" {
		return nil
	}
	// The search goes on where the last one ended: what came before was clear then, and is looked at again at the end.
	list := j.Unit.deps.list(classAfter)
	for k := range list {
		i := (j.cursor + k) % len(list)
		if o := e.units[list[i].id].job; o != nil && holds(j, o, true) {
			j.cursor = i
			return o
		}
	}
	for _, x := range j.Unit.deps.list(classBefore) {
		if o := e.units[x.id].job; o != nil && holds(j, o, false) {
			return o
		}
	}
	return nil
}

// runNext runs the next job that can run.
func (e *Engine) runNext() {
	for e.runHead < len(e.runQueue) {
		j := e.jobs[e.runQueue[e.runHead]]
		if e.runHead++; e.runHead == len(e.runQueue) {
			e.runQueue, e.runHead = e.runQueue[:0], 0
		}
		if j == nil {
			continue
		}
		j.queued = false
		if j.State != job.Waiting {
			continue
		}
		if b := e.blocker(j); b != nil {
			b.waiters = append(b.waiters, j.ID)
			continue
		}
		e.run(j)
		return
	}
}

// verdict is what came of an attempt to run a job.
type verdict struct {
	result  job.Result // "" while the job goes on
	waiting bool       // not now: the job waits for the unit to change
}

// answers translates what machines say.
var answers = map[machine.Answer]verdict{
	machine.Accepted:    {},
	machine.Already:     {result: job.Done},
	machine.Again:       {waiting: true},
	machine.Invalid:     {result: job.Invalid},
	machine.Refused:     {result: job.Failed},
	machine.Unsupported: {result: job.Unsupported},
	machine.StartLimit:  {result: job.Failed},
}

// run begins a job.
func (e *Engine) run(j *Job) {
	j.State = job.Running
	if j.RunUSec == 0 {
		j.RunUSec = max(e.now.Monotonic, 1)
	}
	e.changedJob(j)
	mark := len(e.out)
	e.perform(j)
	if j.State == job.Running {
		e.out = slices.Insert(e.out, mark, machine.Effect(machine.JobChanged{ID: j.ID, Unit: j.Unit.Name()}))
	}
}

// perform does the work of a running job as far as it goes.
func (e *Engine) perform(j *Job) {
	var v verdict
	u := j.Unit
	switch j.Type {
	case job.Start:
		v = e.start(u, j)
	case job.VerifyActive:
		v = verify(u)
	case job.Stop, job.Restart:
		v = e.stop(u, j)
	case job.Reload:
		v = e.reload(u, j)
	case job.ReloadOrStart, job.TryReload, job.TryRestart:
		e.changeType(j, job.Collapse(j.Type, u.ActiveState().IsInactiveOrDeactivating()))
		if j.Type == job.Nop {
			v.result = job.Done
			break
		}
		return
	case job.Nop:
		v.result = job.Done
	}
	switch {
	case e.jobs[j.ID] != j:
	case v.waiting:
		// It is tried again as soon as anything happens to the unit.
		j.State = job.Waiting
		e.changedJob(j)
	case v.result != "" && (len(e.notices) == 0 || j.Type == job.Nop):
		e.finish(j, v.result, true)
	case v.result != "":
		// The unit changed its state on the way: what that means for the job comes first.
		e.requests = append(e.requests, startRequest{kind: finishJob, job: j.ID, result: v.result})
	}
}

// start begins a start job.
func (e *Engine) start(u *Unit, j *Job) verdict {
	st := u.ActiveState()
	switch {
	case st.IsActiveOrReloading():
		return verdict{result: job.Done}
	case st == machine.Maintenance:
		return verdict{waiting: true}
	case u.cfg.LoadState != unit.StateLoaded:
		return verdict{result: job.Invalid}
	case u.get().Freezer != "":
		return verdict{result: job.Frozen}
	}
	if st != machine.Activating && !j.tested && len(u.cfg.Conditions)+len(u.cfg.Asserts) > 0 {
		e.testConditions(j)
		return verdict{}
	}
	if st != machine.Activating && !j.tested {
		e.noConditions(u)
	}
	lost := e.anyPeer(u, depend.Binds, func(p *Unit) bool {
		return u.after(p) && !p.ActiveState().IsActiveOrReloading()
	})
	if lost {
		return verdict{result: job.Dependency}
	}
	if st.IsInactiveOrFailed() {
		if v, ok := e.admit(u); !ok {
			return v
		}
	}
	return e.begin(u, j, machine.Machine.Start)
}

func verify(u *Unit) verdict {
	switch st := u.ActiveState(); {
	case st.IsActiveOrReloading():
		return verdict{result: job.Done}
	case st == machine.Activating:
		return verdict{waiting: true}
	}
	return verdict{result: job.Skipped}
}

// stop begins a stop job or the first half of a restart job.
func (e *Engine) stop(u *Unit, j *Job) verdict {
	if u.ActiveState().IsInactiveOrFailed() {
		return verdict{result: job.Done}
	}
	if u.get().Freezer != "" {
		return verdict{result: job.Frozen} // its processes would not see the signals that ask them to end
	}
	return e.begin(u, j, machine.Machine.Stop)
}

func (e *Engine) reload(u *Unit, j *Job) verdict {
	switch st := u.ActiveState(); {
	case st == machine.Reloading || st == machine.Refreshing:
		return verdict{waiting: true}
	case st != machine.Active:
		return verdict{result: job.Invalid}
	case u.get().Freezer != "":
		return verdict{result: job.Frozen}
	}
	if !e.reader(u).CanReload(u.cfg) {
		return verdict{result: job.Done} // a unit that only passes reloads on is reloaded by that
	}
	return e.begin(u, j, machine.Machine.Reload)
}

// begin hands the job to the machine. The message that work begins stands before the effects of that work, and only if
// there are any.
func (e *Engine) begin(u *Unit, j *Job, do func(machine.Machine, machine.Host) machine.Answer) verdict {
	mark := len(e.out)
	typ := j.Type
	a := do(e.with(u), &host{e: e, u: u})
	if q, ok := u.machine.(machine.Immediate); ok && typ == job.Start && q.Immediate(u.cfg) {
		return answers[a] // that it has started is said right away
	}
	if a == machine.Accepted && len(e.out) > mark {
		e.logStarting(u, j.ID, typ, mark)
	}
	return answers[a]
}
