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
	fds := []unix.PollFd{{Fd: p.IdleFD, Events: unix.POLLIN}}
	end := monotonicUSec() + p.IdleUSec
	for {
		now := monotonicUSec()
		if now >= end {
			break
		}
		left := unix.NsecToTimespec(int64(end-now) * 1000)
		if _, err := unix.Ppoll(fds, &left, nil); err != unix.EINTR {
			break
		}
	}
	unix.Close(int(p.IdleFD))
	return nil
}

func monotonicUSec() uint64 {
	var now unix.Timespec
	// The clock is always there.
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	return uint64(now.Nano() / 1000)
}
