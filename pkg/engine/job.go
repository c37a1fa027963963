package engine

import (
	"slices"

	"github.com/muster-init/muster/pkg/depend"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit"
)

// Job is one installed job. To callers it is a view that stays valid until the job is removed.
type Job struct {
	ID           job.ID
	Unit         *Unit
	Type         job.Type
	State        job.State
	Irreversible bool   // later jobs can't replace it
	IgnoreOrder  bool   // mode ignore-dependencies
	InstallUSec  uint64 // monotonic
	RunUSec      uint64 // monotonic; 0: has not run yet

	cause    machine.Cause
	pulledBy string       // the unit whose dependency asked for the job
	pulledAs unit.DepType // and which one
	tested   bool         // conditions hold
	query    machine.Token
	waiters  []job.ID // jobs that wait for this one to end or change
	queued   bool     // in the run queue
	cursor   int      // where blocker goes on
	skipped  bool     // conditions did not hold
	asked    bool     // conditions were being tested when the snapshot was taken
	timer    timer
}

// Cause says why the job exists.
func (j *Job) Cause() machine.Cause { return j.cause }

// Explain is Cause with the file and line looked up.
func (e *Engine) Explain(j *Job) machine.Cause {
	c := j.cause
	if j.pulledBy == "" || c.Where != "" {
		return c
	}
	from := e.names[j.pulledBy]
	if from == nil {
		return c
	}
	if owner, directive, where, ok := e.Origin(from, j.pulledAs, j.Unit); ok {
		c.Where = where
		if owner == from.Name() {
			c.Directive = directive
		} else {
			c.Directive = directive + " of " + owner
		}
	}
	return c
}

// stops reports whether the job takes its unit down first.
func (j *Job) stops() bool { return job.Stops(j.Type) }

// newJob makes a job and announces it.
func (e *Engine) newJob(u *Unit, t job.Type) *Job {
	e.lastJob++
	e.engineDirty = true
	j := &Job{ID: e.lastJob, Unit: u, Type: t, State: job.Waiting, InstallUSec: e.now.Monotonic}
	e.jobs[j.ID] = j
	if t == job.Nop {
		u.nop = j
	} else {
		u.job = j
	}
	e.emit(machine.JobNew{ID: j.ID, Unit: u.Name(), Type: t})
	e.changedJob(j)
	return j
}

// changedJob notes that something about j changed: its record, its deadline, and perhaps who may run.
func (e *Engine) changedJob(j *Job) {
	e.jobDirty(j.ID)
	e.timers.set(&j.timer, e.jobDeadline(j), timerJob, uint64(j.ID))
}

// jobDirty notes that the record of a job changed, came or went. What changes often changes in a row.
func (e *Engine) jobDirty(id job.ID) {
	if n := len(e.dirtyJobs); n == 0 || e.dirtyJobs[n-1] != id {
		e.dirtyJobs = append(e.dirtyJobs, id)
	}
}

// jobDeadline is when the job times out.
func (e *Engine) jobDeadline(j *Job) uint64 {
	c := &j.Unit.cfg.Unit
	at := addUSec(j.InstallUSec, c.JobTimeoutUSec)
	if j.RunUSec != 0 {
		at = min(at, addUSec(j.RunUSec, c.JobRunningTimeoutUSec))
	}
	return at
}

// addUSec adds a span to a moment; unit.Infinity and 0 spans never end.
func addUSec(at, span uint64) uint64 {
	if span == 0 || span == unit.Infinity || at+span < at {
		return machine.Never
	}
	return at + span
}

// changeType turns j into a job of another type that has not run yet.
func (e *Engine) changeType(j *Job, t job.Type) {
	e.dropQuery(j)
	if j.Type != t && t == job.Start {
		j.tested = false
	}
	j.Type = t
	if j.State == job.Running {
		j.State = job.Waiting
		e.emit(machine.JobChanged{ID: j.ID, Unit: j.Unit.Name()})
	}
	j.RunUSec = 0
	e.changedJob(j)
	e.wake(j)
	e.queueJob(j)
}

// dropQuery ends the condition query of a job.
func (e *Engine) dropQuery(j *Job) {
	if j.query != 0 {
		delete(e.queries, j.query)
		e.emit(machine.CancelQuery{Token: j.query})
		j.query = 0
	}
}

// ended is a job that is over, for the passes that follow from it.
type ended struct {
	u      *Unit
	typ    job.Type
	result job.Result
}

// finish ends a job, and with propagate those that can't succeed any more because of it. A restart job whose unit is down
// turns into a start job instead.
func (e *Engine) finish(j *Job, r job.Result, propagate bool) {
	if r == job.Done && j.Type == job.Restart {
		e.logFinished(j, r)
		e.changeType(j, job.Start)
		return
	}
	e.remove(j, r)
	if !propagate {
		return
	}
	// A worklist, not recursion: chains of requirements can be thousands of units long.
	work := []ended{{j.Unit, j.Type, r}}
	for len(work) > 0 {
		w := work[0]
		work = work[1:]
		for _, p := range e.victims(w) {
			t := p.job.Type
			e.remove(p.job, job.Dependency)
			e.startOnFailure(p)
			work = append(work, ended{p, t, job.Dependency})
		}
	}
	if r == job.Timeout {
		e.startOnFailure(j.Unit)
	}
}

// victims lists the units whose start jobs fail because a job ended as it did.
func (e *Engine) victims(w ended) []*Unit {
	var atom depend.Mask
	switch {
	case w.result == job.Done || w.result == job.Collected:
		if w.typ == job.Start && !w.u.ActiveState().IsActiveOrReloading() {
			atom = depend.PropagateInactiveStart
		}
	case w.typ == job.Start || w.typ == job.VerifyActive:
		atom = depend.PropagateStartFailure
	case w.typ == job.Stop:
		atom = depend.PropagateStopFailure
	}
	if atom == 0 {
		return nil
	}
	var out []*Unit
	e.peers(w.u, atom, func(p *Unit, _ depend.Mask) bool {
		if p.job != nil && (p.job.Type == job.Start || p.job.Type == job.VerifyActive) && !slices.Contains(out, p) {
			out = append(out, p)
		}
		return true
	})
	return out
}

// remove takes a job out and announces its end.
func (e *Engine) remove(j *Job, r job.Result) {
	u := j.Unit
	e.dropQuery(j)
	e.timers.remove(&j.timer)
	delete(e.jobs, j.ID)
	e.jobDirty(j.ID)
	if u.job == j {
		u.job = nil
	} else {
		u.nop = nil
	}
	e.logFinished(j, r)
	if e.opt.SimulateFault == "removed" && r == job.Dependency {
		return
	}
	e.emit(machine.JobRemoved{ID: j.ID, Unit: u.Name(), Type: j.Type, Result: r, Cause: j.cause})
	e.wake(j)
	e.queueCollect(u)
	e.jobGone(u)
}

// CancelAll ends all jobs; used by mode flush and by clients.
func (e *Engine) cancelAll(keep func(j *Job) bool) {
	for _, j := range e.Jobs() {
		if e.jobs[j.ID] == j && !keep(j) {
			e.finish(j, job.Canceled, false)
		}
	}
}
