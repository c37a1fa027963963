package manager

import (
	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/journal"
)

// memoryLog keeps the last lines of every unit in memory while there is no journald. The output of services comes through a pipe per unit.
type memoryLog struct {
	m     *Manager
	lines *journal.Memory
	pipes int // that are read
	ours  int // write end of the process that is being started, 0 for none
}

// outputPipe is the pipe that one process writes to, and what it forks. It ends with the last of them.
type outputPipe struct {
	unit  string
	read  int
	lines *journal.LineReader
}

// pipesMax bounds the processes whose output is taken at a time; that of those beyond is lost.
const pipesMax = 8192

func newMemoryLog(m *Manager) *memoryLog {
	return &memoryLog{m: m, lines: journal.NewMemory(journal.MemoryLimits{})}
}

// manager adds a message of the manager about a unit.
func (l *memoryLog) manager(unit, line string, level int) {
	l.append(unit, line, level, true)
}

func (l *memoryLog) append(unit, line string, level int, manager bool) {
	now := l.m.now()
	l.lines.Append(journal.Record{RealtimeUSec: now.Realtime, MonotonicUSec: now.Monotonic, Unit: unit, Priority: uint8(level), Manager: manager, Text: line})
}

// writeEnd gives the end that the process of a unit that is being started writes to, 0 if there is none. It is open until [memoryLog.started].
func (l *memoryLog) writeEnd(unit string) int {
	if l.ours > 0 || l.pipes >= pipesMax {
		return l.ours
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
	p := &outputPipe{unit: unit, read: fds[0], lines: &journal.LineReader{}}
	if err := l.m.sources.add(p.read, unix.EPOLLIN, prioWorkers, sourceFunc(func(uint32) { l.ready(p) })); err != nil {
		_ = unix.Close(fds[0])
		_ = unix.Close(fds[1])
		return 0
	}
	l.pipes++
	l.ours = fds[1]
	return l.ours
}

// started closes our write end once the process has its own. Every descriptor that the manager holds is copied and closed by each child there is.
func (l *memoryLog) started() {
	if l.ours > 0 {
		_ = unix.Close(l.ours)
		l.ours = 0
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
			l.pipes--
		}
		return
	}
}

// MemoryLog gives the lines to clients of io.muster.Manager1.
func (b backend) MemoryLog() *journal.Memory { return b.m.memlog.lines }
