package engine

import (
	"slices"

	"github.com/muster-init/muster/pkg/depend"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/unit"
)

// Config gives the configuration of a loaded unit, nil if it is not loaded.
func (e *Engine) Config(name string) *unit.Unit {
	if u := e.names[name]; u != nil {
		return u.cfg
	}
	return nil
}

// InvocationID gives the invocation ID of a loaded unit, "" if there is none.
func (e *Engine) InvocationID(name string) string {
	if u := e.names[name]; u != nil {
		return u.Invocation()
	}
	return ""
}

// JobCount is the number of installed jobs.
func (e *Engine) JobCount() int { return len(e.jobs) }

// Describe is a unit in messages for people, by Options.StatusUnitFormat.
func (e *Engine) Describe(u *Unit) string { return e.describe(u) }

// Slice is the slice that the unit's cgroup lies in, "" if it has none.
func (e *Engine) Slice(u *Unit) string { return depend.Slice(u.cfg, &e.opt.Depend) }

// CanStart, CanStop, CanIsolate and CanClean say what can be asked of a unit; CanReload is in transaction.go.
func (e *Engine) CanStart(u *Unit) bool {
	return u.cfg.LoadState == unit.StateLoaded && e.kindOf(u).CanStart && !u.cfg.Unit.RefuseManualStart
}

// CanStop reports whether stop jobs make sense.
func (e *Engine) CanStop(u *Unit) bool {
	return e.kindOf(u).CanStop && u.flags&perpetual == 0 && !u.cfg.Unit.RefuseManualStop
}

// CanIsolate reports whether the unit may be started with mode isolate.
func (e *Engine) CanIsolate(u *Unit) bool { return e.CanStart(u) && u.cfg.Unit.AllowIsolate }

// CanFreeze reports whether Freeze is possible: the manager doesn't freeze itself, and a slice only with all that is in it.
func (e *Engine) CanFreeze(u *Unit) bool {
	switch u.cfg.Type {
	case unit.TypeService:
		return true
	case unit.TypeScope:
		return u.flags&perpetual == 0
	case unit.TypeSlice:
		return !e.anyPeer(u, depend.Of(unit.DepSliceOf), func(p *Unit) bool { return !e.CanFreeze(p) })
	}
	return false
}

// CanClean lists what Clean can remove for the unit.
func (e *Engine) CanClean(u *Unit) []string {
	if c, ok := e.reader(u).(machine.Cleaner); ok {
		return c.CanClean(u.cfg)
	}
	return nil
}

// MountPaths lists the paths that the unit needs to be mounted, written down or implied: as Requires= (required) or as Wants=.
func (e *Engine) MountPaths(u *Unit, required bool) []string {
	var out []string
	for _, p := range depend.Paths(nil, u.cfg, &e.opt.Depend) {
		if p.Required == required && !slices.Contains(out, p.Path) {
			out = append(out, p.Path)
		}
	}
	return out
}

// JobsBefore lists the jobs that j waits for because of the order of units, JobsAfter those that wait for it, both by id.
func (e *Engine) JobsBefore(j *Job) []*Job {
	return e.related(j, func(other *Job, after bool) bool { return holds(j, other, after) })
}

// JobsAfter is the other side of JobsBefore.
func (e *Engine) JobsAfter(j *Job) []*Job {
	return e.related(j, func(other *Job, after bool) bool { return holds(other, j, !after) })
}

func (e *Engine) related(j *Job, hold func(other *Job, after bool) bool) []*Job {
	var out []*Job
	for _, c := range []class{classAfter, classBefore} {
		for _, x := range j.Unit.deps.list(c) {
			if o := e.units[x.id].job; o != nil && hold(o, c == classAfter) {
				out = append(out, o)
			}
		}
	}
	slices.SortFunc(out, func(a, b *Job) int { return int(a.ID) - int(b.ID) })
	return slices.Compact(out)
}

// CanTransient reports whether units of a type can be made over the bus.
func (e *Engine) CanTransient(t unit.Type) bool { return e.types[t].Descriptor.CanTransient }
