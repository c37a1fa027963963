package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/muster-init/muster/test/container/box"
)

const (
	// reexecTime bounds the re-executions of one unit; systemd needs minutes for 16,000 listeners (its issue 3241).
	reexecTime = 3 * time.Minute
	// connections is how many connections are made at most, one after the other.
	connections = 1000
	// activations is how often the first connection is measured.
	activations = 50
)

// measureSocket has N listeners in one unit, and beside it a socket that starts a service and one that starts a service per connection.
func measureSocket(ctx context.Context, b *bench, program box.Program, n int) error {
	inside, c, err := b.bootEmpty(ctx, program, socketFiles(n))
	if err != nil {
		return err
	}
	defer func() { stopBox(inside, c) }()
	if err := c.subscribe(ctx); err != nil {
		return err
	}
	took, err := c.job(ctx, "StartUnit", "many.socket")
	if err != nil {
		return err
	}
	b.results.add("start a socket unit with N listeners", n, program.Name, milliseconds, ms(took))
	for _, name := range []string{"first.socket", "each.socket"} {
		if _, err := c.job(ctx, "StartUnit", name); err != nil {
			return err
		}
	}
	if err := measureFirstConnection(ctx, b, program, inside, c, n); err != nil {
		return err
	}
	if err := measureConnections(b, program, inside, n); err != nil {
		return err
	}
	began := time.Now()
	if err := c.call(ctx, "Reload").Err; err != nil {
		return err
	}
	b.results.add("daemon-reload, N listeners in one unit", n, program.Name, milliseconds, ms(time.Since(began)))
	return measureSocketReexec(ctx, b, program, inside, &c, n)
}

func socketFiles(n int) map[string]box.File {
	const head = "[Unit]\nDefaultDependencies=no\n"
	const quiet = "StartLimitIntervalSec=0\n[Service]\nStandardOutput=null\nStandardError=null\n"
	const unlimited = "TriggerLimitIntervalSec=0\nPollLimitIntervalSec=0\n"
	var many strings.Builder
	for i := range n {
		fmt.Fprintf(&many, "ListenStream=@bench-%d\n", i)
	}
	return map[string]box.File{
		unitDir + "many.socket":   {Content: head + "[Socket]\nFileDescriptorName=x\n" + many.String()},
		unitDir + "many.service":  {Content: head + quiet + "ExecStart=" + tinyDir + "/" + tinyPause + "\n"},
		unitDir + "first.socket":  {Content: head + "[Socket]\nListenStream=/run/bench-first\n" + unlimited},
		unitDir + "first.service": {Content: head + quiet + "ExecStart=" + tinyDir + "/" + tinyServe + "\n"},
		unitDir + "each.socket":   {Content: head + "[Socket]\nListenStream=/run/bench-each\nAccept=yes\n" + unlimited},
		unitDir + "each@.service": {Content: head + quiet + "StandardInput=socket\nExecStart=" + tinyDir + "/" + tinyExit + "\n"},
	}
}

// exchange connects and waits for the first byte, or with end for the end of the connection.
func exchange(inside *box.Box, path string, end bool) (time.Duration, error) {
	began := time.Now()
	conn, err := net.Dial("unix", inside.Path(path))
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return 0, err
	}
	_, err = conn.Read(make([]byte, 1))
	if end && errors.Is(err, io.EOF) {
		err = nil
	}
	return time.Since(began), err
}

// measureFirstConnection is from connect to the answer of a service that has to be started for it.
func measureFirstConnection(ctx context.Context, b *bench, program box.Program, inside *box.Box, c *client, n int) error {
	var times []time.Duration
	for range activations {
		took, err := exchange(inside, "/run/bench-first", false)
		if err != nil {
			return fmt.Errorf("first connection: %w", err)
		}
		times = append(times, took)
		if _, err := c.job(ctx, "StopUnit", "first.service"); err != nil {
			return err
		}
	}
	b.results.add("first connection to a socket, p50", n, program.Name, milliseconds, ms(percentile(times, 50)))
	b.results.add("first connection to a socket, p99", n, program.Name, milliseconds, ms(percentile(times, 99)))
	return nil
}

// measureConnections makes one connection after the other to a socket with Accept=yes; each lives as long as its service.
func measureConnections(b *bench, program box.Program, inside *box.Box, n int) error {
	count := min(n, connections)
	began := time.Now()
	for range count {
		if _, err := exchange(inside, "/run/bench-each", true); err != nil {
			return fmt.Errorf("Accept=yes: %w", err)
		}
	}
	b.results.add("Accept=yes, connections", n, program.Name, perSecond, float64(count)/time.Since(began).Seconds())
	return nil
}

// slowReexec is from when on a re-execution isn't repeated.
const slowReexec = 3 * time.Second

// measureSocketReexec re-executes the manager and makes sure that the sockets still listen. The median counts.
func measureSocketReexec(ctx context.Context, b *bench, program box.Program, inside *box.Box, c **client, n int) error {
	const name = "daemon-reexec, N listeners in one unit"
	ctx, cancel := context.WithTimeout(ctx, reexecTime)
	defer cancel()
	var times []time.Duration
	var cpu time.Duration
	for range reexecRuns {
		took, used, fresh, err := reexecOnce(ctx, inside, *c)
		if fresh != nil {
			*c = fresh
		}
		if err == nil {
			_, err = (*c).pollState(ctx, "many.socket", "active", time.Now())
		}
		if err != nil {
			b.results.fail(name, n, program.Name, err)
			return nil
		}
		times, cpu = append(times, took), cpu+used
		if took > slowReexec {
			break
		}
	}
	b.results.add(name, n, program.Name, milliseconds, ms(percentile(times, 50)))
	b.results.add(name+", CPU", n, program.Name, milliseconds, ms(cpu/time.Duration(len(times))))
	_, err := exchange(inside, "/run/bench-first", false)
	return err
}
