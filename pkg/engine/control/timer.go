package control

import (
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/unit"
)

// Timer is the one timeout a unit waits for. It knows when the waiting began; how long it lasts is asked of the
// configuration each time, so a changed configuration counts at once and nothing is armed again after a re-execution.
type Timer struct {
	From  uint64 `json:"f,omitempty"` // monotonic µs; Never: switched off
	Until uint64 `json:"u,omitempty"` // monotonic µs; not before, by EXTEND_TIMEOUT_USEC=
}

// Arm begins to wait.
func (t *Timer) Arm(now uint64) { *t = Timer{From: now} }

// Off stops waiting until the next Arm.
func (t *Timer) Off() { *t = Timer{From: machine.Never} }

// Due is the moment at which span µs are over; Never for an infinite span or a timer that is off.
func (t Timer) Due(span uint64) uint64 {
	if t.From == machine.Never {
		return machine.Never
	}
	due := AddUSec(t.From, span)
	if due != machine.Never && due < t.Until {
		return t.Until
	}
	return due
}

// Extend puts the moment off to now + by µs, if that is later. 0 and infinity change nothing.
func (t *Timer) Extend(now, span, by uint64) {
	if by == 0 || by == unit.Infinity {
		return
	}
	until := AddUSec(now, by)
	if due := t.Due(span); due == machine.Never || due >= until {
		return
	}
	t.Until = until
}

// AddUSec adds a span to a moment; it stays below Never unless one of the two is infinite.
func AddUSec(at, span uint64) uint64 {
	if at == machine.Never || span == unit.Infinity {
		return machine.Never
	}
	sum := at + span
	if sum < at || sum == machine.Never {
		return machine.Never - 1
	}
	return sum
}

// Positive reports whether a span is set: neither 0 nor infinite.
func Positive(usec uint64) bool { return usec != 0 && usec != unit.Infinity }
