package engine

import (
	"fmt"

	"github.com/muster-init/muster/pkg/depend"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit"
)

// request asks for one job.
type request struct {
	u        *Unit
	typ      job.Type
	mode     job.Mode
	cause    machine.Cause
	pulledBy string
	pulledAs unit.DepType
}

// transaction is the set of jobs that one request amounts to, while it is worked out. Its passes are, in order: build the
// closure over the dependencies; mark what the request can't do without; drop what has nothing to do; make one job of
// all for a unit, giving up what contradicts and does not matter; break ordering cycles the same way; check that no queued
// job is run over that must not be; install. Nothing is changed before the last pass, so a transaction that fails, or is only
// planned, leaves no trace.
type transaction struct {
	e       *Engine
	req     request
	jobs    []*candidate
	byUnit  map[*Unit][]*candidate
	anchor  *candidate
	work    []pull
	dropped []Dropped
	err     *machine.Error
	logs    []machine.Log // said when the transaction is installed
}

// candidate is a job that may be installed.
type candidate struct {
	u         *Unit
	typ       job.Type
	wanted    []want // who asked for it
	asked     []*candidate
	matters   bool // the anchor can't do without it
	dead      bool
	err       *machine.Error // why it is dead, if an error killed it
	deferred  bool           // its own dependencies have not been followed
	installed *Job
}

// want is one reason for a candidate: by is nil for the request itself.
type want struct {
	by        *candidate
	via       depend.Mask
	matters   bool
	conflicts bool // it is a stop because of Conflicts=
}

// pull is a candidate to be made.
type pull struct {
	u   *Unit
	typ job.Type
	want
}

// Dropped is a job that a transaction gave up, and why.
type Dropped struct {
	Unit   string
	Type   job.Type
	Reason string
}

// ignoresRequirements reports whether the mode leaves dependencies alone.
func ignoresRequirements(m job.Mode) bool {
	return m == job.IgnoreDependencies || m == job.IgnoreRequirements
}

// transact works out the jobs for a request. It changes nothing but loading units.
func (e *Engine) transact(r request) (*transaction, *machine.Error) {
	t := &transaction{e: e, req: r, byUnit: map[*Unit][]*candidate{}}
	if err := checkMode(r); err != nil {
		return t, err
	}
	r.typ = job.Collapse(r.typ, r.u.ActiveState().IsInactiveOrDeactivating())
	t.req = r
	t.work = append(t.work, pull{u: r.u, typ: r.typ, want: want{matters: true}})
	t.build()
	switch {
	case t.err != nil:
		return t, t.err
	case r.mode == job.Isolate:
		t.isolate()
	case r.mode == job.Triggering:
		t.stopTriggers()
	}
	if t.err != nil {
		return t, t.err
	}
	for _, pass := range []func() *machine.Error{t.markMatters, t.minimize, t.dropRedundant, t.merge, t.dropRedundant,
		t.breakCycles, t.destructive} {
		if err := pass(); err != nil {
			return t, err
		}
	}
	return t, nil
}

func checkMode(r request) *machine.Error {
	switch {
	case r.mode == job.Isolate && r.typ != job.Start:
		return refuse(errInvalidArgs, "Job mode isolate is only valid for start.")
	case r.mode == job.Isolate && !r.u.cfg.Unit.AllowIsolate:
		return refuse(errNoIsolation, "%s may not be isolated (AllowIsolate=no).", r.u.Name())
	case r.mode == job.Triggering && r.typ != job.Stop:
		return refuse(errInvalidArgs, "Job mode triggering is only valid for stop.")
	case r.mode == job.RestartDependencies && r.typ != job.Start:
		return refuse(errInvalidArgs, "Job mode restart-dependencies is only valid for start.")
	}
	return nil
}

// build makes candidates of all pulls, breadth first.
func (t *transaction) build() {
	for len(t.work) > 0 && t.err == nil {
		p := t.work[0]
		t.work = t.work[1:]
		if p.by != nil && p.by.dead {
			continue
		}
		t.add(p)
	}
}

// add makes one candidate, or adds a reason to one that is there.
func (t *transaction) add(p pull) {
	if p.typ != job.Stop && p.by != nil {
		p.u = t.e.reconsider(p.u)
	}
	typ := job.Collapse(p.typ, p.u.ActiveState().IsInactiveOrDeactivating())
	if typ == job.Nop && p.by != nil {
		return
	}
	var c *candidate
	for _, k := range t.byUnit[p.u] {
		if k.typ == typ {
			c = k
		}
	}
	if c != nil {
		if c.dead {
			t.refused(p, c.err)
			return
		}
		t.join(c, p.want)
		return
	}
	if err := t.e.applicable(p.u, typ); err != nil {
		if err.Name == errNotApplicable && p.by != nil {
			return // stopping what can't be stopped, reloading what can't be reloaded: nothing to do
		}
		t.refused(p, err)
		return
	}
	c = &candidate{u: p.u, typ: typ}
	t.jobs = append(t.jobs, c)
	t.byUnit[p.u] = append(t.byUnit[p.u], c)
	t.join(c, p.want)
	if p.by == nil && t.anchor == nil {
		t.anchor = c
	}
	if typ == job.Nop || ignoresRequirements(t.req.mode) {
		return
	}
	// What only redundant jobs pull in is dropped with them later, so it need not be looked for.
	if c != t.anchor && t.req.mode != job.Isolate && redundant(c) {
		c.deferred = true
		return
	}
	for _, k := range t.byUnit[p.u] {
		if k == c || k.deferred {
			k.deferred = false
			t.expand(k)
		}
	}
}

// redundant reports whether a candidate has nothing to do.
func redundant(c *candidate) bool {
	st := c.u.ActiveState()
	return job.Redundant(c.typ, st.IsActiveOrReloading(), st.IsInactiveOrFailed()) &&
		(c.u.job == nil || !job.Conflict(c.typ, c.u.job.Type))
}

func (t *transaction) join(c *candidate, w want) {
	for i := range c.wanted {
		if k := &c.wanted[i]; k.by == w.by {
			k.matters = k.matters || w.matters
			k.conflicts = k.conflicts || w.conflicts
			k.via |= w.via
			return
		}
	}
	c.wanted = append(c.wanted, w)
	if w.by != nil {
		w.by.asked = append(w.by.asked, c)
	}
}

// refused deals with a pull that can't be: it takes what needs it along, up to the request itself.
func (t *transaction) refused(p pull, err *machine.Error) {
	if !p.matters {
		t.note(p.u, p.typ, err.Message)
		if err.Name != unit.ErrNoSuchUnit && err.Name != unit.ErrUnitMasked {
			t.logs = append(t.logs, machine.Log{Level: levelWarning, Unit: p.u.Name(), Text: "Can't queue a " + string(p.typ) +
				" job of " + p.u.Name() + ", ignored: " + err.Message})
		}
		return
	}
	work := []*candidate{p.by}
	for len(work) > 0 {
		c := work[0]
		work = work[1:]
		if c == nil {
			t.err = err
			return
		}
		if c.dead {
			continue
		}
		c.dead, c.err = true, err
		t.note(c.u, c.typ, err.Message)
		for _, w := range c.wanted {
			if w.matters {
				work = append(work, w.by)
			}
		}
	}
}

func (t *transaction) note(u *Unit, typ job.Type, reason string) {
	t.dropped = append(t.dropped, Dropped{Unit: u.Name(), Type: typ, Reason: reason})
}

// applicable reports why a unit can't have a job of this type.
func (e *Engine) applicable(u *Unit, typ job.Type) *machine.Error {
	if typ != job.Stop {
		if err := loadError(u); err != nil {
			return err
		}
	}
	k := e.kindOf(u)
	ok := true
	switch typ {
	case job.Stop:
		ok = u.flags&perpetual == 0
	case job.Restart:
		ok = u.flags&perpetual == 0 && k.CanStop && k.CanStart
	case job.Reload:
		ok = e.CanReload(u)
	}
	if !ok {
		return refuse(errNotApplicable, "%s can't have a job of type %s.", u.Name(), typ)
	}
	return nil
}

// CanReload reports whether a reload job applies: by the unit's own settings, or for types that have none for that, because it
// passes reloads on.
func (e *Engine) CanReload(u *Unit) bool {
	if u.cfg.Type == unit.TypeService || u.cfg.Type == unit.TypeMount {
		return e.reader(u).CanReload(u.cfg)
	}
	return e.anyPeer(u, depend.PropagateReload, func(*Unit) bool { return true })
}

// loadError is why jobs other than stop can't be made for a unit.
func loadError(u *Unit) *machine.Error {
	name := u.Name()
	switch u.cfg.LoadState {
	case unit.StateLoaded:
		return nil
	case unit.StateNotFound:
		return refuse(unit.ErrNoSuchUnit, "Unit %s not found.", name)
	case unit.StateMasked:
		return refuse(unit.ErrUnitMasked, "Unit %s is masked.", name)
	case unit.StateBadSetting:
		return refuse(unit.ErrBadSetting, "Unit %s has a bad setting%s.", name, reason(u))
	}
	errName := unit.ErrLoadFailed
	if u.cfg.LoadError != nil && u.cfg.LoadError.Name != "" {
		errName = u.cfg.LoadError.Name
	}
	return refuse(errName, "Unit %s could not be loaded%s.", name, reason(u))
}

func reason(u *Unit) string {
	if u.cfg.LoadError == nil || u.cfg.LoadError.Message == "" {
		return ""
	}
	return " (" + escapeReason(u.cfg.LoadError.Message) + ")"
}

// expand pulls in what a candidate needs by the unit's dependencies.
func (t *transaction) expand(c *candidate) {
	pullAll := func(atom depend.Mask, typ job.Type, matters, conflicts bool) {
		t.e.peers(c.u, atom, func(p *Unit, via depend.Mask) bool {
			t.work = append(t.work, pull{u: p, typ: typ, want: want{by: c, via: via, matters: matters, conflicts: conflicts}})
			return true
		})
	}
	restart := c.typ == job.Restart
	switch c.typ {
	case job.Start, job.Restart:
		pullAll(depend.PullInStart, job.Start, true, false)
		pullAll(depend.PullInStartIgnored, job.Start, false, false)
		pullAll(depend.PullInVerify, job.VerifyActive, true, false)
		pullAll(depend.PullInStop, job.Stop, true, true)
		pullAll(depend.PullInStopIgnored, job.Stop, false, true)
		restart = restart || t.req.mode == job.RestartDependencies && c == t.anchor
	case job.Stop:
		pullAll(depend.PropagateStop, job.Stop, true, false)
		t.stopOnly(c)
	case job.Reload:
		pullAll(depend.PropagateReload, job.TryReload, false, false)
	}
	if restart {
		pullAll(depend.PropagateRestart, job.TryRestart, true, false)
		t.stopOnly(c)
	}
}

// stopOnly pulls in the stops of PropagatesStopTo=.
func (t *transaction) stopOnly(c *candidate) {
	t.e.peers(c.u, depend.PropagateStopOnly, func(p *Unit, via depend.Mask) bool {
		typ := job.Stop
		for _, k := range t.byUnit[p] {
			if !k.dead && (k.typ == job.Start || k.typ == job.Restart) {
				typ = job.TryRestart
			}
		}
		t.work = append(t.work, pull{u: p, typ: typ, want: want{by: c, via: via, matters: true}})
		return true
	})
}

// isolate adds stop jobs for all units that are up and not part of the transaction.
func (t *transaction) isolate() {
	for _, u := range t.e.units {
		if u == nil || u.cfg.Unit.IgnoreOnIsolate || u.flags&perpetual != 0 || len(t.byUnit[u]) > 0 {
			continue
		}
		if u.ActiveState().IsInactiveOrFailed() && u.job == nil {
			continue
		}
		// What a unit that stays up would trigger stays as well.
		kept := t.e.anyPeer(u, depend.TriggeredBy, func(p *Unit) bool { return len(t.byUnit[p]) > 0 })
		if !kept {
			t.work = append(t.work, pull{u: u, typ: job.Stop, want: want{by: t.anchor, matters: true}})
		}
	}
	t.build()
}

// stopTriggers adds stop jobs for the units that are up and would start the anchor again.
func (t *transaction) stopTriggers() {
	t.e.peers(t.anchor.u, depend.TriggeredBy, func(p *Unit, via depend.Mask) bool {
		if p.ActiveState().IsActiveOrActivating() {
			t.work = append(t.work, pull{u: p, typ: job.Stop, want: want{by: t.anchor, via: via, matters: true}})
		}
		return true
	})
	t.build()
}

// refuse makes an error.
func refuse(name, format string, args ...any) *machine.Error {
	return &machine.Error{Name: name, Message: fmt.Sprintf(format, args...)}
}

// D-Bus error names (org.freedesktop.systemd1(5)).
const (
	errPrefix           = "org.freedesktop.systemd1."
	errInvalidArgs      = unit.ErrInvalidArgs
	errNoIsolation      = errPrefix + "NoIsolation"
	errNotApplicable    = errPrefix + "JobTypeNotApplicable"
	errConflicting      = errPrefix + "TransactionJobsConflicting"
	errCyclic           = errPrefix + "TransactionOrderIsCyclic"
	errDestructive      = errPrefix + "TransactionIsDestructive"
	errOnlyByDependency = errPrefix + "OnlyByDependency"
	errNoSuchJob        = errPrefix + "NoSuchJob"
	errUnitExists       = errPrefix + "UnitExists"
	errUnitInactive     = errPrefix + "UnitInactive"
	errUnitBusy         = errPrefix + "UnitBusy"
	errNoSuchProcess    = errPrefix + "NoSuchProcess"
	errNotReferenced    = errPrefix + "NotReferenced"
	errNothingToClean   = errPrefix + "NothingToClean"
	errFrozenByParent   = errPrefix + "FrozenByParent"
	errNotSupported     = "org.freedesktop.DBus.Error.NotSupported"
)
