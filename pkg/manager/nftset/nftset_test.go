package nftset

import (
	"fmt"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/kernel/nft"
)

func TestOrderAndBounds(t *testing.T) {
	var done, failed []string
	var jobs []func() func()
	full := false
	q := Queue{
		Work: func(job func() func()) bool {
			if !full {
				jobs = append(jobs, job)
			}
			return !full
		},
		Failed: func(c Change, err error) { failed = append(failed, c.Unit+": "+err.Error()) },
		change: func(add bool, e nft.Element) error {
			done = append(done, fmt.Sprint(add, e.Set))
			if e.Set == "none" {
				return unix.ENOENT
			}
			return nil
		},
	}
	put := func(add bool, set string) { q.Put(Change{Unit: "u", Add: add, Element: nft.Element{Set: set}}) }
	put(true, "a")
	put(false, "a")
	put(true, "none")
	if len(jobs) != 1 {
		t.Fatalf("%d workers at once", len(jobs))
	}
	for len(jobs) > 0 {
		job := jobs[0]
		jobs = jobs[1:]
		job()()
	}
	if want := []string{"truea", "falsea", "truenone"}; !slices.Equal(done, want) || !slices.Equal(failed, []string{"u: " + unix.ENOENT.Error()}) {
		t.Errorf("done %q, failed %q", done, failed)
	}
	// A worker that hangs: what waits is bounded.
	put(true, "hangs")
	failed = nil
	for range pendingMax + 3 {
		put(true, "b")
	}
	if len(q.pending) != pendingMax || len(failed) != 3 || failed[0] != "u: "+ErrFull.Error() {
		t.Errorf("%d wait, %d failed", len(q.pending), len(failed))
	}
	// No worker is to be had: nothing is kept, and the next change has its chance.
	q, full, failed = Queue{Work: q.Work, Failed: q.Failed}, true, nil
	put(true, "c")
	if len(failed) != 1 || q.busy || len(q.pending) != 0 {
		t.Errorf("failed %q, busy %v, %d wait", failed, q.busy, len(q.pending))
	}
}
