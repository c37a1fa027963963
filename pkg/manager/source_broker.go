package manager

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/busapi"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/kernel"
)

// broker is the manager's own connection to the message bus: it serves org.freedesktop.systemd1 there and watches the names that Type=dbus
// services take. All calls are asynchronous; the bus going away is no more than an event.
type broker struct {
	m      *Manager
	conn   *bus.Conn
	client *busapi.Client
	unique string
	peers  peers
	dirty  bool // output was queued outside of a call to flush
}

const (
	brokerName        = "org.freedesktop.DBus"
	brokerPath        = "/org/freedesktop/DBus"
	brokerCallTimeout = 25_000_000 // µs
)

// connectBroker connects if the bus is there and the manager is not connected. Called when dbus.service or dbus.socket came up.
func (b *busSource) connectBroker() {
	if b.broker != nil {
		return
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: b.m.dirs.bus}); err != nil && err != unix.EINPROGRESS {
		_ = unix.Close(fd)
		return
	}
	br := &broker{m: b.m, conn: bus.NewClientConn(fd, bus.Limits{}, kernel.Monotonic()+brokerCallTimeout)}
	br.client = &busapi.Client{Conn: br.conn, Name: "bus"}
	if err := b.m.sources.add(fd, unix.EPOLLIN|unix.EPOLLOUT, prioBus, sourceFunc(br.ready)); err != nil {
		br.conn.Close()
		return
	}
	b.broker = br
	br.call("Hello", func(msg *bus.Message, err error) {
		if err != nil {
			br.lost(err)
			return
		}
		d := msg.Decoder()
		br.unique = d.String()
		br.begin()
	})
}

// begin asks for what the manager needs: its name, the signals about names that units watch.
func (br *broker) begin() {
	// Calls that waited for the name come before the answer to RequestName.
	br.m.bus.api.Connected(br.client)
	br.call("RequestName", func(_ *bus.Message, err error) {
		if err != nil {
			br.m.log.warning("", "org.freedesktop.systemd1 cannot be taken on the bus: %v", err)
		}
	}, "org.freedesktop.systemd1", uint32(4))
	// Every client that leaves: what it held (references, jobs it waits for) is given up.
	br.match("type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',interface='org.freedesktop.DBus',member='NameOwnerChanged',arg2=''")
	for name := range br.m.bus.names {
		br.watch(name)
	}
}

func (br *broker) match(rule string) {
	br.call("AddMatch", func(_ *bus.Message, err error) {
		if err != nil {
			br.m.log.warning("", "bus: AddMatch(%s): %v", rule, err)
		}
	}, rule)
}

func nameRule(name string) string {
	return "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='" + name + "'"
}

// watch asks for changes of a name's owner and for the owner that is there now.
func (br *broker) watch(name string) {
	br.match(nameRule(name))
	br.call("GetNameOwner", func(msg *bus.Message, err error) {
		if err == nil {
			d := msg.Decoder()
			br.owner(name, d.String())
		}
	}, name)
}

func (br *broker) unwatch(name string) {
	br.call("RemoveMatch", func(*bus.Message, error) {}, nameRule(name))
}

// owner tells the engine about a name's owner, with its pid, which the broker must be asked for.
func (br *broker) owner(name, unique string) {
	if unique == "" {
		br.m.submit(machine.NameOwnerChanged{Bus: name})
		return
	}
	br.call("GetConnectionUnixProcessID", func(msg *bus.Message, err error) {
		pid := uint32(0)
		if err == nil {
			d := msg.Decoder()
			pid = d.Uint32()
		}
		br.m.submit(machine.NameOwnerChanged{Bus: name, New: unique, PID: int32(pid)})
	}, unique)
}

// call queues a method call to the broker itself.
func (br *broker) call(member string, done bus.ReplyFunc, args ...any) {
	msg := bus.NewCall(brokerName, brokerPath, brokerName, member)
	setArguments(msg, args)
	if _, err := br.conn.Call(msg, kernel.Monotonic()+brokerCallTimeout, done); err != nil {
		br.m.log.warning("", "bus: %s: %v", member, err)
		done(nil, err)
	}
	br.flush()
}

func (br *broker) ready(events uint32) {
	if events&unix.EPOLLOUT != 0 {
		if err := br.conn.OnWritable(); err != nil {
			br.lost(err)
			return
		}
	}
	if events&(unix.EPOLLIN|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		msgs, err := br.conn.OnReadable()
		for _, msg := range msgs {
			br.message(msg)
			msg.CloseFDs()
		}
		if err != nil {
			br.lost(err)
			return
		}
	}
	br.flush()
}

func (br *broker) message(msg *bus.Message) {
	if br.conn.Deliver(msg) {
		return
	}
	if msg.Sender == brokerName && msg.Member == "NameOwnerChanged" {
		d := msg.Decoder()
		name, _, owner := d.String(), d.String(), d.String()
		if d.Err() != nil {
			return
		}
		if _, watched := br.m.bus.names[name]; watched {
			br.owner(name, owner)
		}
		if owner == "" && name != "" && name[0] == ':' {
			br.peers.gone(name)
			br.m.submit(machine.ClientGone{Client: name})
		}
		return
	}
	if msg.Sender == brokerName && msg.Interface == activator && msg.Member == "ActivationRequest" {
		br.activate(msg)
		return
	}
	br.m.bus.api.Message(br.client, msg)
}

// activator is the interface by which the message bus asks for services to be started (--systemd-activation of dbus-daemon(1)).
const activator = "org.freedesktop.systemd1.Activator"

// activate starts the unit that brings up a bus name. The bus is told only about failure: success is that the name appears.
func (br *broker) activate(msg *bus.Message) {
	d := msg.Decoder()
	name := d.String()
	if d.Err() != nil {
		return
	}
	if br.m.shuttingDown() {
		br.activationFailed(name, string(bus.ErrShuttingDown), "Refusing activation, the system is being shut down.")
		return
	}
	br.m.submit(machine.Enqueue{Unit: name, Type: job.Start, Mode: job.Replace,
		Cause: machine.Cause{Kind: machine.CauseTrigger, Client: "activation by the message bus"},
		Reply: br.m.request(func(r machine.SendReply) {
			if r.Err != nil {
				br.m.log.warning(name, "The message bus wants %s, which can't be started: %s", name, r.Err.Message)
				br.activationFailed(name, r.Err.Name, r.Err.Message)
			}
		})})
}

func (br *broker) activationFailed(name, errName, text string) {
	msg := bus.NewSignal("/org/freedesktop/systemd1", activator, "ActivationFailure")
	msg.Destination = brokerName
	var e bus.Encoder
	e.String(name)
	e.String(errName)
	e.String(text)
	msg.SetBody("sss", &e)
	if _, err := br.conn.Queue(msg); err == nil {
		br.flush()
	}
}

// flush sends what the socket takes and tells the poller whether there is more.
func (br *broker) flush() {
	if br.m.bus.broker != br {
		return
	}
	if br.conn.WantsWrite() {
		if err := br.conn.OnWritable(); err != nil {
			br.lost(err)
			return
		}
	}
	events := uint32(unix.EPOLLIN)
	if br.conn.WantsWrite() || !br.conn.Ready() {
		events |= unix.EPOLLOUT
	}
	if !br.conn.Ready() && !br.conn.WantsWrite() {
		events = unix.EPOLLIN
	}
	_ = br.m.poll.Modify(br.conn.FD(), events)
}

// lost forgets the connection; the next start of dbus makes a new one.
func (br *broker) lost(err error) {
	b := br.m.bus
	if b.broker != br {
		return
	}
	b.broker = nil
	br.m.log.debug("", "bus: %v", err)
	br.m.sources.remove(br.conn.FD())
	b.api.Disconnected(br.client)
	br.conn.Close()
	for name := range b.names {
		br.m.submit(machine.NameOwnerChanged{Bus: name})
	}
}

// setArguments encodes the few types that calls to the broker have.
func setArguments(msg *bus.Message, args []any) {
	var e bus.Encoder
	sig := ""
	for _, a := range args {
		switch v := a.(type) {
		case string:
			e.String(v)
			sig += "s"
		case uint32:
			e.Uint32(v)
			sig += "u"
		}
	}
	msg.SetBody(sig, &e)
}

// peersMax bounds the credentials that are remembered. A bus has fewer connections than that; a peer that floods it with new ones only makes the
// manager ask again.
const peersMax = 1024

// peers are the credentials of connections of the message bus, by unique name. The bus never gives a unique name twice, so what it said holds
// until the connection ends.
type peers struct{ known map[string]busapi.Credentials }

// get finds the credentials of a connection.
func (p *peers) get(name string) (busapi.Credentials, bool) {
	c, ok := p.known[name]
	return c, ok
}

func (p *peers) put(name string, c busapi.Credentials) {
	if len(p.known) >= peersMax || p.known == nil {
		p.known = map[string]busapi.Credentials{}
	}
	p.known[name] = c
}

// gone forgets a connection that has ended.
func (p *peers) gone(name string) { delete(p.known, name) }

// credentials asks the bus who a connection is.
func (br *broker) credentials(name string, done func(busapi.Credentials, error)) {
	br.call("GetConnectionCredentials", func(msg *bus.Message, err error) {
		var c busapi.Credentials
		if err == nil {
			c, err = readCredentials(msg)
		}
		if err == nil {
			br.peers.put(name, c)
		}
		done(c, err)
	}, name)
}

var errNoUID = errors.New("the message bus knows no user ID")

// readCredentials reads an a{sv} with UnixUserID and ProcessID among others.
func readCredentials(msg *bus.Message) (c busapi.Credentials, err error) {
	d, err := msg.Args("a{sv}")
	if err != nil {
		return c, err
	}
	found := false
	for list := d.BeginArray('{'); d.More(list); {
		d.Struct()
		name := d.String()
		sig := d.Variant()
		switch {
		case name == "UnixUserID" && sig == "u":
			c.UID, found = d.Uint32(), true
		case name == "ProcessID" && sig == "u":
			c.PID = int32(d.Uint32())
		default:
			d.Skip(sig)
		}
	}
	if err := d.Err(); err != nil {
		return c, err
	}
	if !found {
		return c, errNoUID
	}
	return c, nil
}

func (b backend) PeerCredentials(name string) (busapi.Credentials, bool) {
	if b.m.bus.broker == nil {
		return busapi.Credentials{}, false
	}
	return b.m.bus.broker.peers.get(name)
}

func (b backend) AskCredentials(name string, done func(busapi.Credentials, error)) {
	if b.m.bus.broker == nil {
		done(busapi.Credentials{}, bus.ErrClosed)
		return
	}
	b.m.bus.broker.credentials(name, done)
}

// deadline is when a call to the message bus, or the handshake of a private client, has taken too long.
func (b *busSource) deadline() uint64 {
	next := machine.Never
	if b.broker != nil {
		if d := b.broker.conn.NextDeadline(); d != 0 {
			next = d
		}
	}
	for c := range b.greeting {
		if d := c.Conn.NextDeadline(); d != 0 {
			next = min(next, d)
		}
	}
	return next
}

// expire ends what has taken too long.
func (b *busSource) expire() {
	now := kernel.Monotonic()
	for c := range b.greeting {
		switch {
		case c.Conn.Ready():
			delete(b.greeting, c)
		case c.Conn.NextDeadline() <= now:
			if err := c.Conn.Expire(now); err != nil {
				b.drop(c, err)
			}
		}
	}
	if br := b.broker; br != nil {
		if d := br.conn.NextDeadline(); d != 0 && d <= now {
			if err := br.conn.Expire(now); err != nil {
				br.lost(err)
			}
		}
	}
}
