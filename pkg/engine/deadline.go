package engine

import (
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
)

// timer is one deadline in the heap.
type timer struct {
	at   uint64
	key  uint64 // kind and number, so that equal times have an order
	slot int    // 1 + place in the heap, 0 if it is not there
}

const (
	timerUnit uint64 = iota << 32
	timerJob
	timerRetry
)

// timers is a binary heap of deadlines that know their place.
type timers struct{ heap []*timer }

func (h *timers) less(i, j int) bool {
	a, b := h.heap[i], h.heap[j]
	return a.at < b.at || a.at == b.at && a.key < b.key
}

func (h *timers) swap(i, j int) {
	h.heap[i], h.heap[j] = h.heap[j], h.heap[i]
	h.heap[i].slot, h.heap[j].slot = i+1, j+1
}

func (h *timers) up(i int) {
	for i > 0 && h.less(i, (i-1)/2) {
		h.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
}

func (h *timers) down(i int) {
	for {
		c := 2*i + 1
		if c >= len(h.heap) {
			return
		}
		if c+1 < len(h.heap) && h.less(c+1, c) {
			c++
		}
		if !h.less(c, i) {
			return
		}
		h.swap(i, c)
		i = c
	}
}

// set moves a timer to a moment, or takes it out for machine.Never.
func (h *timers) set(t *timer, at uint64, kind, number uint64) {
	if at == machine.Never {
		h.remove(t)
		return
	}
	if t.slot != 0 && t.at == at {
		return
	}
	t.at, t.key = at, kind|number
	if t.slot == 0 {
		h.heap = append(h.heap, t)
		t.slot = len(h.heap)
	}
	h.up(t.slot - 1)
	h.down(t.slot - 1)
}

func (h *timers) remove(t *timer) {
	if t.slot == 0 {
		return
	}
	i, last := t.slot-1, len(h.heap)-1
	if i != last {
		h.swap(i, last)
	}
	h.heap[last] = nil
	h.heap = h.heap[:last]
	t.slot = 0
	if i < last {
		h.up(i)
		h.down(i)
	}
}

func (h *timers) next() uint64 {
	if len(h.heap) == 0 {
		return machine.Never
	}
	return h.heap[0].at
}

// rearm asks the machines of the units that were touched for their deadlines.
func (e *Engine) rearm() {
	for _, u := range e.touched {
		u.flags &^= inTouched
		if u.flags&removed != 0 {
			continue
		}
		at := machine.Never
		if u.machine != nil {
			at = u.machine.Deadline(u.cfg)
			e.rearmClocks(u)
		}
		if at != machine.Never || u.state != nil {
			e.timers.set(&u.st().timer, at, timerUnit, uint64(u.id))
		}
	}
	e.touched = e.touched[:0]
}

// expireMax bounds how many deadlines one Tick lets fire: the rest are due at once again, after the shell has looked at its sources. So a thousand that
// fall together, or a machine whose deadline stays in the past, do not hold the loop.
const expireMax = 16

// tick fires all deadlines that are due, in order.
func (e *Engine) tick() {
	e.tickDeadlines()
	e.tickClocks()
}

func (e *Engine) tickDeadlines() {
	for range expireMax {
		if e.timers.next() > e.now.Monotonic {
			return
		}
		t := e.timers.heap[0]
		e.timers.remove(t)
		number := t.key & (1<<32 - 1)
		switch t.key &^ (1<<32 - 1) {
		case timerJob:
			if j := e.jobs[job.ID(number)]; j != nil {
				e.jobTimeout(j)
			}
		case timerUnit:
			if u := e.units[number]; u != nil {
				m := e.with(u)
				m.Expire(&host{e: e, u: u})
				e.retryJob(u)
			}
		case timerRetry:
			if u := e.units[number]; u != nil {
				e.retryAuto(u)
			}
		}
		e.settle()
	}
}

// jobTimeout ends a job whose time is over.
func (e *Engine) jobTimeout(j *Job) {
	u := j.Unit
	e.finish(j, job.Timeout, true)
	c := &u.cfg.Unit
	e.act(u, c.JobTimeoutAction, "job timed out", -1, c.JobTimeoutRebootArgument)
}
