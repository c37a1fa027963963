package service

import (
	"strconv"
	"unicode/utf8"

	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/machine"
)

// statusTextMax bounds StatusText in bytes; a datagram is never longer.
const statusTextMax = 4096

// notified takes a message of sd_notify(3). Descriptors that are not stored are closed.
func (m *Machine) notified(h machine.Host, n machine.Notify) {
	if !m.authorized(h, n.PID) {
		closeAll(h, n.Msg.FDs)
		return
	}
	if pid := n.Msg.MainPID; pid != nil && m.mainMayChange() && (!m.s.MainKnown || *pid != m.s.MainPID) {
		if *pid > 0 {
			m.ask(h, &Pending{Kind: askPID, Notify: &n})
			return
		}
		h.Log(control.LogWarning, "", "Failed to parse MAINPID= field in notification message, ignoring.")
	}
	m.heard(h, &n)
}

func (m *Machine) mainMayChange() bool {
	switch m.s.Sub {
	case Start, StartPost, Running, RefreshExtensions, RefreshCredentials, Reload, ReloadSignal, ReloadNotify, ReloadPost:
		return true
	}
	return false
}

// authorized checks the sender against NotifyAccess=.
func (m *Machine) authorized(h machine.Host, pid int32) bool {
	s := &m.s
	from := "Got notification message from PID " + strconv.Itoa(int(pid)) + ", but reception "
	main, ctl := strconv.Itoa(int(s.MainPID)), strconv.Itoa(int(s.ControlPID))
	switch m.notifyAccess(h.Unit().GetService()) {
	case "all":
		return true
	case "main":
		if pid != 0 && pid == s.MainPID {
			return true
		}
		if s.MainPID != 0 {
			from += "only permitted for main PID " + main
		} else {
			from += "only permitted for main PID which is currently not known"
		}
	case "exec":
		switch {
		case pid != 0 && (pid == s.MainPID || pid == s.ControlPID):
			return true
		case s.MainPID != 0 && s.ControlPID != 0:
			from += "only permitted for main PID " + main + " and control PID " + ctl
		case s.MainPID != 0:
			from += "only permitted for main PID " + main
		case s.ControlPID != 0:
			from += "only permitted for control PID " + ctl
		default:
			from += "only permitted for main PID and control PID which are currently not known"
		}
	default:
		from += "is disabled"
	}
	h.Log(control.LogWarning, "", from)
	return false
}

// heard acts on the fields of an accepted message, in the order in which systemd does.
func (m *Machine) heard(h machine.Host, n *machine.Notify) {
	msg := &n.Msg
	m.heardState(h, msg)
	m.heardStatus(h, msg)
	if msg.ExtendTimeoutUSec != nil {
		m.extendTimeout(h, *msg.ExtendTimeoutUSec)
	}
	if msg.Watchdog {
		m.pingWatchdog(h)
	}
	if msg.WatchdogUSec != nil {
		v := *msg.WatchdogUSec
		m.s.WatchdogOverride = &v
		m.pingWatchdog(h)
	}
	if msg.RestartReset && m.s.NRestarts != 0 {
		m.s.NRestarts = 0
		m.dirty = true
	}
	switch {
	case msg.FDStoreRemove:
		closeAll(h, msg.FDs)
		m.unstore(h, msg.FDName)
	case msg.FDStore:
		m.store(h, msg.FDs, msg.FDName, !msg.FDPollOff)
	default:
		closeAll(h, msg.FDs)
	}
	if msg.WatchdogTrigger {
		m.s.Trigger = true
	}
}

// heardState acts on STOPPING=1, READY=1 and RELOADING=1; the first of these wins, except that RELOADING=1 and READY=1
// together say that a reload is over already.
func (m *Machine) heardState(h machine.Host, msg *machine.NotifyMessage) {
	s := &m.s
	svc := h.Unit().GetService()
	// A reload that was asked for by signal is believed only if it began after the signal.
	fresh := s.Sub == ReloadSignal && msg.MonotonicUSec != nil && *msg.MonotonicUSec >= s.ReloadBegan
	switch {
	case msg.Stopping:
		s.Saying = SaidStopping
		m.dirty = true
		switch s.Sub {
		case Running, ReloadSignal, ReloadNotify:
			m.enterStopByNotify(h)
		}
	case msg.Ready:
		s.Saying = SaidReady
		m.dirty = true
		switch {
		case notifies(svc) && s.Sub == Start:
			m.enterStartPost(h)
		case s.Sub == ReloadNotify, msg.Reloading && fresh:
			m.reloadDone(h)
		case msg.Reloading && s.Sub == Running:
			h.PropagateReload()
		}
	case msg.Reloading:
		s.Saying = SaidReloading
		m.dirty = true
		switch {
		case fresh:
			m.setState(h, ReloadNotify)
		case s.Sub == Running:
			m.enterReloadByNotify(h)
		}
	}
}

// heardStatus keeps what the service says of itself in words.
func (m *Machine) heardStatus(h machine.Host, msg *machine.NotifyMessage) {
	s := &m.s
	changed := false
	set := func(field *string, v string) {
		if *field != v {
			*field, changed = v, true
		}
	}
	if msg.Status != nil {
		switch text := *msg.Status; {
		case len(text) > statusTextMax:
			h.Log(control.LogWarning, "", "Status message overly long ("+strconv.Itoa(len(text))+" > "+strconv.Itoa(statusTextMax)+"), ignoring.")
		case !utf8.ValidString(text):
			h.Log(control.LogWarning, "", "Status message in notification message is not UTF-8 clean, ignoring.")
		default:
			set(&s.StatusText, text)
		}
	}
	if a := msg.NotifyAccess; a != nil {
		switch *a {
		case "none", "main", "exec", "all":
			if *a != m.notifyAccess(h.Unit().GetService()) {
				set(&s.AccessOverride, *a)
			}
		default:
			h.Log(control.LogWarning, "", "Failed to parse NOTIFYACCESS= field value '"+*a+"' in notification message, ignoring.")
		}
	}
	if msg.Errno != nil && s.StatusErrno != *msg.Errno {
		s.StatusErrno, changed = *msg.Errno, true
	}
	if msg.BusError != nil {
		set(&s.StatusBusError, *msg.BusError)
	}
	if msg.VarlinkError != nil {
		set(&s.StatusVarlinkError, *msg.VarlinkError)
	}
	if changed {
		m.dirty = true
	}
}
