package kernel

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func isCloexec(t *testing.T, fd int) bool {
	t.Helper()
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	if err != nil {
		t.Fatal(err)
	}
	return flags&unix.FD_CLOEXEC != 0
}

func TestDatagramSocket(t *testing.T) {
	path := filepath.Join(socketDir(t), "notify")
	s, err := ListenDatagram(path, 0o777, 8<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o777 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if _, ok, err := s.Receive(); ok || err != nil {
		t.Errorf("empty socket: %v %v", ok, err)
	}
	if err := SendDatagram(path, []byte("READY=1"), []int{0, 1, 2}); err != nil {
		t.Fatal(err)
	}
	d, ok, err := s.Receive()
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	if string(d.Data) != "READY=1" || !d.HasCred || int(d.Cred.Pid) != os.Getpid() || int(d.Cred.Uid) != os.Getuid() || len(d.FDs) != 3 {
		t.Errorf("%+v", d)
	}
	if d.Truncated || d.FDsTruncated || !isCloexec(t, d.FDs[0]) {
		t.Errorf("%+v", d)
	}
	if d.PidFD >= 0 {
		if pid, err := PidFDPid(d.PidFD); err != nil || pid != os.Getpid() {
			t.Errorf("pidfd of %d, %v", pid, err)
		}
	}
	fds := d.FDs
	d.Close()
	if _, err := unix.FcntlInt(uintptr(fds[0]), unix.F_GETFD, 0); !errors.Is(err, unix.EBADF) {
		t.Errorf("descriptor is still open: %v", err)
	}

	// As many descriptors as a message may have, and text of the allowed size.
	many := make([]int, DatagramFDs)
	if err := SendDatagram(path, []byte(strings.Repeat("x", DatagramMax)), many); err != nil {
		t.Fatal(err)
	}
	d, ok, err = s.Receive()
	if !ok || err != nil || d.Truncated || d.FDsTruncated || len(d.FDs) != DatagramFDs || len(d.Data) != DatagramMax || !d.HasCred {
		t.Errorf("%v %v truncated %v %v, %d descriptors, %d bytes", ok, err, d.Truncated, d.FDsTruncated, len(d.FDs), len(d.Data))
	}
	d.Close()

	for _, size := range []int{DatagramMax + 1, 3 * DatagramMax} {
		if err := SendDatagram(path, make([]byte, size), nil); err != nil {
			t.Fatal(err)
		}
		if d, ok, err = s.Receive(); !ok || err != nil || !d.Truncated || len(d.Data) != DatagramMax {
			t.Errorf("%d bytes: %v %v truncated %v, %d bytes", size, ok, err, d.Truncated, len(d.Data))
		}
		d.Close()
	}
	// A socket file that is in the way is replaced.
	again, err := ListenDatagram(path, 0o600, 0)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

// TestDatagramOutOfFDs: descriptors that cannot be taken are dropped by the
// kernel, the message still arrives.
func TestDatagramOutOfFDs(t *testing.T) {
	c, _, out := startHelper(t, SpawnOptions{}, "datagram-fdlimit", filepath.Join(t.TempDir(), "s"))
	if got := readAll(t, out); got != "ok\n" {
		t.Errorf("helper: %s", got)
	}
	reap(t, c)
}

func init() {
	helpers["datagram-fdlimit"] = func(args []string) {
		os.Stdout.WriteString("ready\n")
		fail := func(msg string, err error) {
			if err != nil {
				msg += ": " + err.Error()
			}
			os.Stdout.WriteString(msg + "\n")
			os.Exit(1)
		}
		s, err := ListenDatagram(args[0], 0o600, 0)
		if err != nil {
			fail("listen", err)
		}
		if err := SendDatagram(args[0], []byte("X=1"), make([]int, 100)); err != nil {
			fail("send", err)
		}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(s.FD() + 20), Max: 1000}); err != nil {
			fail("limit", err)
		}
		d, ok, err := s.Receive()
		if !ok || err != nil || !d.FDsTruncated || len(d.FDs) == 0 || len(d.FDs) > 20 || string(d.Data) != "X=1" {
			fail("received wrongly", err)
		}
		os.Stdout.WriteString("ok\n")
	}
}

func TestStreamSocketPeer(t *testing.T) {
	for _, path := range []string{filepath.Join(socketDir(t), "private"), "@muster-test-" + itoa(os.Getpid())} {
		l, err := ListenUnix(path, unix.SOCK_STREAM, 0o600, 16)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(l)
		if _, ok, err := Accept(l); ok || err != nil {
			t.Errorf("nobody there: %v %v", ok, err)
		}
		c, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(c)
		if err := unix.Connect(c, &unix.SockaddrUnix{Name: path}); err != nil {
			t.Fatal(err)
		}
		conn, ok, err := Accept(l)
		if !ok || err != nil || !isCloexec(t, conn) {
			t.Fatal(ok, err)
		}
		defer unix.Close(conn)
		if cred, err := PeerCred(conn); err != nil || int(cred.Pid) != os.Getpid() {
			t.Errorf("%+v %v", cred, err)
		}
		if fd, err := PeerPidFD(conn); err == nil {
			if pid, err := PidFDPid(fd); err != nil || pid != os.Getpid() {
				t.Errorf("pid %d %v", pid, err)
			}
			unix.Close(fd)
		} else if !errors.Is(err, unix.ENOPROTOOPT) {
			t.Error(err)
		}
		ours, err := unix.Getgroups()
		if err != nil {
			t.Fatal(err)
		}
		if groups, err := PeerGroups(conn); err != nil || len(groups) != len(ours) {
			t.Errorf("groups %v, ours %v, %v", groups, ours, err)
		}
	}
}

func TestUnixAddress(t *testing.T) {
	for _, bad := range []string{"", strings.Repeat("x", 108), "@" + strings.Repeat("x", 108)} {
		if _, err := UnixAddress(bad); !errors.Is(err, unix.ENAMETOOLONG) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := ListenUnix(strings.Repeat("x", 200), unix.SOCK_STREAM, 0, 1); err == nil {
		t.Error("long path")
	}
}

// socketDir is a directory with a short name, wherever $TMPDIR leads: the address of a socket has 108 bytes.
func socketDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "muster-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
