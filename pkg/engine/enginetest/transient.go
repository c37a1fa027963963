package enginetest

import (
	"fmt"

	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit"
)

// transient makes a request for a unit that exists only as long as it is used: a scope around processes of a client, or a service.
func (w *World) transient() machine.Event {
	if scopes := w.scopes(); len(scopes) > 0 && w.rnd.P(30) {
		name := pick(w.rnd, scopes...)
		return machine.Abandon{Unit: name, Reply: w.ask(name)}
	}
	kind := pick(w.rnd, "scope", "scope", "service")
	name := fmt.Sprintf("run%d.%s", w.rnd.N(6), kind)
	u := RandomUnit(w.rnd, name, w.names)
	u.LoadState = unit.StateLoaded
	u.FragmentPath = "/run/systemd/transient/" + name
	u.Transient = true
	ev := machine.StartTransient{Config: u, Mode: pick(w.rnd, job.Replace, job.Fail), Reply: w.ask(name)}
	if w.rnd.P(40) {
		ev.Client = w.client()
	}
	if kind == "scope" {
		s := *u.GetScope()
		if w.rnd.P(20) {
			s.RuntimeMaxUSec = uint64(1+w.rnd.N(10)) * 1_000_000
		}
		s.TimeoutStopUSec = uint64(1+w.rnd.N(10)) * 1_000_000
		for range w.rnd.N(3) {
			w.pid++
			w.procs[w.pid] = &process{stubborn: w.rnd.P(10)}
			s.PIDs = append(s.PIDs, uint32(w.pid))
		}
		u.Scope = &s
	}
	if old := w.E.Unit(name); old == nil {
		w.src[name] = u
	} else if old.Config().LoadState == unit.StateNotFound && old.ActiveState() == machine.Inactive && old.Job() == nil {
		w.src[name] = u
	}
	return ev
}

// scopes lists the scopes that are loaded.
func (w *World) scopes() []string {
	var out []string
	for _, u := range w.E.Units() {
		if u.Config().Type == unit.TypeScope && !u.Perpetual() {
			out = append(out, u.Name())
		}
	}
	return out
}

// attach moves processes into the cgroup of a unit.
func (w *World) attach(q machine.AttachPIDs) error {
	a := machine.ProcessesAttached{Token: q.Token}
	moved := 0
	for _, pid := range q.PIDs {
		if p := w.procs[pid]; p != nil {
			p.unit = q.Unit
			moved++
		}
	}
	if moved == 0 || !w.calm && w.rnd.P(10) {
		a.Message = "no such process"
	}
	return w.deliver(a)
}

// setConfig changes a setting of a unit as SetUnitProperties does.
func (w *World) setConfig(name string, r machine.Reply) machine.Event {
	c := *w.src[name]
	c.Unit.Description = "changed"
	if w.rnd.P(50) {
		c.Unit.JobTimeoutUSec = uint64(1+w.rnd.N(20)) * 1_000_000
	}
	w.src[name] = &c
	return machine.SetConfig{Config: &c, Reply: r}
}
