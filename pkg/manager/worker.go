package manager

import (
	"fmt"
	"runtime/debug"
	"sync"

	"github.com/muster-init/muster/pkg/kernel"
)

const (
	// workersMax bounds the goroutines (and so the threads) that foreign paths can hold up at a time.
	workersMax = 16
	// workQueueMax bounds the work that waits for a worker.
	workQueueMax = 1 << 16
)

// workers run what may block off the loop. The results come back to the loop in the order in which they end.
type workers struct {
	mu      sync.Mutex
	queue   []func() func()
	done    []func()
	running int
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
	if w.running < workersMax {
		w.running++
		go w.run()
	}
	return true
}

func (w *workers) run() {
	for {
		w.mu.Lock()
		if len(w.queue) == 0 {
			w.running--
			w.mu.Unlock()
			return
		}
		work := w.queue[0]
		w.queue[0] = nil
		w.queue = w.queue[1:]
		w.mu.Unlock()
		w.one(work)
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
