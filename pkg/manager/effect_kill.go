package manager

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/cgroup"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/kernel"
	"github.com/muster-init/muster/pkg/unit/value"
)

// killPasses bounds how often the list of a cgroup is read again because new processes appeared while it was signalled.
const killPasses = 16

// kill carries out machine.Kill and answers it at once: listing a cgroup and sending signals cannot hang.
func (m *Manager) kill(e machine.Kill) {
	if m.spareSession(e) {
		return
	}
	m.killNow(e)
}

func (m *Manager) killNow(e machine.Kill) {
	k := killer{m: m, e: e, done: map[int32]bool{}}
	if e.MainPID > 0 {
		k.one(e.MainPID, "main")
	}
	if e.ControlPID > 0 {
		k.one(e.ControlPID, "control")
	}
	if e.Cgroup {
		k.cgroup()
	}
	if e.Token != 0 {
		m.submit(machine.Killed{Token: e.Token, Left: k.left})
	}
}

// killer is the work of one Kill effect.
type killer struct {
	m    *Manager
	e    machine.Kill
	done map[int32]bool // signalled already
	left bool           // somebody is still there whose end will be reported
}

// one signals a process that the manager tracks. Its pid cannot have been reused: the process is our child and not reaped yet, or watched by pidfd.
func (k *killer) one(pid int32, role string) {
	if k.done[pid] {
		return
	}
	k.done[pid] = true
	if k.send(pid, role) {
		k.left = true
	}
}

// cgroup signals every other process of the unit's cgroup, again until no new one shows up.
func (k *killer) cgroup() {
	for range killPasses {
		// The list may be cut: whoever is in it is signalled, and those that are not are ended with their group.
		pids, err := k.m.cg.processes(k.e.Unit, k.e.Subgroup)
		if err != nil && !errors.Is(err, cgroup.ErrLimit) && len(pids) == 0 {
			return
		}
		fresh := 0
		for _, pid := range pids {
			if pid == int32(os.Getpid()) || k.done[pid] {
				continue
			}
			k.done[pid] = true
			if k.send(pid, "") {
				k.left = true
				fresh++
			}
		}
		if fresh == 0 && err == nil {
			return
		}
		if k.e.Signal == int32(unix.SIGKILL) && k.e.Subgroup == "" && k.m.cg.kill(k.e.Unit) == nil {
			k.left = k.left || k.m.cg.populated(k.e.Unit)
			return // the kernel has killed all of them at once, later forks included
		}
		if err != nil {
			return // to list so many groups again and again would hold up everybody
		}
	}
}

func (k *killer) send(pid int32, role string) bool {
	if k.e.Log {
		k.say(pid)
	}
	var err error
	if k.e.Value != nil {
		err = sigqueue(pid, k.e.Signal, *k.e.Value)
	} else {
		err = unix.Kill(int(pid), unix.Signal(k.e.Signal))
	}
	if err != nil && err != unix.ESRCH {
		k.m.log.warning(k.e.Unit, "Failed to kill %sprocess %d (%s): %v", prefix(role), pid, comm(pid), err)
	}
	for _, also := range k.e.Also {
		_ = unix.Kill(int(pid), unix.Signal(also))
	}
	return err != unix.ESRCH
}

func prefix(role string) string {
	if role == "" {
		return ""
	}
	return role + " "
}

func (k *killer) say(pid int32) {
	k.m.log.notice(k.e.Unit, "Killing process %d (%s) with signal %s.", pid, comm(pid), value.Signal(k.e.Signal).String())
}

// comm is the name of a process, "n/a" if it is gone. procfs never hangs.
func comm(pid int32) string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return "n/a"
	}
	return strings.TrimSuffix(string(data), "\n")
}

// sigqueue sends a signal with a value, by pidfd.
func sigqueue(pid, signal, value int32) error {
	fd, err := kernel.PidFDOpen(int(pid))
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return kernel.PidFDQueue(fd, unix.Signal(signal), value)
}

// sessionGraceUSec is how long the process that closes a PAM session may take once it is the last of its unit.
const sessionGraceUSec = 2_000_000

// sessionHandler is the name of that process.
const sessionHandler = "(sd-pam)"

// spareSession puts off the SIGKILL that follows the end of a main process, where all that is left is about to end by itself: the process that closes
// the PAM session of PAMName=. What a module undoes there (mounts, keys, the session of logind) would stay for ever otherwise.
//
// DEVIATION: systemd sends the signal at once, and whether the PAM session gets closed is a race.
func (m *Manager) spareSession(e machine.Kill) bool {
	if !e.Cgroup || e.Signal != int32(unix.SIGKILL) || e.MainPID > 0 || e.ControlPID > 0 || e.Subgroup != "" || e.Token == 0 {
		return false
	}
	u := m.eng.Config(e.Unit)
	if u == nil || u.Exec == nil || u.GetExec().PAMName == "" {
		return false
	}
	pids, err := m.cg.processes(e.Unit, "")
	if err != nil || len(pids) == 0 {
		return false
	}
	for _, pid := range pids {
		if comm(pid) != sessionHandler {
			return false
		}
	}
	m.submit(machine.Killed{Token: e.Token, Left: true})
	e.Token = 0
	m.alarms.after("session of "+e.Unit, sessionGraceUSec, func() {
		// A new activation has a main process, or is about to have one, and its processes are not meant.
		if u := m.eng.Unit(e.Unit); u != nil && (u.ActiveState() == machine.Deactivating || u.ActiveState() == machine.Failed) {
			m.killNow(e)
		}
	})
	return true
}
