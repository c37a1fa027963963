package manager

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/kernel"
)

// reapMax bounds how many children are reaped before the other sources get their turn; the rest is found in the next one.
const reapMax = 8

// signalSource is the pipe that the raw signal handlers write to. SIGCHLD is only a hint: who has ended is asked for.
type signalSource struct {
	m  *Manager
	fd int
}

func (s *signalSource) ready(uint32) {
	child := false
	for {
		info, ok := kernel.ReadSignal(s.fd)
		if !ok {
			break
		}
		if info.Signo == unix.SIGCHLD {
			child = true
			continue
		}
		s.m.onSignal(info)
	}
	if child {
		s.m.reap()
	}
}

// reap takes the exits of children. The rule that keeps the order of the world: a process is first only looked at; then everything of a higher
// priority that it may have caused (notify datagrams, cgroup events) is read; only then is it reaped and its exit delivered. So READY=1 is
// always handled before the exit of its sender, and /proc/PID of the sender could still be read when its message was.
func (m *Manager) reap() {
	m.childrenEnded = false
	peek, ok, err := kernel.PeekExit()
	if !ok || err != nil {
		return
	}
	m.readNotify()
	var ended []kernel.Exit
	for ; ok && err == nil && len(ended) < reapMax; peek, ok, err = kernel.PeekExit() {
		m.recordExit(peek)
		exit, ok, err := kernel.Reap(peek.Pid)
		if err != nil || !ok {
			break
		}
		ended = append(ended, exit)
	}
	m.readNotify() // from those that ended between the two looks
	m.mounts.beforeExits(ended)
	m.swaps.beforeExits(ended)
	m.cg.oomKills(ended)
	for _, exit := range ended {
		m.childEnded(exit)
	}
	m.childrenEnded = ok && len(ended) == reapMax
}

// childEnded delivers an exit, unless it has to wait for the mount table.
func (m *Manager) childEnded(exit kernel.Exit) {
	if !m.mounts.takes(exit) {
		m.deliverExit(exit)
	}
}

func (m *Manager) deliverExit(exit kernel.Exit) {
	pid := int32(exit.Pid)
	if m.state != nil {
		_ = m.state.Delete(exitKey(pid)) // written together with what the exit leads to
	}
	if c := m.spawner.children[pid]; c != nil {
		defer m.cg.watchUnit(c.unit)
	}
	failure := m.spawner.ended(pid)
	u := m.eng.UnitByPID(pid)
	if u == nil {
		m.helpers.reaped(exit)
		return
	}
	e := exitOf(exit)
	e.Resources = failure != nil && failure.Resources
	m.spawner.closeUtmp(m.eng.Config(u.Name()), pid, e)
	m.submit(machine.ProcessExited{PID: pid, Exit: e})
}

// keyExit begins the keys of exits that may have been reaped but not handled.
const keyExit = "shell/exit/"

func exitKey(pid int32) string { return keyExit + strconv.Itoa(int(pid)) }

// recordExit writes down how a unit's process ended before the kernel is made to forget it: a crash between its reaping and the end of the step
// that handles it would leave a unit that waits for ever for a process that is gone.
func (m *Manager) recordExit(e kernel.Exit) {
	if m.state == nil || m.eng.UnitByPID(int32(e.Pid)) == nil {
		return
	}
	err := m.state.Put(exitKey(int32(e.Pid)), fmt.Appendf(nil, "%d %d", e.Code, e.Status))
	if err == nil {
		err = m.state.Flush()
	}
	if err != nil {
		m.log.err("", "state: exit of pid %d: %v", e.Pid, err)
	}
}

// takeExits finds the exits that the last image recorded and takes them out of records.
func takeExits(records map[string][]byte) []kernel.Exit {
	var exits []kernel.Exit
	for key, record := range records {
		number, ok := strings.CutPrefix(key, keyExit)
		if !ok {
			continue
		}
		delete(records, key)
		var e kernel.Exit
		pid, err := strconv.Atoi(number)
		if _, err2 := fmt.Sscanf(string(record), "%d %d", &e.Code, &e.Status); err == nil && err2 == nil {
			e.Pid = pid
			exits = append(exits, e)
		}
	}
	return exits
}

// exitOf translates si_code of waitid(2).
func exitOf(e kernel.Exit) machine.Exit {
	code := machine.CodeExited
	switch e.Code {
	case kernel.CLDKilled:
		code = machine.CodeKilled
	case kernel.CLDDumped:
		code = machine.CodeDumped
	}
	return machine.Exit{Code: code, Status: int32(e.Status)}
}

// watchPID watches a process that isn't our child (a main process named by a PID file or MAINPID=) by its pidfd.
func (m *Manager) watchPID(pid int32) {
	if _, ok := m.watched[pid]; ok || parentOf(pid) == int32(unix.Getpid()) {
		return
	}
	fd, err := kernel.PidFDOpen(int(pid))
	if err != nil {
		m.later(func() { m.foreignEnded(pid) })
		return
	}
	m.watched[pid] = fd
	err = m.sources.add(fd, unix.EPOLLIN, prioChild, sourceFunc(func(uint32) {
		m.unwatchPID(pid)
		if parentOf(pid) == int32(unix.Getpid()) {
			return // it became our child meanwhile: the reaper reports it
		}
		m.foreignEnded(pid)
	}))
	if err != nil {
		m.log.err("", "pid %d: %v", pid, err)
	}
}

// foreignEnded reports the end of a process whose exit status only its parent gets to see.
func (m *Manager) foreignEnded(pid int32) {
	if m.eng.UnitByPID(pid) != nil {
		m.submit(machine.ProcessExited{PID: pid, Exit: machine.Exit{Code: machine.CodeExited, Status: 0}})
	}
}

func (m *Manager) unwatchPID(pid int32) {
	if fd, ok := m.watched[pid]; ok {
		m.sources.remove(fd)
		_ = unix.Close(fd)
		delete(m.watched, pid)
	}
}
