package engine

import (
	"slices"

	"github.com/muster-init/muster/pkg/depend"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit"
)

// startRequest is work that was put off to the end of the current pass.
type startRequest struct {
	kind   requestKind
	u      *Unit
	from   *Unit
	via    depend.Mask
	mode   job.Mode
	cause  machine.CauseKind
	job    job.ID
	result job.Result
}

type requestKind uint8

const (
	autoStart requestKind = iota
	autoReload
	giveUpRestart
	finishJob
	tellTriggering
	tellReconfigured
	tellInUse
	wantedStart
)

func (e *Engine) serve(r startRequest) {
	switch r.kind {
	case autoStart:
		if r.u.flags&removed == 0 {
			if e.auto(r.u, job.Start, r.mode, r.cause, r.from, r.via) == nil {
				r.u.st().Monitor = r.from.Name()
				e.markUnit(r.u)
			}
		}
	case autoReload:
		if r.u.flags&removed == 0 {
			e.auto(r.u, job.TryReload, job.Fail, machine.CausePropagated, r.from, r.via)
		}
	case tellTriggering:
		if r.u.flags&removed == 0 && r.u.job == nil {
			st := r.u.ActiveState()
			e.tellTriggers(notice{u: r.u, old: st, now: st})
		}
	case wantedStart:
		if r.u.flags&removed == 0 && r.u.job == nil && !r.u.ActiveState().IsActiveOrActivating() {
			e.auto(r.u, job.Start, r.mode, r.cause, r.from, r.via)
		}
	case tellInUse:
		if r.u.flags&removed == 0 {
			e.tellDevice(r.u.Name(), false)
		}
	case tellReconfigured:
		if m, ok := r.u.machine.(machine.Reconfigured); ok && r.u.flags&removed == 0 {
			e.touch(r.u)
			m.ConfigChanged(&host{e: e, u: r.u})
		}
	case giveUpRestart:
		// Without a stop nothing would ever happen to the unit again.
		if r.u.flags&removed == 0 && r.u.machine != nil && e.stranded(r.u) {
			e.with(r.u).Stop(&host{e: e, u: r.u})
		}
	case finishJob:
		if j := e.jobs[r.job]; j != nil && j.State == job.Running {
			e.finish(j, r.result, true)
		}
	}
}

// dispatch hands an event to what it concerns.
func (e *Engine) dispatch(ev machine.Event) {
	switch v := ev.(type) {
	case machine.Idle:
		if e.runHead < len(e.runQueue) {
			e.runNext()
		} else {
			e.collectUnits()
		}
	case machine.Tick:
		e.tick()
	case machine.Enqueue:
		e.onEnqueue(v)
	case machine.CancelJob:
		e.onCancel(v)
	case machine.LoadUnit:
		u, err := e.find(v.Unit)
		e.reply(v.Reply, u, err)
	case machine.ResetFailed:
		e.onResetFailed(v)
	case machine.StartTransient:
		e.onTransient(v)
	case machine.SetConfig:
		e.onSetConfig(v)
	case machine.Ref:
		e.onRef(v)
	case machine.Unref:
		e.onUnref(v)
	case machine.ClientGone:
		e.onClientGone(v.Client)
	case machine.Reload:
		e.onReload(v)
	case machine.KillUnit:
		e.onKill(v)
	case machine.Abandon:
		e.onAbandon(v)
	case machine.Freeze:
		e.onFreeze(v)
	case machine.Mark:
		e.onMark(v)
	case machine.Clean:
		e.onClean(v)
	case machine.AttachProcesses:
		e.onAttach(v)
	default:
		e.route(ev)
	}
}

// reply answers a request.
func (e *Engine) reply(r machine.Reply, u *Unit, err *machine.Error, jobs ...job.ID) {
	if r == 0 {
		return
	}
	s := machine.SendReply{Reply: r, Err: err, Jobs: jobs}
	if u != nil && err == nil {
		s.Unit = u.Name()
	}
	e.emit(s)
}

// find loads the unit of a client's request.
func (e *Engine) find(name string) (*Unit, *machine.Error) {
	if u := e.names[name]; u != nil {
		return e.reconsider(u), nil
	}
	switch {
	case unit.ValidName(name, unit.NameTemplate):
		return nil, refuse(errInvalidArgs, "Unit name %s is a template, it needs an instance name.", name)
	case !unit.ValidName(name, unit.NamePlain|unit.NameInstance):
		return nil, refuse(errInvalidArgs, "%q is no valid unit name.", name)
	}
	return e.load(name), nil
}

// reconsider loads a unit again that was not found when somebody first referred to it: it may have been written since.
func (e *Engine) reconsider(u *Unit) *Unit {
	if u.cfg.LoadState != unit.StateNotFound || u.job != nil || u.ActiveState() != machine.Inactive {
		return u
	}
	name := u.Name()
	cfg := e.src.Load(name)
	if cfg == nil || cfg.LoadState == unit.StateNotFound {
		return u
	}
	e.swap(u, cfg)
	e.drainLoading()
	return e.names[name]
}

func (e *Engine) onEnqueue(v machine.Enqueue) {
	u, err := e.find(v.Unit)
	if err == nil {
		err = e.mayQueue(u, v)
	}
	if err != nil {
		e.reply(v.Reply, nil, err)
		return
	}
	typ := v.Type
	if v.ReloadIfPossible && e.CanReload(u) {
		switch typ {
		case job.Restart:
			typ = job.ReloadOrStart
		case job.TryRestart:
			typ = job.TryReload
		}
	}
	cause := v.Cause
	if cause.Kind == "" {
		cause.Kind = machine.CauseClient
	}
	e.replyJobs(v.Reply, u, v.Details, request{u: u, typ: typ, mode: v.Mode, cause: cause})
}

// replyJobs queues a job and answers with it and, for details, with the others of the transaction.
func (e *Engine) replyJobs(r machine.Reply, u *Unit, details bool, q request) {
	t, err := e.enqueue(q)
	if err != nil {
		e.queueCollect(u)
		e.reply(r, nil, err)
		return
	}
	ids := []job.ID{t.anchor.installed.ID}
	if details {
		for _, c := range t.jobs {
			if c.installed != nil && c != t.anchor {
				ids = append(ids, c.installed.ID)
			}
		}
	}
	e.reply(r, u, nil, ids...)
}

// mayQueue checks what a client may ask for but a dependency may.
func (e *Engine) mayQueue(u *Unit, v machine.Enqueue) *machine.Error {
	if !job.Valid(v.Type) || !job.ValidMode(v.Mode) {
		return refuse(errInvalidArgs, "Job type %q or mode %q is unknown.", v.Type, v.Mode)
	}
	if v.Cause.Kind != machine.CauseClient && v.Cause.Kind != "" {
		return nil
	}
	c := &u.cfg.Unit
	broken := u.cfg.LoadState == unit.StateNotFound || u.cfg.LoadState == unit.StateError || u.cfg.LoadState == unit.StateBadSetting
	if v.Type == job.Stop && broken && u.ActiveState() == machine.Inactive {
		return refuse(unit.ErrNoSuchUnit, "Unit %s not loaded.", u.Name())
	}
	starts := v.Type == job.Start || v.Type == job.Restart || v.Type == job.TryRestart || v.Type == job.ReloadOrStart
	if starts && c.RefuseManualStart {
		return refuse(errOnlyByDependency, "%s may be requested by dependency only (RefuseManualStart=yes).", u.Name())
	}
	if job.Stops(v.Type) && c.RefuseManualStop {
		return refuse(errOnlyByDependency, "%s may be requested by dependency only (RefuseManualStop=yes).", u.Name())
	}
	return nil
}

func (e *Engine) onCancel(v machine.CancelJob) {
	if v.ID == 0 {
		e.cancelAll(func(*Job) bool { return false })
		e.reply(v.Reply, nil, nil)
		return
	}
	j := e.jobs[v.ID]
	if j == nil {
		e.reply(v.Reply, nil, refuse(errNoSuchJob, "Job %d does not exist.", v.ID))
		return
	}
	e.finish(j, job.Canceled, true)
	e.reply(v.Reply, nil, nil)
}

func (e *Engine) onResetFailed(v machine.ResetFailed) {
	var all []*Unit
	if v.Unit != "" {
		u, err := e.find(v.Unit)
		if err != nil {
			e.reply(v.Reply, nil, err)
			return
		}
		all = append(all, u)
		e.takeBack(u)
	} else {
		all = e.Units()
	}
	for _, u := range all {
		if u.machine != nil {
			e.with(u).ResetFailed(&host{e: e, u: u})
		}
		if u.state != nil && (u.state.StartLimit != (rate{}) || u.state.LimitHit) {
			u.state.StartLimit, u.state.LimitHit = rate{}, false
			e.markUnit(u)
		}
		e.queueCollect(u)
	}
	e.reply(v.Reply, nil, nil)
}

// onTransient makes units of configurations that exist only in memory and starts the first.
func (e *Engine) onTransient(v machine.StartTransient) {
	if len(v.PIDs) > 0 && v.Config.Type == unit.TypeScope && len(v.Config.GetScope().PIDs) == 0 {
		c, sc := *v.Config, *v.Config.GetScope()
		for _, pid := range v.PIDs {
			sc.PIDs = append(sc.PIDs, uint32(pid))
		}
		c.OwnExtra().Scope = &sc
		v.Config = &c
	}
	for _, cfg := range append([]*unit.Unit{v.Config}, v.Aux...) {
		if u := e.names[cfg.Name]; u != nil && !e.replaceable(u) {
			e.discard(v.Given)
			e.reply(v.Reply, nil, refuse(errUnitExists, "Unit %s was already loaded or has a unit file.", cfg.Name))
			return
		}
	}
	var u *Unit
	for _, cfg := range append(slices.Clone(v.Aux), v.Config) {
		if u = e.names[cfg.Name]; u != nil {
			e.swap(u, cfg)
		} else {
			u = e.adopt(cfg.Name, cfg)
		}
	}
	e.drainLoading()
	if r, ok := e.with(u).(machine.Receiver); ok && v.Given != nil {
		r.Give(&host{e: e, u: u}, *v.Given)
	} else {
		e.discard(v.Given)
	}
	if v.Client != "" {
		e.ref(u, v.Client)
	}
	mode := v.Mode
	if mode == "" {
		mode = job.Replace
	}
	cause := v.Cause
	if cause.Kind == "" {
		cause.Kind = machine.CauseClient
	}
	e.replyJobs(v.Reply, u, false, request{u: u, typ: job.Start, mode: mode, cause: cause})
}

// discard closes what nobody takes.
func (e *Engine) discard(g *machine.Given) {
	if g == nil {
		return
	}
	for _, h := range g.All() {
		e.emit(machine.CloseHandle{Handle: h})
	}
}

// replaceable reports whether a transient unit may take the place of u: a name without a file and without a life.
func (e *Engine) replaceable(u *Unit) bool {
	return u.cfg.LoadState == unit.StateNotFound && u.job == nil && u.ActiveState().IsInactiveOrFailed() ||
		u.cfg.Type == unit.TypeSlice && u.cfg.FragmentPath == "" && u.job == nil && u.flags&perpetual == 0 && u.ActiveState().IsInactiveOrFailed()
}

func (e *Engine) onSetConfig(v machine.SetConfig) {
	u := e.names[v.Config.Name]
	if u == nil {
		e.reply(v.Reply, nil, refuse(unit.ErrNoSuchUnit, "Unit %s is not loaded.", v.Config.Name))
		return
	}
	e.swap(u, v.Config)
	e.drainLoading()
	e.requeueAll()
	e.updateCgroup(u)
	e.emit(machine.UnitChanged{Unit: u.Name(), Active: u.ActiveState(), Sub: u.SubState(), Properties: true})
	e.reply(v.Reply, u, nil)
}

// updateCgroup lets the settings of a unit hold for the control group it has.
func (e *Engine) updateCgroup(u *Unit) {
	if u.cfg.Type.HasCgroup() && !u.ActiveState().IsInactiveOrFailed() {
		e.emit(machine.UpdateCgroup{Unit: u.Name()})
	}
}

// ref keeps a unit for a client.
func (e *Engine) ref(u *Unit, client string) {
	s := u.st()
	s.Clients = append(s.Clients, client)
	slices.Sort(s.Clients)
	e.clients[client] = append(e.clients[client], u)
	e.markUnit(u)
}

func (e *Engine) onRef(v machine.Ref) {
	u, err := e.find(v.Unit)
	if err == nil {
		e.ref(u, v.Client)
	}
	e.reply(v.Reply, u, err)
}

func (e *Engine) onUnref(v machine.Unref) {
	u := e.names[v.Unit]
	if u == nil || !slices.Contains(u.get().Clients, v.Client) {
		e.reply(v.Reply, nil, refuse(errNotReferenced, "%s has no reference by this client.", v.Unit))
		return
	}
	u.state.Clients = without(u.state.Clients, v.Client)
	if rest := without(e.clients[v.Client], u); rest != nil {
		e.clients[v.Client] = rest
	} else {
		delete(e.clients, v.Client)
	}
	e.markUnit(u)
	e.queueCollect(u)
	e.reply(v.Reply, u, nil)
}

func (e *Engine) onClientGone(client string) {
	for _, u := range e.clients[client] {
		if u.flags&removed != 0 {
			continue
		}
		for slices.Contains(u.get().Clients, client) {
			u.state.Clients = without(u.state.Clients, client)
		}
		e.markUnit(u)
		e.queueCollect(u)
	}
	delete(e.clients, client)
}

// onReload reads definitions again: those of the named units, or of all.
func (e *Engine) onReload(v machine.Reload) {
	clear(e.noMount)
	var all []*Unit
	if v.All {
		all = e.Units()
	}
	for _, name := range v.Changed {
		if u := e.names[name]; u != nil && !slices.Contains(all, u) {
			all = append(all, u)
		}
	}
	for _, u := range all {
		if u.flags&removed != 0 {
			continue
		}
		e.swap(u, e.complete(u.Name(), e.src.Load(u.Name())))
	}
	e.drainLoading()
	e.requeueAll()
	for _, u := range all {
		if u.flags&removed == 0 {
			e.updateCgroup(u)
		}
	}
	e.reply(v.Reply, nil, nil)
}

// requeueAll looks at all waiting jobs again, after the order between units may have changed.
func (e *Engine) requeueAll() {
	e.breakInstalled()
	for _, j := range e.Jobs() {
		e.queueJob(j)
	}
}

// swap gives a unit a new configuration and makes its edges anew. What it is doing goes on.
func (e *Engine) swap(u *Unit, cfg *unit.Unit) {
	if cfg.Type != u.cfg.Type {
		return // another type can't be another configuration of the same unit
	}
	if cfg.Name != u.cfg.Name {
		e.becomeAlias(u, cfg)
		return
	}
	e.disconnect(u)
	for _, n := range u.cfg.Names {
		if e.names[n] == u && n != cfg.Name && !slices.Contains(cfg.Names, n) {
			delete(e.names, n)
		}
	}
	cfg = e.complete(cfg.Name, cfg)
	u.cfg = cfg
	e.claimNames(u)
	if u.flags&inLoading == 0 {
		u.flags |= inLoading
		e.loading = append(e.loading, u)
	}
	e.touch(u)
	if _, ok := u.machine.(machine.Reconfigured); ok {
		e.requests = append(e.requests, startRequest{kind: tellReconfigured, u: u})
	}
	e.queueCollect(u)
	if u.job != nil {
		e.changedJob(u.job)
	}
	e.queueDependents(u)
	e.emit(machine.UnitChanged{Unit: u.Name(), Active: u.ActiveState(), Sub: u.SubState(), Properties: true})
}

// becomeAlias deals with a name that was a unit of its own and is now another name of a different one. If the unit is in use, it
// stays as it is until it is down.
func (e *Engine) becomeAlias(u *Unit, cfg *unit.Unit) {
	if !u.blank() && !(u.job == nil && u.ActiveState().IsInactiveOrFailed()) {
		return
	}
	main := e.names[cfg.Name]
	if main == u {
		return
	}
	if main == nil {
		delete(e.names, u.Name())
		main = e.adopt(cfg.Name, cfg)
	}
	e.absorb(main, u)
	e.names[u.cfg.Name] = main
}
