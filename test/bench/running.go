package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/test/container/box"
)

// measureRunning has N services running: memory, re-execution, the restart of
// one that is killed, and the way down.
func measureRunning(ctx context.Context, b *bench, program box.Program, n int) error {
	k := kindNamed("simple")
	files := k.files(n)
	files[unitDir+"phoenix.service"] = box.File{Content: probeUnit("Restart=always\nRestartSec=0\nExecStart=" + tinyDir + "/" + tinyBeat)}
	inside, c, err := b.bootEmpty(ctx, program, files)
	if err != nil {
		return err
	}
	// Not a fixed client: re-execution ends the connection.
	defer func() { stopBox(inside, c) }()
	if _, err := c.startAndPoll(ctx, k.target()); err != nil {
		return err
	}
	time.Sleep(idleTime)
	b.results.add("RSS of PID 1, N running", n, program.Name, mebibytes, float64(box.RSS(inside.PID()))/(1<<20))
	if err := measureRestart(ctx, b, program, inside, c, n); err != nil {
		return fmt.Errorf("restart: %w", err)
	}
	if c, err = measureReexec(ctx, b, program, inside, c, n); err != nil {
		return fmt.Errorf("daemon-reexec: %w", err)
	}
	began := time.Now()
	if _, err := inside.Shutdown(ctx); err != nil {
		return fmt.Errorf("power-off: %w", err)
	}
	b.results.add("power-off, N running", n, program.Name, milliseconds, ms(time.Since(began)))
	return nil
}

// restartSamples is how often the service is killed.
const restartSamples = 100

// measureRestart kills the main process and waits for the first thing its
// successor does: a byte in a pipe.
func measureRestart(ctx context.Context, b *bench, program box.Program, inside *box.Box, c *client, n int) error {
	path := inside.Path(beatPath)
	if err := unix.Mkfifo(path, 0o666); err != nil {
		return err
	}
	// Read and write, so that the pipe never is without a writer.
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	pipe := os.NewFile(uintptr(fd), path)
	defer pipe.Close()
	beat := make([]byte, 1)
	next := func() error {
		if err := pipe.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			return err
		}
		_, err := pipe.Read(beat)
		return err
	}
	if err := c.call(ctx, "StartUnit", "phoenix.service", "replace").Err; err != nil {
		return err
	}
	if err := next(); err != nil {
		return err
	}
	var times []time.Duration
	for range restartSamples {
		pids := inside.PIDs("/system.slice/phoenix.service")
		if len(pids) != 1 {
			return fmt.Errorf("phoenix.service has the processes %v", pids)
		}
		began := time.Now()
		if err := syscall.Kill(pids[0], syscall.SIGKILL); err != nil {
			return err
		}
		if err := next(); err != nil {
			return err
		}
		times = append(times, time.Since(began))
		time.Sleep(5 * time.Millisecond)
	}
	b.results.add("restart after kill -9, p50", n, program.Name, milliseconds, ms(percentile(times, 50)))
	b.results.add("restart after kill -9, p99", n, program.Name, milliseconds, ms(percentile(times, 99)))
	return nil
}

// reexecRuns is how often a re-execution is repeated where it takes a moment only; the median counts.
const reexecRuns = 3

// measureReexec re-executes the manager: the program that runs, as a package's scripts do it, and another file with the same program, as an upgrade does.
func measureReexec(ctx context.Context, b *bench, program box.Program, inside *box.Box, c *client, n int) (*client, error) {
	for _, m := range []struct {
		name  string
		fresh bool
	}{{"daemon-reexec, N running", false}, {"daemon-reexec to another image, N running", true}} {
		runs := reexecRuns
		if n >= slowUnits && program.Name == "systemd" {
			if m.fresh && !b.all {
				continue
			}
			runs = 1
		}
		var times []time.Duration
		var cpu time.Duration
		for i := range runs {
			if m.fresh {
				replace := fmt.Sprintf("cp --preserve=mode %[1]s /var/tmp/init%[2]d && mount --bind /var/tmp/init%[2]d %[1]s", program.Path, i)
				if err := execInside(ctx, inside, replace); err != nil {
					return c, err
				}
			}
			took, used, next, err := reexecOnce(ctx, inside, c)
			if c = next; err != nil {
				return c, fmt.Errorf("%s: %w", m.name, err)
			}
			times, cpu = append(times, took), cpu+used
		}
		b.results.add(m.name, n, program.Name, milliseconds, ms(percentile(times, 50)))
		b.results.add(m.name+", CPU", n, program.Name, milliseconds, ms(cpu/time.Duration(runs)))
	}
	return c, nil
}

// reexecOnce times from the call until a new connection gets an answer, less what a new connection takes anyway, and makes sure that every process is
// still the same. cpu is what PID 1 took, and the children it has waited for.
func reexecOnce(ctx context.Context, inside *box.Box, c *client) (took, cpu time.Duration, next *client, err error) {
	before := inside.PIDs("/system.slice")
	slices.Sort(before)
	overhead, err := connectTime(ctx, inside)
	if err != nil {
		return 0, 0, c, err
	}
	ownBefore, childrenBefore := cpuTimes(inside.PID())
	began := time.Now()
	// There is no reply: the connection just ends.
	_ = c.call(ctx, "Reexecute").Err
	c.close()
	if next, err = connect(ctx, inside); err != nil {
		return 0, 0, nil, err
	}
	if err := next.ask(ctx); err != nil {
		return 0, 0, next, err
	}
	took = max(time.Since(began)-overhead, 0)
	own, children := cpuTimes(inside.PID())
	after := inside.PIDs("/system.slice")
	slices.Sort(after)
	if !slices.Equal(before, after) {
		return 0, 0, next, errors.New("the processes are not the same afterwards")
	}
	return took, own - ownBefore + children - childrenBefore, next, nil
}

// connectTime is the median time of a new connection and one answer.
func connectTime(ctx context.Context, inside *box.Box) (time.Duration, error) {
	var times []time.Duration
	for range 5 {
		began := time.Now()
		c, err := connect(ctx, inside)
		if err != nil {
			return 0, err
		}
		if err := c.ask(ctx); err != nil {
			return 0, err
		}
		times = append(times, time.Since(began))
		c.close()
	}
	return percentile(times, 50), nil
}

// crashTime is how long the crash loop runs, crashSample how many of its
// services are asked for their restarts.
const (
	crashTime   = 10 * time.Second
	crashSample = 10
)

// measureCrashLoop has N services that end at once with RestartSec=100ms while
// a client reads one property after the other.
func measureCrashLoop(ctx context.Context, b *bench, program box.Program, n int) error {
	k := kindNamed("crash")
	inside, c, err := b.bootEmpty(ctx, program, k.files(n))
	if err != nil {
		return err
	}
	defer stopBox(inside, c)
	if err := c.call(ctx, "StartUnit", k.target(), "replace").Err; err != nil {
		return err
	}
	time.Sleep(2 * time.Second) // until all of them are in the loop
	count := func() (total uint64, err error) {
		// A sample of the units stands for all of them: a starved manager takes
		// seconds for each answer.
		step := max(n/crashSample, 1)
		for i := 0; i < n; i += step {
			value, err := c.get(ctx, unitPath(k.unitName(i)), service+".Service", "NRestarts")
			if err != nil {
				return 0, err
			}
			if restarts, ok := value.Value().(uint32); ok {
				total += uint64(restarts) * uint64(step)
			}
		}
		return total, nil
	}
	first, err := count()
	if err != nil {
		return err
	}
	cpuBefore, began := cpuTime(inside.PID()), time.Now()
	var reads []time.Duration
	for time.Since(began) < crashTime {
		start := time.Now()
		if _, err := c.get(ctx, unitPath(k.unitName(0)), service+".Unit", "ActiveState"); err != nil {
			return err
		}
		reads = append(reads, time.Since(start))
		time.Sleep(5 * time.Millisecond)
	}
	took, cpu := time.Since(began), cpuTime(inside.PID())-cpuBefore
	last, err := count()
	if err != nil {
		return err
	}
	b.results.add("crash loop, restarts", n, program.Name, perSecond, float64(last-first)/took.Seconds())
	if last > first {
		b.results.add("crash loop, CPU of PID 1 per restart", n, program.Name, microseconds, float64(cpu.Microseconds())/float64(last-first))
	}
	b.results.add("crash loop, property read p50", n, program.Name, milliseconds, ms(percentile(reads, 50)))
	b.results.add("crash loop, property read p99", n, program.Name, milliseconds, ms(percentile(reads, 99)))
	return nil
}
