package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

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
	top, err := box.ScratchCgroup("floor")
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
	children := make([][]*os.Process, floorWorkers)
	began := time.Now()
	for worker := range floorWorkers {
		group.Go(func() {
			for i := range numbers {
				child, err := floorSpawn(filepath.Join(top, fmt.Sprint(i)), program, lives)
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
	for _, list := range children {
		for _, child := range list {
			if err := child.Kill(); err != nil {
				return 0, err
			}
			if _, err := child.Wait(); err != nil {
				return 0, err
			}
		}
	}
	for i := range n {
		if lives {
			if err := syscall.Rmdir(filepath.Join(top, fmt.Sprint(i))); err != nil {
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

func floorSpawn(dir, program string, lives bool) (*os.Process, error) {
	if err := syscall.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	fd, err := syscall.Open(dir, syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	cmd := &exec.Cmd{Path: program, Args: []string{program}, Env: []string{}, SysProcAttr: &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: fd}}
	err = cmd.Start()
	if closeErr := syscall.Close(fd); err == nil {
		err = closeErr
	}
	if err != nil || lives {
		return cmd.Process, err
	}
	if err := cmd.Wait(); err != nil {
		return nil, err
	}
	return nil, syscall.Rmdir(dir)
}
