package kernel

import (
	"time"

	"golang.org/x/sys/unix"
)

// The clocks in µs. The Go runtime reads two of them without a system call, x/sys none, and a manager asks for the time at every event: so the
// monotonic clock is what the runtime's reading says beyond a moment at which both were read, and the boot clock the monotonic one and the time
// the machine has slept, which [SyncClocks] measures.
var clocks = readClocks()

type clockBase struct {
	at    time.Time // with the runtime's monotonic reading
	mono  int64     // CLOCK_MONOTONIC then, ns
	slept int64     // CLOCK_BOOTTIME - CLOCK_MONOTONIC, ns
}

// sleptMin is the least change in ns that is a sleep and not the time between two readings.
const sleptMin = 1_000_000

// readClocks takes the best of a few tries: the one that was interrupted least.
func readClocks() clockBase {
	var b clockBase
	best := int64(1) << 62
	for range 8 {
		before := time.Now()
		mono := rawClock(unix.CLOCK_MONOTONIC)
		if took := int64(time.Since(before)); took < best {
			best = took
			b.at, b.mono = before, mono-took/2
		}
	}
	b.slept = rawClock(unix.CLOCK_BOOTTIME) - rawClock(unix.CLOCK_MONOTONIC)
	if b.slept < sleptMin {
		b.slept = 0
	}
	return b
}

// rawClock asks the kernel, in ns.
func rawClock(id int32) int64 {
	var ts unix.Timespec
	if unix.ClockGettime(id, &ts) != nil {
		return 0
	}
	return ts.Nano()
}

// SyncClocks notices that the machine has slept. Call it where a sleep may lie behind, as after a wait; it belongs to the goroutine that asks for
// the boot clock.
func SyncClocks() {
	if slept := rawClock(unix.CLOCK_BOOTTIME) - clocks.monotonic(time.Now()); slept-clocks.slept > sleptMin {
		clocks.slept = slept
	}
}

func (b *clockBase) monotonic(now time.Time) int64 { return b.mono + int64(now.Sub(b.at)) }

// Monotonic is CLOCK_MONOTONIC in µs.
func Monotonic() uint64 { return uint64(clocks.monotonic(time.Now())) / 1000 }

// Clocks are CLOCK_MONOTONIC, CLOCK_REALTIME and CLOCK_BOOTTIME in µs, read at one moment.
func Clocks() (monotonic, realtime, boottime uint64) {
	now := time.Now()
	mono := clocks.monotonic(now)
	return uint64(mono) / 1000, uint64(now.UnixMicro()), uint64(mono+clocks.slept) / 1000
}
