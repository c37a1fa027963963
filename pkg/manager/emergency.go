package manager

import (
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/kernel"
)

// emergency is what is left when the manager cannot do its work: it says why, gives a root shell on the console again and again, and reaps. PID 1
// never ends by itself, because the kernel would panic. A user manager just ends.
func (m *Manager) emergency(reason error) int {
	if !m.system || os.Getpid() != 1 {
		m.console.path = "/dev/stderr"
		m.console.write("muster: " + reason.Error() + "\n")
		return 1
	}
	if m.container {
		m.console.write("muster: " + reason.Error() + "\r\n")
		return 1
	}
	_ = kernel.Heartbeat(0)
	for {
		m.console.write("\r\nmuster: " + reason.Error() + "\r\nA root shell on the console follows; the machine restarts from its exit with `reboot -f`.\r\n")
		m.consoleShell(m.cfg != nil && m.cfg.CrashShell)
		time.Sleep(time.Second)
	}
}

// consoleShell runs a shell on the console and waits for its end, reaping everything else that ends meanwhile. There is no loop any more that could be
// blocked, so waiting is fine here.
func (m *Manager) consoleShell(plain bool) {
	shell := startShell(plain)
	if shell == 0 {
		return
	}
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		if pid == shell || err == unix.ECHILD {
			return
		}
	}
}

// startShell starts sulogin, which asks for root's password, or a plain shell (CrashShell=) on the console; 0: there is neither a console nor a shell.
func startShell(plain bool) (pid int) {
	tty, err := os.OpenFile("/dev/console", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return 0
	}
	defer tty.Close()
	shells := []string{"/usr/sbin/sulogin", "/sbin/sulogin", "/bin/bash", "/bin/sh"}
	if plain {
		shells = shells[2:]
	}
	for _, shell := range shells {
		if _, err := os.Stat(shell); err != nil {
			continue
		}
		p, err := os.StartProcess(shell, []string{shell}, &os.ProcAttr{
			Files: []*os.File{tty, tty, tty}, Env: append(os.Environ(), "TERM=linux"),
			Sys: &unix.SysProcAttr{Setsid: true, Setctty: true},
		})
		if err == nil {
			return p.Pid
		}
	}
	return 0
}
