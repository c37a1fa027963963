package kernel

import (
	"bytes"
	"io"
	"os"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func init() {
	// This is how cmd/muster-executor begins where there is no assembly.
	if len(os.Args) == 3 && os.Args[1] == "--oplist" {
		fd, err := strconv.Atoi(os.Args[2])
		if err == nil {
			err = RunOpList(fd)
		}
		os.Stderr.WriteString(err.Error())
		os.Exit(98)
	}
}

// forked is Spawn as architectures without assembly have it.
func forked(t *testing.T, l *OpList, opt SpawnOptions) (*Child, error) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	SetForkExecutor(exe)
	c := &Child{PidFD: -1}
	if err := enroll(c); err != nil {
		t.Fatal(err)
	}
	if err := spawnFork(c, l, opt); err != nil {
		dismiss(c)
		return nil, err
	}
	return c, nil
}

func TestSpawnFork(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	file := tempFile(t, "content")
	var l OpList
	l.Setsid(220)
	l.Umask(0o27)
	l.Chdir(0, "/nonexistent")
	l.Chdir(200, "/usr")
	l.PlaceFDs(202, []int{int(file.Fd()), int(w.Fd())}, 0)
	l.CloexecFrom(202, 3)
	l.Exec(0, "/nonexistent", []string{"x"}, nil)
	l.Exec(203, "/bin/sh", []string{"sh", "-c", "echo $$ $P $(pwd) $(umask); cat; exit 5"}, []string{"PATH=/usr/bin:/bin"}, "P")
	c, err := forked(t, &l, SpawnOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	pid := itoa(c.Pid)
	if want := pid + " " + pid + " /usr 0027\ncontent"; string(out) != want {
		t.Errorf("%q, want %q", out, want)
	}
	if ws := reap(t, c); ws.ExitStatus() != 5 {
		t.Errorf("%v", ws)
	}
	if res := c.Release(); !res.Executed || res.Err() != nil {
		t.Errorf("%+v", res)
	}
}

func TestSpawnForkFailures(t *testing.T) {
	for status, build := range map[int]func(l *OpList){
		203: func(l *OpList) { l.Exec(203, "/nonexistent", []string{"x"}, nil) },
		200: func(l *OpList) { l.Chdir(200, "/nonexistent") },
	} {
		var l OpList
		build(&l)
		c, err := forked(t, &l, SpawnOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if ws := reap(t, c); ws.ExitStatus() != status {
			t.Errorf("%v", ws)
		}
		if res := c.Release(); res.Executed || res.Errno != unix.ENOENT || int(res.Status) != status {
			t.Errorf("%+v", res)
		}
	}
}

func TestOpListEncoding(t *testing.T) {
	var l, back OpList
	l.WriteFile(206, "/x", "y")
	l.Seccomp(228, []unix.SockFilter{{Code: 1, K: 2}}, 0)
	l.Tolerate(unix.EINVAL)
	l.Exec(203, "/bin/sh", []string{"a", "b"}, []string{"C=D"}, "P")
	text := l.encode()
	if err := back.decode(text); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(back.encode(), text) || len(back.ops) != len(l.ops) || !cmp.Equal(back.relocs, l.relocs) {
		t.Error("encoding is not its own inverse")
	}
	for _, cut := range []int{0, 10, 24, len(text) - 1} {
		var l OpList
		if err := l.decode(text[:cut]); err == nil {
			t.Errorf("%d of %d bytes were taken", cut, len(text))
		}
	}
}
