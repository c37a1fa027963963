package enginetest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/muster-init/muster/pkg/engine"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/unit"
)

// listener is a port that the engine wants to hear of.
type listener struct {
	unit   string
	accept bool
}

func randomSocket(r *Random, u *unit.Unit) {
	s := *u.GetSocket()
	for i := range 1 + r.N(2) {
		s.Listen = append(s.Listen, unit.Listen{Kind: "Stream", Address: fmt.Sprintf("/run/%s%d", u.Name, i)})
	}
	s.Accept = r.P(25)
	s.FlushPending = r.P(10)
	s.RemoveOnStop = r.P(20)
	s.TimeoutUSec = uint64(1+r.N(10)) * 1_000_000
	if r.P(20) {
		s.SocketUser = "nobody"
	}
	if r.P(20) {
		s.ExecStartPre = commands(r, 2)
	}
	if r.P(20) {
		s.ExecStopPost = commands(r, 2)
	}
	if r.P(20) {
		s.MaxConnections = 1
	}
	if r.P(20) {
		s.TriggerLimitIntervalUSec, s.TriggerLimitBurst = 2_000_000, 3
	}
	u.Socket = &s
}

// newHandle opens a descriptor.
func (w *World) newHandle() machine.Handle {
	w.handle++
	w.handles[w.handle] = true
	return w.handle
}

// openSockets opens the listeners of a unit, or fails to.
func (w *World) openSockets(q machine.OpenSockets) machine.Event {
	u := w.E.Unit(q.Unit)
	if u == nil || !w.calm && w.rnd.P(10) {
		return machine.SocketsOpened{Token: q.Token, Message: "address in use"}
	}
	a := machine.SocketsOpened{Token: q.Token}
	for _, l := range u.Config().GetSocket().Listen {
		a.Ports = append(a.Ports, machine.Port{Handle: w.newHandle(), Kind: l.Kind, Address: l.Address})
	}
	return a
}

// closeSockets closes listeners; the answer comes later if one is wanted. After a restore the same is asked again.
func (w *World) closeSockets(q machine.CloseSockets) error {
	for _, p := range q.Ports {
		if !w.handles[p.Handle] && !w.restored {
			return violation(fdOwners, "listener %d of %s is closed but not open", p.Handle, q.Unit)
		}
		delete(w.handles, p.Handle)
		delete(w.listening, p.Handle)
		w.closing[p.Handle] = q.Token != 0
	}
	if q.Token != 0 {
		w.slow = append(w.slow, q)
	}
	return nil
}

// traffic lets something come in at a listener: a client, a flood of them, or an error of accept(2).
func (w *World) traffic() error {
	var ports []machine.Handle
	for h := range w.listening {
		ports = append(ports, h)
	}
	if len(ports) == 0 {
		return nil
	}
	slices.Sort(ports)
	h := pick(w.rnd, ports...)
	l := w.listening[h]
	ev := machine.SocketReady{Unit: l.unit, Port: h}
	if w.rnd.P(8) {
		ev.Problem = pick(w.rnd, "too many open files", "hung up")
		return w.deliver(ev)
	}
	if !l.accept {
		return w.deliver(ev)
	}
	for range pick(w.rnd, 1, 1, 1, 12) {
		if _, still := w.listening[h]; !still {
			return nil
		}
		handle := w.newHandle()
		ev.Conn = &machine.Connection{Handle: handle, Instance: fmt.Sprintf("%d-peer", handle), Source: pick(w.rnd, "a", "b"), Peer: "peer"}
		if err := w.deliver(ev); err != nil {
			return err
		}
	}
	return w.checkConnections(l.unit)
}

// checkConnections requires that MaxConnections= holds.
func (w *World) checkConnections(name string) error {
	u := w.E.Unit(name)
	if u == nil || u.Machine() == nil {
		return nil
	}
	prefix := strings.TrimSuffix(name, ".socket") + "@"
	n := 0
	for _, p := range w.E.Units() {
		if strings.HasPrefix(p.Name(), prefix) && !p.ActiveState().IsInactiveOrFailed() && !w.restarted(p) {
			n++
		}
	}
	if limit := int(u.Config().GetSocket().MaxConnections); n > limit && !w.check.lowered[name] {
		return violation(limitsHold, "%s serves %d connections, the limit is %d", name, n, limit)
	}
	return nil
}

// restarted tells of a service that waits for a restart or had one: it gave its connection back when it ended.
func (w *World) restarted(u *engine.Unit) bool {
	return strings.HasPrefix(u.SubState(), "auto-restart") || strings.Contains(string(w.E.Record("unit/"+u.Name())), `"restarts":`)
}
