package sandbox_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan"
	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/kernel"
	"github.com/muster-init/muster/pkg/unit"
)

// listen is a journald of our own: it hands over what each connection sent.
func listen(t *testing.T, path string) <-chan string {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	got := make(chan string, 8)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			text, _ := io.ReadAll(c)
			c.Close()
			got <- string(text)
		}
	}()
	return got
}

func received(t *testing.T, from <-chan string) string {
	t.Helper()
	select {
	case s := <-from:
		return s
	case <-time.After(hangTime):
		t.Fatal("nothing arrived")
		return ""
	}
}

func TestJournal(t *testing.T) {
	both(t, func(t *testing.T, force func(*start)) {
		s := newStart(t, `echo out; echo err >&2; stat -L -c %i /proc/self/fd/2 >`+"$1"+`; echo $JOURNAL_STREAM >>$1`)
		result := filepath.Join(s.dir, "result")
		s.ctx.Command.Argv = append(s.ctx.Command.Argv, "sh", result)
		s.ctx.Journal, s.ctx.JournalSocket = true, filepath.Join(s.dir, "journal")
		s.exec.StandardOutput, s.exec.StandardError = unit.Stdio{Kind: "journal"}, unit.Stdio{Kind: "inherit"}
		s.exec.SyslogFacility, s.exec.SyslogLevel = 9, 5
		force(s)
		got := listen(t, s.ctx.JournalSocket)
		s.launch()
		if s.failure != nil {
			t.Fatal(s.failure)
		}
		expect(t, received(t, got), "sh\n"+own("probe")+".service\n77\n1\n0\n0\n0\nout\nerr")
		text, err := os.ReadFile(result)
		if err != nil {
			t.Fatal(err)
		}
		f := strings.Fields(string(text))
		if len(f) != 2 || !strings.HasSuffix(f[1], ":"+f[0]) {
			t.Errorf("inode and JOURNAL_STREAM: %q", text)
		}
	})
}

func TestJournalTwoStreams(t *testing.T) {
	s := newStart(t, `echo out; echo err >&2`)
	s.ctx.Journal, s.ctx.JournalSocket = true, filepath.Join(s.dir, "journal")
	s.exec.StandardOutput, s.exec.StandardError = unit.Stdio{Kind: "journal+console"}, unit.Stdio{Kind: "kmsg"}
	s.exec.SyslogIdentifier, s.exec.SyslogLevelPrefix = "ident", false
	got := listen(t, s.ctx.JournalSocket)
	s.launch()
	s.tier(plan.TierOps)
	all := received(t, got) + "|" + received(t, got)
	a, b := "ident\n"+own("probe")+".service\n30\n0\n0\n0\n1\nout\n", "ident\n"+own("probe")+".service\n30\n0\n0\n1\n0\nerr\n"
	if all != a+"|"+b && all != b+"|"+a {
		t.Errorf("got %q", all)
	}
}

func TestJournalAway(t *testing.T) {
	both(t, func(t *testing.T, force func(*start)) {
		s := newStart(t, `x=$(readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2); echo "$x" >$1`)
		result := filepath.Join(s.dir, "result")
		s.ctx.Command.Argv = append(s.ctx.Command.Argv, "sh", result)
		s.ctx.Journal, s.ctx.JournalSocket = true, filepath.Join(s.dir, "nobody-here")
		s.exec.StandardOutput, s.exec.StandardError = unit.Stdio{Kind: "journal"}, unit.Stdio{Kind: "inherit"}
		force(s)
		s.ok()
		text, err := os.ReadFile(result)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, string(text), "/dev/null\n/dev/null\n/dev/null")
	})
}

func TestFiles(t *testing.T) {
	both(t, func(t *testing.T, force func(*start)) {
		s := newStart(t, `echo more`)
		force(s)
		if err := os.WriteFile(s.out, []byte("before-before\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		expect(t, s.ok(), "more\ne-before")
		s.exec.StandardOutput.Kind = "append"
		expect(t, s.ok(), "more\ne-before\nmore")
		s.exec.StandardOutput.Kind = "truncate"
		expect(t, s.ok(), "more")
		if err := os.Remove(s.out); err != nil {
			t.Fatal(err)
		}
		s.exec.UMask = 0o007
		s.ok()
		if fi, err := os.Stat(s.out); err != nil || fi.Mode().Perm() != 0o660 {
			t.Errorf("mode %v, %v", fi.Mode(), err)
		}
		// One file for all three is opened once.
		s.exec.StandardInput = unit.Stdio{Kind: "file", Arg: s.out}
		s.exec.StandardOutput = s.exec.StandardInput
		s.exec.StandardError = s.exec.StandardInput
		s.ctx.Command.Argv[2] = `read x; echo $x again; echo err >&2`
		expect(t, s.ok(), "more\nmore again\nerr")
	})
}

func TestFileIsSocket(t *testing.T) {
	s := newStart(t, `echo hello`)
	s.exec.StandardOutput.Arg = filepath.Join(s.dir, "socket")
	got := listen(t, s.exec.StandardOutput.Arg)
	s.launch()
	if s.failure != nil {
		t.Fatal(s.failure)
	}
	expect(t, received(t, got), "hello")
}

func TestInput(t *testing.T) {
	both(t, func(t *testing.T, force func(*start)) {
		s := newStart(t, `cat`)
		s.exec.StandardInputData = []byte("some\ndata\n")
		force(s)
		expect(t, s.ok(), "some\ndata")
		s.exec.StandardInputData = nil
		s.exec.StandardOutput.Kind = "truncate"
		expect(t, s.ok(), "")
		in := filepath.Join(s.dir, "in")
		if err := os.WriteFile(in, []byte("from file"), 0o600); err != nil {
			t.Fatal(err)
		}
		s.exec.StandardInput = unit.Stdio{Kind: "file", Arg: in}
		expect(t, s.ok(), "from file")
	})
}

// socketPair gives a connected pair; the second end is read by the test.
func socketPair(t *testing.T) (int, *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fds[1]), "peer")
	t.Cleanup(func() { unix.Close(fds[0]); f.Close() })
	return fds[0], f
}

func TestSocket(t *testing.T) {
	both(t, func(t *testing.T, force func(*start)) {
		fd, peer := socketPair(t)
		s := newStart(t, `read x; echo got $x; echo "listen: $LISTEN_FDS" >&2`)
		s.ctx.FDs = []execplan.FD{{Number: int32(fd), Name: "connection"}}
		s.exec.StandardInput, s.exec.StandardOutput, s.exec.StandardError = unit.Stdio{Kind: "socket"}, unit.Stdio{Kind: "inherit"}, unit.Stdio{Kind: "inherit"}
		force(s)
		if _, err := peer.WriteString("word\n"); err != nil {
			t.Fatal(err)
		}
		s.ok()
		buf := make([]byte, 100)
		n, err := unix.Read(int(peer.Fd()), buf)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, string(buf[:n]), "got word\nlisten:")
	})
}

func TestPassedFDs(t *testing.T) {
	both(t, func(t *testing.T, force func(*start)) {
		a, peer := socketPair(t)
		b, _ := socketPair(t)
		s := newStart(t, `echo $LISTEN_FDS $LISTEN_FDNAMES; test $LISTEN_PID = $$ && echo own; ls /proc/$$/fd; echo hi >&4; grep flags /proc/$$/fdinfo/3 | cut -f2`)
		s.ctx.FDs = []execplan.FD{{Number: int32(b), Name: "two"}, {Number: int32(a), Name: "one"}, {Number: int32(a), Name: "kept", Stored: true}}
		svc := *s.unit.GetService()
		svc.NonBlocking = true
		s.unit.Service = &svc
		force(s)
		expect(t, s.ok(), "3 two:one:kept\nown\n0\n1\n2\n3\n4\n5\n04002")
		buf := make([]byte, 10)
		if n, err := unix.Read(int(peer.Fd()), buf); err != nil || string(buf[:n]) != "hi\n" {
			t.Errorf("%q, %v", buf[:n], err)
		}
		// With the inode number of its pidfd, where the kernel has such, also if no filter lets it find out any more.
		if id := kernel.PidFDIDOf(os.Getpid()); id != 0 {
			s.ctx.ManagerPIDFDID = id
			s.ctx.Command.Argv[2] = `echo $LISTEN_PIDFDID; [ $LISTEN_PIDFDID = "$(perl -e 'open(F, "<&=", syscall(434, $ARGV[0] + 0, 0)) or die; print +(stat F)[1]' $$)" ] && echo mine; ls /proc/$$/fd | wc -l`
			s.exec.StandardOutput.Kind = "truncate"
			if out := strings.SplitN(s.ok(), "\n", 2); out[0] == "" || out[1] != "mine\n6\n" {
				t.Errorf("with LISTEN_PIDFDID=: %q", out)
			}
			s.exec.Sandbox = sandboxWith(func(x *unit.Sandbox) {
				x.SystemCallFilter, x.SystemCallErrorNumber = unit.FilterList{Set: true, Names: []string{"pidfd_open"}}, 1
			})
			s.ctx.Command.Argv[2] = `test $LISTEN_PIDFDID -gt 1 && echo there`
			expect(t, s.ok(), "there")
			s.exec.Sandbox, s.ctx.ManagerPIDFDID = nil, 0
		}
		// By name as standard output, still passed.
		s.exec.StandardOutput = unit.Stdio{Kind: "fd", Arg: "one"}
		s.ctx.Command.Argv[2] = `echo $LISTEN_FDS`
		s.ok()
		if n, err := unix.Read(int(peer.Fd()), buf); err != nil || string(buf[:n]) != "3\n" {
			t.Errorf("%q, %v", buf[:n], err)
		}
	})
}

func TestTerminal(t *testing.T) {
	master, name := openPTY(t)
	s := newStart(t, `tty; echo $TERM; test -t 1 && test -t 2 && echo all; stty size </dev/tty`)
	s.exec.StandardInput, s.exec.StandardOutput, s.exec.StandardError = unit.Stdio{Kind: "tty"}, unit.Stdio{Kind: "inherit"}, unit.Stdio{Kind: "inherit"}
	s.exec.TTYPath, s.exec.TTYRows, s.exec.TTYColumns, s.exec.TTYReset = name, 11, 22, true
	s.launch()
	s.tier(plan.TierExecutor)
	if s.failure != nil {
		t.Fatal(s.failure)
	}
	// What was written comes to the other end when the kernel has time for it, and in parts.
	want := name + "\nvt220\nall\n11 22"
	var got string
	for began := time.Now(); len(got) < len(want) && time.Since(began) < hangTime; {
		if ready, err := unix.Poll([]unix.PollFd{{Fd: int32(master), Events: unix.POLLIN}}, 1000); err != nil && err != unix.EINTR {
			t.Fatal(err)
		} else if ready > 0 {
			buf := make([]byte, 1000)
			n, err := unix.Read(master, buf)
			if err != nil {
				t.Fatal(err)
			}
			got += strings.ReplaceAll(string(buf[:n]), "\r", "")
		}
	}
	expect(t, got, want)
}

// TestTerminalBusy: a terminal that is another session's is refused or stolen.
func TestTerminalBusy(t *testing.T) {
	_, name := openPTY(t)
	holder := newStart(t, `sleep 60`)
	holder.exec.StandardInput, holder.exec.TTYPath = unit.Stdio{Kind: "tty"}, name
	holder.kill = true
	child := holder.begin()
	defer holder.end(child)
	for began := time.Now(); !holderHasTTY(child.Pid); time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > hangTime {
			t.Fatal("the holder doesn't get its terminal")
		}
	}
	s := newStart(t, "true")
	s.exec.StandardInput, s.exec.TTYPath = unit.Stdio{Kind: "tty-fail"}, name
	s.fails(plan.ExitStdin, "StandardInput")
	s.exec.StandardInput = unit.Stdio{Kind: "tty-force"}
	s.ok()
}

func holderHasTTY(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	f := strings.Fields(string(text))
	return len(f) > 6 && f[6] != "0" && f[1] == "(sh)" || strings.Contains(string(text), "(sleep)")
}

func openPTY(t *testing.T) (master int, name string) {
	t.Helper()
	master, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(master) })
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(master, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	name = fmt.Sprintf("/dev/pts/%d", n)
	// The master gives EIO once nobody has the other end open.
	slave, err := unix.Open(name, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(slave) })
	return master, name
}
