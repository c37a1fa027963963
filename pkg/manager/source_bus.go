package manager

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/busapi"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/kernel"
)

const (
	// clientsMax bounds the connections to the private socket.
	clientsMax = 4096
	// authTimeoutUSec is how long a client may take to say who it is.
	authTimeoutUSec = 90_000_000
	// clientSendBytes is how much the kernel holds for one client, so that a list of ten thousand units is sent at once. It is what real systemd's
	// clients take as their receive buffer.
	clientSendBytes = 8 << 20
	// systemBusSocket is where the broker listens.
	systemBusSocket = "/run/dbus/system_bus_socket"
)

// busSource serves the private socket, from the first turn of the loop to the last, and keeps the manager's connection to the message bus when
// there is one.
type busSource struct {
	m       *Manager
	api     *busapi.Server
	listen  int
	clients map[*busapi.Client]struct{}
	dirty   map[*busapi.Client]struct{} // clients with output to send
	// greeting are those whose handshake may not be over.
	greeting map[*busapi.Client]struct{}
	serial   uint64
	names    map[string]int // watched bus names, with the number of watchers
	broker   *broker
	asked    bool // a client has sent something in this turn
}

// openPrivate makes the listening socket at path; listen ≥ 0 is one that an earlier image kept.
func (b *busSource) openPrivate(path string, listen int) error {
	if listen < 0 {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		_ = os.Remove(path)
		old := unix.Umask(0o177)
		err = unix.Bind(fd, &unix.SockaddrUnix{Name: path})
		unix.Umask(old)
		if err == nil {
			err = unix.Listen(fd, 128)
		}
		if err != nil {
			_ = unix.Close(fd)
			return fmt.Errorf("%s: %w", path, err)
		}
		listen = fd
	}
	b.listen = listen
	return b.m.sources.add(listen, unix.EPOLLIN, prioBus, sourceFunc(b.accept))
}

func (b *busSource) accept(uint32) {
	for range 64 {
		fd, _, err := unix.Accept4(b.listen, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		if err != nil {
			return
		}
		if err := b.add(fd); err != nil {
			b.m.log.warning("", "private bus: %v", err)
			_ = unix.Close(fd)
		}
	}
}

func (b *busSource) add(fd int) error {
	if len(b.clients) >= clientsMax {
		return fmt.Errorf("a connection was refused: there are %d already", clientsMax)
	}
	peer, err := bus.PeerOf(fd)
	if err != nil {
		return err
	}
	b.serial++
	conn, err := bus.NewServerConn(fd, bus.ServerConfig{
		GUID: b.m.guid, Peer: peer, AuthDeadlineUSec: kernel.Monotonic() + authTimeoutUSec,
	})
	if err != nil {
		return err
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, clientSendBytes) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, clientSendBytes)
	}
	c := &busapi.Client{Conn: conn, Private: true, Name: fmt.Sprintf(":private.%d", b.serial)}
	if err := b.m.sources.add(fd, unix.EPOLLIN, prioBus, sourceFunc(func(ev uint32) { b.ready(c, ev) })); err != nil {
		return err
	}
	b.clients[c], b.greeting[c] = struct{}{}, struct{}{}
	b.api.Connected(c)
	return nil
}

// ready reads and answers what a client has sent. The calls of one client are answered in their order; between two reads the others get their turn.
func (b *busSource) ready(c *busapi.Client, events uint32) {
	if events&unix.EPOLLOUT != 0 {
		if err := c.Conn.OnWritable(); err != nil {
			b.drop(c, err)
			return
		}
	}
	if events&(unix.EPOLLIN|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		msgs, err := c.Conn.OnReadable()
		if c.Conn.Ready() {
			delete(b.greeting, c)
		}
		b.asked = b.asked || len(msgs) > 0
		b.m.trim.messages += len(msgs)
		for _, msg := range msgs {
			if !c.Conn.Deliver(msg) {
				b.api.Message(c, msg)
			}
			msg.CloseFDs()
		}
		if err != nil {
			b.drop(c, err)
			return
		}
	}
	b.touch(c)
}

// touch remembers that a client may have output.
func (b *busSource) touch(c *busapi.Client) { b.dirty[c] = struct{}{} }

// answer sends what clients have been answered in this turn, before the jobs get theirs.
func (b *busSource) answer() {
	if b.asked {
		b.asked = false
		b.flush()
	}
}

// flush sends what is queued, at the end of a turn, and tells the poller what each client waits for.
func (b *busSource) flush() {
	b.api.Flush()
	if b.broker != nil && b.broker.dirty {
		b.broker.dirty = false
		b.broker.flush()
	}
	for c := range b.dirty {
		delete(b.dirty, c)
		if _, ok := b.clients[c]; !ok {
			continue
		}
		err := c.Conn.Err() // a reply that it couldn't take has ended the connection
		if err == nil && c.Conn.WantsWrite() {
			err = c.Conn.OnWritable()
		}
		if err != nil {
			b.drop(c, err)
			continue
		}
		events := uint32(0)
		lags := b.api.Flushed(c)
		if c.Conn.WantsRead() {
			events |= unix.EPOLLIN
		}
		if lags || c.Conn.WantsWrite() {
			events |= unix.EPOLLOUT
		}
		_ = b.m.poll.Modify(c.Conn.FD(), events)
	}
}

func (b *busSource) drop(c *busapi.Client, err error) {
	if _, ok := b.clients[c]; !ok {
		return
	}
	if errors.Is(err, bus.ErrQueueFull) {
		b.m.log.warning("", "private bus: client %s (pid %d) doesn't read its replies: dropped.", c.Name, c.Conn.Peer().PID)
	}
	delete(b.clients, c)
	delete(b.dirty, c)
	delete(b.greeting, c)
	b.m.sources.remove(c.Conn.FD())
	b.api.Disconnected(c)
	c.Conn.Close()
	b.m.submit(machine.ClientGone{Client: c.Name})
}

// announce gives an announcement of the engine to the bus objects.
func (b *busSource) announce(effect machine.Effect) { b.api.Announce(effect) }

// shutdown sends what can be sent at once and closes every connection.
func (b *busSource) shutdown() {
	b.flush()
	for c := range b.clients {
		_ = c.Conn.OnWritable()
		b.m.sources.remove(c.Conn.FD())
		c.Conn.Close()
	}
	clear(b.clients)
}

func (b *busSource) watchName(name string) {
	b.names[name]++
	if b.names[name] == 1 && b.broker != nil {
		b.broker.watch(name)
	}
}

func (b *busSource) unwatchName(name string) {
	if b.names[name]--; b.names[name] <= 0 {
		delete(b.names, name)
		if b.broker != nil {
			b.broker.unwatch(name)
		}
	}
}

// startDBus starts dbus.service when somebody wants the bus and it isn't there.
func (m *Manager) startDBus() {
	m.submit(machine.Enqueue{Unit: "dbus.service", Type: job.Start, Mode: job.Replace, Cause: machine.Cause{Kind: machine.CauseSignal, Client: "SIGUSR1"}})
}
