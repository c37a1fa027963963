package engine

import (
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
)

// enqueue works out the jobs for a request and installs them; it gives the job of the requested unit.
func (e *Engine) enqueue(r request) (*transaction, *machine.Error) {
	t, err := e.transact(r)
	if err != nil {
		return t, err
	}
	e.install(t)
	return t, nil
}

// install makes the candidates of a transaction jobs.
func (e *Engine) install(t *transaction) {
	r := t.req
	for _, l := range t.logs {
		e.emit(l)
	}
	if r.mode == job.Isolate || r.mode == job.Flush {
		e.cancelAll(func(j *Job) bool {
			return len(t.alive(j.Unit)) > 0 || r.mode == job.Isolate && j.Unit.cfg.Unit.IgnoreOnIsolate
		})
	}
	for _, c := range t.jobs {
		if !c.dead {
			c.installed = e.installOne(t, c)
		}
	}
}

// installOne makes one candidate a job of its unit: a new one, or part of the one that is there.
func (e *Engine) installOne(t *transaction, c *candidate) *Job {
	u := c.u
	old := u.job
	if c.typ == job.Nop {
		old = u.nop
	}
	if old != nil && job.Conflict(old.Type, c.typ) {
		e.finish(old, job.Canceled, false)
		old = nil
	}
	if old != nil {
		e.mergeInto(old, c, t)
		return old
	}
	j := e.newJob(u, c.typ)
	j.Irreversible = t.req.mode == job.ReplaceIrreversibly
	j.IgnoreOrder = t.req.mode == job.IgnoreDependencies
	j.cause = t.req.cause
	j.pulledBy, j.pulledAs = t.req.pulledBy, t.req.pulledAs
	for _, w := range c.wanted {
		if w.by == nil || c == t.anchor {
			break
		}
		if w.by.dead && w.by != t.anchor {
			continue
		}
		j.cause = machine.Cause{Kind: machine.CauseDependency, Unit: w.by.u.Name()}
		j.pulledBy = ""
		if types := w.via.Types(); len(types) > 0 {
			j.cause.Directive = types[0].String() + "="
			j.pulledBy, j.pulledAs = w.by.u.Name(), types[0]
		}
		break
	}
	e.queueJob(j)
	return j
}

// mergeInto lets a queued job also do what c asks for. A job that runs goes on if what it does covers c; otherwise it is run
// again from the start as the merged type.
func (e *Engine) mergeInto(old *Job, c *candidate, t *transaction) {
	old.Irreversible = old.Irreversible || t.req.mode == job.ReplaceIrreversibly
	if t.req.mode == job.IgnoreDependencies && !old.IgnoreOrder {
		old.IgnoreOrder = true
		e.wake(old) // it holds nobody back any more
	}
	merged, _ := job.Merge(old.Type, c.typ)
	if old.State == job.Running && (job.LateMerge(c.typ) && job.Superset(old.Type, c.typ)) {
		e.changedJob(old)
		return
	}
	merged = job.Collapse(merged, c.u.ActiveState().IsInactiveOrDeactivating())
	if old.State == job.Waiting && merged == old.Type {
		e.changedJob(old)
		e.queueJob(old)
		return
	}
	e.changeType(old, merged)
}

// Planned is a job that a request would make.
type Planned struct {
	Unit  string
	Type  job.Type
	Cause machine.Cause
	// Replaces is the type of the queued job that it would end or join, "" if there is none.
	Replaces job.Type
	Required bool // the request can't do without it
}

// Plan is what a request would do.
type Plan struct {
	Jobs    []Planned // the requested one first
	Dropped []Dropped // what was asked for by dependencies and given up
	Err     *machine.Error
}

// Plan works out what a request would do, without doing it: the same code as for a real one, thrown away before
// anything is installed. It may load units.
func (e *Engine) Plan(name string, typ job.Type, mode job.Mode) Plan {
	u, err := e.find(name)
	if err != nil {
		return Plan{Err: err}
	}
	t, err := e.transact(request{u: u, typ: typ, mode: mode, cause: machine.Cause{Kind: machine.CauseClient}})
	p := Plan{Dropped: t.dropped, Err: err}
	if err != nil {
		return p
	}
	for _, c := range t.jobs {
		if c.dead {
			continue
		}
		k := Planned{Unit: c.u.Name(), Type: c.typ, Required: c.matters, Cause: e.plannedCause(t, c)}
		if c.u.job != nil {
			k.Replaces = c.u.job.Type
		}
		if c == t.anchor {
			p.Jobs = append([]Planned{k}, p.Jobs...)
		} else {
			p.Jobs = append(p.Jobs, k)
		}
	}
	return p
}

// plannedCause is the first reason for a candidate, with file and line.
func (e *Engine) plannedCause(t *transaction, c *candidate) machine.Cause {
	if c == t.anchor {
		return t.req.cause
	}
	for _, w := range c.wanted {
		if w.by == nil || w.by.dead && w.by != t.anchor {
			continue
		}
		cause := machine.Cause{Kind: machine.CauseDependency, Unit: w.by.u.Name()}
		if types := w.via.Types(); len(types) > 0 {
			cause.Directive = types[0].String() + "="
			if owner, directive, where, ok := e.Origin(w.by.u, types[0], c.u); ok {
				cause.Where = where
				if owner == w.by.u.Name() {
					cause.Directive = directive
				}
			}
		}
		return cause
	}
	return t.req.cause
}
