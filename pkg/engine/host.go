package engine

import (
	"slices"
	"strconv"

	"github.com/muster-init/muster/pkg/depend"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit"
)

// host is what the machine of one unit sees of the engine while it handles an event.
type host struct {
	e *Engine
	u *Unit
}

var _ machine.Host = (*host)(nil)

func (h *host) Now() machine.Instant { return h.e.now }
func (h *host) Unit() *unit.Unit     { return h.u.cfg }

// Query emits f with a fresh token.
func (h *host) Query(f machine.Effect) machine.Token {
	q := query{u: h.u, asked: f}
	if f, ok := f.(machine.ReadPIDFile); ok {
		q.watch = f.Watch
	}
	t := h.e.ask(q)
	s := h.u.st()
	switch f.(type) {
	case machine.Spawn, machine.AttachPIDs:
		s.Spawned = true
	}
	s.queries = append(s.queries, t)
	f, ok := machine.WithToken(f, t)
	if !ok {
		panic("machine asked a question that is not a query")
	}
	h.e.emit(f)
	return t
}

// Emit emits f and keeps the indexes that route what comes back.
func (h *host) Emit(f machine.Effect) {
	e, s := h.e, h.u.st()
	switch c := f.(type) {
	case machine.CancelQuery:
		if _, open := e.queries[c.Token]; !open {
			return
		}
		e.closeQuery(h.u, c.Token)
	case machine.WatchPID:
		h.Track(c.PID)
	case machine.WatchName:
		if slices.Contains(s.BusNames, c.Name) {
			return
		}
		s.BusNames = append(s.BusNames, c.Name)
		e.busNames[c.Name] = append(e.busNames[c.Name], h.u)
	case machine.UnwatchName:
		if !slices.Contains(s.BusNames, c.Name) {
			return
		}
		s.BusNames = without(s.BusNames, c.Name)
		if rest := without(e.busNames[c.Name], h.u); len(rest) > 0 {
			e.busNames[c.Name] = rest
			return // another unit watches the name as well
		}
		delete(e.busNames, c.Name)
	case machine.PollHandle:
		if slices.Contains(s.Handles, c.Handle) {
			return
		}
		s.Handles = append(s.Handles, c.Handle)
		e.handles[c.Handle] = h.u
	case machine.CloseHandle:
		s.Handles = without(s.Handles, c.Handle)
		delete(e.handles, c.Handle)
	}
	e.emit(f)
}

// without gives list with the first x taken out.
func without[T comparable](list []T, x T) []T {
	if i := slices.Index(list, x); i >= 0 {
		list = slices.Delete(slices.Clone(list), i, i+1)
	}
	if len(list) == 0 {
		return nil
	}
	return list
}

// closeQuery forgets an open question of a machine.
func (e *Engine) closeQuery(u *Unit, t machine.Token) {
	delete(e.queries, t)
	if u.state != nil {
		u.state.queries = without(u.state.queries, t)
	}
}

func (h *host) StateChanged(old machine.ActiveState) { h.e.stateChanged(h.u, old) }

func (h *host) PropertiesChanged() {
	h.e.markUnit(h.u)
	h.e.emit(machine.UnitChanged{Unit: h.u.Name(), Active: h.u.ActiveState(), Sub: h.u.SubState(), Properties: true})
}

func (h *host) Track(pid int32) {
	if pid <= 0 || h.e.pids[pid] == h.u {
		return
	}
	if other := h.e.pids[pid]; other != nil {
		other.st().PIDs = without(other.st().PIDs, pid)
	}
	h.e.pids[pid] = h.u
	s := h.u.st()
	s.PIDs = append(s.PIDs, pid)
	slices.Sort(s.PIDs)
	h.e.markUnit(h.u)
}

func (h *host) Forget(pid int32) {
	if h.e.pids[pid] != h.u {
		return
	}
	delete(h.e.pids, pid)
	h.u.st().PIDs = without(h.u.st().PIDs, pid)
	h.e.markUnit(h.u)
}

func (h *host) Job() (job.Type, bool) {
	if j := h.u.job; j != nil {
		return j.Type, j.State == job.Running
	}
	return "", false
}

func (h *host) StopPending() bool { return h.u.job != nil && h.u.job.stops() }

// QueueRestart queues the job of Restart=. With restart-dependencies it is a start job that takes along what depends on the unit.
func (h *host) QueueRestart(mode job.Mode) bool {
	t := job.Restart
	if mode == job.RestartDependencies {
		t = job.Start
	}
	_, err := h.e.enqueue(request{u: h.u, typ: t, mode: mode, cause: machine.Cause{
		Kind: machine.CauseRestart, Unit: h.u.Name(), Directive: "Restart=", Where: ""}})
	if err != nil {
		h.Log(levelWarning, "", "Restart job can't be queued: "+err.Message)
		return false
	}
	// With RestartMode=direct the start job of the first try is still there and runs: it has to begin again.
	if j := h.u.job; j != nil && j.Type == job.Start && j.State == job.Running && j.query == 0 {
		j.State = job.Waiting
		h.e.changedJob(j)
		h.e.queueJob(j)
	}
	return true
}

func (h *host) StartLimitOK() bool {
	c := &h.u.cfg.Unit
	s := h.u.st()
	h.e.markUnit(h.u)
	if s.StartLimit.ok(h.e.now.Monotonic, c.StartLimitIntervalUSec, c.StartLimitBurst) || h.e.opt.SimulateFault == "start-limit" {
		s.LimitHit = false
		return true
	}
	s.LimitHit = true
	h.Log(levelError, "unit-start-limit-hit", "Start request repeated too quickly.")
	h.e.act(h.u, c.StartLimitAction, "unit "+h.u.Name()+" failed, start limit hit", -1, c.RebootArgument)
	return false
}

func (h *host) Invocation() string { return h.u.get().Invocation }

func (h *host) NewInvocation() {
	const digits = "0123456789abcdef"
	a, b := h.e.random.next(), h.e.random.next()
	h.e.engineDirty = true
	// The form of a random UUID (RFC 9562 §5.4), as sd_id128_randomize(3) makes them.
	a = a&^0xf000 | 0x4000
	b = b&^(3<<62) | 2<<62
	var out [32]byte
	for i := range 16 {
		out[i] = digits[a>>(60-4*i)&15]
		out[16+i] = digits[b>>(60-4*i)&15]
	}
	h.u.st().Invocation = string(out[:])
	h.e.markUnit(h.u)
}

// TriggerEnv gives TRIGGER_UNIT= for units that another one activates, as long as it is clear which one it was, and MONITOR_…= for
// units that OnFailure= or OnSuccess= of another one started.
func (h *host) TriggerEnv() []string { return h.e.triggerEnv(h.u) }

func (h *host) Log(level int, kind, text string, fields ...string) {
	h.e.emit(machine.Log{Level: level, Unit: h.u.Name(), Job: h.jobID(), Kind: kind, Text: h.u.Name() + ": " + text, Fields: fields})
}

func (h *host) jobID() job.ID {
	if h.u.job != nil {
		return h.u.job.ID
	}
	return 0
}

func (h *host) Random() uint64 {
	h.e.engineDirty = true
	return h.e.random.next()
}

func (h *host) Act(action, reason string, exitStatus int32) {
	h.e.act(h.u, action, reason, exitStatus, h.u.cfg.Unit.RebootArgument)
}

// PropagateReload queues reload jobs for PropagatesReloadTo=.
func (h *host) PropagateReload() {
	e := h.e
	e.peers(h.u, depend.PropagateReload, func(p *Unit, via depend.Mask) bool {
		e.requests = append(e.requests, startRequest{kind: autoReload, u: p, from: h.u, via: via})
		return true
	})
}

func (h *host) WatchdogsEnabled() bool { return !h.e.watchdogsOff }

// ListenFDs collects what the sockets that trigger the unit listen on.
func (h *host) ListenFDs() []machine.FD {
	var fds []machine.FD
	h.e.peers(h.u, depend.TriggeredBy, func(p *Unit, _ depend.Mask) bool {
		if l, ok := p.machine.(machine.Listener); ok {
			fds = append(fds, l.ListenFDs(p.cfg)...)
		}
		return true
	})
	return fds
}

func (h *host) PeerState(name string) machine.ActiveState {
	if u := h.e.names[name]; u != nil {
		return u.ActiveState()
	}
	return ""
}

// act asks for a change of the whole system.
func (e *Engine) act(u *Unit, action, reason string, exitStatus int32, argument string) {
	if action == "" || action == "none" {
		return
	}
	e.emit(machine.Act{Action: action, Unit: u.Name(), Reason: reason, ExitStatus: exitStatus, RebootArgument: argument})
}

// rate counts events in an interval.
type rate struct {
	Begin uint64 `json:"begin,omitempty"` // monotonic µs
	Count uint32 `json:"n,omitempty"`
}

// ok counts one event and reports whether it is within the limit. An interval or burst of 0 sets no limit.
func (r *rate) ok(now, interval uint64, burst uint32) bool {
	if interval == 0 || burst == 0 {
		return true
	}
	if r.Count == 0 || interval != unit.Infinity && now >= addUSec(r.Begin, interval) {
		r.Begin, r.Count = now, 0
	}
	if r.Count >= burst {
		return false
	}
	r.Count++
	return true
}

// triggerEnv describes the unit that made u start, if there is exactly one.
func (e *Engine) triggerEnv(u *Unit) []string {
	var from []*Unit
	if p := e.names[u.get().Monitor]; p != nil {
		from = append(from, p)
	}
	var env []string
	if len(from) == 1 {
		p := from[0]
		env = append(env, "MONITOR_UNIT="+p.Name(), "MONITOR_SERVICE_RESULT="+p.Result())
		if p.Invocation() != "" {
			env = append(env, "MONITOR_INVOCATION_ID="+p.Invocation())
		}
		if m, ok := p.machine.(machine.Monitored); ok {
			code, status := m.MainExit()
			if code != "" {
				env = append(env, "MONITOR_EXIT_CODE="+code, "MONITOR_EXIT_STATUS="+status)
			}
		}
	}
	from = from[:0]
	e.peers(u, depend.TriggeredBy, func(p *Unit, _ depend.Mask) bool {
		// Sockets and automounts say nothing: what they activate finds out by itself (systemd.exec(5)).
		if t := p.cfg.Type; (t == unit.TypeTimer || t == unit.TypePath) && p.ActiveState().IsActiveOrReloading() {
			from = append(from, p)
		}
		return true
	})
	if len(from) == 1 {
		env = append(env, "TRIGGER_UNIT="+from[0].Name())
		if d, ok := from[0].machine.(machine.TriggerDetailer); ok {
			env = append(env, d.TriggerDetails()...)
		}
	}
	return env
}

// signalText is a signal number for messages.
func signalText(n int32) string { return strconv.Itoa(int(n)) }
