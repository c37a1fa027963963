package engine

import (
	"slices"
	"strings"

	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/unit"
)

// onKill signals processes of a unit for a client.
func (e *Engine) onKill(v machine.KillUnit) {
	u, err := e.find(v.Unit)
	if err != nil {
		e.reply(v.Reply, nil, err)
		return
	}
	if loadErr := loadError(u); loadErr != nil && u.ActiveState().IsInactiveOrFailed() {
		e.reply(v.Reply, nil, loadErr)
		return
	}
	whom, mustExist := strings.CutSuffix(v.Whom, "-fail")
	main, control := u.PIDs()
	k := machine.Kill{Unit: u.Name(), Signal: v.Signal, Value: v.Value, Subgroup: v.Subgroup, Log: true}
	if !u.cfg.Type.HasKill() && u.cfg.Type != unit.TypeSlice || u.ActiveState() == machine.Inactive && whom != "cgroup" && main == 0 && control == 0 && !mustExist && whom != "all" {
		e.reply(v.Reply, nil, refuse(errNoSuchProcess, "%s has no processes.", u.Name()))
		return
	}
	switch whom {
	case "", "all":
		k.MainPID, k.ControlPID, k.Cgroup = main, control, true
	case "main":
		if main == 0 {
			e.reply(v.Reply, nil, refuse(errNoSuchProcess, "%s has no main process.", u.Name()))
			return
		}
		k.MainPID = main
	case "control":
		if control == 0 {
			e.reply(v.Reply, nil, refuse(errNoSuchProcess, "%s has no control process.", u.Name()))
			return
		}
		k.ControlPID = control
	case "cgroup":
		k.Cgroup = true
	default:
		e.reply(v.Reply, nil, refuse(errInvalidArgs, "%q is none of all, main, control, cgroup.", v.Whom))
		return
	}
	k.Token = e.ask(query{reply: v.Reply, name: u.Name(), mustExist: mustExist, asked: k})
	e.emit(k)
}

// answered goes on with a client's request after the shell has answered.
func (e *Engine) answered(q query, ev machine.Event) {
	switch a := ev.(type) {
	case machine.Killed:
		if q.mustExist && !a.Left {
			e.reply(q.reply, nil, refuse(errNoSuchProcess, "%s has no matching processes.", q.name))
			return
		}
	case machine.ProcessesAttached:
		if a.Message != "" {
			e.reply(q.reply, nil, refuse(unit.ErrInvalidArgs, "%s", escapeReason(a.Message)))
			return
		}
	}
	e.reply(q.reply, e.names[q.name], nil)
}

func (e *Engine) onAbandon(v machine.Abandon) {
	u, err := e.find(v.Unit)
	if err != nil {
		e.reply(v.Reply, nil, err)
		return
	}
	m, ok := e.reader(u).(machine.Abandoner)
	if !ok {
		e.reply(v.Reply, nil, refuse(errNotSupported, "%s is no scope.", u.Name()))
		return
	}
	if u.machine == nil {
		e.reply(v.Reply, nil, refuse(errPrefix+"ScopeNotRunning", "Scope %s is not running, it can't be abandoned.", u.Name()))
		return
	}
	e.touch(u)
	e.reply(v.Reply, u, m.Abandon(&host{e: e, u: u}))
}

// onFreeze begins to freeze or thaw; the answer is given when the kernel reports it done.
func (e *Engine) onFreeze(v machine.Freeze) {
	u, err := e.find(v.Unit)
	switch {
	case err != nil:
	case !e.CanFreeze(u):
		err = refuse(errNotSupported, "%s can't be frozen: neither the manager can, nor units that are no service, scope or slice, nor a slice that has such in it.", u.Name())
	case u.ActiveState() != machine.Active:
		err = refuse(errUnitInactive, "%s is not active.", u.Name())
	case u.job != nil:
		err = refuse(errUnitBusy, "%s has a pending job.", u.Name())
	}
	if err != nil {
		e.reply(v.Reply, nil, err)
		return
	}
	wanted, done := "freezing", "frozen"
	if v.Thaw {
		wanted, done = "thawing", "running"
	}
	if u.FreezerState() == done {
		e.reply(v.Reply, u, nil)
		return
	}
	e.answerFreeze(u, refuse(errUnitBusy, "%s: another request came in between.", u.Name()))
	e.setFreezer(u, wanted)
	e.freezing[u.Name()] = v.Reply
	e.emit(machine.FreezeCgroup{Unit: u.Name(), Thaw: v.Thaw})
}

// answerFreeze answers a client that waits for the freezer.
func (e *Engine) answerFreeze(u *Unit, err *machine.Error) {
	if r, ok := e.freezing[u.Name()]; ok {
		delete(e.freezing, u.Name())
		e.reply(r, u, err)
	}
}

func (e *Engine) setFreezer(u *Unit, s string) {
	if s == "running" {
		s = ""
	}
	u.st().Freezer = s
	e.markUnit(u)
	e.emit(machine.UnitChanged{Unit: u.Name(), Active: u.ActiveState(), Sub: u.SubState(), Properties: true})
}

func (e *Engine) onFrozen(v machine.CgroupFrozen) {
	u := e.names[v.Unit]
	if u == nil || u.machine == nil {
		return
	}
	state := "running"
	if v.Frozen {
		state = "frozen"
	}
	if u.FreezerState() != state {
		e.setFreezer(u, state)
	}
	e.answerFreeze(u, nil)
	e.queueDependents(u) // a frozen unit is left alone
	if u.job != nil {
		e.queueJob(u.job)
	}
}

// onClean removes what an inactive unit has left.
func (e *Engine) onClean(v machine.Clean) {
	u, err := e.find(v.Unit)
	if err == nil {
		err = e.clean(u, v.Mask)
	}
	e.reply(v.Reply, u, err)
}

func (e *Engine) clean(u *Unit, mask []string) *machine.Error {
	c, ok := e.reader(u).(machine.Cleaner)
	switch {
	case !ok:
		return refuse(errNotSupported, "%s has nothing that can be cleaned.", u.Name())
	case u.cfg.LoadState != unit.StateLoaded:
		return loadError(u)
	case u.ActiveState() != machine.Inactive || u.job != nil:
		return refuse(errUnitBusy, "%s is not inactive or has a pending job.", u.Name())
	}
	can := c.CanClean(u.cfg)
	var kinds []string
	for _, k := range can {
		if slices.Contains(mask, k) || slices.Contains(mask, "all") {
			kinds = append(kinds, k)
		}
	}
	if len(kinds) == 0 {
		return refuse(errNothingToClean, "%s has nothing of that kind.", u.Name())
	}
	return e.with(u).(machine.Cleaner).Clean(&host{e: e, u: u}, kinds)
}

func (e *Engine) onAttach(v machine.AttachProcesses) {
	u, err := e.find(v.Unit)
	switch {
	case err != nil:
	case !u.cfg.Type.HasCgroup():
		err = refuse(errNotSupported, "%s has no cgroup.", u.Name())
	case u.ActiveState().IsInactiveOrFailed():
		err = refuse(errUnitInactive, "%s is not active.", u.Name())
	}
	if err != nil {
		e.reply(v.Reply, nil, err)
		return
	}
	t := e.ask(query{reply: v.Reply, name: u.Name(), asked: machine.AttachPIDs{}})
	e.emit(machine.AttachPIDs{Token: t, Unit: u.Name(), Subgroup: v.Subgroup, PIDs: v.PIDs})
}
