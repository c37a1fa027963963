package box

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// Result is how a program run by Exec ended.
type Result struct {
	Stdout, Stderr string
	Code           int // exit code; 128+n when it ended by signal n
}

// insideEnv is the environment of programs run inside, nothing of the host's.
var insideEnv = []string{
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "USER=root", "LOGNAME=root",
	"LANG=C.UTF-8", "TERM=dumb", "SYSTEMD_PAGER=", "SYSTEMD_COLORS=0", "SYSTEMD_URLIFY=0",
}

// Exec runs a program inside, as root in all namespaces of PID 1, and waits.
// The error tells that it could not be run at all or that ctx ended, in which
// case all it started inside is killed; a non-zero exit is in Result.Code.
func (b *Box) Exec(ctx context.Context, argv ...string) (Result, error) {
	return b.ExecInput(ctx, nil, argv...)
}

// ExecInput is Exec with standard input; nil is /dev/null.
func (b *Box) ExecInput(ctx context.Context, stdin io.Reader, argv ...string) (Result, error) {
	var stdout, stderr bytes.Buffer
	code, err := b.run(ctx, stdin, &stdout, &stderr, nil, argv)
	return Result{Stdout: stdout.String(), Stderr: stderr.String(), Code: code}, err
}

// ExecStream is Exec with both outputs written to w as they come.
func (b *Box) ExecStream(ctx context.Context, w io.Writer, argv ...string) (int, error) {
	return b.run(ctx, nil, w, w, nil, argv)
}

func (b *Box) run(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer, attr *syscall.SysProcAttr, argv []string) (int, error) {
	dir, err := b.execCgroup()
	if err != nil {
		return 0, fmt.Errorf("container: exec: %w", err)
	}
	defer b.releaseExecCgroup(dir)
	fd, err := os.Open(dir)
	if err != nil {
		return 0, fmt.Errorf("container: exec: %w", err)
	}
	defer fd.Close()
	if attr == nil {
		attr = &syscall.SysProcAttr{}
	}
	attr.UseCgroupFD, attr.CgroupFD = true, int(fd.Fd())
	cmd := &exec.Cmd{
		Args: argv, Env: insideEnv, Dir: "/", Stdin: stdin, Stdout: stdout, Stderr: stderr, SysProcAttr: attr,
		// A child left in the background may hold the pipes.
		WaitDelay: 500 * time.Millisecond,
	}
	err = b.inside(allNamespaces, func() error {
		if cmd.Path, err = lookPath(argv[0]); err != nil {
			return err
		}
		return cmd.Start()
	})
	if err != nil {
		return 0, fmt.Errorf("container: exec: %w", err)
	}
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-ctx.Done():
			_ = os.WriteFile(filepath.Join(dir, "cgroup.kill"), []byte("1"), 0)
		case <-ended:
		}
	}()
	err = cmd.Wait()
	if ctx.Err() != nil {
		return 0, fmt.Errorf("container: exec %q: %w", argv, ctx.Err())
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) {
		return 0, fmt.Errorf("container: exec: %w", err)
	}
	if wait, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && wait.Signaled() {
		return 128 + int(wait.Signal()), nil
	}
	return cmd.ProcessState.ExitCode(), nil
}

func (b *Box) execCgroup() (string, error) {
	select {
	case <-b.done:
		return "", fmt.Errorf("PID 1 has ended: %v", b.status)
	default:
	}
	b.mutex.Lock()
	b.execs++
	dir := filepath.Join(b.cgroup.payload, execCgroup, "exec-"+strconv.Itoa(b.execs))
	b.mutex.Unlock()
	return dir, os.MkdirAll(dir, 0o755)
}

// releaseExecCgroup kills what a program left behind and removes its cgroup;
// what doesn't go at once goes with the box.
func (b *Box) releaseExecCgroup(dir string) {
	_ = os.WriteFile(filepath.Join(dir, "cgroup.kill"), []byte("1"), 0)
	_ = removeCgroups(dir, 200*time.Millisecond)
}
