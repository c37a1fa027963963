package kernel

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func spawnSh(t testing.TB, script string) *Child {
	t.Helper()
	var l OpList
	sh(&l, script)
	c, err := Spawn(&l, SpawnOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// waitPidFD waits until the process behind the pidfd has ended.
func waitPidFD(t testing.TB, pidfd int) {
	t.Helper()
	fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, 120_000)
		if err == unix.EINTR {
			continue
		}
		if n != 1 || err != nil {
			t.Fatalf("poll: %d %v", n, err)
		}
		return
	}
}

func TestWaitKinds(t *testing.T) {
	tests := []struct {
		script string
		code   int
		status int
	}{
		{"exit 7", CLDExited, 7},
		{"exit 0", CLDExited, 0},
		{"kill -9 $$", CLDKilled, 9},
		{"ulimit -c 0; kill -SEGV $$", CLDKilled, 11},
	}
	for _, tt := range tests {
		c := spawnSh(t, tt.script)
		waitPidFD(t, c.PidFD)
		peek, ok, err := PeekExit()
		if !ok || err != nil || peek.Pid != c.Pid || peek.Code != tt.code || peek.Status != tt.status {
			t.Errorf("%s: peek %+v %v %v", tt.script, peek, ok, err)
		}
		if s, err := ReadStat(c.Pid); err != nil || !s.IsZombie() {
			t.Errorf("%s: after the peek %+v %v", tt.script, s, err)
		}
		e, ok, err := ReapPidFD(c.PidFD)
		if !ok || err != nil || e.Pid != c.Pid || e.Code != tt.code || e.Status != tt.status || int(e.Uid) != os.Getuid() || e.Usage.MaxRSSBytes == 0 {
			t.Errorf("%s: %+v %v %v", tt.script, e, ok, err)
		}
		if err := PidFDSignal(c.PidFD, 0); !errors.Is(err, unix.ESRCH) {
			t.Errorf("signal after reaping: %v", err)
		}
		if _, _, err := Reap(c.Pid); !errors.Is(err, unix.ECHILD) {
			t.Errorf("second reaping: %v", err)
		}
		CloseFD(c.PidFD)
		c.Release()
	}
	if e, ok, err := PeekExit(); ok || err != nil {
		t.Errorf("without children: %+v %v %v", e, ok, err)
	}
}

func TestReapRunningChild(t *testing.T) {
	c := spawnSh(t, "exec sleep 100")
	if _, ok, err := PeekExit(); ok || err != nil {
		t.Errorf("%v %v", ok, err)
	}
	if _, ok, err := Reap(c.Pid); ok || err != nil {
		t.Errorf("%v %v", ok, err)
	}
	fd, err := PidFDOpen(c.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer CloseFD(fd)
	if pid, err := PidFDPid(fd); pid != c.Pid || err != nil {
		t.Errorf("%d %v", pid, err)
	}
	if err := PidFDQueue(fd, unix.SIGTERM, 5); err != nil {
		t.Fatal(err)
	}
	if ws := reap(t, c); ws.Signal() != unix.SIGTERM {
		t.Errorf("%v", ws)
	}
	if pid, err := PidFDPid(fd); pid != -1 || err != nil {
		t.Errorf("reaped: %d %v", pid, err)
	}
	c.Release()
}

func TestStatusPipe(t *testing.T) {
	for _, tt := range []struct {
		name, path, message string
	}{
		{"executed", "/bin/sleep", ""},
		{"failed", "/nonexistent", "EXEC"},
	} {
		p, err := NewStatusPipe()
		if err != nil {
			t.Fatal(err)
		}
		var l OpList
		l.Exec(0, tt.path, []string{"sleep", "0.2"}, nil)
		l.Write(0, FD(p.W), []byte("EXEC"))
		l.Exit(203)
		if done, _ := p.Read(); done {
			t.Errorf("%s: done before it began", tt.name)
		}
		c, err := Spawn(&l, SpawnOptions{})
		if err != nil {
			t.Fatal(err)
		}
		p.CloseWrite()
		poller := newPoller(t)
		if err := poller.Add(p.R, unix.EPOLLIN, 0, 1); err != nil {
			t.Fatal(err)
		}
		var done bool
		var message []byte
		for !done {
			tokens(t, poller, 5_000_000)
			done, message = p.Read()
		}
		if string(message) != tt.message {
			t.Errorf("%s: %q", tt.name, message)
		}
		if tt.message == "" {
			// It runs now, and the op list has no more to say.
			if r := c.Result(); !r.Executed || r.Pending {
				t.Errorf("%+v", r)
			}
		}
		reap(t, c)
		c.Release()
		p.Close()
	}
}

func TestInotify(t *testing.T) {
	n, err := NewInotify()
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	dir := t.TempDir()
	wd, err := n.Watch(dir, unix.IN_CREATE|unix.IN_DELETE)
	if err != nil {
		t.Fatal(err)
	}
	if list, err := n.Read(); list != nil || err != nil {
		t.Errorf("%v %v", list, err)
	}
	for _, name := range []string{"a", "a-longer-name"} {
		if err := os.WriteFile(dir+"/"+name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list, err := n.Read()
	if err != nil || len(list) != 2 || list[0].Name != "a" || list[1].Name != "a-longer-name" || list[0].WD != wd || list[0].Mask != unix.IN_CREATE {
		t.Errorf("%+v %v", list, err)
	}
	if err := n.Unwatch(wd); err != nil {
		t.Error(err)
	}
	if err := n.Unwatch(wd); !errors.Is(err, unix.EINVAL) {
		t.Errorf("second time: %v", err)
	}
	if _, err := n.Watch(dir+"/none", unix.IN_MODIFY); !errors.Is(err, unix.ENOENT) {
		t.Errorf("%v", err)
	}
	if got := parseInotify(nil, []byte{1, 2, 3}); got != nil {
		t.Errorf("cut event: %v", got)
	}
}

func TestMemfd(t *testing.T) {
	fd, err := SealedMemfd("test", []byte("content"), false)
	if err != nil {
		t.Fatal(err)
	}
	defer CloseFD(fd)
	if b, err := ReadFD(fd, 100); string(b) != "content" || err != nil {
		t.Errorf("%q %v", b, err)
	}
	if _, err := unix.Pwrite(fd, []byte("x"), 0); !errors.Is(err, unix.EPERM) {
		t.Errorf("write: %v", err)
	}
	if seals, err := MemfdSeals(fd); err != nil || seals&unix.F_SEAL_WRITE == 0 || !isCloexec(t, fd) {
		t.Errorf("seals %x %v", seals, err)
	}
	if _, err := ReadKernelFile("/proc/self/mounts", 10); !errors.Is(err, unix.EFBIG) {
		t.Errorf("limit: %v", err)
	}

	m, err := NewStateMemory("state", 100)
	if err != nil {
		t.Fatal(err)
	}
	m.Bytes()[5] = 42
	if err := m.Grow(10 * unix.Getpagesize()); err != nil || len(m.Bytes()) != 10*unix.Getpagesize() || m.Bytes()[5] != 42 {
		t.Errorf("%v, %d bytes", err, len(m.Bytes()))
	}
	if err := unix.Ftruncate(m.FD(), 0); !errors.Is(err, unix.EPERM) {
		t.Errorf("shrink: %v", err)
	}
	dup, err := unix.Dup(m.FD())
	if err != nil {
		t.Fatal(err)
	}
	again, err := MapStateMemory(dup)
	if err != nil {
		t.Fatal(err)
	}
	m.Bytes()[6] = 43
	if b := again.Bytes(); b[5] != 42 || b[6] != 43 {
		t.Errorf("%v", b[:8])
	}
	if err := errors.Join(m.Close(), again.Close()); err != nil {
		t.Error(err)
	}
}

// TestExecFD executes a sealed memfd.
func TestExecFD(t *testing.T) {
	image, err := os.ReadFile("/bin/echo")
	if err != nil {
		t.Fatal(err)
	}
	fd, err := SealedMemfd("echo", image, true)
	if err != nil {
		t.Fatal(err)
	}
	defer CloseFD(fd)
	var l OpList
	out, ws, res := spawnRead(t, &l, SpawnOptions{}, func(l *OpList) {
		l.ExecFD(203, FD(fd), []string{"echo", "hello"}, nil)
	})
	if out != "hello\n" || !res.Executed {
		t.Errorf("%q %v %+v", out, ws, res)
	}
}
