package manager

import (
	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/engine/machine"
)

// handles is the table of descriptors that the engine knows by number only: fd stores, sockets. The descriptors are kept without
// close-on-exec, so that a re-execution of any kind keeps them; every spawned child closes what it isn't given.
type handles struct {
	next machine.Handle
	fds  map[machine.Handle]int
}

func newHandles() *handles { return &handles{next: 1, fds: map[machine.Handle]int{}} }

// add takes ownership of fd.
func (h *handles) add(fd int) machine.Handle {
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
		_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFD, flags&^unix.FD_CLOEXEC)
	}
	n := h.next
	h.next++
	h.fds[n] = fd
	return n
}

// fd is the descriptor behind a handle, -1 if there is none.
func (h *handles) fd(n machine.Handle) int {
	if fd, ok := h.fds[n]; ok {
		return fd
	}
	return -1
}

func (h *handles) close(n machine.Handle) {
	if fd, ok := h.fds[n]; ok {
		_ = unix.Close(fd)
		delete(h.fds, n)
	}
}

// handleState is the table as the state log keeps it.
type handleState struct {
	Next machine.Handle         `json:"next"`
	FDs  map[machine.Handle]int `json:"fds"`
}

func (h *handles) state() handleState { return handleState{h.next, h.fds} }

// restore takes over the descriptors that the last image kept open; those that are not open any more are dropped.
func (h *handles) restore(s handleState) {
	h.next = max(s.Next, 1)
	for n, fd := range s.FDs {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			h.fds[n] = fd
		}
	}
}
