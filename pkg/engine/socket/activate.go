package socket

import (
	"strconv"
	"strings"

	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit"
)

// ready handles what was found on a listener. v255: socket_dispatch_io
func (m *Machine) ready(h machine.Host, e machine.SocketReady) {
	if m.s.Sub != Listening || m.s.Pending != nil {
		m.refuse(h, e.Conn, false)
		return
	}
	if e.Problem != "" {
		h.Log(control.LogErr, "", e.Problem)
		m.refuse(h, e.Conn, false)
		m.enterStopPre(h, ResultResources)
		return
	}
	m.countPoll(h, e.Port)
	m.activate(h, e.Conn)
}

// countPoll counts a report of a listener, and stops watching one that reports too often until its span is over.
func (m *Machine) countPoll(h machine.Host, port machine.Handle) {
	s := h.Unit().GetSocket()
	if s.PollLimitIntervalUSec == 0 || s.PollLimitBurst == 0 {
		return
	}
	var p *Paused
	for i := range m.s.Paused {
		if m.s.Paused[i].Handle == port {
			p = &m.s.Paused[i]
		}
	}
	if p == nil {
		m.s.Paused = append(m.s.Paused, Paused{Handle: port})
		p = &m.s.Paused[len(m.s.Paused)-1]
	}
	p.Rate.count(h.Now().Monotonic, s.PollLimitIntervalUSec, s.PollLimitBurst)
	if p.Rate.Count >= s.PollLimitBurst && !p.Off {
		p.Off = true
		h.Emit(machine.UnwatchSockets{Unit: h.Unit().Name, Ports: []machine.Handle{port}})
	}
}

// refuse closes a connection that nobody will serve.
func (m *Machine) refuse(h machine.Host, c *machine.Connection, count bool) {
	if c == nil {
		return
	}
	h.Emit(machine.CloseHandle{Handle: c.Handle})
	if count {
		m.s.NRefused++
		m.dirty = true
	}
}

// activate starts the service, or one for the connection. v255: socket_enter_running
func (m *Machine) activate(h machine.Host, c *machine.Connection) {
	s := h.Unit().GetSocket()
	if h.StopPending() {
		h.Log(control.LogDebug, "", "Suppressing connection request since unit stop is scheduled.")
		if c != nil {
			m.refuse(h, c, true)
		} else {
			h.Emit(machine.FlushSockets{Unit: h.Unit().Name, Ports: m.all()})
		}
		return
	}
	if !m.s.Trigger.count(h.Now().Monotonic, s.TriggerLimitIntervalUSec, s.TriggerLimitBurst) {
		h.Log(control.LogWarning, "", "Trigger limit hit, refusing further activation.")
		m.refuse(h, c, false)
		m.enterStopPre(h, ResultTriggerLimit)
		return
	}
	if c != nil {
		m.connect(h, *c)
		return
	}
	for _, p := range h.Triggers() {
		if p.Waking() {
			m.setState(h, Running)
			return
		}
	}
	mode := job.Replace
	if s.DeferTrigger != "no" && s.DeferTrigger != "" {
		mode = job.LenientMode
	}
	err := h.Trigger(serviceName(h.Unit()), mode)
	switch {
	case err == nil:
		m.setState(h, Running)
	case mode == job.LenientMode && conflict(err):
		m.wait(h, err)
	default:
		m.queueFailed(h, "non-template", err)
	}
}

func (m *Machine) queueFailed(h machine.Host, kind string, err *machine.Error) {
	h.Log(control.LogWarning, "", "Failed to queue service startup job (Maybe the service file is missing or not a "+kind+" unit?): "+err.Message)
	m.enterStopPre(h, ResultResources)
}

// connect gives a connection a unit of its own.
func (m *Machine) connect(h machine.Host, c machine.Connection) {
	s := h.Unit().GetSocket()
	switch {
	case m.s.NConnections() >= s.MaxConnections:
		h.Log(control.LogWarning, "", "Too many incoming connections ("+strconv.Itoa(len(m.s.Connections))+"), dropping connection.")
		m.refuse(h, &c, true)
		return
	case s.MaxConnectionsPerSource > 0 && c.Source != "" && m.s.from(c.Source) >= s.MaxConnectionsPerSource:
		h.Log(control.LogWarning, "", "Too many incoming connections ("+strconv.Itoa(int(m.s.from(c.Source)))+") from source "+
			c.Source+", dropping connection.")
		m.refuse(h, &c, true)
		return
	}
	name := m.instance(h.Unit(), c.Instance)
	if name == "" {
		h.Log(control.LogWarning, "", "The name of a unit for the connection ("+c.Peer+") would not be valid.")
		m.refuse(h, &c, true)
		return
	}
	m.s.NAccepted++
	m.dirty = true
	if m.s.Connections == nil {
		m.s.Connections = map[string]string{}
	}
	m.s.Connections[name] = c.Source
	c.Name = s.FileDescriptorName
	if err := h.Connect(name, c); err != nil {
		m.forgetConnection(name)
		if !h.Peer(name).Loaded {
			h.Log(control.LogErr, "", "Failed to load connection service unit: "+err.Message)
			m.enterStopPre(h, ResultResources)
			return
		}
		m.queueFailed(h, "template", err)
	}
}

// instance is the name of the unit for the next connection: the number of the connection and its two ends.
func (m *Machine) instance(cfg *unit.Unit, ends string) string {
	prefix, _, _ := strings.Cut(strings.TrimSuffix(cfg.Name, ".socket"), "@")
	name := prefix + "@" + strconv.FormatUint(uint64(m.s.NAccepted), 10)
	if ends != "" {
		name += "-" + ends
	}
	name += ".service"
	if !unit.ValidName(name, unit.NameInstance) {
		return ""
	}
	return name
}

// TriggerChanged follows the units that this one activates. v255: socket_trigger_notify
func (m *Machine) TriggerChanged(h machine.Host, name, _ string, now machine.ActiveState) {
	defer m.finish(h)
	if _, ours := m.s.Connections[name]; ours {
		m.connectionChanged(h, name, now)
		return
	}
	if h.Unit().GetSocket().Accept || m.s.Pending != nil {
		return
	}
	switch m.s.Sub {
	case Listening, Running, Deferred:
	default:
		return
	}
	p := h.Peer(name)
	switch {
	case p.LimitHit && p.Active.IsInactiveOrFailed():
		// Starting it again and again would only spin.
		m.enterStopPre(h, ResultServiceStartLimit)
	case p.Job != "":
	case m.released(p):
		if m.s.Sub == Running {
			m.enterListening(h)
		}
	case p.Sub == "running" && m.s.Sub != Running:
		m.setState(h, Running)
	}
}

// released reports whether a service has given up the listeners.
func (m *Machine) released(p machine.Peer) bool {
	switch p.Sub {
	case "final-sigterm", "final-sigkill", "auto-restart", "auto-restart-queued":
		return true
	}
	return p.Active.IsInactiveOrFailed()
}

// connectionChanged: a service that serves a connection is over.
func (m *Machine) connectionChanged(h machine.Host, name string, now machine.ActiveState) {
	if !now.IsInactiveOrFailed() || h.Peer(name).Job != "" {
		return
	}
	m.forgetConnection(name)
}

func (m *Machine) forgetConnection(name string) {
	delete(m.s.Connections, name)
	if len(m.s.Connections) == 0 {
		m.s.Connections = nil
	}
	m.dirty = true
}

// conflict reports whether a start was refused for what it would stop.
func conflict(err *machine.Error) bool {
	return strings.HasSuffix(err.Name, ".TransactionIsDestructive")
}

// wait puts the activation off until nothing conflicts with it any more.
func (m *Machine) wait(h machine.Host, err *machine.Error) {
	s := h.Unit().GetSocket()
	if m.s.DeferUntil == 0 {
		h.Log(control.LogInfo, "", "Activation is deferred: "+err.Message)
		m.s.DeferUntil = control.AddUSec(h.Now().Monotonic, s.DeferTriggerMaxUSec)
		m.setState(h, Deferred)
	}
}

// JobsChanged tries a deferred activation again.
func (m *Machine) JobsChanged(h machine.Host, left int) {
	defer m.finish(h)
	if m.s.Sub != Deferred {
		return
	}
	err := h.Trigger(serviceName(h.Unit()), job.LenientMode)
	switch {
	case err == nil:
		m.s.DeferUntil = 0
		m.setState(h, Running)
	case !conflict(err):
		m.queueFailed(h, "non-template", err)
	case left == 0 && h.Unit().GetSocket().DeferTrigger != "patient":
		// Nothing is on its way that could end the conflict.
		h.Log(control.LogWarning, "", "Service conflicts with units that stay up, giving up its activation: "+err.Message)
		m.enterStopPre(h, ResultResources)
	}
}
