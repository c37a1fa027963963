package manager

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/engine/automount"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/kernel"
)

const (
	// autofsSource is what the mount table shows as the source of an automount point; tools know the ones of an init system by it.
	autofsSource = "systemd-1"
	// autofsPacketMax is more than a packet of the kernel has.
	autofsPacketMax = 512
	unmountsMax     = 32
)

// loadAutofs has the kernel load the module of automount points, which most kernels have as one, before anybody asks whether there are such: to
// name the file system is enough.
func loadAutofs() {
	if fd, err := unix.Fsopen("autofs", unix.FSOPEN_CLOEXEC); err == nil {
		unix.Close(fd)
	}
}

// automountsSupported reports whether the kernel has automount points for us.
func (m *Manager) automountsSupported() bool {
	return m.system && unix.Access(kernel.AutofsDevice, unix.F_OK) == nil
}

// openAutomount makes an automount point on a worker.
func (m *Manager) openAutomount(e machine.OpenAutomount) {
	u := m.eng.Config(e.Unit)
	if u == nil {
		m.submit(machine.AutomountOpened{Token: e.Token, Message: "the unit is not loaded"})
		return
	}
	c, where := *u.GetAutomount(), automount.Where(u)
	m.open(e.Token, nil)
	queued := m.work.add(func() func() {
		_ = os.MkdirAll(where, os.FileMode(c.DirectoryMode).Perm())
		idle := c.TimeoutIdleUSec
		if idle == machine.Never {
			idle = 0
		}
		pipe, device, err := kernel.MountAutofs(where, autofsSource, c.ExtraOptions, (idle+999_999)/1_000_000)
		return func() {
			ev := machine.AutomountOpened{Token: e.Token, Device: device}
			if err != nil {
				ev.Message = err.Error()
				m.answer(e.Token, ev)
				return
			}
			ev.Handle = m.fds.add(pipe)
			if _, open := m.queries[e.Token]; !open {
				m.closeAutomount(machine.CloseAutomount{Unit: e.Unit, Where: where, Handle: ev.Handle, Device: device})
				return
			}
			m.saveShell()
			m.answer(e.Token, ev)
		}
	})
	if !queued {
		m.answer(e.Token, machine.AutomountOpened{Token: e.Token, Message: "the manager is too busy"})
	}
}

// watchAutomount reads what the kernel says about an automount point.
func (m *Manager) watchAutomount(e machine.WatchAutomount) {
	fd := m.fds.fd(e.Handle)
	if fd < 0 {
		m.later(func() { m.submit(machine.AutomountGone{Unit: e.Unit}) })
		return
	}
	m.sources.remove(fd)
	err := m.sources.add(fd, unix.EPOLLIN, prioPaths, sourceFunc(func(events uint32) { m.autofsPackets(e.Unit, fd, events) }))
	if err != nil {
		m.log.err(e.Unit, "%v", err)
	}
}

func (m *Manager) autofsPackets(name string, fd int, events uint32) {
	var buf [autofsPacketMax]byte
	for {
		n, err := unix.Read(fd, buf[:])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n <= 0 {
			break
		}
		p, err := kernel.ParseAutofsPacket(buf[:n])
		if err != nil {
			m.log.err(name, "%v", err)
			continue
		}
		m.submit(machine.AutomountAsked{Unit: name, Number: p.Token, Expire: p.Expire, Who: fmt.Sprintf("%d (%s)", p.PID, comm(p.PID))})
	}
	if events&(unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		m.sources.remove(fd)
		m.submit(machine.AutomountGone{Unit: name})
	}
}

func (m *Manager) ackAutomount(e machine.AckAutomount) {
	m.work.add(func() func() {
		if err := kernel.AckAutofs(e.Where, e.Device, e.Tokens, unix.Errno(e.Errno)); err != nil {
			return func() { m.log.err(e.Unit, "%v", err) }
		}
		return nil
	})
}

// expireAutomount asks the kernel to look for what is not used. The call lasts until the unmounting that comes of it has ended, so it has a
// goroutine of its own: the workers are needed for other things meanwhile.
func (m *Manager) expireAutomount(e machine.ExpireAutomount) {
	if m.expiring[e.Unit] {
		return
	}
	m.expiring[e.Unit] = true
	go m.work.one(func() func() {
		err := kernel.ExpireAutofs(e.Where, e.Device)
		return func() {
			delete(m.expiring, e.Unit)
			if err != nil {
				m.log.debug(e.Unit, "%v", err)
			}
		}
	})
}

// closeAutomount takes an automount point away, with what is mounted on it.
func (m *Manager) closeAutomount(e machine.CloseAutomount) {
	if fd := m.fds.fd(e.Handle); fd >= 0 {
		m.sources.remove(fd)
	}
	handle := e.Handle
	m.work.add(func() func() {
		err := kernel.AckAutofs(e.Where, e.Device, e.Tokens, unix.Errno(e.Errno))
		for range unmountsMax {
			if unix.Unmount(e.Where, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW) != nil {
				break
			}
		}
		return func() {
			m.fds.close(handle)
			m.saveShell()
			if err != nil && len(e.Tokens) > 0 {
				m.log.debug(e.Unit, "%v", err)
			}
		}
	})
}
