package busapi

import (
	"github.com/muster-init/muster/pkg/bus"
)

// A client that reads more slowly than units change would have its own replies wait behind ever more signals, and the manager's memory fill with them.
// So above lagBytes of unread output its PropertiesChanged are not queued but remembered by object, and sent once, with what then holds, when it has
// caught up. A peer of the private socket has caught up when the kernel calls its socket writable: what lies between the two is the time that an
// answer takes, however soon it is given.
//
// DEVIATION: a client that lags sees the last of several states only, and may see JobRemoved before the change that belongs to it.
type lag struct {
	paths []bus.ObjectPath // in the order of their first change
	seen  map[bus.ObjectPath]bool
}

const (
	lagBytes     = 128 << 10
	catchUpBatch = 8 // objects a turn
)

// lags reports whether c has too much to read, and then remembers the object.
func (s *Server) lags(c *Client, path bus.ObjectPath) bool {
	l := s.lagging[c]
	if l == nil {
		_, isUnit := bus.UnitFromPath(path)
		if s.behind[c] && !c.Conn.Behind() {
			delete(s.behind, c)
		}
		if !isUnit || c.Conn.QueuedBytes() < lagBytes && !s.behind[c] {
			return false
		}
		l = &lag{seen: map[bus.ObjectPath]bool{}}
		s.lagging[c] = l
		s.b.Touched(c)
	}
	if !l.seen[path] {
		l.seen[path] = true
		l.paths = append(l.paths, path)
	}
	return true
}

// Flushed is called when the output of a turn has been sent, as far as the socket took it. It returns whether the owner has to look out for the moment
// at which the socket becomes writable.
func (s *Server) Flushed(c *Client) bool {
	if c.Private && c.Conn.Behind() {
		s.behind[c] = true
	} else {
		delete(s.behind, c)
	}
	return s.lagging[c] != nil
}

// catchUp tells clients that have read what they had about the objects they missed.
func (s *Server) catchUp() {
	for c, l := range s.lagging {
		if c.Conn.QueuedBytes() > lagBytes/4 || c.Private && c.Conn.Behind() {
			continue
		}
		n := min(catchUpBatch, len(l.paths))
		batch := l.paths[:n]
		l.paths = l.paths[n:]
		for _, path := range batch {
			delete(l.seen, path)
			s.tell(c, path)
		}
		if len(l.paths) == 0 {
			delete(s.lagging, c)
			delete(s.behind, c)
		}
		s.b.Touched(c)
	}
}

// tell sends the present properties of one unit to one client.
func (s *Server) tell(c *Client, path bus.ObjectPath) {
	name, ok := bus.UnitFromPath(path)
	u := s.b.Engine().Unit(name)
	if !ok || u == nil {
		return
	}
	s.usage = usageCache{}
	obj := &object{unit: u}
	for _, i := range []*iface{s.types[u.Config().Type], s.unit} {
		if len(i.emitting) == 0 && len(i.invalidating) == 0 {
			continue
		}
		msg := bus.NewSignal(path, ifaceProps, "PropertiesChanged")
		s.signal.Reset()
		s.writeChanged(&s.signal, i, obj)
		msg.SetBody(changedSig, &s.signal)
		s.send(c, msg)
	}
}
