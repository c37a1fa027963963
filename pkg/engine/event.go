package engine

import (
	"slices"

	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/unit"
)

// step hands an event to the machine of a unit.
func (e *Engine) step(u *Unit, ev machine.Event) {
	if u == nil || u.flags&removed != 0 {
		return
	}
	m := e.with(u)
	m.Step(&host{e: e, u: u}, ev)
	e.retryJob(u)
}

// retryJob puts a job that could not run on the unit as it was into the run queue again.
func (e *Engine) retryJob(u *Unit) {
	if u.job != nil {
		e.queueJob(u.job)
	}
}

// route finds the unit that an event of the kernel or of a service concerns. Events about units, processes and queries that
// are not known (any more) are dropped: they come late by nature.
func (e *Engine) route(ev machine.Event) {
	switch v := ev.(type) {
	case machine.ProcessExited:
		u := e.pids[v.PID]
		e.step(u, ev)
		if u != nil && e.pids[v.PID] == u {
			(&host{e: e, u: u}).Forget(v.PID)
		}
	case machine.ExecDone:
		e.step(e.pids[v.PID], ev)
	case machine.Notify:
		e.routeNotify(v)
	case machine.CgroupEmpty:
		if u := e.names[v.Unit]; u != nil && u.get().Populated {
			u.state.Populated = false
			e.markUnit(u)
			e.queueCollect(u)
		}
		e.stepIfUsed(v.Unit, ev)
	case machine.OOMKill:
		e.stepIfUsed(v.Unit, ev)
	case machine.SocketReady:
		if u := e.names[v.Unit]; u != nil && u.machine != nil {
			e.step(u, ev)
		} else if v.Conn != nil {
			e.emit(machine.CloseHandle{Handle: v.Conn.Handle})
		}
	case machine.CgroupFrozen:
		e.onFrozen(v)
	case machine.NameOwnerChanged:
		for _, u := range slices.Clone(e.busNames[v.Bus]) {
			e.step(u, ev)
		}
	case machine.HandleHangup:
		e.step(e.handles[v.Handle], ev)
	case machine.PathTouched:
		e.stepIfUsed(v.Unit, ev)
	case machine.AutomountAsked:
		e.stepIfUsed(v.Unit, ev)
	case machine.AutomountGone:
		e.stepIfUsed(v.Unit, ev)
	case machine.SwapTable:
		e.onSwapTable(v)
	case machine.Devices:
		e.onDevices(v)
	case machine.MountTable:
		e.onMountTable(v)
	case machine.ClockChanged:
		e.tellClockWatchers(v)
	default:
		e.routeAnswer(ev)
	}
}

// stepIfUsed delivers an event to a unit by name, unless nothing ever happened to it.
func (e *Engine) stepIfUsed(name string, ev machine.Event) {
	if u := e.names[name]; u != nil && u.machine != nil {
		e.step(u, ev)
	}
}

// routeNotify delivers a datagram to the unit of the sender's cgroup and, if that is another one, to the unit that knows the process.
// Descriptors belong to the first; with no receiver they are closed.
func (e *Engine) routeNotify(v machine.Notify) {
	// Only services have a use for it, and only they close what they don't store.
	hears := func(u *Unit) *Unit {
		if u == nil || u.machine == nil || u.cfg.Type != unit.TypeService {
			return nil
		}
		return u
	}
	byCgroup, byPID := hears(e.names[v.Unit]), hears(e.pids[v.PID])
	if byCgroup == nil && byPID == nil {
		for _, h := range v.Msg.FDs {
			e.emit(machine.CloseHandle{Handle: h})
		}
		return
	}
	if byCgroup != nil {
		e.step(byCgroup, v)
		v.Msg.FDs, v.Msg.FDStore = nil, false
	}
	if byPID != nil && byPID != byCgroup {
		e.step(byPID, v)
	}
}

// routeAnswer delivers the answer to a query to whoever asked.
func (e *Engine) routeAnswer(ev machine.Event) {
	t := machine.AnswerToken(ev)
	q, ok := e.queries[t]
	if t == 0 || !ok || !machine.Answers(q.asked, ev) {
		return
	}
	// A PID file that is watched may be reported as not there yet more than once; the machine cancels the query.
	if a, isFile := ev.(machine.PIDFileRead); isFile && a.PID == 0 && q.u != nil {
		e.step(q.u, ev)
		if _, open := e.queries[t]; open && !e.watching(q) {
			e.closeQuery(q.u, t)
		}
		return
	}
	switch {
	case q.j != nil:
		delete(e.queries, t)
		if a, ok := ev.(machine.ConditionsTested); ok && e.jobs[q.j.ID] == q.j && q.j.query == t {
			e.conditionsTested(q.j, a)
		}
	case q.u != nil:
		e.closeQuery(q.u, t)
		e.step(q.u, ev)
	case q.look != nil:
		delete(e.queries, t)
		e.looked(q.look, ev.(machine.CgroupChecked))
	default:
		delete(e.queries, t)
		e.answered(q, ev)
	}
}

// watching reports whether a query stays open after an answer.
func (e *Engine) watching(q query) bool { return q.watch }
