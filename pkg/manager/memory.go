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
	debug.SetGCPercent(steadyPercent)
	m.spawner.filters.Clear()
	m.src.Trim()
	if m.bus != nil {
		m.bus.api.Shrink()
	}
	m.work.add(func() func() {
		debug.FreeOSMemory()
		dropCleanPages()
		return nil
	})
}

// trim says when memory is given back next: once the manager has been idle for a while after it did enough to be worth it.
type trim struct {
	steps int    // events since the last time
	seen  int    // steps when the idle time began
	at    uint64 // monotonic µs; 0: nothing to do
	units int    // that were loaded at the last time
}

const (
	trimStepsMin = 256
	trimUnitsMin = 64
	trimIdleUSec = 1_500_000
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
	units, _ := m.eng.Len()
	grown := units-m.trim.units > trimUnitsMin || m.trim.units-units > trimUnitsMin
	if m.trim.steps < trimStepsMin && !grown && !m.bus.api.Large() || !m.booted {
		return
	}
	now := kernel.Monotonic()
	if m.trim.at == 0 {
		// A transaction of thousands of jobs is over before a third of the collections have paid, and memory is given back when it is.
		debug.SetGCPercent(busyPercent)
	}
	switch {
	case m.trim.at == 0 || m.trim.seen != m.trim.steps && now >= m.trim.at:
		m.trim.at, m.trim.seen = now+trimIdleUSec, m.trim.steps
	case now >= m.trim.at:
		m.trim = trim{units: units}
		m.freeMemory()
	}
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
