package engine

import (
	"fmt"
	"slices"

	"github.com/muster-init/muster/pkg/depend"
)

// Check looks for contradictions in the engine's own indexes. It is for tests; an engine that works has none.
func (e *Engine) Check() []string {
	var bad []string
	say := func(format string, args ...any) { bad = append(bad, fmt.Sprintf(format, args...)) }
	for id, u := range e.units {
		if u == nil {
			continue
		}
		if int(u.id) != id || u.flags&removed != 0 {
			say("unit %s has number %d at place %d", u.Name(), u.id, id)
		}
		if e.names[u.Name()] != u {
			say("the name %s does not lead to its unit", u.Name())
		}
		e.checkEdges(u, say)
		for _, j := range []*Job{u.job, u.nop} {
			if j != nil && e.jobs[j.ID] != j {
				say("job %d of %s is not in the index", j.ID, u.Name())
			}
		}
		for _, pid := range u.get().PIDs {
			if e.pids[pid] != u {
				say("process %d of %s is in the index as another's", pid, u.Name())
			}
		}
	}
	// order-free: faults are for people
	for n, u := range e.names {
		if u.flags&removed != 0 {
			say("the name %s leads to an unloaded unit", n)
		}
	}
	// order-free: faults are for people
	for _, j := range e.jobs {
		if j.Unit.flags&removed != 0 || j.Unit.job != j && j.Unit.nop != j {
			say("job %d is not the job of %s", j.ID, j.Unit.Name())
		}
	}
	for i, t := range e.timers.heap {
		if t.slot != i+1 {
			say("deadline at %d does not know its place", t.at)
		}
		if i > 0 && e.timers.less(i, (i-1)/2) {
			say("deadlines are out of order")
		}
	}
	if len(e.notices)+len(e.requests)+len(e.upheld)+len(e.bound)+len(e.unneeded)+len(e.touched)+len(e.loading) > 0 {
		say("a queue is not empty after a step")
	}
	slices.Sort(bad)
	return bad
}

// checkEdges requires that each edge stands on both units with inverse types, and that lists are sorted.
func (e *Engine) checkEdges(u *Unit, say func(string, ...any)) {
	for c := range classMax {
		list := u.deps.list(c)
		for i, x := range list {
			if i > 0 && list[i-1].id >= x.id {
				say("edges of %s are not sorted", u.Name())
			}
			if int(x.id) >= len(e.units) || e.units[x.id] == nil {
				say("%s has an edge to a unit that is gone", u.Name())
				continue
			}
			p := e.units[x.id]
			if x.types()&^classMask[c] != 0 || x.types() == 0 {
				say("%s has types %v towards %s in list %d", u.Name(), x.types(), p.Name(), c)
			}
			own, peer := e.mirror(p, u, c)
			if own != x.peer || peer != x.own {
				say("%s and %s do not agree on their edge: list %d, %x/%x against %x/%x", u.Name(), p.Name(), c, x.own, x.peer, peer, own)
			}
		}
	}
}

// mirror gives what p has towards u in the types that are inverse to list c, turned around.
func (e *Engine) mirror(p, u *Unit, c class) (own, peer depend.Mask) {
	for k := range classMax {
		list := p.deps.list(k)
		i, ok := find(list, u.id)
		if !ok {
			continue
		}
		x := list[i]
		own |= inverse(x.own, k) & classMask[c] &^ notMark(k)
		peer |= inverse(x.peer, k) & classMask[c] &^ notMark(k)
	}
	return own, peer
}

// notMark is the mark of target orders for the lists that do not have it.
func notMark(k class) depend.Mask {
	if k == classAfter || k == classBefore {
		return 0
	}
	return targetOrder
}
