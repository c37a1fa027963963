package engine

import (
	"slices"

	"github.com/muster-init/muster/pkg/depend"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit"
)

// Trigger queues a start job of a unit that h's unit activates.
func (h *host) Trigger(name string, mode job.Mode) *machine.Error {
	u, err := h.e.find(name)
	if err != nil {
		return err
	}
	_, err = h.e.enqueue(request{u: u, typ: job.Start, mode: mode, cause: machine.Cause{
		Kind: machine.CauseTrigger, Unit: h.u.Name(), Directive: depend.Of(unit.DepTriggers).Types()[0].String() + "="}})
	if err != nil {
		h.e.queueCollect(u)
	}
	return err
}

// StopTriggered queues a stop job of a unit that h's unit activates.
func (h *host) StopTriggered(name string) *machine.Error {
	u, err := h.e.find(name)
	if err != nil {
		return err
	}
	_, err = h.e.enqueue(request{u: u, typ: job.Stop, mode: job.Replace, cause: machine.Cause{
		Kind: machine.CauseTrigger, Unit: h.u.Name(), Directive: "TimeoutIdleSec="}})
	return err
}

// Triggers lists the units that h's unit activates.
func (h *host) Triggers() []machine.Peer {
	var out []machine.Peer
	h.e.peers(h.u, depend.Triggers, func(p *Unit, _ depend.Mask) bool {
		out = append(out, peerOf(p))
		return true
	})
	return out
}

// Peer loads a unit if need be and tells how it stands.
func (h *host) Peer(name string) machine.Peer {
	u, err := h.e.find(name)
	if err != nil {
		return machine.Peer{Name: name, Active: machine.Inactive, Problem: err.Message}
	}
	return peerOf(u)
}

func peerOf(u *Unit) machine.Peer {
	p := machine.Peer{Name: u.Name(), Loaded: u.cfg.LoadState == unit.StateLoaded, Active: u.ActiveState(), Sub: u.SubState(), Result: u.Result()}
	p.LimitHit = u.get().LimitHit
	if u.job != nil {
		p.Job = u.job.Type
	}
	if err := loadError(u); err != nil {
		p.Problem = err.Message
	}
	return p
}

// Connect makes the unit of this name one that h's unit activates, gives it a connection and queues its start job.
func (h *host) Connect(name string, c machine.Connection) *machine.Error {
	e := h.e
	u, err := e.find(name)
	if err == nil {
		err = loadError(u)
	}
	if err != nil {
		e.emit(machine.CloseHandle{Handle: c.Handle})
		return err
	}
	m, ok := e.with(u).(machine.Connector)
	if !ok {
		e.queueCollect(u)
		e.emit(machine.CloseHandle{Handle: c.Handle})
		return refuse(errNotSupported, "%s can't serve a connection.", name)
	}
	if err := m.Connect(&host{e: e, u: u}, c); err != nil {
		e.queueCollect(u)
		e.emit(machine.CloseHandle{Handle: c.Handle})
		return err
	}
	u.st().Socket = h.u.Name()
	e.linkSocket(u)
	if c.Peer != "" {
		cfg := *u.cfg
		cfg.Unit.Description += " (" + c.Peer + ")"
		u.cfg = &cfg
	}
	if err := h.Trigger(u.Name(), job.Replace); err != nil {
		if r, ok := m.(machine.Releaser); ok {
			r.Release(&host{e: e, u: u})
		}
		return err
	}
	return nil
}

// linkSocket makes the edges of a unit that serves a connection to the socket it came from. They are the unit's own: they go with it,
// and a change of the socket's configuration leaves them.
func (e *Engine) linkSocket(u *Unit) {
	name := u.get().Socket
	if name == "" {
		return
	}
	if s := e.reference(name); s != nil && u.flags&removed == 0 {
		e.link(u, s, unit.DepTriggeredBy)
		e.link(u, s, unit.DepAfter)
	}
}

// deferred keeps the list of the machines that wait for the job queue.
func (e *Engine) deferred(u *Unit) {
	i := slices.Index(e.deferring, u)
	switch _, ok := u.machine.(machine.Deferrer); {
	case ok && i < 0 && u.SubState() == "deferred":
		e.deferring = append(e.deferring, u)
	case i >= 0 && u.SubState() != "deferred":
		e.deferring = slices.Delete(e.deferring, i, i+1)
	}
}

// tellDeferrers tells those machines that a job has ended.
func (e *Engine) tellDeferrers() {
	e.jobEnded = false
	for _, u := range slices.Clone(e.deferring) {
		if m, ok := u.machine.(machine.Deferrer); ok && u.flags&removed == 0 {
			e.touch(u)
			m.JobsChanged(&host{e: e, u: u}, len(e.jobs))
		}
	}
}
