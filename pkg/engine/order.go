package engine

import (
	"strings"

	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit"
)

// orderNode is one half of a job as the search for cycles sees it: a stop or the first half of a restart (down), or any
// other job or the second half of a restart. Both halves of a restart count, so that it can't run into a circle half-way.
type orderNode struct {
	u           *Unit
	typ         job.Type
	down        bool
	c           *candidate // nil for an installed job
	ignoreOrder bool
}

// orderKey names a node.
type orderKey struct {
	u    *Unit
	down bool
}

func (n orderNode) key() orderKey { return orderKey{n.u, n.down} }

// step is one place of the search: how far the edges of a job have been followed.
type step struct {
	n    orderNode
	next int
}

// of gives the job that a unit will have when the transaction is installed, by its last half.
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
		return orderNode{u: u, typ: typ, down: typ == job.Stop, c: c, ignoreOrder: t.req.mode == job.IgnoreDependencies}, typ != job.Nop
	}
	if u.job != nil {
		typ := u.job.Type
		return orderNode{u: u, typ: typ, down: typ == job.Stop, ignoreOrder: u.job.IgnoreOrder}, true
	}
	return orderNode{}, false
}

// waitsFor gives the i-th job that n waits for; more is false behind the last one. The rules are those of holds.
func (t *transaction) waitsFor(n orderNode, i int) (m orderNode, ok, more bool) {
	if n.typ == job.Restart && !n.down {
		if i == 0 {
			m = n
			m.down = true
			return m, true, true
		}
		i--
	}
	after, before := n.u.deps.list(classAfter), n.u.deps.list(classBefore)
	switch {
	case i < len(after):
		if n.down {
			return m, false, true
		}
		m, ok = t.of(t.e.units[after[i].id])
		return m, ok && !m.ignoreOrder, true
	case i < len(after)+len(before):
		m, ok = t.of(t.e.units[before[i-len(after)].id])
		m.down = true
		return m, ok && !m.ignoreOrder && job.Stops(m.typ), true
	}
	return m, false, false
}

// breakCycles looks for jobs that would wait for each other, and gives up one of each cycle that the anchor can do without.
func (t *transaction) breakCycles() *machine.Error {
	for {
		cycle := t.findCycle(t.nodes())
		if cycle == nil || t.e.opt.SimulateFault == "cycle" {
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
			return refuse(errCyclic, "Transaction for %s/%s: the order is cyclic and nothing in the cycle can be left out: %s.",
				t.req.u.Name(), t.req.typ, text)
		}
		wanted := t.wanters(victim)
		t.drop(victim.u, "to break the ordering cycle "+text)
		t.logs = append(t.logs, machine.Log{Level: levelError, Unit: t.req.u.Name(), Kind: "unit-ordering-cycle", Text: "Found an ordering cycle: " + text},
			machine.Log{Level: levelError, Unit: victim.u.Name(), Kind: "job-deleted-cycle", Status: "skip",
				Text: "Gave up job " + victim.u.Name() + "/" + string(victim.typ) + " (wanted by " + wanted +
					") to break the ordering cycle",
				Console: "Ordering cycle found, skipping " + t.e.describe(victim.u)})
		t.sweep()
		if t.anchor.dead {
			return refuse(errCyclic, "Transaction for %s/%s: the order is cyclic: %s.", t.req.u.Name(), t.req.typ, text)
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

// nodes lists the candidates as places to search from.
func (t *transaction) nodes() []orderNode {
	out := make([]orderNode, 0, len(t.jobs))
	for _, c := range t.jobs {
		if n, ok := t.of(c.u); ok && !c.dead {
			out = append(out, n)
		}
	}
	return out
}

// breakInstalled makes jobs ignore the order where a changed configuration made installed jobs wait for each other.
func (e *Engine) breakInstalled() {
	t := &transaction{e: e}
	for {
		var nodes []orderNode
		for _, j := range e.Jobs() {
			if n, ok := t.of(j.Unit); ok && j.Type != job.Nop {
				nodes = append(nodes, n)
			}
		}
		cycle := t.findCycle(nodes)
		if cycle == nil {
			return
		}
		j := cycle[0].u.job
		j.IgnoreOrder = true
		e.changedJob(j)
		e.wake(j)
		e.emit(machine.Log{Level: levelError, Unit: j.Unit.Name(), Kind: "unit-ordering-cycle",
			Text: "Found an ordering cycle after a reload: " + t.cycleText(cycle) + "; job " + j.Unit.Name() + "/" + string(j.Type) + " ignores the order"})
	}
}

// findCycle searches depth first, with a stack of its own, from each of the nodes.
func (t *transaction) findCycle(nodes []orderNode) []orderNode {
	const (
		open uint8 = 1 + iota
		done
	)
	marks := make(map[orderKey]uint8, len(t.jobs))
	for _, n := range nodes {
		if n.ignoreOrder || marks[n.key()] != 0 {
			continue
		}
		stack := []step{{n: n}}
		marks[n.key()] = open
		for len(stack) > 0 {
			top := &stack[len(stack)-1]
			m, ok, more := t.waitsFor(top.n, top.next)
			top.next++
			switch {
			case !more:
				marks[top.n.key()] = done
				stack = stack[:len(stack)-1]
			case !ok || marks[m.key()] == done:
			case marks[m.key()] == open:
				return cycleOf(stack, m.key())
			default:
				marks[m.key()] = open
				stack = append(stack, step{n: m})
			}
		}
	}
	return nil
}

// cycleOf cuts the stack down to the circle that closes at k.
func cycleOf(stack []step, k orderKey) []orderNode {
	var out []orderNode
	for _, s := range stack {
		if s.n.key() == k || len(out) > 0 {
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
		if n.u == next.u {
			continue // the halves of a restart
		}
		if b.Len() > 0 {
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
