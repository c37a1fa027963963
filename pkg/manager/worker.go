package manager

import (
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/muster-init/muster/pkg/kernel"
)

const (
	// workersMax bounds the goroutines (and so the threads) that foreign paths can hold up at a time.
	workersMax = 16
	// heldUpMax bounds those that a dead file system holds up and that others have taken the place of.
	heldUpMax = 48
	// heldUpAfter is how long a piece of work may take before another worker takes the place of the one that does it. Much takes longer (generators),
	// but then one worker more does no harm.
	heldUpAfter = 5 * time.Second
	// workQueueMax bounds the work that waits for a worker.
	workQueueMax = 1 << 16
)

// workers run what may block off the loop. The results come back to the loop in the order in which they end.
type workers struct {
	mu      sync.Mutex
	queue   []func() func()
	done    []func()
	running int
	since   [workersMax + heldUpMax]time.Time // when each piece of work was begun; zero: none
	relief  *time.Timer                       // looks for workers that are held up while work waits
	waker   *kernel.Waker
	fault   func(what string) // a worker panicked
}

// add queues work. It returns what the loop is to do afterwards (nil: nothing). false: the queue is full.
func (w *workers) add(work func() func()) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) >= workQueueMax {
		return false
	}
	w.queue = append(w.queue, work)
	w.start()
	return true
}

// start makes a worker if there may be one more. The caller holds the lock.
func (w *workers) start() {
	held := w.heldUp()
	switch {
	case w.running < min(workersMax+held, len(w.since)):
		w.running++
		go w.run()
	case w.relief == nil && held < heldUpMax:
		w.relief = time.AfterFunc(heldUpAfter, w.relieve)
	}
}

// relieve gives waiting work to new workers in place of those that are held up.
func (w *workers) relieve() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.relief = nil
	for range min(len(w.queue), workersMax) {
		w.start()
	}
}

// heldUp counts the workers that a piece of work holds up. The caller holds the lock.
func (w *workers) heldUp() (n int) {
	if w.running < workersMax {
		return 0 // nobody needs to know
	}
	for _, since := range w.since {
		if !since.IsZero() && time.Since(since) > heldUpAfter {
			n++
		}
	}
	return min(n, heldUpMax)
}

// longest is for how long the oldest piece of work has been under way.
func (w *workers) longest() (d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, since := range w.since {
		if !since.IsZero() {
			d = max(d, time.Since(since))
		}
	}
	return d
}

func (w *workers) run() {
	for {
		w.mu.Lock()
		if len(w.queue) == 0 || w.running > workersMax+w.heldUp() {
			w.running--
			w.mu.Unlock()
			return
		}
		work := w.queue[0]
		w.queue[0] = nil
		w.queue = w.queue[1:]
		place := 0
		for !w.since[place].IsZero() {
			place++
		}
		w.since[place] = time.Now()
		w.mu.Unlock()
		w.one(work)
		w.mu.Lock()
		w.since[place] = time.Time{}
		w.mu.Unlock()
	}
}

// one runs a piece of work; a panic in it costs that piece only.
func (w *workers) one(work func() func()) {
	defer func() {
		if r := recover(); r != nil && w.fault != nil {
			w.fault(fmt.Sprintf("worker: %v\n%s", r, debug.Stack()))
		}
	}()
	if then := work(); then != nil {
		w.post(then)
	}
}

// post makes the loop call then in its next turn. It may be called from any goroutine.
func (w *workers) post(then func()) {
	w.mu.Lock()
	w.done = append(w.done, then)
	w.mu.Unlock()
	w.waker.Wake()
}

// take returns what has ended, for the loop.
func (w *workers) take() []func() {
	w.mu.Lock()
	defer w.mu.Unlock()
	done := w.done
	w.done = nil
	return done
}

// busy is the number of workers at work and of queued work.
func (w *workers) busy() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.running + len(w.queue)
}
