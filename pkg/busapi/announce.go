package busapi

import (
	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
)

// changes collects what PropertiesChanged has to say until the end of the turn, or until a JobRemoved must come behind it.
type changes struct {
	units   []string // in the order of their first change; those that are not pending any more have been told
	pending map[string]bool
	manager bool
}

func (c *changes) init() { c.pending = map[string]bool{} }

func (c *changes) add(name string) {
	if !c.pending[name] {
		c.pending[name] = true
		c.units = append(c.units, name)
	}
}

// reset empties the list, and gives back what a transaction of thousands of jobs has made of it.
func (c *changes) reset() {
	if cap(c.units) > changesKept {
		*c = changes{pending: map[string]bool{}, manager: c.manager}
	}
	c.units = c.units[:0]
}

// changesKept is the number of units that the lists of changes have room for between two turns.
const changesKept = 256

// Announce turns an announcement of the engine into signals.
func (s *Server) Announce(effect machine.Effect) {
	switch e := effect.(type) {
	case machine.JobRemoved:
		s.ended.add(e, s.b.Now().Realtime)
	case machine.UnitRemoved:
		s.ended.forget(e.Unit)
	}
	if !s.anybody() {
		if e, ok := effect.(machine.JobRemoved); ok {
			delete(s.watchers, e.ID)
		}
		return
	}
	switch e := effect.(type) {
	case machine.UnitNew:
		s.emitUnit("UnitNew", e.Unit)
	case machine.UnitRemoved:
		s.flushUnit(e.Unit)
		s.emitUnit("UnitRemoved", e.Unit)
	case machine.UnitChanged:
		// Each sub-state is told by itself: a client that waits for one must not miss it because another followed at once.
		if !e.Properties {
			s.pending.add(e.Unit)
			s.told = &e
			s.flushUnit(e.Unit)
			s.told = nil
			return
		}
		s.pending.add(e.Unit)
	case machine.JobNew:
		s.emitJob("JobNew", e.ID, e.Unit, "")
		s.pending.add(e.Unit)
	case machine.JobRemoved:
		s.flushUnit(e.Unit)
		s.emitJob("JobRemoved", e.ID, e.Unit, e.Result)
		delete(s.watchers, e.ID)
		s.pending.add(e.Unit)
	case machine.RequestStop:
		s.requestStop(e)
	}
}

// anybody reports whether any client gets signals.
func (s *Server) anybody() bool {
	for c := range s.clients {
		if c.Private || c.subscribed || c.stake {
			return true
		}
	}
	return false
}

// broadcast encodes a signal once and queues it for everybody who listens. Private peers get everything without asking, as with systemd, where
// systemctl waits for JobRemoved there.
func (s *Server) broadcast(path bus.ObjectPath, iface, member, sig string, fill func(e *bus.Encoder)) {
	s.broadcastTo(false, path, iface, member, sig, fill)
}

// broadcastTo also sends to the message bus when nobody there has subscribed but wanted says that somebody there has a stake in just this: a
// reference to the unit, or the job that ended.
func (s *Server) broadcastTo(wanted bool, path bus.ObjectPath, iface, member, sig string, fill func(e *bus.Encoder)) {
	msg := bus.NewSignal(path, iface, member)
	s.signal.Reset()
	fill(&s.signal)
	msg.SetBody(sig, &s.signal)
	for c := range s.clients {
		if c.Private && c.Conn.Ready() || c.subscribed || wanted && !c.Private {
			if member == "PropertiesChanged" && s.lags(c, path) {
				continue
			}
			_, _ = c.Conn.Queue(msg)
			msg.Serial = 0
			s.b.Touched(c)
		}
	}
}

func (s *Server) emitUnit(member, name string) {
	s.broadcast(root, ifaceManager, member, "so", func(e *bus.Encoder) {
		e.String(name)
		e.ObjectPath(bus.UnitPath(name))
	})
}

func (s *Server) emitJob(member string, id job.ID, name string, result job.Result) {
	sig := "uos"
	if result != "" {
		sig = "uoss"
	}
	s.broadcastTo(s.watchers[id] != nil, root, ifaceManager, member, sig, func(e *bus.Encoder) {
		e.Uint32(id)
		e.ObjectPath(bus.JobPath(id))
		e.String(name)
		if result != "" {
			e.String(string(result))
		}
	})
}

// requestStop asks the controller of a scope to end it.
func (s *Server) requestStop(r machine.RequestStop) {
	for c := range s.clients {
		if c.Private {
			continue
		}
		msg := bus.NewSignal(bus.UnitPath(r.Unit), "org.freedesktop.systemd1.Scope", "RequestStop")
		msg.Destination = r.Client
		s.send(c, msg)
	}
}

// Reloading tells that a reload begins or has ended.
func (s *Server) Reloading(active bool) {
	s.broadcast(root, ifaceManager, "Reloading", "b", func(e *bus.Encoder) { e.Bool(active) })
}

// UnitFilesChanged tells that links or files of units changed.
func (s *Server) UnitFilesChanged() {
	s.fileStates = nil
	s.broadcast(root, ifaceManager, "UnitFilesChanged", "", func(*bus.Encoder) {})
}

// StartupFinished tells how long the boot took, from the moments of kernel, initrd, userspace and its end (0 where there was none).
func (s *Server) StartupFinished() {
	r := s.b.Runtime()
	span := func(from, to machine.Instant) uint64 {
		if from.IsZero() || to.Monotonic < from.Monotonic {
			return 0
		}
		return to.Monotonic - from.Monotonic
	}
	s.broadcast(root, ifaceManager, "StartupFinished", "tttttt", func(e *bus.Encoder) {
		for range 2 { // firmware, loader: not known to anybody here
			e.Uint64(0)
		}
		kernel := r.Userspace.Monotonic
		if !r.InitRD.IsZero() {
			kernel = r.InitRD.Monotonic
		}
		e.Uint64(kernel)
		e.Uint64(span(r.InitRD, r.Userspace))
		e.Uint64(span(r.Userspace, r.Finish))
		e.Uint64(r.Finish.Monotonic)
	})
	s.ManagerChanged()
}

// ManagerChanged says that properties of the manager object changed.
func (s *Server) ManagerChanged() { s.pending.manager = true }

// Flush sends what is left at the end of a turn.
func (s *Server) Flush() {
	for i := 0; i < len(s.pending.units); i++ {
		s.flushUnit(s.pending.units[i])
	}
	s.pending.reset()
	s.catchUp()
	if s.pending.manager {
		s.pending.manager = false
		s.propertiesChanged(root, s.manager, &object{manager: true})
	}
}

// flushUnit sends the PropertiesChanged of one unit now.
func (s *Server) flushUnit(name string) {
	if !s.pending.pending[name] {
		return
	}
	delete(s.pending.pending, name)
	u := s.b.Engine().Unit(name)
	if u == nil || !s.anybody() {
		return
	}
	s.usage = usageCache{}
	obj := &object{unit: u}
	path := bus.UnitPath(name)
	s.propertiesChanged(path, s.types[u.Config().Type], obj)
	s.propertiesChanged(path, s.unit, obj)
}

// propertiesChanged sends the values of the properties that emit changes, and the names of those that only invalidate.
func (s *Server) propertiesChanged(path bus.ObjectPath, i *iface, obj *object) {
	if len(i.emitting) == 0 && len(i.invalidating) == 0 {
		return
	}
	wanted := obj.unit != nil && len(obj.unit.Clients()) > 0
	s.broadcastTo(wanted, path, ifaceProps, "PropertiesChanged", changedSig, func(e *bus.Encoder) { s.writeChanged(e, i, obj) })
}

const changedSig = "sa{sv}as"

// writeChanged writes the body of PropertiesChanged for one interface.
func (s *Server) writeChanged(e *bus.Encoder, i *iface, obj *object) {
	e.String(i.name)
	mark := e.BeginArray('{')
	for _, p := range i.emitting {
		e.Prepared(p.entry)
		s.write(p, obj, e)
	}
	e.EndArray(mark)
	e.Strings(i.invalidating)
}
