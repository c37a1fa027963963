package service

import (
	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/unit"
)

// connectionName is what the descriptor of a connection is called in $LISTEN_FDNAMES.
const connectionName = "connection"

// Connect gives a service that is down the connection it is to serve. v255: service_set_socket_fd
func (m *Machine) Connect(_ machine.Host, c machine.Connection) *machine.Error {
	if m.s.Pending != nil || m.s.Conn != nil || m.s.Sub != Dead && m.s.Sub != Failed {
		return &machine.Error{Name: control.NameUnitBusy, Message: "The service is already in use, it can't serve another connection."}
	}
	m.s.Conn = &c
	return nil
}

// dropConnection closes our copy of the connection.
func (m *Machine) dropConnection(h machine.Host) {
	if m.s.Conn != nil {
		h.Emit(machine.CloseHandle{Handle: m.s.Conn.Handle})
		m.s.Conn = nil
	}
}

// Give keeps what the client that made the transient service handed over.
func (m *Machine) Give(h machine.Host, g machine.Given) {
	m.dropGiven(h)
	m.s.Given = &g
}

func (m *Machine) dropGiven(h machine.Host) {
	if m.s.Given != nil {
		closeAll(h, m.s.Given.All())
		m.s.Given = nil
	}
}

// sockets lists what the processes get to talk through: the one connection, or what the socket units listen on.
func (m *Machine) sockets(h machine.Host) []machine.FD {
	if m.s.Conn != nil {
		name := m.s.Conn.Name
		if name == "" {
			name = connectionName
		}
		return []machine.FD{{Handle: m.s.Conn.Handle, Name: name}}
	}
	return h.ListenFDs()
}

// usesSocket reports whether a standard stream of the service is its socket, for control processes as well.
func usesSocket(cfg *unit.Unit) bool {
	e := cfg.GetExec()
	for _, s := range []unit.Stdio{e.StandardInput, e.StandardOutput, e.StandardError} {
		if s.Kind == "socket" {
			return true
		}
	}
	return false
}
