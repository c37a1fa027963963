package listen

import (
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// ErrStranded is wrapped by the error of Open when the thread could not leave the foreign network namespace.
var ErrStranded = errors.New("the thread can't leave the network namespace")

// enterNetNS moves the thread into a network namespace; back takes it home.
func enterNetNS(path string) (back func() error, err error) {
	runtime.LockOSThread()
	home, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		var there int
		there, err = unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			err = unix.Setns(there, unix.CLONE_NEWNET)
			_ = unix.Close(there)
		}
		if err != nil {
			_ = unix.Close(home)
		}
	}
	if err != nil {
		runtime.UnlockOSThread()
		return nil, fmt.Errorf("network namespace %s: %w", path, err)
	}
	return func() error {
		defer unix.Close(home)
		if err := unix.Setns(home, unix.CLONE_NEWNET); err != nil {
			// The thread stays locked: it ends with its goroutine and nothing else ever runs on it.
			return fmt.Errorf("%w: %w", ErrStranded, err)
		}
		runtime.UnlockOSThread()
		return nil
	}, nil
}
