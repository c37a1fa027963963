package manager

import (
	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/journal"
)

// memoryLog keeps the last lines of every unit in memory while there is no journald. The output of services comes through a pipe per unit.
type memoryLog struct {
	m     *Manager
	lines *journal.Memory
	pipes map[string]*outputPipe
}

// outputPipe is the pipe that the processes of one unit write to.
type outputPipe struct {
	unit        string
	read, write int
	lines       *journal.LineReader
}

// pipesMax bounds the units whose output is taken at a time; those beyond write to the kernel log instead.
const pipesMax = 8192

func newMemoryLog(m *Manager) *memoryLog {
	return &memoryLog{m: m, lines: journal.NewMemory(journal.MemoryLimits{}), pipes: map[string]*outputPipe{}}
}

// manager adds a message of the manager about a unit.
func (l *memoryLog) manager(unit, line string, level int) {
	l.append(unit, line, level, true)
}

func (l *memoryLog) append(unit, line string, level int, manager bool) {
	now := l.m.now()
	l.lines.Append(journal.Record{RealtimeUSec: now.Realtime, MonotonicUSec: now.Monotonic, Unit: unit, Priority: uint8(level), Manager: manager, Text: line})
}

// writeEnd gives the end that a process of a unit writes to, 0 if there is none.
func (l *memoryLog) writeEnd(unit string) int {
	if p, ok := l.pipes[unit]; ok {
		return p.write
	}
	if len(l.pipes) >= pipesMax {
		return 0
	}
	var fds [2]int
	if unix.Pipe2(fds[:], unix.O_CLOEXEC) != nil {
		return 0
	}
	if unix.SetNonblock(fds[0], true) != nil {
		_ = unix.Close(fds[0])
		_ = unix.Close(fds[1])
		return 0
	}
	p := &outputPipe{unit: unit, read: fds[0], write: fds[1], lines: &journal.LineReader{}}
	if err := l.m.sources.add(p.read, unix.EPOLLIN, prioWorkers, sourceFunc(func(uint32) { l.ready(p) })); err != nil {
		_ = unix.Close(fds[0])
		_ = unix.Close(fds[1])
		return 0
	}
	l.pipes[unit] = p
	return p.write
}

// release closes our write end when a unit has stopped: the pipe ends with the last process that still holds it.
func (l *memoryLog) release(unit string) {
	if p, ok := l.pipes[unit]; ok {
		_ = unix.Close(p.write)
		delete(l.pipes, unit)
	}
}

// readsPerTurn bounds what one unit may say in a turn of the loop.
const readsPerTurn = 16

func (l *memoryLog) ready(p *outputPipe) {
	emit := func(o journal.Output) { l.append(p.unit, string(o.Text), o.Priority, false) }
	var buf [4096]byte
	for range readsPerTurn {
		n, err := unix.Read(p.read, buf[:])
		if n > 0 {
			p.lines.Write(buf[:n], emit)
			continue
		}
		if n == 0 || err != unix.EAGAIN {
			p.lines.Close(emit)
			l.m.sources.remove(p.read)
			_ = unix.Close(p.read)
		}
		return
	}
}

// MemoryLog gives the lines to clients of io.muster.Manager1.
func (b backend) MemoryLog() *journal.Memory { return b.m.memlog.lines }
