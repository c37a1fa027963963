// Package nftset has the sets of nftables changed by workers, in order (NFTSet= of systemd.resource-control(5)).
//
// Invariants: one change is under way at a time, so what is added and taken out again is done so in this order; what waits is bounded; the owner's loop
// never waits.
package nftset

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/kernel/nft"
)

// pendingMax bounds the changes that wait: twice as many as there can sensibly be units with such sets.
const pendingMax = 8192

// Change is one element to add or to take out on behalf of a unit.
type Change struct {
	Unit    string
	Add     bool
	Element nft.Element
}

// ErrFull says that too many changes wait.
var ErrFull = errors.New("too many changes of nftables' sets are under way")

// Queue hands changes to workers. It belongs to the loop.
type Queue struct {
	// Work lets a worker do something and the loop what that gives; false: it can't be done now.
	Work func(job func() func()) bool
	// Failed is told of what could not be changed.
	Failed  func(c Change, err error)
	pending []Change
	busy    bool
	change  func(add bool, e nft.Element) error // of a test
}

// Put queues a change.
func (q *Queue) Put(c Change) {
	if len(q.pending) >= pendingMax {
		q.Failed(c, ErrFull)
		return
	}
	q.pending = append(q.pending, c)
	q.next()
}

func (q *Queue) next() {
	if q.busy || len(q.pending) == 0 {
		return
	}
	list := q.pending
	change := q.change
	if change == nil {
		change = nft.Change
	}
	q.busy = q.Work(func() func() {
		errs := make([]error, len(list))
		for i, c := range list {
			errs[i] = change(c.Add, c.Element)
		}
		return func() {
			q.busy = false
			for i, err := range errs {
				if err != nil {
					q.Failed(list[i], err)
				}
			}
			q.next()
		}
	})
	q.pending = nil
	if !q.busy {
		for _, c := range list {
			q.Failed(c, unix.EAGAIN)
		}
	}
}
