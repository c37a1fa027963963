package engine

import (
	"slices"
	"strings"

	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
)

// alive lists the candidates of a unit that are still in the transaction.
func (t *transaction) alive(u *Unit) []*candidate {
	var out []*candidate
	for _, c := range t.byUnit[u] {
		if !c.dead {
			out = append(out, c)
		}
	}
	return out
}

// markMatters marks what the anchor can't do without, following requirements only, and clears what only refused jobs asked for.
func (t *transaction) markMatters() *machine.Error {
	for _, c := range t.jobs {
		c.matters = false
	}
	work := []*candidate{t.anchor}
	t.anchor.matters = true
	for len(work) > 0 {
		c := work[len(work)-1]
		work = work[:len(work)-1]
		for _, a := range c.asked {
			if a.dead || a.matters || !a.mattersTo(c) {
				continue
			}
			a.matters = true
			work = append(work, a)
		}
	}
	t.sweep()
	return nil
}

// mattersTo reports whether by can't do without c.
func (c *candidate) mattersTo(by *candidate) bool {
	for _, w := range c.wanted {
		if w.by == by {
			return w.matters
		}
	}
	return false
}

// giveUp takes a candidate that the anchor can do without out, and with it those that can't do without it.
func (t *transaction) giveUp(c *candidate, reason string) {
	work := []*candidate{c}
	for len(work) > 0 {
		c, work = work[0], work[1:]
		if c.dead {
			continue
		}
		c.dead = true
		t.note(c.u, c.typ, reason)
		for _, w := range c.wanted {
			if w.by != nil && w.matters && !w.by.matters && t.e.opt.SimulateFault != "requirers" {
				work = append(work, w.by)
			}
		}
		reason = "it needs " + c.u.Name() + "/" + string(c.typ) + ", which was given up"
	}
}

// drop takes the candidates of a unit out.
func (t *transaction) drop(u *Unit, reason string) {
	for _, c := range t.byUnit[u] {
		t.giveUp(c, reason)
	}
}

// sweep drops candidates that nobody asks for any more, in the order of building, until none is left.
func (t *transaction) sweep() {
	work := slices.Clone(t.jobs)
	for len(work) > 0 {
		c := work[0]
		work = work[1:]
		if c.dead || c == t.anchor || t.wantedStill(c) {
			continue
		}
		c.dead = true
		for _, a := range c.asked {
			if !a.dead {
				work = append(work, a)
			}
		}
	}
}

func (t *transaction) wantedStill(c *candidate) bool {
	for _, w := range c.wanted {
		if w.by == nil || !w.by.dead {
			return true
		}
	}
	return false
}

// minimize, for mode fail, drops what the anchor can do without and what would stop a unit that is up or turn a queued job around.
func (t *transaction) minimize() *machine.Error {
	if t.req.mode != job.Fail {
		return nil
	}
	for _, c := range t.jobs {
		if c.dead || c.matters {
			continue
		}
		stopsUnit := c.typ == job.Stop && c.u.ActiveState().IsActiveOrActivating()
		turnsJob := c.u.job != nil && job.Conflict(c.typ, c.u.job.Type)
		if stopsUnit || turnsJob {
			t.giveUp(c, "it would change what runs or is queued")
		}
	}
	t.sweep()
	return nil
}

// dropRedundant drops the units that are already in the state that all their candidates ask for, and have no queued job that
// would take them out of it.
func (t *transaction) dropRedundant() *machine.Error {
	for _, c := range t.jobs {
		if c.dead {
			continue
		}
		all := t.alive(c.u)
		if all[0] != c {
			continue
		}
		drop := true
		for _, k := range all {
			drop = drop && k != t.anchor && redundant(k)
		}
		if drop {
			for _, k := range all {
				k.dead = true
			}
		}
	}
	if t.req.mode != job.Isolate {
		t.sweep()
	}
	return nil
}

// merge makes one candidate of all of a unit. Where two contradict, one that the anchor can do without is given up.
func (t *transaction) merge() *machine.Error {
	for i := 0; i < len(t.jobs); i++ {
		if t.jobs[i].dead {
			continue
		}
		u := t.jobs[i].u
		all := t.alive(u)
		if all[0] != t.jobs[i] || len(all) == 1 {
			continue
		}
		a, b := conflict(all)
		if a == nil {
			t.unite(all)
			continue
		}
		victim := choose(a, b)
		if victim == nil {
			return refuse(errConflicting, "Transaction for %s/%s has conflicting jobs: %s/%s (wanted by %s) against %s/%s (wanted by %s).",
				t.req.u.Name(), t.req.typ, u.Name(), a.typ, t.wanters(a), u.Name(), b.typ, t.wanters(b))
		}
		wanted := t.wanters(victim)
		t.giveUp(victim, "it contradicts another job of the transaction")
		t.logs = append(t.logs, machine.Log{Level: levelNotice, Unit: u.Name(), Text: "Gave up the " + string(victim.typ) + " job of " +
			u.Name() + " (wanted by " + wanted + "): another job of the transaction contradicts it"})
		t.sweep()
		i-- // look at this unit again
	}
	return nil
}

// conflict finds two candidates that no one job can satisfy.
func conflict(all []*candidate) (a, b *candidate) {
	for i, a := range all {
		for _, b := range all[i+1:] {
			if job.Conflict(a.typ, b.typ) {
				return a, b
			}
		}
	}
	return nil, nil
}

// choose says which of two contradicting candidates to give up; nil if the anchor needs both. If it needs neither, starting
// is worth more than stopping, unless the stop is due to Conflicts=.
func choose(a, b *candidate) *candidate {
	switch {
	case a.matters && b.matters:
		return nil
	case a.matters:
		return b
	case b.matters:
		return a
	}
	if b.typ == job.Stop {
		a, b = b, a
	}
	if a.typ == job.Stop && a.conflicted() {
		return b
	}
	return a
}

func (c *candidate) conflicted() bool {
	for _, w := range c.wanted {
		if w.conflicts && (w.by == nil || !w.by.dead) {
			return true
		}
	}
	return false
}

// unite merges the candidates of a unit into the first.
func (t *transaction) unite(all []*candidate) {
	c := all[0]
	for _, k := range all[1:] {
		c.typ, _ = job.Merge(c.typ, k.typ)
		c.matters = c.matters || k.matters
		for _, w := range k.wanted {
			if w.by != c {
				t.join(c, w)
			}
		}
		c.asked = append(c.asked, k.asked...)
		for _, a := range k.asked {
			for i := range a.wanted {
				if a.wanted[i].by == k {
					a.wanted[i].by = c
				}
			}
		}
		if k == t.anchor {
			t.anchor = c
		}
		k.dead = true
	}
	// A merged reload-or-start is one or the other for a unit that is not on its way.
	c.typ = job.Collapse(c.typ, c.u.ActiveState().IsInactiveOrDeactivating())
}

// wanters names who asked for a candidate, for messages.
func (t *transaction) wanters(c *candidate) string {
	var names []string
	for _, w := range c.wanted {
		switch {
		case w.by == nil:
			names = append(names, "the request")
		case !w.by.dead || w.by == t.anchor:
			names = append(names, t.reasonText(w, c))
		}
		if len(names) == 4 {
			names = append(names, "…")
			break
		}
	}
	return strings.Join(names, ", ")
}

// reasonText is one reason with directive and place.
func (t *transaction) reasonText(w want, c *candidate) string {
	types := w.via.Types()
	if len(types) == 0 {
		return w.by.u.Name()
	}
	if owner, directive, where, ok := t.e.Origin(w.by.u, types[0], c.u); ok {
		return owner + " by " + directive + " (" + where + ")"
	}
	return w.by.u.Name() + " by " + types[0].String() + "="
}

// destructive refuses a transaction that would replace a job it must not replace.
func (t *transaction) destructive() *machine.Error {
	for _, c := range t.jobs {
		if c.dead {
			continue
		}
		old := c.u.job
		if old != nil && job.Conflict(old.Type, c.typ) && (old.Irreversible || t.req.mode == job.Fail || t.req.mode == job.LenientMode) {
			return refuse(errDestructive, "Transaction for %s/%s is destructive: job %s/%s is queued, %s/%s would replace it.",
				t.req.u.Name(), t.req.typ, c.u.Name(), old.Type, c.u.Name(), c.typ)
		}
		if t.req.mode == job.LenientMode && c != t.anchor && job.Stops(c.typ) && c.u.ActiveState().IsActiveOrActivating() {
			return refuse(errDestructive, "Transaction for %s/%s is destructive: it would stop %s, which is active.",
				t.req.u.Name(), t.req.typ, c.u.Name())
		}
	}
	return nil
}
