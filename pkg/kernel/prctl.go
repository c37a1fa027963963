package kernel

import (
	"fmt"

	"golang.org/x/sys/unix"
)

func prctl(option int, a, b, c, d uintptr) (int, error) {
	r, _, errno := unix.RawSyscall6(unix.SYS_PRCTL, uintptr(option), a, b, c, d, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(r), nil
}

// SetChildSubreaper makes orphans below us our children; PID 1 of a pid
// namespace needs no such thing, a --user manager does.
func SetChildSubreaper() error {
	if _, err := prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("PR_SET_CHILD_SUBREAPER: %w", err)
	}
	return nil
}

// SetTimerSlack sets the calling thread's timer slack in ns.
func SetTimerSlack(slackNSec uint64) error {
	if _, err := prctl(unix.PR_SET_TIMERSLACK, uintptr(slackNSec), 0, 0, 0); err != nil {
		return fmt.Errorf("PR_SET_TIMERSLACK: %w", err)
	}
	return nil
}

// SetNoNewPrivileges sets no_new_privs of the calling thread.
func SetNoNewPrivileges() error {
	if _, err := prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("PR_SET_NO_NEW_PRIVS: %w", err)
	}
	return nil
}
