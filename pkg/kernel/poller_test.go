package kernel

import (
	"errors"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func newPoller(t *testing.T) *Poller {
	t.Helper()
	p, err := NewPoller()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func newWaker(t *testing.T) *Waker {
	t.Helper()
	w, err := NewWaker()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

// waited is what a Poller gives. A signal ends its wait early, so one that has a time is begun again, for as long as it takes.
func waited(p *Poller, timeoutUSec int64) (ready []Ready, err error) {
	for deadline := monotonicNSec() + 60e9; ; {
		ready, err = p.Wait(timeoutUSec)
		if err != nil || len(ready) > 0 || timeoutUSec <= 0 || monotonicNSec() > deadline {
			return ready, err
		}
	}
}

func tokens(t *testing.T, p *Poller, timeoutUSec int64) []uint64 {
	t.Helper()
	ready, err := waited(p, timeoutUSec)
	if err != nil {
		t.Fatal(err)
	}
	var list []uint64
	for _, r := range ready {
		list = append(list, r.Token)
	}
	return list
}

func TestPollerPriorities(t *testing.T) {
	p := newPoller(t)
	// 200 sources, more than one buffer; the most important one is added last.
	var wakers []*Waker
	for i := range 200 {
		w := newWaker(t)
		w.Wake()
		wakers = append(wakers, w)
		if err := p.Add(w.FD(), unix.EPOLLIN, -i/10, uint64(i)); err != nil {
			t.Fatal(err)
		}
	}
	got := tokens(t, p, 0)
	if len(got) != 200 || p.Len() != 200 {
		t.Fatalf("%d of %d sources", len(got), p.Len())
	}
	for i, tok := range got {
		if want := uint64(190 - i/10*10 + i%10); tok != want {
			t.Fatalf("place %d has token %d, want %d", i, tok, want)
		}
	}
	for _, w := range wakers[1:] {
		if !w.Drain() {
			t.Error("nothing to drain")
		}
	}
	if got := tokens(t, p, 0); !slices.Equal(got, []uint64{0}) {
		t.Errorf("level triggered: %v", got)
	}
	if err := p.Modify(wakers[0].FD(), 0); err != nil {
		t.Fatal(err)
	}
	if got := tokens(t, p, 0); got != nil {
		t.Errorf("silenced: %v", got)
	}
	if err := p.Remove(wakers[0].FD()); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{p.Remove(wakers[0].FD()), p.Modify(9999, 0)} {
		if !errors.Is(err, unix.ENOENT) {
			t.Errorf("not in the set: %v", err)
		}
	}
	if err := p.Add(-1, unix.EPOLLIN, 0, 0); !errors.Is(err, unix.EBADF) {
		t.Errorf("fd -1: %v", err)
	}
}

// TestPollerStaleEvent closes a source without removing it, while a duplicate
// keeps its open file in the epoll set, and reuses its number.
func TestPollerStaleEvent(t *testing.T) {
	p := newPoller(t)
	old := newWaker(t)
	dup, err := unix.Dup(old.FD())
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(dup)
	if err := p.Add(old.FD(), unix.EPOLLIN, 0, 1); err != nil {
		t.Fatal(err)
	}
	old.Wake()
	fresh := newWaker(t)
	number := old.FD()
	if err := unix.Dup3(fresh.FD(), number, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	if err := p.Add(number, unix.EPOLLIN, 0, 2); err != nil {
		t.Fatal(err)
	}
	if got := tokens(t, p, 0); got != nil {
		t.Errorf("event of the old file came as %v", got)
	}
	fresh.Wake()
	if got := tokens(t, p, 0); !slices.Equal(got, []uint64{2}) {
		t.Errorf("%v", got)
	}
}

func TestWakerFromAnotherGoroutine(t *testing.T) {
	p := newPoller(t)
	w := newWaker(t)
	if err := p.Add(w.FD(), unix.EPOLLIN, 0, 7); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		time.Sleep(20 * time.Millisecond)
		w.Wake()
		w.Wake()
	}()
	if got := tokens(t, p, -1); !slices.Equal(got, []uint64{7}) {
		t.Errorf("%v", got)
	}
	<-done // before the descriptor is another's
	if !w.Drain() {
		t.Error("no wake")
	}
}

func TestTimers(t *testing.T) {
	for _, clock := range []int{unix.CLOCK_MONOTONIC, unix.CLOCK_REALTIME, unix.CLOCK_BOOTTIME} {
		timer, err := NewTimer(clock)
		if err != nil {
			t.Fatal(err)
		}
		defer timer.Close()
		p := newPoller(t)
		if err := p.Add(timer.FD(), unix.EPOLLIN, 0, 1); err != nil {
			t.Fatal(err)
		}
		if got := tokens(t, p, 0); got != nil {
			t.Errorf("clock %d: disarmed timer is ready", clock)
		}
		for _, at := range []uint64{0, 1, ClockUSec(clock) - 1} {
			if err := timer.Arm(at); err != nil {
				t.Fatal(err)
			}
			if got := tokens(t, p, 1_000_000); len(got) != 1 {
				t.Errorf("clock %d at %d: %v", clock, at, got)
			}
			if expired, set := timer.Drain(); !expired || set {
				t.Errorf("clock %d: expired %v, set %v", clock, expired, set)
			}
		}
		at := ClockUSec(clock) + 30_000
		if err := timer.Arm(at); err != nil {
			t.Fatal(err)
		}
		tokens(t, p, 2_000_000)
		if now := ClockUSec(clock); now < at {
			t.Errorf("clock %d: %d µs early", clock, at-now)
		}
		for _, never := range []uint64{1<<64 - 1, 1 << 63} {
			if err := timer.Arm(never); err != nil {
				t.Errorf("clock %d: %v", clock, err)
			}
			if got := tokens(t, p, 0); got != nil {
				t.Errorf("clock %d: %v", clock, got)
			}
		}
		if err := timer.Disarm(); err != nil {
			t.Error(err)
		}
		if expired, _ := timer.Drain(); expired {
			t.Error("expired")
		}
	}
}

// TestTimerNoticesClockChange sets the clock to what it is, which counts.
func TestTimerNoticesClockChange(t *testing.T) {
	timer, err := NewTimer(unix.CLOCK_REALTIME)
	if err != nil {
		t.Fatal(err)
	}
	defer timer.Close()
	if err := timer.Arm(1<<64 - 1); err != nil {
		t.Fatal(err)
	}
	var tv unix.Timeval
	if err := unix.Gettimeofday(&tv); err != nil {
		t.Fatal(err)
	}
	if err := unix.Settimeofday(&tv); err != nil {
		t.Skip("the clock may not be set here: ", err)
	}
	if expired, set := timer.Drain(); expired || !set {
		t.Errorf("expired %v, set %v", expired, set)
	}
	if err := timer.Arm(1<<64 - 1); err != nil {
		t.Errorf("arm after a change: %v", err)
	}
}
