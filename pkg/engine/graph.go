package engine

import (
	"slices"

	"github.com/muster-init/muster/pkg/depend"
	"github.com/muster-init/muster/pkg/unit"
)

// uid is the dense number of a loaded unit: an index into Engine.units. Numbers of unloaded units are used again.
type uid uint32

// edge is what two units have to do with each other, as seen from one of them. Both masks are of types as this unit sees
// them: own is what its own configuration says, peer what the other unit's says. So each side can take its part back
// when its configuration changes.
type edge struct {
	id   uid
	own  depend.Mask
	peer depend.Mask
}

// types is the union of both sides' words.
func (x edge) types() depend.Mask { return x.own | x.peer }

// targetOrder marks, in the After and Before lists only, an order that DefaultDependencies= of a target made
// (depend.TargetAfter). It depends on both units, so it is kept apart from what each of them says.
const targetOrder depend.Mask = 1 << 31

// class numbers the edge lists of a unit. Types that are always asked for together share a list, so that looking for
// the few units that a slice conflicts with does not walk over the thousands that are in it.
type class uint8

const (
	classNeeds class = iota // Requires, Requisite, Wants, BindsTo, Upholds
	classNeededBy
	classConflicts
	classConflictedBy
	classAfter
	classBefore
	classOut // what else the unit's configuration names
	classIn
	classMax
)

var classMask = [classMax]depend.Mask{
	classNeeds: depend.Of(unit.DepRequires, unit.DepRequisite, unit.DepWants, unit.DepBindsTo, unit.DepUpholds),
	classNeededBy: depend.Of(unit.DepRequiredBy, unit.DepRequisiteOf, unit.DepWantedBy, unit.DepBoundBy, unit.DepUpheldBy,
		unit.DepConsistsOf),
	classConflicts:    depend.Of(unit.DepConflicts),
	classConflictedBy: depend.Of(unit.DepConflictedBy),
	classAfter:        depend.After | targetOrder,
	classBefore:       depend.Before | targetOrder,
	classOut: depend.Of(unit.DepPartOf, unit.DepOnSuccess, unit.DepOnFailure, unit.DepTriggers, unit.DepPropagatesReloadTo,
		unit.DepReloadPropagatedFrom, unit.DepPropagatesStopTo, unit.DepStopPropagatedFrom, unit.DepReferences, unit.DepInSlice,
		unit.DepJoinsNamespaceOf),
	classIn: depend.Of(unit.DepOnSuccessOf, unit.DepOnFailureOf, unit.DepTriggeredBy, unit.DepReferencedBy, unit.DepSliceOf),
}

var classOf = func() (of [unit.DepTypeMax]class) {
	for t := range unit.DepTypeMax {
		for c := range classMax {
			if classMask[c].Has(t) {
				of[t] = c
			}
		}
	}
	return of
}()

// link records that the configuration of a says "a t b".
func (e *Engine) link(a, b *Unit, t unit.DepType) {
	if a == b {
		return
	}
	inv := t.Inverse()
	a.deps.set(classOf[t], b.id, 1<<t, 0)
	if e.opt.SimulateFault == "edge" && t == unit.DepPartOf {
		return
	}
	b.deps.set(classOf[inv], a.id, 0, 1<<inv)
}

// linkTarget records the default order of a target behind other.
func (e *Engine) linkTarget(target, other *Unit) {
	target.deps.set(classAfter, other.id, targetOrder, 0)
	other.deps.set(classBefore, target.id, 0, targetOrder)
}

// inverseClass is the list in which the peer keeps an edge of list c.
func inverseClass(c class, m depend.Mask) []class {
	switch c {
	case classAfter:
		return []class{classBefore}
	case classBefore:
		return []class{classAfter}
	}
	var out []class
	for _, t := range m.Types() {
		if k := classOf[t.Inverse()]; !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	return out
}

// unlink takes back everything that the configuration of u says, and the default orders of targets that u has a part in.
// Peers that lost a reference are queued for collection.
func (e *Engine) unlink(u *Unit) {
	for c := range classMax {
		list := slices.Clone(u.deps.list(c))
		for _, x := range list {
			p := e.units[x.id]
			own, peer := x.own, depend.Mask(0)
			if c == classBefore {
				peer = x.peer & targetOrder
			}
			if own|peer == 0 {
				continue
			}
			u.deps.clear(c, x.id, own, peer)
			for _, k := range inverseClass(c, own|peer) {
				keep := classMask[k]
				p.deps.clear(k, u.id, inverse(peer, c)&keep, inverse(own, c)&keep)
			}
			e.queueCollect(p)
		}
	}
}

// inverse turns types of list c around, with the mark for targets kept.
func inverse(m depend.Mask, c class) depend.Mask {
	mark := depend.Mask(0)
	if c == classAfter || c == classBefore {
		mark = m & targetOrder
	}
	return (m &^ targetOrder).Inverse() | mark
}

// has reports whether u has one of the types in m towards p.
func (u *Unit) has(m depend.Mask, p *Unit) bool {
	for c := range classMax {
		if classMask[c]&m == 0 {
			continue
		}
		list := u.deps.list(c)
		if i, ok := find(list, p.id); ok && list[i].types()&m != 0 {
			return true
		}
	}
	return false
}

// after reports whether u is ordered after p, by any word or by default.
func (u *Unit) after(p *Unit) bool {
	_, ok := find(u.deps.list(classAfter), p.id)
	return ok
}

// peers calls f for every unit that u has one of the types in m towards, in order of unit number within each list, until f
// returns false. f must not change edges.
func (e *Engine) peers(u *Unit, m depend.Mask, f func(p *Unit, types depend.Mask) bool) {
	for c := range classMax {
		if classMask[c]&m == 0 {
			continue
		}
		for _, x := range u.deps.list(c) {
			if t := x.types() & m; t != 0 && !f(e.units[x.id], t) {
				return
			}
		}
	}
}

// anyPeer reports whether f holds for one of the peers.
func (e *Engine) anyPeer(u *Unit, m depend.Mask, f func(p *Unit) bool) bool {
	found := false
	e.peers(u, m, func(p *Unit, _ depend.Mask) bool {
		found = f(p)
		return !found
	})
	return found
}
