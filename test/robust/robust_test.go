// Package robust holds what PID 1 has to live through from outside, on muster:
// deadly signals, being stopped, re-execution and reload again and again, all
// with services running and jobs on their way. What units and clients can do to
// it are the scenarios robust-*.
package robust

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/muster-init/muster/test/container/box"
	"github.com/muster-init/muster/test/root"
)

const (
	steadyUnits = 20
	// answerWithin is how long the manager may take to answer after a fault. It takes some ten milliseconds; a machine with much else to do makes
	// seconds of them.
	answerWithin = 20 * time.Second
	// patience ends what hangs.
	patience = 5 * time.Minute
)

// boot starts muster with steady services that must keep their processes, and
// units to start and stop meanwhile.
func boot(t *testing.T) *box.Box {
	t.Helper()
	return bootProgram(t, "")
}

// bootProgram is boot with the programs of a directory of the host, which is /opt/muster inside; "" for those that are installed.
func bootProgram(t *testing.T, programs string) *box.Box {
	t.Helper()
	b := bootFiles(t, programs, nil)
	shell(t, b, fmt.Sprintf("systemctl start steady@{1..%d}.service", steadyUnits))
	return b
}

// bootFiles is bootProgram with further files in the root, and with nothing started beside what boots.
func bootFiles(t *testing.T, programs string, more map[string]string) *box.Box {
	t.Helper()
	return bootBinds(t, programs, more)
}

// bootBinds is bootFiles with further files of the host.
func bootBinds(t *testing.T, programs string, more map[string]string, binds ...box.Bind) *box.Box {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("needs root: run `sudo make test`")
	}
	spec, err := root.Find("trixie")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := spec.Prepare(t.Context(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	repository, err := box.Repository()
	if err != nil {
		t.Fatal(err)
	}
	program, err := box.FindProgram(t.Context(), "muster", repository)
	if err != nil {
		t.Fatal(err)
	}
	program.Binds = append(program.Binds, binds...)
	if programs != "" {
		program.Path = "/opt/muster/muster"
		program.Binds = append(program.Binds, box.Bind{Source: programs, Target: "/opt/muster"})
	}
	files := box.Identity()
	files["/etc/systemd/system/default.target"] = box.File{Link: "robust.target"}
	files["/etc/systemd/system/robust.target"] = box.File{Content: "[Unit]\nRequires=basic.target\nAfter=basic.target\nAllowIsolate=yes\n"}
	files["/etc/systemd/system/steady@.service"] = box.File{Content: "[Service]\nExecStart=/bin/sleep infinity\n"}
	files["/etc/systemd/system/load@.service"] = box.File{Content: "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=notify\nNotifyAccess=all\nExecStart=/bin/sh -c 'systemd-notify --ready; exec sleep infinity'\n"}
	for path, content := range more {
		files[path] = box.File{Content: content}
	}
	b, err := box.Start(box.Options{Root: dir, Init: program.Path, Args: program.Args, Files: files, Binds: program.Binds})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("console:\n%s", lastLines(b.Console(), 80))
			select {
			case <-b.Done():
				status, err := b.Wait(context.Background())
				t.Logf("PID 1 has ended: %+v, %v", status, err)
			default:
			}
		}
		if err := b.Stop(); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if state, err := b.WaitRunning(ctx, program.Ctl); err != nil {
		t.Fatalf("state %q, %v", state, err)
	}
	return b
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// shell runs a script inside that must succeed.
func shell(t *testing.T, b *box.Box, script string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	result, err := b.Exec(ctx, "/bin/bash", "-c", script)
	if err != nil || result.Code != 0 {
		t.Fatalf("%s: exit status %d, %v\n%s%s", script, result.Code, err, result.Stdout, result.Stderr)
	}
	return result.Stdout
}

// steady are state and main pid of the steady services.
func steady(t *testing.T, b *box.Box) string {
	t.Helper()
	return shell(t, b, "systemctl show -P MainPID -P ActiveState 'steady@*.service'")
}

// underLoad starts and stops units in the background until the returned
// function is called, which gives how many rounds went through.
func underLoad(t *testing.T, b *box.Box) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			// The connection may be cut at any moment; the jobs must not be.
			_, _ = b.Exec(ctx, "/bin/sh", "-c", "systemctl --no-block start load@1 load@2 load@3; systemctl restart load@4; systemctl --no-block stop load@1 load@2 load@3")
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// settled waits until no job is left, and wants the units to be workable.
func settled(t *testing.T, b *box.Box) {
	t.Helper()
	shell(t, b, `for i in $(seq 2400); do [ -n "$(systemctl list-jobs --no-legend | grep -v 'No jobs')" ] || break; sleep 0.05; done
		[ -z "$(systemctl list-jobs --no-legend | grep -v 'No jobs')" ] || { systemctl list-jobs; systemctl status --lines=5 'load@*'; exit 1; }
		timeout 120 systemctl restart load@1 load@2 load@3 load@4 && timeout 120 systemctl stop load@1 load@2 load@3 load@4`)
}

// answers wants an answer of the manager within the time.
func answers(t *testing.T, b *box.Box, about string) {
	t.Helper()
	began := time.Now()
	for {
		ctx, cancel := context.WithTimeout(t.Context(), answerWithin)
		result, err := b.Exec(ctx, "systemctl", "show", "-P", "ActiveState", "steady@1.service")
		cancel()
		if err == nil && result.Code == 0 && strings.TrimSpace(result.Stdout) == "active" {
			return
		}
		if time.Since(began) > answerWithin {
			t.Fatalf("after %s: no answer within %v: %q %q %v", about, answerWithin, result.Stdout, result.Stderr, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestDeadlySignals(t *testing.T) {
	b := boot(t)
	before := steady(t, b)
	stop := underLoad(t, b)
	signals := []syscall.Signal{syscall.SIGSEGV, syscall.SIGABRT, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGILL, syscall.SIGQUIT, syscall.SIGTRAP, syscall.SIGSYS}
	for i := range 50 {
		signal := signals[i%len(signals)]
		if err := b.Signal(signal); err != nil {
			t.Fatal(err)
		}
		answers(t, b, fmt.Sprintf("signal %d, %v", i+1, signal))
		// A manager that has not lived for a second counts as one that crashes at once.
		time.Sleep(1100 * time.Millisecond)
	}
	stop()
	if after := steady(t, b); after != before {
		t.Errorf("the services were disturbed:\n%s\nnow\n%s", before, after)
	}
	settled(t, b)
}

func TestStoppedAndContinued(t *testing.T) {
	b := boot(t)
	before := steady(t, b)
	stop := underLoad(t, b)
	for i := range 20 {
		for _, signal := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT} {
			if err := b.Signal(signal); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		answers(t, b, fmt.Sprintf("stop %d", i+1))
	}
	stop()
	if after := steady(t, b); after != before {
		t.Errorf("the services were disturbed:\n%s\nnow\n%s", before, after)
	}
	settled(t, b)
}

// TestReexecAndReload re-executes and reloads 100 times each under load; the
// number of open descriptors must not grow.
func TestReexecAndReload(t *testing.T) {
	for _, verb := range []string{"daemon-reexec", "daemon-reload"} {
		t.Run(verb, func(t *testing.T) {
			b := boot(t)
			shell(t, b, "systemd-run --quiet --on-active=1000 --unit=later /bin/true; systemctl "+verb)
			before := steady(t, b)
			settled(t, b)
			open := "sleep 0.5; ls /proc/1/fd | wc -l; systemctl show -P NextElapseUSecMonotonic later.timer"
			was := shell(t, b, open)
			stop := underLoad(t, b)
			for i := range 100 {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				result, err := b.Exec(ctx, "systemctl", verb)
				cancel()
				if err != nil || result.Code != 0 {
					t.Fatalf("%s %d: exit status %d, %q, %v", verb, i+1, result.Code, result.Stderr, err)
				}
			}
			stop()
			settled(t, b)
			if after := steady(t, b); after != before {
				t.Errorf("the services were disturbed:\n%s\nnow\n%s", before, after)
			}
			var n, wasN int
			var at, wasAt string
			now := shell(t, b, open)
			if _, err := fmt.Sscan(was, &wasN, &wasAt); err != nil {
				t.Fatalf("%q: %v", was, err)
			}
			if _, err := fmt.Sscan(now, &n, &at); err != nil {
				t.Fatalf("%q: %v", now, err)
			}
			if n > wasN+8 || at != wasAt {
				t.Log(shell(t, b, "ls -l /proc/1/fd | awk '{print $11}' | sed 's/[0-9][0-9]*/N/g' | sort | uniq -c"))
				t.Errorf("open descriptors %d, were %d; the timer elapses at %s, was %s", n, wasN, at, wasAt)
			}
		})
	}
}

// TestPIDFileIsFIFO is no scenario, because it stops PID 1 of systemd for good.
func TestPIDFileIsFIFO(t *testing.T) {
	b := boot(t)
	shell(t, b, `mkfifo /run/fifo
		printf "[Service]\nType=forking\nPIDFile=/run/fifo\nTimeoutStartSec=1\nExecStart=/bin/sh -c 'sleep 100 &'\n" >/etc/systemd/system/fifo.service
		systemctl daemon-reload
		! timeout 120 systemctl start fifo.service && [ "$(systemctl show -P Result fifo.service)" = protocol -o "$(systemctl show -P Result fifo.service)" = timeout ]`)
	answers(t, b, "a FIFO as PID file")
}
