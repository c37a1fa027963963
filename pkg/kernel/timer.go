package kernel

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// A Timer is one timerfd on one clock, armed with absolute times; timerfd_create(2).
type Timer struct {
	fd    int
	clock int
}

// NewTimer makes a disarmed timer: clock is CLOCK_MONOTONIC, CLOCK_REALTIME,
// CLOCK_BOOTTIME, or one of the _ALARM clocks that wake the system up (these
// need CAP_WAKE_ALARM). Watch FD with EPOLLIN.
func NewTimer(clock int) (*Timer, error) {
	fd, err := unix.TimerfdCreate(clock, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("timerfd clock %d: %w", clock, err)
	}
	return &Timer{fd, clock}, nil
}

// FD is the descriptor to watch.
func (t *Timer) FD() int { return t.fd }

// Arm makes the timer expire at atUSec µs of its clock, at once if that is
// past. On the real-time clocks it also becomes readable when the clock is set
// (TFD_TIMER_CANCEL_ON_SET). Infinity (1<<64-1) waits for such a change only.
func (t *Timer) Arm(atUSec uint64) error {
	flags := unix.TFD_TIMER_ABSTIME
	if t.clock == unix.CLOCK_REALTIME || t.clock == unix.CLOCK_REALTIME_ALARM {
		flags |= unix.TFD_TIMER_CANCEL_ON_SET
	}
	// The kernel takes 0,0 as "disarm", and times beyond 2^63 ns as invalid.
	const maxUSec = 1 << 62 / 1000
	ns := min(atUSec, maxUSec) * 1000
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(max(ns, 1)))}
	err := unix.TimerfdSettime(t.fd, flags, &spec, nil)
	if errors.Is(err, unix.ECANCELED) {
		err = nil // armed all the same; the change is reported by the next Drain
	}
	if err != nil {
		return fmt.Errorf("timerfd clock %d: %w", t.clock, err)
	}
	return nil
}

// Disarm stops the timer.
func (t *Timer) Disarm() error {
	var spec unix.ItimerSpec
	if err := unix.TimerfdSettime(t.fd, 0, &spec, nil); err != nil {
		return fmt.Errorf("timerfd clock %d: %w", t.clock, err)
	}
	return nil
}

// Drain tells whether the timer expired and whether the clock was set since it
// was armed; in the latter case arm it again.
func (t *Timer) Drain() (expired, clockSet bool) {
	var b [8]byte
	n, err := unix.Read(t.fd, b[:])
	return err == nil && n == 8, errors.Is(err, unix.ECANCELED)
}

// Close closes the timer.
func (t *Timer) Close() error { return unix.Close(t.fd) }

// ClockUSec reads a clock in µs; 0 if there is no such clock.
func ClockUSec(clock int) uint64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(clock), &ts); err != nil {
		return 0
	}
	return uint64(ts.Nano()) / 1000
}
