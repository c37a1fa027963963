package kernel

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// reap waits for the child and returns its wait status.
func reap(t testing.TB, c *Child) unix.WaitStatus {
	t.Helper()
	var ws unix.WaitStatus
	for {
		pid, err := unix.Wait4(c.Pid, &ws, 0, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil || pid != c.Pid {
			t.Fatalf("wait4(%d) = %d, %v", c.Pid, pid, err)
		}
		break
	}
	if err := unix.Close(c.PidFD); err != nil {
		t.Fatalf("close pidfd %d: %v", c.PidFD, err)
	}
	return ws
}

// spawnRead spawns the list with standard output in a pipe and returns what was
// written there and the wait status.
func spawnRead(t testing.TB, l *OpList, opt SpawnOptions, build func(l *OpList)) (string, unix.WaitStatus, SpawnResult) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	l.Dup(99, int(w.Fd()), 1)
	build(l)
	c, err := Spawn(l, opt)
	if err != nil {
		w.Close()
		t.Fatalf("Spawn: %v", err)
	}
	w.Close()
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	ws := reap(t, c)
	return string(out), ws, c.Release()
}

func sh(l *OpList, script string, env ...string) {
	l.Exec(203, "/bin/sh", []string{"sh", "-c", script}, env)
}

func TestSpawnExecutes(t *testing.T) {
	var l OpList
	out, ws, res := spawnRead(t, &l, SpawnOptions{}, func(l *OpList) {
		l.Setsid(220)
		l.Umask(0o27)
		l.Chdir(200, "/usr")
		l.Setrlimit(205, unix.RLIMIT_NOFILE, 100, 200)
		l.Setpriority(201, 5)
		sh(l, `echo $A $(pwd) $(umask) $(ulimit -Sn) $(ulimit -Hn); set -- $(cat /proc/self/stat); echo ${19}; grep -E 'Sig(Blk|Ign|Cgt)' /proc/$$/status | tr '\n\t' '  '`, "A=b c")
	})
	if !ws.Exited() || ws.ExitStatus() != 0 || !res.Executed || res.Err() != nil {
		t.Fatalf("status %v, result %+v", ws, res)
	}
	lines := strings.Split(out, "\n")
	if lines[0] != "b c /usr 0027 100 200" || lines[1] != "5" {
		t.Errorf("got %q", lines)
	}
	if !strings.Contains(lines[2], "SigBlk: 0000000000000000") {
		t.Errorf("signals blocked in the child: %q", lines[2])
	}
}

func TestSpawnReportsFailingOp(t *testing.T) {
	tests := []struct {
		name   string
		build  func(l *OpList)
		op     OpName
		errno  unix.Errno
		status int
	}{
		{"missing file", func(l *OpList) { l.Exec(203, "/nonexistent", []string{"x"}, nil) }, OpExec, unix.ENOENT, 203},
		{"directory", func(l *OpList) { l.Exec(203, "/usr", []string{"x"}, nil) }, OpExec, unix.EACCES, 203},
		{"chdir", func(l *OpList) { l.Setsid(220); l.Chdir(200, "/nonexistent") }, OpChdir, unix.ENOENT, 200},
		{"bad fd", func(l *OpList) { l.Dup(208, 12345, 0) }, OpDup, unix.EBADF, 208},
		{"uid", func(l *OpList) { l.Setresuid(217, 4242); l.Setresuid(217, 0) }, OpUser, unix.EPERM, 217},
		{"write file", func(l *OpList) { l.WriteFile(206, "/proc/self/oom_score_adj", "x") }, OpWrite, unix.EINVAL, 206},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var l OpList
			tt.build(&l)
			c, err := Spawn(&l, SpawnOptions{})
			if err != nil {
				t.Fatal(err)
			}
			ws := reap(t, c)
			res := c.Release()
			if ws.ExitStatus() != tt.status || int(res.Status) != tt.status || res.Errno != tt.errno || res.Name != tt.op || res.Executed {
				t.Errorf("exit status %d, result %+v", ws.ExitStatus(), res)
			}
			if !errors.Is(res.Err(), tt.errno) {
				t.Errorf("Err() = %v", res.Err())
			}
		})
	}
}

func TestSpawnIgnoredAndToleratedFailures(t *testing.T) {
	var l OpList
	l.Chdir(0, "/nonexistent")
	l.Chdir(200, "/nonexistent")
	l.Tolerate(unix.ENOENT)
	l.Chdir(200, "/nonexistent")
	l.Tolerate(unix.EPERM, unix.EDQUOT, unix.ENOSYS, unix.ENOENT)
	l.Exec(0, "/nonexistent", []string{"x"}, nil)
	l.Exec(203, "/bin/true", []string{"true"}, nil)
	c, err := Spawn(&l, SpawnOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if ws := reap(t, c); ws.ExitStatus() != 0 || !c.Release().Executed {
		t.Errorf("status %v, %+v", ws, c.Result())
	}
}

func TestSpawnWithoutExec(t *testing.T) {
	var l OpList
	l.Exit(42)
	c, err := Spawn(&l, SpawnOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if ws := reap(t, c); ws.ExitStatus() != 42 {
		t.Errorf("status %v", ws)
	}
	if r := c.Release(); r.Executed || r.Errno != 0 || r.Pending {
		t.Errorf("result %+v", r)
	}
}

func TestSpawnPidVariablesAndPlacedFDs(t *testing.T) {
	a, b := tempFile(t, "first"), tempFile(t, "second")
	var l OpList
	out, _, _ := spawnRead(t, &l, SpawnOptions{}, func(l *OpList) {
		// The targets 3 and 4 overlap with whatever numbers a and b have.
		l.PlaceFDs(202, []int{int(b.Fd()), int(a.Fd()), int(b.Fd())}, 3)
		l.CloseFrom(202, 6)
		l.Exec(203, "/bin/sh", []string{"sh", "-c", `echo $$ $LISTEN_PID $SYSTEMD_EXEC_PID $X; cat <&3; cat <&4; echo; exec ls /proc/self/fd`},
			[]string{"X=1", "PATH=/usr/bin:/bin"}, "LISTEN_PID", "SYSTEMD_EXEC_PID")
	})
	var p1, p2, p3, x int
	var content string
	if _, err := fmt.Sscanf(out, "%d %d %d %d\n%s\n", &p1, &p2, &p3, &x, &content); err != nil {
		t.Fatalf("%q: %v", out, err)
	}
	if p1 == 0 || p1 != p2 || p1 != p3 || content != "secondfirst" {
		t.Errorf("got %q", out)
	}
	// 6 is the directory that ls reads.
	if !strings.HasSuffix(out, "\n0\n1\n2\n3\n4\n5\n6\n") {
		t.Errorf("descriptors in %q", out)
	}
}

// TestSpawnPidFDID: a variable with the inode number of the child's own pidfd, which is more than 32 bits long when the machine is old.
func TestSpawnPidFDID(t *testing.T) {
	if PidFDIDOf(os.Getpid()) == 0 {
		return // before Linux 6.9
	}
	var l OpList
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	l.Dup(99, int(w.Fd()), 1)
	l.PidFDID(202)
	l.CloseFrom(202, 3)
	l.Exec(0, "/nonexistent", []string{"x"}, nil, "LISTEN_PIDFDID")
	l.Exec(203, "/bin/sh", []string{"sh", "-c", `echo $LISTEN_PIDFDID $P $$; ls /proc/self/fd | wc -l`}, []string{"PATH=/usr/bin:/bin"}, "P", "LISTEN_PIDFDID")
	c, err := Spawn(&l, SpawnOptions{})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("%d %d %d\n4\n", PidFDID(c.PidFD), c.Pid, c.Pid)
	out, err := io.ReadAll(r)
	if err != nil || string(out) != want {
		t.Errorf("got %q, %v, want %q", out, err, want)
	}
	reap(t, c)
	c.Release()
	l.Reset()
	l.Exec(203, "/bin/true", []string{"true"}, nil, "LISTEN_PIDFDID")
	if l.Err() == nil {
		t.Error("the number is used that nobody asked for")
	}
}

func tempFile(t *testing.T, content string) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestSpawnCredentials(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to change user")
	}
	const chown, netBind = 1 << unix.CAP_CHOWN, 1 << unix.CAP_NET_BIND_SERVICE
	var l OpList
	out, ws, res := spawnRead(t, &l, SpawnOptions{}, func(l *OpList) {
		l.DropBounding(218, chown|netBind|1<<unix.CAP_SETUID|1<<unix.CAP_SETGID, LastCapability())
		l.Setresgid(216, 1234)
		l.Setgroups(216, []uint32{1234, 77})
		l.KeepCaps(218)
		l.Setresuid(217, 4321)
		l.Capset(218, netBind, netBind, netBind)
		l.RaiseAmbient(218, netBind)
		l.NoNewPrivileges(227)
		l.IgnoreSignal(unix.SIGPIPE)
		l.SetName("muster-pre-exec")
		l.Exec(203, "/bin/cat", []string{"cat", "/proc/self/status"}, nil)
	})
	if ws.ExitStatus() != 0 {
		t.Fatalf("%v %+v", ws, res)
	}
	for _, want := range []string{
		"Uid:\t4321\t4321\t4321\t4321", "Gid:\t1234\t1234\t1234\t1234", "Groups:\t77 1234", "NoNewPrivs:\t1",
		"CapInh:\t0000000000000400", "CapPrm:\t0000000000000400", "CapEff:\t0000000000000400",
		"CapAmb:\t0000000000000400", "CapBnd:\t00000000000004c1", fmt.Sprintf("SigIgn:\t%016x", ignoredSignals(t)|1<<(unix.SIGPIPE-1)),
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

// ignoredSignals is the set this process was started with: a shell ignores some in what it runs in the background.
func ignoredSignals(t *testing.T) (set uint64) {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "SigIgn:\t")
	if _, err := fmt.Sscanf(rest, "%x", &set); err != nil {
		t.Fatal(err)
	}
	return set
}

func TestSpawnSeccomp(t *testing.T) {
	// uname(2) kills, everything else is allowed (architecture is not checked here).
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 0, Jf: 1, K: unix.SYS_UNAME},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_KILL_PROCESS},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	var l OpList
	l.OpenTo(209, "/dev/null", unix.O_WRONLY, 0, 2)
	l.NoNewPrivileges(227)
	l.Seccomp(228, program, 0)
	l.Exec(203, "/bin/uname", []string{"uname"}, nil)
	c, err := Spawn(&l, SpawnOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if ws := reap(t, c); ws.Signal() != unix.SIGSYS {
		t.Errorf("uname under a filter: %v %+v", ws, c.Release())
	}
}

func TestSpawnNamespaces(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to make namespaces")
	}
	var l OpList
	out, ws, res := spawnRead(t, &l, SpawnOptions{Flags: unix.CLONE_NEWPID | unix.CLONE_NEWUTS}, func(l *OpList) {
		l.Exec(203, "/bin/sh", []string{"sh", "-c", `echo $$ $P`}, nil, "P")
	})
	if out != "1 1\n" {
		t.Errorf("pid namespace: %q %v %+v", out, ws, res)
	}
	// A child that shares our memory may still leave the user namespace,
	// because it is a thread group of its own.
	l.Reset()
	out, ws, res = spawnRead(t, &l, SpawnOptions{}, func(l *OpList) {
		l.Unshare(237, unix.CLONE_NEWUSER)
		l.Exec(203, "/bin/cat", []string{"cat", "/proc/self/uid_map"}, nil)
	})
	if out != "" || ws.ExitStatus() != 0 {
		t.Errorf("user namespace: %q %v %+v", out, ws, res)
	}
}

func TestSpawnSignalledBeforeExec(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	var l OpList
	l.Sigmask(0)
	var b [1]byte
	l.Syscall(OpOther, 1, unix.SYS_READ, FD(int(r.Fd())), l.Bytes(b[:]), Value(1)) // blocks for ever
	l.Exec(203, "/bin/true", []string{"true"}, nil)
	c, err := Spawn(&l, SpawnOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !c.Result().Pending {
		t.Errorf("result of a blocked child: %+v", c.Result())
	}
	// Stopped for as long as somebody likes, it keeps nobody: neither the
	// collector nor another start.
	if err := unix.PidfdSendSignal(c.PidFD, unix.SIGSTOP, nil, 0); err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	var other OpList
	other.Exec(203, "/bin/true", []string{"true"}, nil)
	c2, err := Spawn(&other, SpawnOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if ws := reap(t, c2); ws.ExitStatus() != 0 || !c2.Release().Executed {
		t.Errorf("beside a stopped child: %v", ws)
	}
	if err := unix.PidfdSendSignal(c.PidFD, unix.SIGKILL, nil, 0); err != nil {
		t.Fatal(err)
	}
	if ws := reap(t, c); ws.Signal() != unix.SIGKILL {
		t.Errorf("status %v", ws)
	}
	if res := c.Release(); res.Pending || res.Executed || res.Errno != 0 {
		t.Errorf("result %+v", res)
	}
}

func TestSpawnBigEnvironment(t *testing.T) {
	env := make([]string, 2000)
	for i := range env {
		env[i] = fmt.Sprintf("V%d=%s", i, strings.Repeat("x", 500))
	}
	var l OpList
	out, ws, res := spawnRead(t, &l, SpawnOptions{}, func(l *OpList) {
		l.Exec(203, "/bin/sh", []string{"sh", "-c", `echo ${#V0} ${#V1999}`}, env)
	})
	if out != "500 500\n" {
		t.Errorf("%q %v %+v", out, ws, res)
	}
}

func TestOpListRefusals(t *testing.T) {
	tests := map[string]func(l *OpList){
		"NUL":   func(l *OpList) { l.Chdir(1, "a\x00b") },
		"bytes": func(l *OpList) { l.Bytes(make([]byte, MaxOpListBytes+1)) },
		"ops": func(l *OpList) {
			l.DropBounding(1, 0, 63)
			for range MaxOps {
				l.Umask(0)
			}
		},
		"future result": func(l *OpList) { l.Close(Result(3)) },
		"arguments":     func(l *OpList) { l.Syscall(OpOther, 0, 1, make([]Arg, 7)...) },
		"seccomp":       func(l *OpList) { l.Seccomp(1, nil, 0) },
	}
	for name, build := range tests {
		var l OpList
		build(&l)
		if _, err := Spawn(&l, SpawnOptions{}); !errors.Is(err, ErrOpList) {
			t.Errorf("%s: Spawn = %v", name, err)
		}
	}
}

// TestSpawnParallel spawns from several goroutines, one of them on a locked
// thread, while the heap is turned over, and counts what came of it.
func TestSpawnParallel(t *testing.T) {
	const workers, each = 4, 250
	stop := make(chan struct{})
	var churn sync.WaitGroup
	churn.Add(1)
	go func() {
		defer churn.Done()
		var keep [][]byte
		for i := 0; ; i++ {
			select {
			case <-stop:
				runtime.KeepAlive(keep)
				return
			default:
			}
			keep = append(keep[max(0, len(keep)-50):], make([]byte, 10000+i%5000))
			if i%500 == 0 {
				runtime.GC()
			}
		}
	}()
	var shared OpList
	shared.Setsid(220)
	shared.Umask(0o22)
	shared.Exec(203, "/bin/true", []string{"true"}, []string{"A=B"})
	var wg sync.WaitGroup
	for w := range workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if w == 0 {
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
			}
			var own OpList
			for i := range each {
				l, want := &shared, 0
				if i%5 == 0 {
					own.Reset()
					own.Exec(203, "/nonexistent", []string{"x"}, nil)
					l, want = &own, 203
				}
				c, err := Spawn(l, SpawnOptions{})
				if err != nil {
					t.Errorf("Spawn: %v", err)
					return
				}
				if ws := reap(t, c); ws.ExitStatus() != want {
					t.Errorf("status %v, want %d", ws, want)
				}
				if res := c.Release(); res.Executed != (want == 0) || int(res.Status) != want {
					t.Errorf("result %+v", res)
				}
			}
		}()
	}
	wg.Wait()
	close(stop)
	churn.Wait()
	pending.Lock()
	defer pending.Unlock()
	if len(pending.list) != 0 {
		t.Errorf("%d children still pending", len(pending.list))
	}
}
