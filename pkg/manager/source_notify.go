package manager

import (
	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/engine/service"
	"github.com/muster-init/muster/pkg/kernel"
	"github.com/muster-init/muster/pkg/notify"
)

// notifyMax bounds the datagrams of one turn, so that a flood cannot keep everything else waiting.
const notifyMax = 512

// readNotify handles the datagrams that are there.
func (m *Manager) readNotify() {
	for range notifyMax {
		d, ok, err := m.notifySocket.Receive()
		if !ok {
			return
		}
		if err != nil {
			m.log.debug("", "notify socket: %v", err)
		}
		m.notified(&d)
		d.Close()
	}
}

// notified identifies the sender and hands its message to the engine. The descriptors that the engine doesn't get are closed by the caller.
func (m *Manager) notified(d *kernel.Datagram) {
	if d.Truncated || d.FDsTruncated {
		m.log.warning("", "A notification of pid %d was too long or had too many descriptors: ignored.", d.Cred.Pid)
		return
	}
	if !d.HasCred || d.Cred.Pid <= 0 {
		m.log.debug("", "A notification without credentials of its sender was ignored.")
		return
	}
	msg, problems, err := notify.Parse(d.Data)
	if err != nil {
		problems = append(problems, err.Error())
	}
	pid := d.Cred.Pid
	unitName := ""
	if u := m.eng.UnitByPID(pid); u != nil {
		unitName = u.Name()
	} else {
		unitName = m.cg.unitOfPID(pid)
	}
	for _, p := range problems {
		m.log.warning(unitName, "Notification of pid %d: %s", pid, p)
	}
	if msg.Barrier {
		return // the descriptor is closed with the datagram: everything before it has been handled
	}
	if unitName == "" {
		m.log.debug("", "A notification of pid %d, which belongs to no unit, was ignored.", pid)
		return
	}
	m.submit(machine.Notify{Unit: unitName, PID: pid, UID: d.Cred.Uid, Msg: m.notifyMessage(unitName, &msg, d)})
}

// notifyMessage translates the decoded datagram; descriptors become handles, which the engine owns from here on.
func (m *Manager) notifyMessage(unitName string, n *notify.Message, d *kernel.Datagram) machine.NotifyMessage {
	out := machine.NotifyMessage{
		Ready: n.Ready, Reloading: n.Reloading, Stopping: n.Stopping, Status: n.Status, Errno: n.Errno, BusError: n.BusError,
		VarlinkError: n.VarlinkError, MainPID: n.MainPID, Watchdog: n.Watchdog, WatchdogTrigger: n.WatchdogTrigger,
		WatchdogUSec: n.WatchdogUSec, ExtendTimeoutUSec: n.ExtendTimeoutUSec, MonotonicUSec: n.MonotonicUSec,
		NotifyAccess: n.NotifyAccess, FDStore: n.FDStore, FDStoreRemove: n.FDStoreRemove, FDName: n.FDName, FDPollOff: n.FDPollOff,
		RestartReset: n.RestartReset,
	}
	if n.MainPID != nil && n.MainPIDFDID != nil {
		// The number may be another process's by now; the inode of its pidfd can't.
		if id := kernel.PidFDIDOf(int(*n.MainPID)); id != *n.MainPIDFDID && m.spawner.pidFDID != 0 {
			m.log.debug(unitName, "MAINPID=%d: another process than MAINPIDFDID=%d, ignored.", *n.MainPID, *n.MainPIDFDID)
			out.MainPID = nil
		}
	}
	if n.MainPIDFD && len(d.FDs) == 1 {
		if pid, err := kernel.PidFDPid(d.FDs[0]); err == nil && pid > 0 {
			p := int32(pid)
			out.MainPID = &p
		}
		return out
	}
	if n.FDStore {
		for _, fd := range d.FDs {
			out.FDs = append(out.FDs, m.storedOrNew(unitName, fd))
		}
		d.FDs = nil
	}
	return out
}

// pollHandle watches a stored descriptor for its peer's hang-up.
func (m *Manager) pollHandle(h machine.Handle) {
	fd := m.fds.fd(h)
	if fd < 0 {
		return
	}
	// Events 0: only EPOLLHUP and EPOLLERR are reported. What epoll can't watch (a file) never hangs up.
	err := m.sources.add(fd, 0, prioWorkers, sourceFunc(func(ev uint32) {
		if ev&(unix.EPOLLHUP|unix.EPOLLERR) != 0 {
			m.sources.remove(fd)
			m.submit(machine.HandleHangup{Handle: h})
		}
	}))
	if err != nil {
		m.log.debug("", "fd store: %v", err)
	}
}

// closeHandle stops watching a descriptor and closes it.
func (m *Manager) closeHandle(h machine.Handle) {
	m.sources.remove(m.fds.fd(h))
	m.fds.close(h)
}

// storedOrNew gives a received descriptor a handle: that of the same open file if the unit has it in its fd store already (the double is closed), else
// a new one.
func (m *Manager) storedOrNew(unitName string, fd int) machine.Handle {
	if u := m.eng.Unit(unitName); u != nil {
		if svc, ok := u.Machine().(*service.Machine); ok {
			for _, stored := range svc.State().Store {
				if have := m.fds.fd(stored.Handle); have >= 0 && sameFile(have, fd) {
					_ = unix.Close(fd)
					return stored.Handle
				}
			}
		}
	}
	return m.fds.add(fd)
}

// kcmpFile is KCMP_FILE of kcmp(2).
const kcmpFile = 0

// sameFile reports whether two descriptors share one open file description.
func sameFile(a, b int) bool {
	pid := uintptr(unix.Getpid())
	r, _, errno := unix.Syscall6(unix.SYS_KCMP, pid, pid, kcmpFile, uintptr(a), uintptr(b), 0)
	return errno == 0 && r == 0
}
