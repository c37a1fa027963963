package manager

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/generator"
	"github.com/muster-init/muster/pkg/kernel"
)

const (
	// generatorTimeout is how long all generators together may take; the rest is killed.
	generatorTimeout = 90 * time.Second
	// generatorStatus is the exit status of a generator that could not be executed.
	generatorStatus = 203
)

// runGenerators runs all generators in parallel and waits for them. At boot nothing else can be done meanwhile, because units can't be loaded before; it
// is bounded by generatorTimeout. A reload runs them on a worker (see reload.go).
func (m *Manager) runGenerators() error {
	if m.opt.Deserialize || !m.opt.Generators {
		return nil
	}
	m.stamps.GeneratorsStart = m.now()
	run := m.generatorRun()
	problems := run.all()
	m.stamps.GeneratorsFinish = m.now()
	for _, p := range problems {
		m.log.err("", "%s", p)
	}
	return nil
}

// generatorRun is everything that a run needs, so that it can go on a worker.
type generatorRun struct {
	list    []string
	output  generator.Output
	env     []string
	helpers *helpers
}

func (m *Manager) generatorRun() *generatorRun {
	base, dirs := "/run/systemd", generator.SystemDirectories
	if !m.system {
		base, dirs = m.dirs.runtime+"/systemd", generator.UserDirectories
	}
	ctx := generator.Context{
		User: !m.system, Initrd: inInitrd(), FirstBoot: m.facts.FirstBoot, Virtualization: m.facts.Virtualization, Container: m.facts.Container,
		Architecture: kernel.Architecture(), Credentials: m.facts.Credentials,
	}
	return &generatorRun{list: generator.List("", dirs), output: generator.OutputBelow(base), env: ctx.Environment(m.environment), helpers: m.helpers}
}

// all starts every generator and waits by pidfd, which works beside the reaper of the loop. It returns what went wrong, a message each.
func (g *generatorRun) all() (problems []string) {
	if err := g.output.Prepare(); err != nil {
		return []string{fmt.Sprintf("generators: %v", err)}
	}
	defer g.output.Trim()
	type running struct {
		path   string
		child  *kernel.Child
		stderr int
	}
	var list []running
	for _, path := range g.list {
		child, stderr, err := g.start(path)
		if err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", path, err))
			continue
		}
		list = append(list, running{path, child, stderr})
	}
	deadline := time.Now().Add(generatorTimeout)
	for _, r := range list {
		text := readAllUntil(r.stderr, deadline)
		status, err := g.wait(r.child, deadline)
		g.helpers.forget(r.child.Pid)
		r.child.Release()
		_ = unix.Close(r.child.PidFD)
		name := filepath.Base(r.path)
		switch {
		case err != nil:
			problems = append(problems, fmt.Sprintf("%s: %v", name, err))
		case status != "":
			problems = append(problems, fmt.Sprintf("%s: %s%s", name, status, quoted(text)))
		}
	}
	return problems
}

func quoted(text string) string {
	if text == "" {
		return ""
	}
	return ": " + text
}

func (g *generatorRun) start(path string) (child *kernel.Child, stderr int, err error) {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, -1, err
	}
	defer unix.Close(pipe[1])
	var l kernel.OpList
	l.Setsid(generatorStatus)
	l.OpenTo(generatorStatus, "/dev/null", unix.O_RDWR, 0, 0)
	l.Dup(generatorStatus, pipe[1], 2)
	l.Dup(generatorStatus, 2, 1)
	l.CloexecFrom(generatorStatus, 3)
	helperLimits(&l)
	l.Umask(0o022)
	l.Exec(generatorStatus, path, append([]string{path}, g.output.Dirs()...), g.env)
	child, err = g.helpers.spawn(&l, kernel.SpawnOptions{})
	if err != nil {
		_ = unix.Close(pipe[0])
		return nil, -1, err
	}
	return child, pipe[0], nil
}

const generatorOutputMax = 64 << 10

// readAllUntil reads what a generator says until it has closed its output or the time is over.
func readAllUntil(fd int, deadline time.Time) string {
	defer unix.Close(fd)
	var text []byte
	buf := make([]byte, 4096)
	for len(text) < generatorOutputMax {
		left := time.Until(deadline)
		if left <= 0 {
			break
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
		if err == unix.EINTR {
			continue
		}
		if n <= 0 {
			break
		}
		n, err = unix.Read(fd, buf)
		if n <= 0 || err != nil {
			break
		}
		text = append(text, buf[:n]...)
	}
	for len(text) > 0 && text[len(text)-1] == '\n' {
		text = text[:len(text)-1]
	}
	return string(text)
}

// wait waits for the end of a child; after the deadline it is killed. status is "" for success. The loop may be the one that reaps it.
func (g *generatorRun) wait(child *kernel.Child, deadline time.Time) (status string, err error) {
	for {
		left := time.Until(deadline)
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(child.PidFD), Events: unix.POLLIN}}, max(0, int(left.Milliseconds())+1))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return "", err
		}
		if n == 0 {
			_ = kernel.PidFDSignal(child.PidFD, unix.SIGKILL)
			return fmt.Sprintf("did not end within %v and was killed", generatorTimeout), nil
		}
		exit, ok, err := kernel.ReapPidFD(child.PidFD)
		if err == nil && ok {
			return exitText(exit), nil
		}
		if taken := g.helpers.take(child.Pid); taken != nil {
			return exitText(*taken), nil
		}
		if err != nil && !errors.Is(err, unix.ECHILD) {
			return "", err
		}
		time.Sleep(time.Millisecond) // reaped by the loop, which is about to hand it over
	}
}

func exitText(exit kernel.Exit) string {
	switch {
	case exit.Code != kernel.CLDExited:
		return fmt.Sprintf("was killed by signal %d", exit.Status)
	case exit.Status != 0:
		return fmt.Sprintf("failed with status %d", exit.Status)
	}
	return ""
}

// exists reports whether a file is there, links not followed.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
