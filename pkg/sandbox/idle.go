package sandbox

import (
	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/plan"
)

// idle waits until the descriptor is readable or closed, or the time is over.
// The op of pkg/spawn would not do here: the runtime interrupts a thread that
// is in a raw system call for long, and takes the wait to its end.
func idle(r *run) *plan.Failure {
	p := r.p
	readableUntil(int(p.IdleFD), monotonicUSec()+p.IdleUSec)
	unix.Close(int(p.IdleFD))
	return nil
}

// readableUntil waits until fd is readable or closed, until end (monotonic µs) at most, and says which of the two it was.
func readableUntil(fd int, end uint64) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		now := monotonicUSec()
		if now >= end {
			return false
		}
		left := unix.NsecToTimespec(int64(end-now) * 1000)
		if n, err := unix.Ppoll(fds, &left, nil); err != unix.EINTR {
			return n > 0 || err != nil
		}
	}
}

func monotonicUSec() uint64 {
	var now unix.Timespec
	// The clock is always there.
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	return uint64(now.Nano() / 1000)
}
