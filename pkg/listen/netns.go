package listen

import (
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// ErrStranded is wrapped by the error of Open when the thread could not leave the foreign network namespace.
var ErrStranded = errors.New("the thread can't leave the network namespace")

// enterNetNS moves the thread into the network namespace at path, or into a new one; back takes it home.
func enterNetNS(path string) (back func() error, err error) {
	runtime.LockOSThread()
	home, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		runtime.UnlockOSThread()
		return nil, fmt.Errorf("network namespace: %w", err)
	}
	back = func() error {
		defer unix.Close(home)
		if err := unix.Setns(home, unix.CLONE_NEWNET); err != nil {
			// The thread stays locked: it ends with its goroutine and nothing else ever runs on it.
			return fmt.Errorf("%w: %w", ErrStranded, err)
		}
		runtime.UnlockOSThread()
		return nil
	}
	if path == "" {
		if err = unix.Unshare(unix.CLONE_NEWNET); err == nil {
			err = loopbackUp()
		}
		path = "(new)"
	} else {
		var there int
		if there, err = unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0); err == nil {
			err = unix.Setns(there, unix.CLONE_NEWNET)
			_ = unix.Close(there)
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("network namespace %s: %w", path, err), back())
	}
	return back, nil
}

// loopbackUp sets the loopback interface of the thread's namespace up.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr)
}
