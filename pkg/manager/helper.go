package manager

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

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

func quoted(text string) string {
	if text == "" {
		return ""
	}
	return ": " + text
}

// helperOutputMax bounds what a helper may say.
const helperOutputMax = 64 << 10

// readAllUntil reads what a generator says until it has closed its output or the time is over.
func readAllUntil(fd int, deadline time.Time) string {
	defer unix.Close(fd)
	var text []byte
	buf := make([]byte, 4096)
	for len(text) < helperOutputMax {
		left := time.Until(deadline)
		if left <= 0 {
			break
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
		if err == unix.EINTR {
			continue
		}
		if n <= 0 {
			break
		}
		n, err = unix.Read(fd, buf)
		if n <= 0 || err != nil {
			break
		}
		text = append(text, buf[:n]...)
	}
	for len(text) > 0 && text[len(text)-1] == '\n' {
		text = text[:len(text)-1]
	}
	return string(text)
}

// wait waits for the end of a child; after the deadline it is killed. status is "" for success. The loop may be the one that reaps it.
func (h *helpers) wait(child *kernel.Child, deadline time.Time) (status string, err error) {
	for {
		left := time.Until(deadline)
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(child.PidFD), Events: unix.POLLIN}}, max(0, int(left.Milliseconds())+1))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return "", err
		}
		if n == 0 {
			_ = kernel.PidFDSignal(child.PidFD, unix.SIGKILL)
			return "did not end in time and was killed", nil
		}
		exit, ok, err := kernel.ReapPidFD(child.PidFD)
		if err == nil && ok {
			return exitText(exit), nil
		}
		if taken := h.take(child.Pid); taken != nil {
			return exitText(*taken), nil
		}
		if err != nil && !errors.Is(err, unix.ECHILD) {
			return "", err
		}
		time.Sleep(time.Millisecond) // reaped by the loop, which is about to hand it over
	}
}

func exitText(exit kernel.Exit) string {
	switch {
	case exit.Code != kernel.CLDExited:
		return fmt.Sprintf("was killed by signal %d", exit.Status)
	case exit.Status != 0:
		return fmt.Sprintf("failed with status %d", exit.Status)
	}
	return ""
}

// exists reports whether a file is there, links not followed.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
