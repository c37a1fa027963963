package manager

import (
	"sync"

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
