package kernel

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// WatchdogDevice is the ioctl layer of a hardware watchdog (Documentation/watchdog/watchdog-api.rst of the kernel); tests have one of their own. Each
// call may block in a driver for as long as the hardware likes.
type WatchdogDevice interface {
	// Info is what the device calls itself and the WDIOF_ bits of what it can do.
	Info() (identity string, options uint32, err error)
	// SetTimeout sets the time after which the machine is reset, in s, and gives what the device made of it.
	SetTimeout(sec int) (int, error)
	Timeout() (int, error)
	// SetPretimeout sets how many s before that the kernel is warned.
	SetPretimeout(sec int) (int, error)
	// Enable and Disable start and stop the countdown.
	Enable() error
	Disable() error
	// Ping starts it anew.
	Ping() error
	// Release lets go of the device: disarmed, or counting down.
	Release(disarm bool) error
	FD() int
}

type watchdog int

// OpenWatchdog opens /dev/watchdogN, which starts the countdown. The descriptor survives an execve, so that no restart of the manager leaves the
// device alone for longer than its timeout.
func OpenWatchdog(path string) (WatchdogDevice, error) {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return watchdog(fd), nil
}

// AdoptWatchdog takes over a descriptor that an earlier image had open.
func AdoptWatchdog(fd int) (WatchdogDevice, error) {
	if _, _, err := watchdog(fd).Info(); err != nil {
		return nil, fmt.Errorf("descriptor %d is no watchdog: %w", fd, err)
	}
	return watchdog(fd), nil
}

func (w watchdog) FD() int { return int(w) }

func (w watchdog) Info() (string, uint32, error) {
	info, err := unix.IoctlGetWatchdogInfo(int(w))
	if err != nil {
		return "", 0, fmt.Errorf("WDIOC_GETSUPPORT: %w", err)
	}
	return unix.ByteSliceToString(info.Identity[:]), info.Options, nil
}

// set is an ioctl whose argument goes in and comes back.
func (w watchdog) set(what string, request uint, sec int) (int, error) {
	value := int32(sec)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(w), uintptr(request), uintptr(unsafe.Pointer(&value))); errno != 0 {
		return 0, fmt.Errorf("%s %d: %w", what, sec, errno)
	}
	return int(value), nil
}

func (w watchdog) SetTimeout(sec int) (int, error) {
	return w.set("WDIOC_SETTIMEOUT", unix.WDIOC_SETTIMEOUT, sec)
}

func (w watchdog) Timeout() (int, error) {
	return w.set("WDIOC_GETTIMEOUT", unix.WDIOC_GETTIMEOUT, 0)
}

func (w watchdog) SetPretimeout(sec int) (int, error) {
	return w.set("WDIOC_SETPRETIMEOUT", unix.WDIOC_SETPRETIMEOUT, sec)
}

func (w watchdog) options(flags int) error {
	_, err := w.set("WDIOC_SETOPTIONS", unix.WDIOC_SETOPTIONS, flags)
	if errors.Is(err, unix.ENOTTY) {
		return nil // softdog of old kernels and others have no switch: opening and closing is all
	}
	return err
}

func (w watchdog) Enable() error  { return w.options(unix.WDIOS_ENABLECARD) }
func (w watchdog) Disable() error { return w.options(unix.WDIOS_DISABLECARD) }

func (w watchdog) Ping() error {
	if err := unix.IoctlWatchdogKeepalive(int(w)); err != nil {
		return fmt.Errorf("WDIOC_KEEPALIVE: %w", err)
	}
	return nil
}

// Release writes the magic character before it closes, which drivers with WDIOF_MAGICCLOSE want to see before they stop.
func (w watchdog) Release(disarm bool) error {
	var err error
	if disarm {
		err = w.Disable()
		_, _ = unix.Write(int(w), []byte("V"))
	}
	return errors.Join(err, unix.Close(int(w)))
}
