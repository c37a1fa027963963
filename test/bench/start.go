package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/kernel"
	"github.com/muster-init/muster/test/container/box"
)

// measureStart starts N units of each kind in a boot of their own.
func measureStart(ctx context.Context, b *bench, program box.Program, n int) error {
	for _, name := range []string{"oneshot", "simple", "notify", "chain", "dag"} {
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
	return nil
}

func startKind(ctx context.Context, b *bench, program box.Program, k kind, n int) error {
	inside, c, err := b.bootEmpty(ctx, program, k.files(n))
	if err != nil {
		return err
	}
	defer stopBox(inside, c)
	cpuBefore := cpuTime(inside.PID())
	took, err := c.startAndPoll(ctx, k.target())
	if err != nil {
		return err
	}
	cpu := cpuTime(inside.PID()) - cpuBefore
	b.results.add("start "+k.name, n, program.Name, perSecond, float64(n)/took.Seconds())
	b.results.add("start "+k.name+", CPU of PID 1 per unit", n, program.Name, microseconds, float64(cpu.Microseconds())/float64(n))
	return nil
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
