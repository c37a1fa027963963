package manager

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/engine/machine"
)

// handles is the table of descriptors that the engine knows by number only: fd stores, sockets. The descriptors are kept without
// close-on-exec, so that a re-execution of any kind keeps them; every spawned child closes what it isn't given.
type handles struct {
	next    machine.Handle
	fds     map[machine.Handle]int
	changed map[machine.Handle]struct{} // since the last export
}

func newHandles() *handles {
	return &handles{next: 1, fds: map[machine.Handle]int{}, changed: map[machine.Handle]struct{}{}}
}

// add takes ownership of fd.
func (h *handles) add(fd int) machine.Handle {
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
		_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFD, flags&^unix.FD_CLOEXEC)
	}
	n := h.next
	h.next++
	h.fds[n] = fd
	h.changed[n] = struct{}{}
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
		h.changed[n] = struct{}{}
	}
}

// handleState is what the state log keeps beside a record for each descriptor.
type handleState struct {
	Next machine.Handle `json:"next"`
}

func (h *handles) state() handleState { return handleState{h.next} }

// keyHandle begins the keys of the records that join a handle with its descriptor. There is one for each, so that what is written is what changed.
const keyHandle = "shell/fd/"

// export writes the records of the handles that came or went.
func (h *handles) export(put func(key string, record []byte), drop func(key string)) {
	if len(h.changed) == 0 {
		return
	}
	for n := range h.changed {
		key := keyHandle + strconv.FormatUint(uint64(n), 10)
		if fd, ok := h.fds[n]; ok {
			put(key, strconv.AppendInt(nil, int64(fd), 10))
		} else {
			drop(key)
		}
	}
	h.changed = map[machine.Handle]struct{}{} // one that has grown would be slow to look through, even empty
}

// restore takes over the descriptors that the last image kept open; those that are not open any more are dropped. What it takes from records
// is deleted there.
func (h *handles) restore(s handleState, records map[string][]byte) {
	h.next = max(s.Next, 1)
	for key, record := range records {
		number, ok := strings.CutPrefix(key, keyHandle)
		if !ok {
			continue
		}
		delete(records, key)
		n, err := strconv.ParseUint(number, 10, 64)
		fd, err2 := strconv.Atoi(string(record))
		if err != nil || err2 != nil {
			continue
		}
		h.next = max(h.next, machine.Handle(n)+1)
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			h.fds[machine.Handle(n)] = fd
		}
	}
}
