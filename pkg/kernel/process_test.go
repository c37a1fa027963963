package kernel

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestParseStat(t *testing.T) {
	s, err := parseStat([]byte("731 (a) R (b\n)) S 1 731 730 34817 731 4194560 1 2 3 4 5 6 7 8 20 -5 3 0 123456 1 2 3\n"))
	want := ProcessStat{Pid: 731, Comm: "a) R (b\n)", State: 'S', Parent: 1, Group: 731, Session: 730, TTY: 34817, Flags: 4194560, Nice: -5, Threads: 3, StartTicks: 123456}
	if s != want || err != nil {
		t.Errorf("%+v %v", s, err)
	}
	for _, bad := range []string{"", "1 (x", "1 (x) S 1", "x (y) S 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "1 (y) S z 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"} {
		if _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestReadProcess(t *testing.T) {
	var l OpList
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	l.Dup(99, int(r.Fd()), 0)
	l.Umask(0o22)
	l.Setresgid(216, uint32(os.Getgid()))
	l.Exec(203, "/bin/cat", []string{"cat", "-", "-"}, []string{"A=1", "B=x=y"}, "P")
	c, err := Spawn(&l, SpawnOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// The child leaves our memory a moment before /proc shows the new image.
	for deadline := monotonicNSec() + 60e9; monotonicNSec() < deadline; time.Sleep(time.Millisecond) {
		if args, err := ReadCmdline(c.Pid); err == nil && len(args) == 3 && args[0] == "cat" {
			break
		}
	}
	s, err := ReadStat(c.Pid)
	if err != nil || s.Pid != c.Pid || s.Comm != "cat" || s.Parent != os.Getpid() || s.IsKernelThread() || s.IsZombie() || s.Threads != 1 {
		t.Errorf("%+v %v", s, err)
	}
	if name, err := ReadComm(c.Pid); name != "cat" || err != nil {
		t.Errorf("%q %v", name, err)
	}
	if args, err := ReadCmdline(c.Pid); !slices.Equal(args, []string{"cat", "-", "-"}) || err != nil {
		t.Errorf("%q %v", args, err)
	}
	if env, err := ReadEnviron(c.Pid); !slices.Equal(env, []string{"A=1", "B=x=y", "P=" + itoa(c.Pid)}) || err != nil {
		t.Errorf("%q %v", env, err)
	}
	if v, ok, err := LookupEnviron(c.Pid, "B"); v != "x=y" || !ok || err != nil {
		t.Errorf("%q %v %v", v, ok, err)
	}
	if _, ok, err := LookupEnviron(c.Pid, "C"); ok || err != nil {
		t.Errorf("%v %v", ok, err)
	}
	st, err := ReadStatus(c.Pid)
	if err != nil || int(st.UID[0]) != os.Getuid() || int(st.GID[3]) != os.Getgid() || st.NSPid[0] != c.Pid || st.VMRSSBytes == 0 {
		t.Errorf("%+v %v", st, err)
	}
	if caps, err := ThreadCapabilities(); err != nil || caps != st.Capabilities {
		t.Errorf("ours %+v, of the child %+v, %v", caps, st.Capabilities, err)
	}
	if exe, err := ReadProcLink(c.Pid, "exe"); err != nil {
		t.Error(err)
	} else if want, err := filepath.EvalSymlinks("/bin/cat"); exe != want || err != nil {
		t.Errorf("%q, want %q, %v", exe, want, err)
	}
	if same, err := SameNamespace(c.Pid, "mnt"); !same || err != nil {
		t.Errorf("%v %v", same, err)
	}
	w.Close()
	reap(t, c)
	c.Release()
	if _, err := ReadStat(c.Pid); !errors.Is(err, unix.ESRCH) {
		t.Errorf("reaped: %v", err)
	}
}

func TestKmsgRecord(t *testing.T) {
	if got := kmsgRecord(6, 3, "muster[1]", "hello"); got != "<30>muster[1]: hello\n" {
		t.Errorf("%q", got)
	}
	if got := kmsgRecord(6, 3, "muster[1]", strings.Repeat("x", 5000)); len(got) != KmsgMax+1 {
		t.Errorf("%d bytes", len(got))
	}
	k, err := OpenKmsg("muster-test")
	if err != nil {
		t.Skip("no kernel log to write to: ", err)
	}
	defer k.Close()
	if err := k.Write(7, 3, "one line of a test\n\nand another\n"); err != nil {
		t.Error(err)
	}
}

func TestTerminal(t *testing.T) {
	master, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skip("no pseudo terminals here: ", err)
	}
	defer unix.Close(master)
	n, err := unix.IoctlGetInt(master, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	path := "/dev/pts/" + itoa(n)
	fd, err := OpenTerminal(path, unix.O_RDWR)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	raw, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	raw.Lflag, raw.Oflag, raw.Iflag = 0, 0, unix.INLCR
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, raw); err != nil {
		t.Fatal(err)
	}
	if err := ResetTerminal(fd); err != nil {
		t.Fatal(err)
	}
	sane, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil || sane.Lflag&(unix.ICANON|unix.ECHO|unix.ISIG) != unix.ICANON|unix.ECHO|unix.ISIG || sane.Oflag&unix.ONLCR == 0 || sane.Iflag&unix.INLCR != 0 || sane.Cc[unix.VINTR] != 3 {
		t.Errorf("%+v %v", sane, err)
	}
	if err := SetTerminalSize(fd, 24, 80); err != nil {
		t.Error(err)
	}
	if err := SetTerminalSize(fd, 0, 132); err != nil {
		t.Error(err)
	}
	if rows, cols := TerminalSize(fd); rows != 24 || cols != 132 {
		t.Errorf("%d×%d", rows, cols)
	}
	if _, err := OpenTerminal("/dev/null", unix.O_RDWR); !errors.Is(err, unix.ENOTTY) {
		t.Errorf("/dev/null: %v", err)
	}
	// A child makes it its controlling terminal.
	var l OpList
	out, ws, res := spawnRead(t, &l, SpawnOptions{}, func(l *OpList) {
		l.Setsid(220)
		l.OpenTo(209, path, unix.O_RDWR|unix.O_NOCTTY, 0, 0)
		l.SetControllingTTY(208, 0, true)
		l.Exec(203, "/bin/sh", []string{"sh", "-c", "tty; test -e /dev/tty && : </dev/tty && echo controlling"}, []string{"PATH=/usr/bin:/bin"})
	})
	if out != path+"\ncontrolling\n" {
		t.Errorf("%q %v %+v", out, ws, res)
	}
}
