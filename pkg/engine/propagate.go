package engine

import (
	"strings"

	"github.com/muster-init/muster/pkg/depend"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit"
)

// notice is a state change that a machine reported and whose consequences are still to come.
type notice struct {
	u           *Unit
	old, now    machine.ActiveState
	reloadError bool
}

// stateChanged announces a new sub-state at once and queues what follows from it.
func (e *Engine) stateChanged(u *Unit, old machine.ActiveState) {
	now, sub := u.ActiveState(), u.SubState()
	s := u.st()
	s.StateChange = e.now
	if up := now.IsActiveOrReloading(); up != old.IsActiveOrReloading() {
		if up {
			s.ActiveEnter = e.now
		} else {
			s.ActiveExit = e.now
		}
	}
	if down := now.IsInactiveOrFailed(); down != old.IsInactiveOrFailed() {
		if down {
			s.InactiveEnter = e.now
		} else {
			s.InactiveExit = e.now
		}
	}
	s.unmark(now, old)
	if now == machine.Failed && old != machine.Failed {
		e.failedUnits++
	} else if now != machine.Failed && old == machine.Failed {
		e.failedUnits--
	}
	e.touch(u)
	e.deferred(u)
	e.emit(machine.UnitChanged{Unit: u.Name(), Active: now, Sub: sub})
	n := notice{u: u, old: old, now: now}
	if r, ok := u.machine.(machine.ReloadResulter); ok {
		n.reloadError = r.ReloadFailed()
	}
	e.notices = append(e.notices, n)
}

// notify carries out what a state change means for the unit's job and for other units.
func (e *Engine) notify(n notice) {
	u := n.u
	if u.flags&removed != 0 {
		return
	}
	e.trace(u)
	unexpected := e.advanceJob(n)
	if unexpected {
		switch {
		case n.old.IsInactiveOrFailed() && n.now.IsActiveOrActivating():
			e.retroactiveStart(u)
		case n.old.IsActiveOrActivating() && n.now.IsInactiveOrDeactivating():
			e.retroactiveStop(u)
		}
	}
	if n.old != n.now {
		// With RestartMode=normal a unit that is about to restart passes through these states, and they count (as on 257).
		c := &u.cfg.Unit
		switch {
		case n.now == machine.Failed:
			e.logFailed(u)
			e.startOnFailure(u)
			e.act(u, c.FailureAction, "unit "+u.Name()+" failed", int32(c.FailureActionExitStatus), c.RebootArgument)
		case n.now == machine.Inactive && !n.old.IsInactiveOrFailed():
			e.startOnSuccess(u)
			e.act(u, c.SuccessAction, "unit "+u.Name()+" succeeded", int32(c.SuccessActionExitStatus), c.RebootArgument)
		}
	}
	if n.now.IsInactiveOrFailed() {
		e.queueCollect(u)
		e.unmonitor(u)
	}
	if n.now.IsInactiveOrFailed() || n.old == machine.Activating && n.now != n.old {
		e.leave(u)
	}
	e.queueDependents(u)
	e.tellTriggers(n)
}

// tellTriggers tells the units that activate u about its new state (sockets listen again, …).
func (e *Engine) tellTriggers(n notice) {
	e.peers(n.u, depend.TriggeredBy, func(p *Unit, _ depend.Mask) bool {
		if m, ok := p.machine.(machine.Triggerer); ok {
			e.touch(p)
			m.TriggerChanged(&host{e: e, u: p}, n.u.Name(), n.u.Invocation(), n.now)
		}
		return true
	})
}

// advanceJob moves the unit's job on by a state change, and reports whether the change is not what a job asked for.
func (e *Engine) advanceJob(n notice) (unexpected bool) {
	j := n.u.job
	if j == nil {
		return true
	}
	if j.State == job.Waiting {
		// It may have waited for just this.
		e.queueJob(j)
	}
	running := j.State == job.Running
	end := job.Done
	if n.now == machine.Failed {
		end = job.Failed
	}
	switch j.Type {
	case job.Start, job.VerifyActive:
		switch {
		case n.now.IsActiveOrReloading():
			e.finish(j, job.Done, true)
		case running && n.now != machine.Activating:
			unexpected = true
			if n.now.IsInactiveOrFailed() {
				e.finish(j, end, true)
			}
		}
	case job.Reload, job.ReloadOrStart, job.TryReload:
		switch {
		case !running:
		case n.now == machine.Active:
			if n.reloadError {
				e.finish(j, job.Failed, true)
			} else {
				e.finish(j, job.Done, true)
			}
		case n.now != machine.Activating && n.now != machine.Reloading && n.now != machine.Refreshing:
			unexpected = true
			if n.now.IsInactiveOrFailed() {
				e.finish(j, end, true)
			}
		}
	case job.Stop, job.Restart, job.TryRestart:
		switch {
		case n.now.IsInactiveOrFailed():
			e.finish(j, job.Done, true)
		case running && n.now != machine.Deactivating:
			unexpected = true
			e.finish(j, job.Failed, true)
		}
	}
	return unexpected
}

// retroactiveStart pulls in what u needs, after it came up by itself, and stops what it conflicts with.
func (e *Engine) retroactiveStart(u *Unit) {
	unordered := func(p *Unit) bool { return !u.after(p) && !p.ActiveState().IsActiveOrActivating() }
	e.forPeers(u, depend.RetroactiveStartReplace, func(p *Unit, t depend.Mask) {
		if unordered(p) {
			e.auto(p, job.Start, job.Replace, machine.CausePropagated, u, t)
		}
	})
	e.forPeers(u, depend.RetroactiveStartFail, func(p *Unit, t depend.Mask) {
		if unordered(p) {
			e.auto(p, job.Start, job.Fail, machine.CausePropagated, u, t)
		}
	})
	e.forPeers(u, depend.RetroactiveStopOnStart, func(p *Unit, t depend.Mask) {
		if !p.ActiveState().IsInactiveOrDeactivating() {
			e.auto(p, job.Stop, job.Replace, machine.CausePropagated, u, t)
		}
	})
}

// retroactiveStop stops what can't do without u, after it went down by itself.
func (e *Engine) retroactiveStop(u *Unit) {
	e.forPeers(u, depend.RetroactiveStopOnStop, func(p *Unit, t depend.Mask) {
		if !p.ActiveState().IsInactiveOrDeactivating() {
			e.auto(p, job.Stop, job.Replace, machine.CausePropagated, u, t)
		}
	})
}

// forPeers is peers on a copy of the list, for callers that queue jobs.
func (e *Engine) forPeers(u *Unit, m depend.Mask, f func(p *Unit, types depend.Mask)) {
	type pair struct {
		p *Unit
		t depend.Mask
	}
	var all []pair
	e.peers(u, m, func(p *Unit, t depend.Mask) bool {
		all = append(all, pair{p, t})
		return true
	})
	for _, x := range all {
		f(x.p, x.t)
	}
}

// auto queues a job that follows from a dependency of from.
func (e *Engine) auto(u *Unit, t job.Type, mode job.Mode, kind machine.CauseKind, from *Unit, via depend.Mask) *machine.Error {
	cause := machine.Cause{Kind: kind, Unit: from.Name()}
	r := request{u: u, typ: t, mode: mode}
	if types := via.Types(); len(types) > 0 {
		cause.Directive = types[0].String() + "="
		r.pulledBy, r.pulledAs = from.Name(), types[0]
	}
	r.cause = cause
	_, err := e.enqueue(r)
	if err != nil {
		e.emit(machine.Log{Level: levelWarning, Unit: u.Name(), Text: u.Name() + ": " + string(t) + " job because of " +
			cause.Directive + from.Name() + " can't be queued: " + err.Message})
	}
	return err
}

// startOnFailure starts the OnFailure= units of a unit.
func (e *Engine) startOnFailure(u *Unit) {
	e.startHandlers(u, depend.OnFailure, u.cfg.Unit.OnFailureJobMode, job.Replace, machine.CauseOnFailure)
}

// startOnSuccess starts the OnSuccess= units of a unit.
func (e *Engine) startOnSuccess(u *Unit) {
	e.startHandlers(u, depend.OnSuccess, u.cfg.Unit.OnSuccessJobMode, job.Fail, machine.CauseOnSuccess)
}

func (e *Engine) startHandlers(u *Unit, atom depend.Mask, mode string, def job.Mode, kind machine.CauseKind) {
	m := job.Mode(mode)
	if m == "" {
		m = def
	}
	e.forPeers(u, atom, func(p *Unit, t depend.Mask) {
		e.requests = append(e.requests, startRequest{kind: autoStart, u: p, mode: m, from: u, via: t, cause: kind})
	})
}

// unmonitor lets go of the unit whose end started u, when u is down itself.
func (e *Engine) unmonitor(u *Unit) {
	name := u.get().Monitor
	if name == "" || u.job != nil {
		return
	}
	u.state.Monitor = ""
	e.markUnit(u)
	if from := e.names[name]; from != nil {
		e.queueCollect(from)
	}
}

// jobGone queues the checks that a removed job of u may have held up.
func (e *Engine) jobGone(u *Unit) {
	e.queueDependents(u)
	if u.ActiveState().IsInactiveOrFailed() {
		e.unmonitor(u)
	}
	e.jobEnded = len(e.deferring) > 0
	if e.anyPeer(u, depend.TriggeredBy, func(*Unit) bool { return true }) {
		// Who activates it may wait for a start that has failed without any change of state.
		e.requests = append(e.requests, startRequest{kind: tellTriggering, u: u})
	}
	if u.machine != nil && e.stranded(u) {
		e.requests = append(e.requests, startRequest{kind: giveUpRestart, u: u})
	}
}

// stranded reports whether a unit waits for an automatic restart that will not come: its start job was canceled or failed
// by another unit, or a stop job made it give up the restart and then ended without having stopped it.
func (e *Engine) stranded(u *Unit) bool {
	if u.job != nil {
		return false
	}
	switch u.SubState() {
	case "auto-restart-queued":
		return true
	case "auto-restart":
		return u.machine.Deadline(u.cfg) == machine.Never
	}
	return false
}

// queueDependents queues u and the units around it whose wish to run, or right to, depends on it.
func (e *Engine) queueDependents(u *Unit) {
	st := u.ActiveState()
	down := st.IsInactiveOrFailed()
	if down {
		// What u needed may be needed no more; what is bound to it can't stay; who upholds it wants it back.
		e.peers(u, depend.Needs, func(p *Unit, _ depend.Mask) bool {
			if p.cfg.Unit.StopWhenUnneeded {
				push(&e.unneeded, p, inUnneeded)
			}
			return true
		})
		e.peers(u, depend.Bound, func(p *Unit, _ depend.Mask) bool {
			push(&e.bound, p, inBound)
			return true
		})
		if e.anyPeer(u, depend.UpheldBy, func(*Unit) bool { return true }) {
			push(&e.upheld, u, inUpheld)
		}
		return
	}
	if u.cfg.Unit.StopWhenUnneeded {
		push(&e.unneeded, u, inUnneeded)
	}
	if st.IsActiveOrReloading() {
		e.peers(u, depend.Upholds, func(p *Unit, _ depend.Mask) bool {
			push(&e.upheld, p, inUpheld)
			return true
		})
	}
	if e.anyPeer(u, depend.Binds, func(*Unit) bool { return true }) {
		push(&e.bound, u, inBound)
	}
}

// Limits of automatic starts and stops per unit: a graph that contradicts itself must not spin.
const (
	autoIntervalUSec = 10_000_000
	autoBurst        = 16
)

// autoOK counts an automatic job of u. Over the limit it is tried again when the interval is over.
func (e *Engine) autoOK(u *Unit, q flag) bool {
	s := u.st()
	e.markUnit(u)
	if s.AutoLimit.ok(e.now.Monotonic, autoIntervalUSec, autoBurst) {
		return true
	}
	e.emit(machine.Log{Level: levelWarning, Unit: u.Name(), Text: u.Name() + ": started or stopped by dependencies too often; trying again later"})
	e.timers.set(&s.retry, addUSec(s.AutoLimit.Begin, autoIntervalUSec), timerRetry, uint64(u.id))
	return false
}

// retryLater checks a unit again after a while if a job that can't be replaced stood in the way of its stop: that will be over.
func (e *Engine) retryLater(u *Unit, err *machine.Error) {
	if err == nil || err.Name != errDestructive {
		return
	}
	e.timers.set(&u.st().retry, addUSec(e.now.Monotonic, autoIntervalUSec), timerRetry, uint64(u.id))
}

// retryAuto checks a unit again whose automatic jobs were over the limit.
func (e *Engine) retryAuto(u *Unit) {
	e.queueDependents(u)
	push(&e.bound, u, inBound)
	push(&e.upheld, u, inUpheld)
	push(&e.unneeded, u, inUnneeded)
}

// startUpheld starts a unit that is down although a unit that is up Upholds= it.
func (e *Engine) startUpheld(u *Unit) {
	if u.job != nil || !u.ActiveState().IsInactiveOrFailed() || u.flags&removed != 0 || u.get().Quarantine != nil {
		return
	}
	var by *Unit
	e.peers(u, depend.UpheldBy, func(p *Unit, _ depend.Mask) bool {
		if p.job == nil && p.ActiveState().IsActiveOrReloading() {
			by = p
		}
		return by == nil
	})
	if by != nil && e.autoOK(u, inUpheld) {
		e.auto(u, job.Start, job.Fail, machine.CauseUpheld, by, depend.Of(unit.DepUpheldBy))
	}
}

// stopBound stops a unit whose BindsTo= is down.
func (e *Engine) stopBound(u *Unit) {
	if u.job != nil || !u.ActiveState().IsActiveOrActivating() || u.flags&removed != 0 || u.get().Freezer != "" {
		return
	}
	var lost *Unit
	e.peers(u, depend.Binds, func(p *Unit, _ depend.Mask) bool {
		// A unit with a job is on its way somewhere; what it ends in is checked then.
		if p.job == nil && p.standing().IsInactiveOrFailed() {
			lost = p
		}
		return lost == nil
	})
	if lost != nil && e.autoOK(u, inBound) && e.opt.SimulateFault != "bound" {
		e.retryLater(u, e.auto(u, job.Stop, job.Replace, machine.CauseBound, lost, depend.Of(unit.DepBoundBy)))
	}
}

// stopUnneeded stops a unit with StopWhenUnneeded= that nothing which is up or on its way there needs.
func (e *Engine) stopUnneeded(u *Unit) {
	if !u.cfg.Unit.StopWhenUnneeded || u.job != nil || !u.ActiveState().IsActiveOrReloading() || u.flags&removed != 0 ||
		u.get().Freezer != "" {
		return
	}
	needed := e.anyPeer(u, depend.NeededBy, func(p *Unit) bool {
		return p.job != nil || !p.standing().IsInactiveOrFailed() || strings.Contains(p.SubState(), "auto-restart")
	})
	if !needed && e.autoOK(u, inUnneeded) {
		_, err := e.enqueue(request{u: u, typ: job.Stop, mode: job.Fail,
			cause: machine.Cause{Kind: machine.CauseUnneeded, Unit: u.Name(), Directive: "StopWhenUnneeded="}})
		if err != nil {
			e.emit(machine.Log{Level: levelWarning, Unit: u.Name(), Text: u.Name() + ": not needed any more, but can't be stopped: " + err.Message})
			e.retryLater(u, err)
		}
	}
}
