package kernel

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func init() {
	helpers["signals"] = signalHelper
}

// signalHelper catches the manager's signals, says so and prints each one that
// arrives until SIGRTMAX.
func signalHelper(args []string) {
	runtime.LockOSThread()
	fd, err := InstallSignals(ManagerSignals())
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	p, err := NewPoller()
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	if err := p.Add(fd, unix.EPOLLIN, 0, 1); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	if len(args) > 0 { // a full pipe: nobody reads until the flood is over
		fmt.Print("ready\n")
		var b [1]byte
		_, _ = os.Stdin.Read(b[:])
	} else {
		fmt.Print("ready\n")
	}
	for {
		if _, err := p.Wait(-1); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		for {
			s, ok := ReadSignal(fd)
			if !ok {
				break
			}
			fmt.Printf("%d code=%d pid=%d uid=%d value=%d status=%d lost=%v\n", s.Signo, s.Code, s.Pid, s.Uid, s.Value, s.Status, s.Lost)
			if s.Signo == SIGRTMAX && !s.Lost {
				os.Exit(0)
			}
		}
	}
}

// startHelper spawns a helper with pipes at 0 and 1, waits for its "ready" line
// and returns the ends.
func startHelper(t *testing.T, opt SpawnOptions, args ...string) (c *Child, in, out *os.File) {
	t.Helper()
	inR, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, outW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); out.Close() })
	var l OpList
	l.PlaceFDs(202, []int{int(inR.Fd()), int(outW.Fd())}, 0)
	execHelper(&l, args...)
	c, err = Spawn(&l, opt)
	if err != nil {
		t.Fatal(err)
	}
	inR.Close()
	outW.Close()
	var b [6]byte
	if n, err := out.Read(b[:]); err != nil || string(b[:n]) != "ready\n" {
		t.Fatalf("helper %v said %q, %v", args, b[:n], err)
	}
	return c, in, out
}

func sigqueue(t *testing.T, pid int, sig unix.Signal, value int32) {
	t.Helper()
	if err := QueueSignal(pid, sig, value); err != nil {
		t.Fatal(err)
	}
}

func readAll(t *testing.T, f *os.File) string {
	t.Helper()
	var sb strings.Builder
	var b [4096]byte
	for {
		n, err := f.Read(b[:])
		sb.Write(b[:n])
		if err != nil || n == 0 {
			return sb.String()
		}
	}
}

// readUntil reads more until what was read satisfies done.
func readUntil(t *testing.T, f *os.File, done func(string) bool) string {
	t.Helper()
	var got string
	var b [1 << 16]byte
	for !done(got) {
		n, err := f.Read(b[:])
		if err != nil {
			t.Fatalf("%v after %s", err, got)
		}
		got += string(b[:n])
	}
	return got
}

func TestSignals(t *testing.T) {
	c, _, out := startHelper(t, SpawnOptions{}, "signals")
	want := ""
	for _, sig := range ManagerSignals() {
		if sig == unix.SIGCHLD || sig == SIGRTMAX || sig == SIGRTMIN+18 {
			continue
		}
		if err := unix.Kill(c.Pid, sig); err != nil {
			t.Fatal(err)
		}
	}
	for _, sig := range ManagerSignals() {
		if sig == unix.SIGCHLD || sig == SIGRTMAX || sig == SIGRTMIN+18 {
			continue
		}
		want += fmt.Sprintf("%d code=0 pid=%d uid=%d value=0 status=0 lost=false\n", sig, os.Getpid(), os.Getuid())
	}
	sigqueue(t, c.Pid, SIGRTMIN+18, 0x107)
	want += fmt.Sprintf("%d code=-1 pid=%d uid=%d value=%d status=0 lost=false\n", SIGRTMIN+18, os.Getpid(), os.Getuid(), 0x107)
	// Several threads may run the writer at once, so the order is not that of
	// sending, and the end must wait for the rest.
	got := readUntil(t, out, func(s string) bool { return strings.Count(s, "\n") >= strings.Count(want, "\n") })
	sigqueue(t, c.Pid, SIGRTMAX, 0)
	got += readAll(t, out)
	if ws := reap(t, c); ws.ExitStatus() != 0 {
		t.Errorf("helper: %v", ws)
	}
	for line := range strings.Lines(want) {
		if !strings.Contains(got, line) {
			t.Errorf("no %q in\n%s", line, got)
		}
	}
	if n := strings.Count(got, "\n"); n != strings.Count(want, "\n")+1 {
		t.Errorf("%d lines:\n%s", n, got)
	}
}

// TestSignalFlood fills the pipe while nobody reads: real-time signals queue up
// in the kernel only while blocked, so the writer has to drop, and remember.
func TestSignalFlood(t *testing.T) {
	c, in, out := startHelper(t, SpawnOptions{}, "signals", "full")
	const flood = 3000
	for i := range flood {
		sigqueue(t, c.Pid, SIGRTMIN+22, int32(i))
	}
	sigqueue(t, c.Pid, SIGRTMAX-1, 0)
	if _, err := in.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	// Reading makes room; then the last signal gets through as usual.
	lost := func(sig unix.Signal) string {
		return fmt.Sprintf("%d code=0 pid=0 uid=0 value=0 status=0 lost=true", sig)
	}
	got := readUntil(t, out, func(s string) bool {
		return strings.Contains(s, lost(SIGRTMIN+22)) && strings.Contains(s, lost(SIGRTMAX-1))
	})
	sigqueue(t, c.Pid, SIGRTMAX, 0)
	got += readAll(t, out)
	reap(t, c)
	kept := strings.Count(got, fmt.Sprintf("%d code=-1", SIGRTMIN+22))
	if kept < 500 || kept >= flood {
		t.Errorf("%d of %d signals kept", kept, flood)
	}
}
