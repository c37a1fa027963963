package manager

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/listen"
)

// acceptMax bounds the connections that one listener may bring in a turn of the loop.
const acceptMax = 64

// watchSockets reports what happens on listeners.
func (m *Manager) watchSockets(e machine.WatchSockets) {
	for _, h := range e.Ports {
		if err := m.watchSocket(e.Unit, h, e.Accept); err != nil {
			problem := fmt.Sprintf("Failed to watch listening fds: %v", err)
			m.later(func() { m.submit(machine.SocketReady{Unit: e.Unit, Port: h, Problem: problem}) })
		}
	}
}

func (m *Manager) watchSocket(name string, h machine.Handle, accept bool) error {
	fd := m.fds.fd(h)
	if fd < 0 {
		return errNoSocket
	}
	if _, ok := m.sock.watched[h]; ok {
		return nil
	}
	connections := false
	if accept {
		n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
		connections = err == nil && n != 0
	}
	err := m.sources.add(fd, unix.EPOLLIN, prioBus, sourceFunc(func(events uint32) { m.socketReady(name, h, events, connections) }))
	if err == nil {
		m.sock.watched[h] = name
	}
	return err
}

func (m *Manager) unwatchSockets(e machine.UnwatchSockets) {
	for _, h := range e.Ports {
		m.unwatchSocket(h)
	}
}

func (m *Manager) unwatchSocket(h machine.Handle) {
	if _, ok := m.sock.watched[h]; ok {
		delete(m.sock.watched, h)
		m.sources.remove(m.fds.fd(h))
	}
}

// socketReady tells the engine what happened on a listener. After each event the listener may not be watched any more.
func (m *Manager) socketReady(name string, h machine.Handle, events uint32, connections bool) {
	ev := machine.SocketReady{Unit: name, Port: h}
	if _, ok := m.sock.watched[h]; !ok {
		return
	}
	if events != unix.EPOLLIN {
		ev.Problem = fmt.Sprintf("Got unexpected poll event (0x%x) on socket.", events)
		if events&unix.EPOLLHUP != 0 {
			ev.Problem = "Got POLLHUP on a listening socket. The service probably invoked shutdown() on it, and should better not do that."
		}
		m.submit(ev)
		return
	}
	if !connections {
		m.submit(ev)
		return
	}
	for range acceptMax {
		conn, ok, err := listen.Accept(m.fds.fd(h))
		if err != nil {
			ev.Problem = err.Error()
			m.submit(ev)
			return
		}
		if !ok {
			return
		}
		ev.Conn = m.connection(name, conn)
		if ev.Conn != nil {
			m.submit(ev)
		}
		if _, still := m.sock.watched[h]; !still {
			return
		}
	}
}

// connection describes an accepted connection; nil if it is gone already.
func (m *Manager) connection(name string, fd int) *machine.Connection {
	peer, err := listen.Identify(fd)
	if err != nil {
		_ = unix.Close(fd)
		return nil
	}
	if u := m.eng.Config(name); u != nil {
		listen.Accepted(fd, u.GetSocket(), func(format string, args ...any) { m.log.warning(name, format, args...) })
	}
	return &machine.Connection{
		Handle: m.fds.add(fd), Instance: peer.Instance, Source: peer.Source, Peer: peer.Text, Env: slices.Clip(peer.Env),
	}
}
