package manager

import (
	"bufio"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/kernel"
)

// freeMemory gives back to the kernel what boot or reload have left behind: the free heap, and the pages of the program that only they have used
// (parsers, tables, introspection). Those are clean and mapped from the file: whoever needs one again gets it from the page cache.
func (m *Manager) freeMemory() {
	m.spawner.filters.Clear()
	m.src.Trim()
	m.freeGarbage()
}

// freeGarbage is freeMemory with what saves work the next time kept.
func (m *Manager) freeGarbage() {
	if m.bus != nil {
		m.bus.api.Shrink()
	}
	percent := steadyPercent
	if m.trim.busy {
		percent = busyPercent
	}
	if !m.work.add(func() func() {
		// The pages that sweeping frees while the first one runs are only given back by a second one: two megabytes after ten thousand units.
		debug.FreeOSMemory()
		debug.FreeOSMemory()
		// Not before: a lower percentage starts a collection of its own, and what that finds wouldn't be given back.
		debug.SetGCPercent(percent)
		dropCleanPages()
		return nil
	}) {
		debug.SetGCPercent(percent)
	}
}

// trim says when memory is given back next: once the manager has been idle for a while after it did enough to be worth it, or did anything at all as
// long as that isn't often.
type trim struct {
	steps    int    // events since the last time
	messages int    // of clients since the last time
	seen     int    // steps when the idle time began
	at       uint64 // monotonic µs; 0: nothing to do
	units    int    // that were loaded at the last time
	busy     bool   // collections are put off
	small    int    // how often it was done for little
	since    uint64 // monotonic µs, when small began to count
}

const (
	trimStepsMin = 256
	trimUnitsMin = 64
	trimIdleUSec = 1_500_000
	// It costs a look at the whole heap, so for little it is done this often in this time.
	trimSmallMax  = 3
	trimSmallUSec = 180_000_000
)

// trimDeadline is when the loop has to wake up for it, machine.Never if not.
func (m *Manager) trimDeadline() uint64 {
	if m.trim.at == 0 {
		return machine.Never
	}
	return m.trim.at
}

// trimWhenIdle gives memory back when nothing has happened since the time was set; otherwise the time begins anew.
func (m *Manager) trimWhenIdle() {
	if !m.booted {
		return
	}
	units, _ := m.eng.Len()
	small := m.trim.small
	free, begun := m.trim.turn(kernel.Monotonic(), units, m.bus.api.Large())
	if begun {
		// A transaction of thousands of jobs is over before most collections have paid, and memory is given back when it is.
		debug.SetGCPercent(busyPercent)
	}
	switch {
	case free && m.trim.small > small:
		m.freeGarbage()
	case free:
		m.freeMemory()
	}
}

// turn says at the end of a turn of the loop whether memory is to be given back now, and whether something large has begun. large: buffers are worth it
// by themselves.
func (t *trim) turn(now uint64, units int, large bool) (free, begun bool) {
	much := large || t.steps >= trimStepsMin || units-t.units > trimUnitsMin || t.units-units > trimUnitsMin
	if now-t.since > trimSmallUSec {
		t.since, t.small = now, 0
	}
	if !much && (t.steps+t.messages == 0 || t.small >= trimSmallMax) {
		t.at = 0
		return false, false
	}
	begun = much && !t.busy
	t.busy = t.busy || much
	switch {
	case t.at == 0 || t.seen != t.steps && now >= t.at:
		t.at, t.seen = now+trimIdleUSec, t.steps
	case now >= t.at:
		small := t.small
		if !much {
			small++
		}
		*t = trim{units: units, small: small, since: t.since}
		return true, begun
	}
	return false, begun
}

// dropCleanPages unmaps the pages of read-only file mappings of this process. A private mapping that can't be written has no page that could be lost.
func dropCleanPages() {
	file, err := os.Open("/proc/self/maps")
	if err != nil {
		return
	}
	defer file.Close()
	s := bufio.NewScanner(file)
	for s.Scan() {
		fields := strings.Fields(s.Text())
		if len(fields) < 6 || !strings.HasPrefix(fields[5], "/") || (fields[1] != "r-xp" && fields[1] != "r--p") {
			continue
		}
		var start, end uintptr
		if n, _ := fmt.Sscanf(fields[0], "%x-%x", &start, &end); n == 2 {
			_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, start, end-start, unix.MADV_DONTNEED)
		}
	}
}
