package machine

import (
	"sync"
	"time"
)

// cycles is the processor's time stamp counter, which the emulated one repeats.
func cycles() uint64

// tscKHz is the frequency of the time stamp counter. A guest that has to find it out by timers that come late, because the machine is busy,
// may be wrong by a factor of six, and then all its time limits are.
var tscKHz = sync.OnceValue(func() uint64 {
	from, began := counterAt()
	time.Sleep(100 * time.Millisecond)
	to, ended := counterAt()
	return (to - from) * uint64(time.Millisecond) / uint64(ended.Sub(began))
})

// counterAt is the counter and the time it was read at: of some attempts the one that nothing came between.
func counterAt() (count uint64, at time.Time) {
	least := ^uint64(0)
	for range 50 {
		before := cycles()
		now := time.Now()
		if took := cycles() - before; took < least {
			least, count, at = took, before+took/2, now
		}
	}
	return count, at
}
