package kernel

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestClocks compares the cheap clocks with the kernel's: between two readings of the kernel's lies ours, but for a µs.
func TestClocks(t *testing.T) {
	read := func() (out [3]uint64) {
		for i, id := range []int32{unix.CLOCK_MONOTONIC, unix.CLOCK_REALTIME, unix.CLOCK_BOOTTIME} {
			out[i] = uint64(rawClock(id)) / 1000
		}
		return out
	}
	steps := 0
	for range 100 {
		before := read()
		m, r, b := Clocks()
		after := read()
		for i, v := range []uint64{m, r, b} {
			slack := uint64(2)
			if i == 2 {
				slack = sleptMin / 1000 // what is less is no sleep
			}
			if v+slack < before[i] || v > after[i]+slack {
				// Somebody may set the clock in between, or the machine may sleep, once or twice.
				if steps++; steps > 3 {
					t.Fatalf("clock %d: %d, the kernel says %d and then %d", i, v, before[i], after[i])
				}
			}
		}
		if m > Monotonic() {
			t.Fatal("the monotonic clock went back")
		}
		time.Sleep(time.Millisecond)
		SyncClocks()
	}
}
