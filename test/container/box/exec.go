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
	"sync"
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
	out, err := collect(stdout)
	if err != nil {
		return 0, fmt.Errorf("container: exec: %w", err)
	}
	defer out.close()
	errOut := out
	if stdout != stderr {
		if errOut, err = collect(stderr); err != nil {
			return 0, fmt.Errorf("container: exec: %w", err)
		}
		defer errOut.close()
	}
	cmd := &exec.Cmd{
		Args: argv, Env: insideEnv, Dir: "/", Stdin: stdin, Stdout: out.in, Stderr: errOut.in, SysProcAttr: attr,
		WaitDelay: grace, // for standard input
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
	out.close()
	errOut.close()
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

// grace is how long a child that was left in the background may go on to write.
const grace = 500 * time.Millisecond

// output is a pipe of which all is read that is in it when the program ends, however late its reader gets a turn: a child left in the
// background may hold the other end open for long.
type output struct {
	in   *os.File // the program's end
	from *os.File
	done chan struct{}
	once sync.Once
}

// collect gives the program a file itself, a terminal perhaps, and others by a pipe.
func collect(w io.Writer) (*output, error) {
	if file, ok := w.(*os.File); ok {
		return &output{in: file}, nil
	}
	from, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	o := &output{in: in, from: from, done: make(chan struct{})}
	go func() {
		defer close(o.done)
		if _, err := io.Copy(w, from); errors.Is(err, os.ErrDeadlineExceeded) {
			o.rest(w)
		}
	}()
	return o, nil
}

// close ends the reading; the program has ended or was never started.
func (o *output) close() {
	o.once.Do(func() {
		if o.from == nil {
			return // the file is not ours
		}
		o.in.Close()
		select {
		case <-o.done:
		case <-time.After(grace):
			// It can't fail on a pipe that is open.
			_ = o.from.SetReadDeadline(time.Now())
			<-o.done
		}
		o.from.Close()
	})
}

// rest copies what is in the pipe now, a few times as much as it holds at most.
func (o *output) rest(w io.Writer) {
	if err := o.from.SetReadDeadline(time.Time{}); err != nil {
		return
	}
	conn, err := o.from.SyscallConn()
	if err != nil {
		return
	}
	chunk := make([]byte, 64<<10)
	_ = conn.Read(func(fd uintptr) bool {
		for range 64 {
			n, err := syscall.Read(int(fd), chunk)
			if err == syscall.EINTR {
				continue
			}
			if n <= 0 {
				break
			}
			if _, err := w.Write(chunk[:n]); err != nil {
				break
			}
		}
		return true
	})
}
