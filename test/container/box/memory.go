package box

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Memory is the proportional set size in bytes of all processes in a cgroup of
// the box and below it, from smaps_rollup of proc(5): it works on hosts
// without the memory controller. -1 when nothing runs there.
func (b *Box) Memory(group string) int64 {
	total := int64(-1)
	for _, pid := range b.PIDs(group) {
		if size := PSS(pid); size >= 0 {
			total = max(total, 0) + size
		}
	}
	return total
}

// PIDs lists the processes, by their pids on the host, in a cgroup of the box
// and below it.
func (b *Box) PIDs(group string) []int {
	var pids []int
	top := filepath.Join(b.cgroup.payload, group)
	// A cgroup that vanishes meanwhile has no processes: errors end the walk.
	_ = filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(path, "cgroup.procs"))
		for _, field := range strings.Fields(string(text)) {
			if pid, convErr := strconv.Atoi(field); convErr == nil {
				pids = append(pids, pid)
			}
		}
		return err
	})
	return pids
}

// PSS is the proportional set size of one process in bytes, -1 when it is gone.
func PSS(pid int) int64 { return procKB(pid, "smaps_rollup", "Pss:") }

// RSS is the resident set size of one process in bytes, -1 when it is gone.
func RSS(pid int) int64 { return procKB(pid, "status", "VmRSS:") }

func procKB(pid int, file, key string) int64 {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/" + file)
	if err != nil {
		return -1
	}
	for _, line := range strings.Split(string(text), "\n") {
		if !strings.HasPrefix(line, key) {
			continue
		}
		if fields := strings.Fields(line); len(fields) > 1 {
			if kb, err := strconv.ParseInt(fields[1], 10, 64); err == nil {
				return kb << 10
			}
		}
	}
	return -1
}
