package engine

import (
	"cmp"
	"slices"
	"strings"

	"github.com/muster-init/muster/pkg/depend"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit"
)

// slicesOf calls each with the slices that a unit lies in, the innermost first, until it returns false.
func (e *Engine) slicesOf(u *Unit, each func(slice *Unit) bool) {
	for range unit.NameMax { // a level takes two characters of a name at least
		slice := e.names[e.Slice(u)]
		if slice == nil || slice == u || !each(slice) {
			return
		}
		u = slice
	}
}

// inside calls each with the units in a slice and in the slices below.
func (e *Engine) inside(slice *Unit, each func(u *Unit)) {
	e.peers(slice, depend.Of(unit.DepSliceOf), func(p *Unit, _ depend.Mask) bool {
		if p == slice || e.names[e.Slice(p)] != slice {
			return true // what only says that it was there before a reload
		}
		each(p)
		if p.cfg.Type == unit.TypeSlice {
			e.inside(p, each)
		}
		return true
	})
}

// limited reports whether a slice bounds how many units are in it.
func limited(s *unit.Slice) bool {
	return s.ConcurrencyHardMax != unlimited || s.ConcurrencySoftMax != unlimited || s.ActivatingConcurrencyMax != unlimited
}

const unlimited = ^uint32(0)

// admit applies the limits of the slices that a unit would become active in (systemd.slice(5), ConcurrencyHardMax=). Everything below a slice counts, slices
// too. Where a job has to wait, [Engine.leave] queues it again.
func (e *Engine) admit(u *Unit) (v verdict, ok bool) {
	ok = true
	e.slicesOf(u, func(slice *Unit) bool {
		s := slice.cfg.GetSlice()
		if !limited(s) {
			return true
		}
		active, activating := uint32(0), uint32(0)
		e.inside(slice, func(p *Unit) {
			if p == u || p.ActiveState().IsInactiveOrFailed() {
				return
			}
			active++
			if p.ActiveState() == machine.Activating {
				activating++
			}
		})
		switch {
		case active >= s.ConcurrencyHardMax:
			(&host{e: e, u: u}).Log(levelWarning, "", "Not started: the hard concurrency limit of "+slice.Name()+" is reached.")
			v, ok = verdict{result: job.Concurrency}, false
		case active >= s.ConcurrencySoftMax || activating >= s.ActivatingConcurrencyMax:
			v, ok = verdict{waiting: true}, false
			return true // a hard limit further up weighs more
		}
		return v.result == ""
	})
	return v, ok
}

// leave queues the jobs that wait for a place in one of the slices of u, which became inactive or has started: first those of the units with the greatest
// CPU weight, then with the least nice level, then by name.
func (e *Engine) leave(u *Unit) {
	var waiting []*Job
	e.slicesOf(u, func(slice *Unit) bool {
		if s := slice.cfg.GetSlice(); limited(s) {
			e.inside(slice, func(p *Unit) {
				if j := p.job; j != nil && j.Type == job.Start && j.State == job.Waiting && !slices.Contains(waiting, j) {
					waiting = append(waiting, j)
				}
			})
		}
		return true
	})
	slices.SortFunc(waiting, func(a, b *Job) int {
		return cmp.Or(cmp.Compare(cpuWeight(b.Unit), cpuWeight(a.Unit)), cmp.Compare(niceLevel(a.Unit), niceLevel(b.Unit)),
			strings.Compare(a.Unit.Name(), b.Unit.Name()))
	})
	for _, j := range waiting {
		e.queueJob(j)
	}
}

func cpuWeight(u *Unit) uint64 {
	const usual = 100
	if w := u.cfg.GetCgroup().CPUWeight; w != unit.Infinity {
		return w
	}
	return usual
}

func niceLevel(u *Unit) int32 {
	if !u.cfg.Type.HasExec() {
		return 0
	}
	return u.cfg.GetExec().Nice.Or(0)
}
