package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/kernel"
	"github.com/muster-init/muster/test/container/box"
)

// startKinds are the shapes of units that are started; slowKinds is as many of them as systemd is asked for from slowUnits on, where each takes it a
// minute or more, because what it does for one start grows with the number of units in the slice.
var startKinds = []string{"oneshot", "simple", "notify", "chain", "dag"}

const (
	slowUnits = 5000
	slowKinds = 2
	// kindTimeout bounds the start of one kind.
	kindTimeout = 4 * time.Minute
)

// measureStart starts N units of each kind in a boot of their own.
func measureStart(ctx context.Context, b *bench, program box.Program, n int) error {
	kinds := startKinds
	if program.Name == "systemd" && n >= slowUnits && !b.all {
		kinds = kinds[:slowKinds]
		b.results.note(fmt.Sprintf("N = %d: systemd was asked to start %s only (-all for the others)", n, strings.Join(kinds, " and ")))
	}
	for _, name := range kinds {
		if err := startKind(ctx, b, program, kindNamed(name), n); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// measureHardened starts N services with 13 settings of the sandbox, and with nearly all of them.
func measureHardened(ctx context.Context, b *bench, program box.Program, n int) error {
	for _, name := range []string{"oneshot", "hardened", "confined"} {
		if err := startKind(ctx, b, program, kindNamed(name), n); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	plain, ok1 := b.results.figure("start oneshot", n, program.Name)
	with, ok2 := b.results.figure("start hardened", n, program.Name)
	if ok1 && ok2 {
		b.results.add("start hardened, more than a plain one", n, program.Name, milliseconds, 1000/with-1000/plain)
	}
	return nil
}

// startRuns is how often a kind is started where that takes a moment only; the best run counts, as the one that was disturbed least.
const (
	startRuns      = 3
	startRunsUnits = 100
)

func startKind(ctx context.Context, b *bench, program box.Program, k kind, n int) error {
	ctx, cancel := context.WithTimeout(ctx, kindTimeout)
	defer cancel()
	runs := 1
	if n <= startRunsUnits {
		runs = startRuns
	}
	var best time.Duration
	var own, children time.Duration
	for range runs {
		took, cpu, theirs, err := startOnce(ctx, b, program, k, n)
		if errors.Is(err, context.DeadlineExceeded) && took > 0 {
			b.results.note(fmt.Sprintf("N = %d: %s had not started all of %s after %.0f s: its rate is below the one shown", n, program.Name, k.name, took.Seconds()))
			b.results.add("start "+k.name, n, program.Name, perSecond, float64(n)/took.Seconds())
			return nil
		}
		if err != nil {
			return err
		}
		if best == 0 || took < best {
			best, own, children = took, cpu, theirs
		}
	}
	perUnit := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(n) }
	b.results.add("start "+k.name, n, program.Name, perSecond, float64(n)/best.Seconds())
	if floor, ok := b.results.figure("floor, "+k.name, n, floorName); ok {
		b.results.add("start "+k.name+", share of the floor", n, program.Name, percent, 100*float64(n)/best.Seconds()/floor)
	}
	b.results.add("start "+k.name+", CPU of PID 1 per unit", n, program.Name, microseconds, perUnit(own))
	if children > 0 {
		b.results.add("start "+k.name+", CPU of the children per unit", n, program.Name, microseconds, perUnit(children))
	}
	return nil
}

// startOnce boots, starts all units of a kind, and tells how long that took and how much of the processors, of PID 1 and of the children that have ended.
func startOnce(ctx context.Context, b *bench, program box.Program, k kind, n int) (took, own, children time.Duration, err error) {
	inside, c, err := b.bootEmpty(ctx, program, k.files(n))
	if err != nil {
		return 0, 0, 0, err
	}
	defer stopBox(inside, c)
	// The connection with a decoder is closed: it would get all signals as well.
	c.close()
	raw, err := dialRaw(ctx, inside)
	if err != nil {
		return 0, 0, 0, err
	}
	defer raw.conn.Close()
	ownBefore, childrenBefore := cpuTimes(inside.PID())
	began := time.Now()
	if took, err = raw.startAndPoll(ctx, k.target()); err != nil {
		return time.Since(began), 0, 0, err
	}
	own, children = cpuTimes(inside.PID())
	return took, own - ownBefore, children - childrenBefore, nil
}

// floorWorkers is as many as this class of machine has CPUs.
const floorWorkers = 2

// measureFloor is what a start costs at least: a new cgroup, clone into it,
// execve, and for those that end, wait and rmdir. It knows no dependencies, no
// logging, no bus.
func measureFloor(b *bench, n int) error {
	top, err := box.ScratchCgroup()
	if err != nil {
		return err
	}
	defer top.Remove()
	for _, f := range []struct {
		name, program string
		lives         bool
	}{{"floor, oneshot", tinyExit, false}, {"floor, simple", tinyPause, true}} {
		took, err := floorRun(top.Path(), filepath.Join(b.tiny, f.program), n, f.lives)
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		b.results.add(f.name, n, floorName, perSecond, float64(n)/took.Seconds())
	}
	return nil
}

func floorRun(top, program string, n int, lives bool) (time.Duration, error) {
	numbers := make(chan int, n)
	for i := range n {
		numbers <- i
	}
	close(numbers)
	var group sync.WaitGroup
	errs := make([]error, floorWorkers)
	children := make([][]int, floorWorkers)
	var list kernel.OpList
	list.Exec(203, program, []string{program}, nil)
	if err := list.Err(); err != nil {
		return 0, err
	}
	began := time.Now()
	for worker := range floorWorkers {
		group.Go(func() {
			for i := range numbers {
				child, err := floorSpawn(filepath.Join(top, fmt.Sprint(i)), &list, lives)
				if err != nil {
					errs[worker] = err
					return
				}
				if lives {
					children[worker] = append(children[worker], child)
				}
			}
		})
	}
	group.Wait()
	took := time.Since(began)
	for _, pids := range children {
		for _, child := range pids {
			if err := unix.Kill(child, unix.SIGKILL); err != nil {
				return 0, err
			}
			if err := reap(child); err != nil {
				return 0, err
			}
		}
	}
	for i := range n {
		if lives {
			if err := unix.Rmdir(filepath.Join(top, fmt.Sprint(i))); err != nil {
				return 0, err
			}
		}
	}
	for _, err := range errs {
		if err != nil {
			return 0, err
		}
	}
	return took, nil
}

// floorSpawn uses the raw clone of pkg/kernel, the cheapest way there is from
// Go: clone3 with shared memory into the cgroup, one execve in the child.
func floorSpawn(dir string, list *kernel.OpList, lives bool) (int, error) {
	if err := unix.Mkdir(dir, 0o755); err != nil {
		return 0, err
	}
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	child, err := kernel.Spawn(list, kernel.SpawnOptions{CgroupFD: fd})
	if err != nil {
		return 0, err
	}
	defer unix.Close(child.PidFD)
	if lives {
		return child.Pid, nil
	}
	if err := reap(child.Pid); err != nil {
		return 0, err
	}
	if result := child.Release(); !result.Executed {
		return 0, result.Err()
	}
	return child.Pid, unix.Rmdir(dir)
}

func reap(pid int) error {
	for {
		if _, err := unix.Wait4(pid, nil, 0, nil); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
