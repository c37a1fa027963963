package manager

import (
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/kernel"
)

// helpers are children that a worker started for itself (generators). The loop reaps every child, so it hands their exits over here.
type helpers struct {
	mu    sync.Mutex
	exits map[int]*kernel.Exit // nil: started, not reaped yet
}

func newHelpers() *helpers { return &helpers{exits: map[int]*kernel.Exit{}} }

// spawn starts a child and registers it before the loop can have reaped it.
func (h *helpers) spawn(list *kernel.OpList, opt kernel.SpawnOptions) (*kernel.Child, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	child, err := kernel.Spawn(list, opt)
	if err == nil {
		h.exits[child.Pid] = nil
	}
	return child, err
}

// reaped is called by the loop for a child that belongs to no unit.
func (h *helpers) reaped(exit kernel.Exit) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ours := h.exits[exit.Pid]; ours {
		h.exits[exit.Pid] = &exit
	}
}

// take gives the exit that the loop has reaped, nil if it has not.
func (h *helpers) take(pid int) *kernel.Exit {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.exits[pid]
}

// forget ends the interest in a child.
func (h *helpers) forget(pid int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.exits, pid)
}

// Limits of open files that programs get which are no service: more than the soft one breaks those that use select(2).
const (
	helperFilesSoft = 1024
	helperFilesHard = 512 << 10
)

// raiseFileLimit lets the manager hold as many descriptors as the kernel allows: one unit may listen on tens of thousands of addresses.
// What it starts gets limits of its own (DefaultLimitNOFILE=).
func raiseFileLimit() {
	limit := uint64(1 << 20)
	if data, err := os.ReadFile("/proc/sys/fs/nr_open"); err == nil {
		if n, err := strconv.ParseUint(strings.TrimSpace(string(data)), 10, 64); err == nil {
			limit = n
		}
	}
	if unix.Prlimit(0, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: limit, Max: limit}, nil) == nil {
		return
	}
	// Not allowed to go beyond what it was given (a container): that, then.
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) == nil {
		l.Cur = l.Max
		_ = unix.Prlimit(0, unix.RLIMIT_NOFILE, &l, nil)
	}
}

// helperLimits gives a helper the limits of an ordinary program.
func helperLimits(list *kernel.OpList) {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) == nil {
		list.Setrlimit(generatorStatus, unix.RLIMIT_NOFILE, min(helperFilesSoft, l.Max), min(helperFilesHard, l.Max))
	}
}
