package manager

import (
	"time"

	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/kernel"
)

// rateLimit allows a number of things within a span that begins with the first of them, as the settings …Limit{IntervalSec,Burst}= count.
type rateLimit struct {
	began uint64 // µs
	count uint32
}

// allow counts one at a moment; interval or burst 0 means no limit.
func (r *rateLimit) allow(now, interval uint64, burst uint32) bool {
	if interval == 0 || burst == 0 {
		return true
	}
	if r.began == 0 || now-r.began > interval {
		r.began, r.count = now, 0
	}
	if r.count >= burst {
		return false
	}
	r.count++
	return true
}

// limitReload counts the requests of clients to reload or re-execute (ReloadLimitIntervalSec=, ReloadLimitBurst=); signals are not limited.
func (m *Manager) limitReload(what string) error {
	if m.reloadLimit.allow(kernel.Monotonic(), m.cfg.ReloadLimitIntervalUSec, m.cfg.ReloadLimitBurst) {
		return nil
	}
	return bus.Errorf(bus.ErrLimitsExceeded, "%s() request rejected due to rate limit.", what)
}

// turnPauseMax bounds the pause of a loop that runs too fast.
const turnPauseMax = time.Second

// limitTurns slows a loop that comes round more often than EventLoopRateLimitBurst= within EventLoopRateLimitIntervalSec=: something keeps waking it up
// without a need, and the machine has better uses for its CPU. The pause lasts until the span is over.
func (m *Manager) limitTurns() {
	now := kernel.Monotonic()
	if m.turnLimit.allow(now, m.cfg.EventLoopRateLimitIntervalUSec, m.cfg.EventLoopRateLimitBurst) {
		return
	}
	rest := time.Duration(m.turnLimit.began+m.cfg.EventLoopRateLimitIntervalUSec-now) * time.Microsecond
	rest = min(max(rest, time.Millisecond), turnPauseMax)
	m.log.warning("", "The event loop comes round too often, it pauses for %v.", rest)
	time.Sleep(rest)
}

// waitAtMost waits until done is closed, or the time is over.
func waitAtMost(done <-chan struct{}, usec uint64) {
	timer := time.NewTimer(time.Duration(usec) * time.Microsecond)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}
