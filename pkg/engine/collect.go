package engine

import (
	"slices"

	"github.com/muster-init/muster/pkg/depend"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/unit"
)

// collectMark is what the search for garbage found out about a unit.
type collectMark uint8

const (
	markOpen collectMark = 1 + iota // on the search path
	markKeep
	markGarbage
)

// queueCollect puts a unit up for unloading, if nothing speaks against it by then.
func (e *Engine) queueCollect(u *Unit) {
	if u.flags&perpetual == 0 {
		push(&e.collect, u, inCollect)
	}
}

// pinned reports whether a unit stays loaded for its own sake.
func (e *Engine) pinned(u *Unit) bool {
	if u.flags&perpetual != 0 || u.job != nil || u.nop != nil || len(u.get().Clients) > 0 && e.opt.SimulateFault != "collect" {
		return true
	}
	st := u.ActiveState()
	switch {
	case !st.IsInactiveOrFailed() || st == machine.Maintenance:
		return true
	case st == machine.Failed && u.cfg.Unit.CollectMode != "inactive-or-failed":
		return true
	}
	if u.get().Spawned || u.get().Populated {
		return true
	}
	if u.machine != nil && (u.machine.Held() || len(u.get().queries) > 0) {
		return true
	}
	// What its end has started can ask about it as long as that is up (as on 257).
	return e.anyPeer(u, depend.OnSuccess|depend.OnFailure, func(p *Unit) bool { return p.get().Monitor == u.Name() })
}

// collectUnits unloads the queued units that nothing pins and no pinned unit refers to, directly or through others. A
// unit refers to all that its configuration names.
func (e *Engine) collectUnits() {
	if len(e.collect) == 0 {
		return
	}
	e.marks = map[uid]collectMark{}
	for len(e.collect) > 0 {
		u := pop(&e.collect, inCollect)
		if u.flags&removed != 0 {
			continue
		}
		e.releaseDead(u)
		e.lookBefore(u)
		if e.reachable(u) {
			continue
		}
		e.unload(u)
	}
	e.marks = nil
}

// lookBefore asks whether the unit has left something running (KillMode=none, a process that can't be killed) before it is unloaded: it stays loaded as
// long as that is there, as on systemd, or nobody could see what it is, and the next start would know nothing of it.
func (e *Engine) lookBefore(u *Unit) {
	s := u.get()
	if s.Spawned && s.looking == 0 && u.job == nil && u.ActiveState().IsInactiveOrFailed() {
		s.looking = e.ask(query{look: u, asked: machine.CheckCgroup{}})
		e.emit(machine.CheckCgroup{Token: s.looking, Unit: u.Name()})
	}
}

// looked takes the answer to that.
func (e *Engine) looked(u *Unit, a machine.CgroupChecked) {
	if u.flags&removed != 0 {
		return
	}
	s := u.st()
	s.looking = 0
	if u.job != nil || !u.ActiveState().IsInactiveOrFailed() {
		return // it is in use again
	}
	s.Spawned, s.Populated = false, a.Populated
	e.markUnit(u)
	e.queueCollect(u)
}

// visit is one place of the search: which list of referrers is being looked at.
type visit struct {
	u *Unit
	c class
	i int
}

// reachable searches backwards from u for a unit that is pinned, with a stack of its own.
func (e *Engine) reachable(u *Unit) bool {
	stack := []visit{{u: u}}
	if e.marks[u.id] == 0 {
		if e.pinned(u) {
			e.marks[u.id] = markKeep
			return true
		}
		e.marks[u.id] = markOpen
	}
	if m := e.marks[u.id]; m != markOpen {
		return m == markKeep
	}
	var seen []*Unit
	seen = append(seen, u)
	for len(stack) > 0 {
		top := &stack[len(stack)-1]
		x, ok := top.next()
		if !ok {
			stack = stack[:len(stack)-1]
			continue
		}
		if x.peer&^targetOrder == 0 {
			continue
		}
		p := e.units[x.id]
		m := e.marks[p.id]
		if m == 0 && e.pinned(p) {
			m = markKeep
		}
		switch m {
		case markKeep:
			// All units on the path to p are reachable; of the others nothing is known yet.
			for _, s := range seen {
				delete(e.marks, s.id)
			}
			for _, v := range stack {
				e.marks[v.u.id] = markKeep
			}
			e.marks[p.id] = markKeep
			return true
		case 0:
			e.marks[p.id] = markOpen
			seen = append(seen, p)
			stack = append(stack, visit{u: p})
		}
	}
	// Nothing that refers to these units is kept: they go together.
	for _, s := range seen {
		e.marks[s.id] = markGarbage
		push(&e.collect, s, inCollect)
	}
	return false
}

// next gives the next edge of the unit.
func (v *visit) next() (edge, bool) {
	for v.c < classMax {
		if list := v.u.deps.list(v.c); v.i < len(list) {
			v.i++
			return list[v.i-1], true
		}
		v.c++
		v.i = 0
	}
	return edge{}, false
}

// unload removes a unit. What it referred to may go next.
func (e *Engine) unload(u *Unit) {
	delete(e.marks, u.id)
	e.releaseHeld(u)
	e.disconnect(u)
	// Others in the same circle of garbage may still name it.
	for c := range classMax {
		for _, x := range slices.Backward(u.deps.list(c)) {
			p := e.units[x.id]
			for _, k := range inverseClass(c, x.types()&^targetOrder|markTypes(c, x)) {
				p.deps.clear(k, u.id, ^depend.Mask(0), ^depend.Mask(0))
			}
		}
	}
	u.deps = edges{}
	if u.ActiveState() == machine.Failed {
		e.failedUnits--
	}
	for _, n := range append([]string{u.cfg.Name}, u.cfg.Names...) {
		if e.names[n] == u {
			delete(e.names, n)
		}
	}
	e.dropAliases(u)
	e.forget(u)
}

// markTypes makes a default order of a target visible as the type that it is.
func markTypes(c class, x edge) depend.Mask {
	if x.types()&targetOrder == 0 {
		return 0
	}
	if c == classAfter {
		return depend.Of(unit.DepAfter)
	}
	return depend.Of(unit.DepBefore)
}

// dropAliases removes names that were found to lead to u after it was loaded.
func (e *Engine) dropAliases(u *Unit) {
	for _, n := range e.aliases[u] {
		if e.names[n] == u {
			delete(e.names, n)
		}
	}
	delete(e.aliases, u)
}

// releaseDead lets a unit that is down and has no job give back what it only held for a next start that doesn't come.
func (e *Engine) releaseDead(u *Unit) {
	if u.machine == nil || u.job != nil || !u.ActiveState().IsInactiveOrFailed() {
		return
	}
	if _, ok := u.machine.(machine.Releaser); ok {
		e.with(u).(machine.Releaser).Release(&host{e: e, u: u})
	}
}

// releaseHeld gives back what a unit that goes away still holds outside.
func (e *Engine) releaseHeld(u *Unit) {
	if r, ok := u.machine.(machine.Releaser); ok {
		r.Release(&host{e: e, u: u})
	}
	s := u.get()
	if i := slices.Index(e.deferring, u); i >= 0 {
		e.deferring = slices.Delete(e.deferring, i, i+1)
	}
	for _, h := range s.Handles {
		delete(e.handles, h)
		e.emit(machine.CloseHandle{Handle: h})
	}
	for _, n := range s.BusNames {
		if rest := without(e.busNames[n], u); len(rest) > 0 {
			e.busNames[n] = rest
		} else {
			delete(e.busNames, n)
			e.emit(machine.UnwatchName{Name: n})
		}
	}
	for _, t := range s.queries {
		delete(e.queries, t)
		e.emit(machine.CancelQuery{Token: t})
	}
}
