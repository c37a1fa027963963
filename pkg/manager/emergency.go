package manager

import (
	"os"
	"strconv"
	"time"
	"unsafe"

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

// crashPause is how long a person has to read the console before CrashAction= restarts the machine.
const crashPause = 10 * time.Second

// minimal is what is left when the manager crashes again and again: the services go on as they are, every ended process is reaped, and somebody who can
// log in on the console may mend what is broken and try again with `kill -RTMIN+25 1`, or restart the machine. It ends when somebody asks for a new try.
//
// DEVIATION: CrashAction=freeze, the default, doesn't freeze: a crash re-executes the manager with its state, and after five crashes of images that
// lived for less than a second everything is kept running without being managed until a re-execution is asked for (SIGTERM or SIGRTMIN+25).
// CrashAction=reboot and poweroff, CrashShell= and CrashChangeVT= act at that point, not at the first crash.
//
// DEVIATION: DumpCore= has no effect: the handler of a crash executes the manager again in the same process, there is nobody left to dump. The Go
// traces of all goroutines go to the console instead.
func (m *Manager) minimal() {
	m.console.write("\r\nmuster: the manager crashed " + strconv.Itoa(crashesMax) + " times within a minute. The services keep running, but nothing is managed until it is re-executed: kill -RTMIN+25 1\r\n")
	if m.cfg.CrashChangeVT >= 0 && !m.container {
		changeVT(int(m.cfg.CrashChangeVT))
	}
	switch m.cfg.CrashAction {
	case "reboot", "poweroff":
		m.console.write("muster: CrashAction=" + m.cfg.CrashAction + " in " + crashPause.String() + "\r\n")
		time.Sleep(crashPause)
		unix.Sync()
		m.rebootNow(map[string]objective{"reboot": objectiveReboot, "poweroff": objectivePoweroff}[m.cfg.CrashAction])
	}
	fd, err := kernel.InstallSignals(kernel.ManagerSignals())
	shell := 0
	for again := false; err == nil && !again; {
		for {
			pid, e := unix.Wait4(-1, nil, unix.WNOHANG, nil)
			if e != nil || pid <= 0 {
				break
			}
			if pid == shell {
				shell = 0
			}
		}
		if m.system && !m.container && shell == 0 {
			shell = startShell(m.cfg.CrashShell)
		}
		_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 1000)
		for {
			s, ok := kernel.ReadSignal(fd)
			if !ok {
				break
			}
			again = again || int(s.Signo) == sigRTMin+25 || s.Signo == unix.SIGTERM
		}
	}
	m.crashes = nil
}

// changeVT shows a virtual terminal; 0 stands for the one that the kernel's own messages go to.
func changeVT(vt int) {
	tty, err := os.OpenFile("/dev/tty0", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return
	}
	defer tty.Close()
	if vt == 0 {
		// TIOCLINUX with subcode 17 tells which one that is, see ioctl_console(2).
		request := [2]byte{17, 0}
		n, _, errno := unix.Syscall(unix.SYS_IOCTL, tty.Fd(), unix.TIOCLINUX, uintptr(unsafe.Pointer(&request)))
		if vt = int(n); errno != 0 || vt <= 0 {
			vt = 1
		}
	}
	_ = unix.IoctlSetInt(int(tty.Fd()), 0x5606, vt) // VT_ACTIVATE
}
