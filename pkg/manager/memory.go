package manager

import (
	"bufio"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// freeMemory gives back to the kernel what boot or reload have left behind: the free heap, and the pages of the program that only they have used
// (parsers, tables, introspection). Those are clean and mapped from the file: whoever needs one again gets it from the page cache.
func (m *Manager) freeMemory() {
	m.work.add(func() func() {
		debug.FreeOSMemory()
		dropCleanPages()
		return nil
	})
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
