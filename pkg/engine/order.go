package engine

import (
	"strings"

	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit"
)

// orderNode is a job as the search for cycles sees it: a candidate, or a job that is installed already.
type orderNode struct {
	u           *Unit
	typ         job.Type
	c           *candidate // nil for an installed job
	ignoreOrder bool
}

// step is one place of the search: how far the edges of a job have been followed.
type step struct {
	n    orderNode
	next int
}

// of gives the job that a unit will have when the transaction is installed.
func (t *transaction) of(u *Unit) (orderNode, bool) {
	for _, c := range t.byUnit[u] {
		if c.dead {
			continue
		}
		typ := c.typ
		if u.job != nil {
			if m, ok := job.Merge(u.job.Type, typ); ok {
				typ = m
			}
		}
		return orderNode{u: u, typ: typ, c: c, ignoreOrder: t.req.mode == job.IgnoreDependencies}, typ != job.Nop
	}
	if u.job != nil {
		return orderNode{u: u, typ: u.job.Type, ignoreOrder: u.job.IgnoreOrder}, true
	}
	return orderNode{}, false
}

// waitsFor gives the i-th job that n waits for; more is false behind the last one.
func (t *transaction) waitsFor(n orderNode, i int) (m orderNode, ok, more bool) {
	after, before := n.u.deps[classAfter], n.u.deps[classBefore]
	var other *Unit
	isAfter := i < len(after)
	switch {
	case isAfter:
		if job.Stops(n.typ) {
			return m, false, true
		}
		other = t.e.units[after[i].id]
	case i < len(after)+len(before):
		other = t.e.units[before[i-len(after)].id]
	default:
		return m, false, false
	}
	if m, ok = t.of(other); !ok || m.ignoreOrder {
		return m, false, true
	}
	return m, isAfter || job.Stops(m.typ), true
}

// breakCycles looks for jobs that would wait for each other, and gives up one of each cycle that the anchor can do without.
func (t *transaction) breakCycles() *machine.Error {
	for {
		cycle := t.findCycle()
		if cycle == nil {
			return nil
		}
		var victim *candidate
		for _, n := range cycle {
			if n.c == nil || n.c.matters {
				continue
			}
			if victim == nil || t.dependents(n.c) < t.dependents(victim) {
				victim = n.c
			}
		}
		text := t.cycleText(cycle)
		if victim == nil {
			return refuse(errCyclic, "Transaction for %s/%s can't be ordered, nothing in the cycle can be left out: %s.",
				t.req.u.Name(), t.req.typ, text)
		}
		wanted := t.wanters(victim)
		t.drop(victim.u, "to break the ordering cycle "+text)
		t.e.emit(machine.Log{Level: levelError, Unit: t.req.u.Name(), Kind: "unit-ordering-cycle", Text: "Ordering cycle: " + text})
		t.e.emit(machine.Log{Level: levelError, Unit: victim.u.Name(), Kind: "job-deleted-cycle", Status: "skip",
			Text:    "Gave up job " + victim.u.Name() + "/" + string(victim.typ) + " (wanted by " + wanted + ") to break the ordering cycle",
			Console: "Ordering cycle found, skipping " + t.e.describe(victim.u)})
		t.sweep()
		if t.anchor.dead {
			return refuse(errCyclic, "Transaction for %s/%s can't be ordered: %s.", t.req.u.Name(), t.req.typ, text)
		}
	}
}

// dependents counts the live candidates that can't do without c.
func (t *transaction) dependents(c *candidate) int {
	n := 0
	for _, w := range c.wanted {
		if w.matters && w.by != nil && !w.by.dead {
			n++
		}
	}
	return n
}

// findCycle searches depth first, with a stack of its own, from each candidate.
func (t *transaction) findCycle() []orderNode {
	const (
		open uint8 = 1 + iota
		done
	)
	marks := make(map[*Unit]uint8, len(t.jobs))
	for _, c := range t.jobs {
		n, ok := t.of(c.u)
		if c.dead || !ok || n.ignoreOrder || marks[c.u] != 0 {
			continue
		}
		stack := []step{{n: n}}
		marks[c.u] = open
		for len(stack) > 0 {
			top := &stack[len(stack)-1]
			m, ok, more := t.waitsFor(top.n, top.next)
			top.next++
			switch {
			case !more:
				marks[top.n.u] = done
				stack = stack[:len(stack)-1]
			case !ok || marks[m.u] == done:
			case marks[m.u] == open:
				return cycleOf(stack, m.u)
			default:
				marks[m.u] = open
				stack = append(stack, step{n: m})
			}
		}
	}
	return nil
}

// cycleOf cuts the stack down to the circle that closes at u.
func cycleOf(stack []step, u *Unit) []orderNode {
	var out []orderNode
	for _, s := range stack {
		if s.n.u == u || len(out) > 0 {
			out = append(out, s.n)
		}
	}
	return out
}

// cycleText names each job of a cycle and the setting that makes it wait for the next.
func (t *transaction) cycleText(cycle []orderNode) string {
	var b strings.Builder
	for i, n := range cycle {
		next := cycle[(i+1)%len(cycle)]
		if i == 8 {
			b.WriteString("…")
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(n.u.Name() + "/" + string(n.typ) + " waits for " + next.u.Name() + "/" + string(next.typ))
		typ := unit.DepAfter
		if !n.u.after(next.u) {
			typ = unit.DepBefore
		}
		if owner, directive, where, ok := t.e.Origin(n.u, typ, next.u); ok {
			b.WriteString(" (" + directive + " of " + owner + ", " + where + ")")
		}
	}
	return b.String()
}
