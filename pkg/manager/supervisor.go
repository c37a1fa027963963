package manager

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/notify"
)

// notifySupervisor tells whoever started this manager (a container manager, or the system's manager for that of a user) about its state.
func (m *Manager) notifySupervisor(text ...string) {
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return
	}
	s, err := notify.Open(socket)
	if err == nil {
		defer s.Close()
		err = s.Send(text...)
	}
	if err != nil {
		m.log.debug("", "%v", err)
	}
}

func (m *Manager) notifyReady(status string) { m.notifySupervisor("READY=1", "STATUS="+status) }

// notifyReloading announces a reload or a re-execution, which notifyReady ends: Type=notify-reload of user@.service counts on both.
func (m *Manager) notifyReloading() {
	m.notifySupervisor("RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", clock(unix.CLOCK_MONOTONIC)), "STATUS=Reloading configuration.")
}
