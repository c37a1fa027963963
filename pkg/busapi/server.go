package busapi

import (
	"sort"
	"strings"

	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/engine"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/unit"
)

// Names of the interfaces and of the manager object.
const (
	root         = "/org/freedesktop/systemd1"
	selfPath     = root + "/unit/self"
	ifaceManager = "org.freedesktop.systemd1.Manager"
	ifaceUnit    = "org.freedesktop.systemd1.Unit"
	ifaceJob     = "org.freedesktop.systemd1.Job"
	ifaceProps   = "org.freedesktop.DBus.Properties"
	ifacePeer    = "org.freedesktop.DBus.Peer"
	ifaceIntro   = "org.freedesktop.DBus.Introspectable"
)

// Server is the set of objects. It belongs to the loop.
type Server struct {
	b          Backend
	clients    map[*Client]struct{}
	scratch    bus.Encoder
	signal     bus.Encoder
	rows       writer // for the properties that come from rows
	manager    *iface
	unit       *iface
	jobIface   *iface
	logControl *iface
	own        *iface
	types      map[unit.Type]*iface
	pending    changes
	watchers   map[uint32]*Client // job → the client that asked for it and gets its JobRemoved
	ended      endedJobs          // why units had their last job, for io.muster.Manager1

	waiting map[string][]*call // by peer of the message bus: what is served once it is known who that is

	told *machine.UnitChanged // the state that is being announced; the unit may be further already

	fileStates *fileStates
	usage      usageCache
	callLists  map[string][]string // expanded SystemCallFilter= lists, see filterCalls
	settings   []*settings         // the newest, see settingsOf
	oldest     int                 // of settings, the next to be replaced
	lagging    map[*Client]*lag
	behind     map[*Client]bool // whose socket was not writable after the last turn
}

// New makes the objects over a backend.
func New(b Backend) *Server {
	s := &Server{b: b, clients: map[*Client]struct{}{}, types: map[unit.Type]*iface{}, watchers: map[uint32]*Client{},
		lagging: map[*Client]*lag{}, behind: map[*Client]bool{}, waiting: map[string][]*call{}}
	s.manager, s.unit, s.jobIface, s.logControl = managerInterface(), unitInterface(), jobInterface(), logControlInterface()
	s.own = ownInterface()
	for _, t := range unit.Types() {
		s.types[t] = typeInterface(t)
	}
	s.pending.init()
	return s
}

// Large reports whether buffers are kept that Shrink had better give up soon.
func (s *Server) Large() bool { return s.scratch.Large() || s.signal.Large() }

// Shrink gives up what only makes a series of calls faster.
func (s *Server) Shrink() {
	s.scratch.Shrink()
	s.signal.Shrink()
	s.fileStates, s.usage = nil, usageCache{}
	s.settings, s.oldest = nil, 0
}

// typeName is the interface of a unit type: org.freedesktop.systemd1.Service.
func typeName(t unit.Type) string {
	n := t.String()
	return "org.freedesktop.systemd1." + strings.ToUpper(n[:1]) + n[1:]
}

// Connected adds a client.
func (s *Server) Connected(c *Client) {
	// Behind the message bus there is always somebody who listens (logind); the bus drops what nobody there has asked for.
	c.subscribed = c.subscribed || !c.Private
	s.clients[c] = struct{}{}
}

// Disconnected forgets a client.
func (s *Server) Disconnected(c *Client) {
	delete(s.clients, c)
	delete(s.lagging, c)
	delete(s.behind, c)
	for sender, queue := range s.waiting {
		if queue[0].c == c {
			delete(s.waiting, sender)
			for _, k := range queue {
				k.msg.CloseFDs()
			}
		}
	}
	for id, w := range s.watchers {
		if w == c {
			delete(s.watchers, id)
		}
	}
}

// send queues a message; what a connection can't take any more ends it, which its owner notices.
func (s *Server) send(c *Client, msg *bus.Message) {
	if _, ok := s.clients[c]; ok {
		_, _ = c.Conn.Queue(msg)
		s.b.Touched(c)
	}
}

// object is what a path leads to.
type object struct {
	manager bool
	unit    *engine.Unit
	job     *engine.Job
	ifaces  []*iface
}

// find looks an object up. Units that are not loaded yet are loaded, as a client may ask for any unit by its path.
func (s *Server) find(k *call, path bus.ObjectPath) (object, error) {
	if path == root {
		return object{manager: true, ifaces: []*iface{s.manager}}, nil
	}
	if path == logControlPath {
		return object{manager: true, ifaces: []*iface{s.logControl}}, nil
	}
	if path == ownPath {
		return object{manager: true, ifaces: []*iface{s.own}}, nil
	}
	if id, ok := bus.JobFromPath(path); ok {
		if j := s.b.Engine().Job(id); j != nil {
			return object{job: j, ifaces: []*iface{s.jobIface}}, nil
		}
		return object{}, bus.Errorf(bus.ErrUnknownObject, "Unknown object '%s'.", path)
	}
	name, ok := bus.UnitFromPath(path)
	if !ok {
		return object{}, bus.Errorf(bus.ErrUnknownObject, "Unknown object '%s'.", path)
	}
	if name == "self" {
		name = s.b.UnitByPID(k.pid())
	}
	u, err := s.loadUnit(name)
	if err != nil {
		return object{}, err
	}
	return object{unit: u, ifaces: []*iface{s.unit, s.types[u.Config().Type]}}, nil
}

// Message serves one message of a client. Only method calls mean anything to the manager.
func (s *Server) Message(c *Client, msg *bus.Message) {
	if msg.Type != bus.TypeCall {
		return
	}
	if k := (&call{s: s, c: c, msg: msg}); !s.hold(k) {
		s.serve(k)
	}
}

// serve serves a call now, or puts it into the queue of those that wait to be known.
func (s *Server) serve(k *call) {
	s.usage = usageCache{}
	if err := s.dispatch(k); err != nil {
		k.fail(err)
	}
}

func (s *Server) dispatch(k *call) error {
	msg := k.msg
	switch msg.Interface {
	case ifacePeer:
		return s.peer(k)
	case ifaceIntro:
		return s.introspect(k)
	}
	if msg.Path == selfPath {
		if known, err := s.identify(k); !known || err != nil {
			return err
		}
	}
	obj, err := s.find(k, msg.Path)
	if err != nil {
		return err
	}
	if msg.Interface == ifaceProps {
		return s.properties(k, obj)
	}
	for _, i := range obj.ifaces {
		if msg.Interface != "" && msg.Interface != i.name {
			continue
		}
		if m := i.byMethod[msg.Member]; m != nil {
			return s.invoke(k, obj, m)
		}
	}
	return bus.Errorf(bus.ErrUnknownMethod, "Unknown method %s or interface %s.", msg.Member, msg.Interface)
}

// invoke checks the arguments and the caller and runs a method.
func (s *Server) invoke(k *call, obj object, m *method) error {
	args, err := k.msg.Args(m.in)
	if err != nil {
		return err
	}
	if wait, err := s.authorize(k, m); wait || err != nil {
		return err
	}
	k.args = args
	if obj.unit != nil {
		k.unit = obj.unit.Name()
	}
	if obj.job != nil {
		k.job = obj.job.ID
	}
	m.run(k)
	return nil
}

func (s *Server) peer(k *call) error {
	switch k.msg.Member {
	case "Ping":
		k.ok()
	case "GetMachineId":
		id := s.b.Facts().MachineID
		k.reply("s", func(e *bus.Encoder) { e.String(id) })
	default:
		return bus.Errorf(bus.ErrUnknownMethod, "Unknown method %s or interface %s.", k.msg.Member, k.msg.Interface)
	}
	return nil
}

// introspect describes an object, or a directory of objects.
func (s *Server) introspect(k *call) error {
	if k.msg.Member != "Introspect" {
		return bus.Errorf(bus.ErrUnknownMethod, "Unknown method %s or interface %s.", k.msg.Member, k.msg.Interface)
	}
	xml, err := s.introspection(k, k.msg.Path)
	if err != nil {
		return err
	}
	k.reply("s", func(e *bus.Encoder) { e.String(xml) })
	return nil
}

func (s *Server) introspection(k *call, path bus.ObjectPath) (string, error) {
	switch path {
	case "/":
		return bus.Introspection(nil, []string{"org"}), nil
	case "/org":
		return bus.Introspection(nil, []string{"freedesktop"}), nil
	case "/org/freedesktop":
		return bus.Introspection(nil, []string{"systemd1"}), nil
	case root + "/unit":
		var names []string
		for _, u := range s.b.Engine().Units() {
			names = append(names, strings.TrimPrefix(string(bus.UnitPath(u.Name())), root+"/unit/"))
		}
		sort.Strings(names)
		return bus.Introspection(nil, names), nil
	case root + "/job":
		var names []string
		for _, j := range s.b.Engine().Jobs() {
			names = append(names, strings.TrimPrefix(string(bus.JobPath(j.ID)), root+"/job/"))
		}
		return bus.Introspection(nil, names), nil
	}
	obj, err := s.find(k, path)
	if err != nil {
		return "", err
	}
	var list []bus.Interface
	for _, i := range obj.ifaces {
		list = append(list, i.describe())
	}
	if obj.manager {
		return bus.Introspection(list, []string{"unit", "job"}), nil
	}
	return bus.Introspection(list, nil), nil
}
