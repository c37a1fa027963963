package notify

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// supervisor binds a datagram socket and returns it.
func supervisor(t *testing.T, name string) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: name}); err != nil {
		t.Fatal(err)
	}
	return fd
}

func receive(t *testing.T, fd int) (text string, fds []int) {
	t.Helper()
	buf, oob := make([]byte, MaxBytes+1), make([]byte, 4096)
	n, oobn, _, _, err := unix.Recvmsg(fd, buf, oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	msgs, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil {
		t.Fatal(err)
	}
	for i := range msgs {
		if got, err := unix.ParseUnixRights(&msgs[i]); err == nil {
			fds = append(fds, got...)
		}
	}
	return string(buf[:n]), fds
}

func TestSend(t *testing.T) {
	for _, name := range []string{filepath.Join(t.TempDir(), "notify"), fmt.Sprintf("@muster-notify-test-%d", os.Getpid())} {
		fd := supervisor(t, name)
		s, err := Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := s.Send("READY=1", "STATUS=up and running"); err != nil {
			t.Fatal(err)
		}
		text, _ := receive(t, fd)
		if text != "READY=1\nSTATUS=up and running" {
			t.Errorf("%q", text)
		}
		if m, w, err := Parse([]byte(text)); err != nil || w != nil || !m.Ready || *m.Status != "up and running" {
			t.Errorf("%s, %v, %v", values(m), w, err)
		}
		if err := s.SendFDs([]int{0, 0}, "FDSTORE=1"); err != nil {
			t.Fatal(err)
		}
		if text, fds := receive(t, fd); text != "FDSTORE=1" || len(fds) != 2 {
			t.Errorf("%q with %d descriptors", text, len(fds))
		} else {
			unix.Close(fds[0])
			unix.Close(fds[1])
		}
		s.Close()
		if err := s.Send("READY=1"); err == nil {
			t.Error("sends after Close")
		}
	}
}

func TestSendNeverWaits(t *testing.T) {
	name := filepath.Join(t.TempDir(), "notify")
	supervisor(t, name)
	s, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 100_000 {
		if err = s.Send("STATUS=" + strings.Repeat("x", 4000)); err != nil {
			break
		}
	}
	if !errors.Is(err, unix.EAGAIN) {
		t.Errorf("a supervisor that does not read: %v", err)
	}
}

func TestSendErrors(t *testing.T) {
	s, err := Open("/nonexistent/notify")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Send("READY=1"); !errors.Is(err, unix.ENOENT) {
		t.Errorf("nobody there: %v", err)
	}
	for _, bad := range []string{"STATUS=a\nREADY=1", "READY", "=1", "STATUS=a\x00", "STATUS=" + strings.Repeat("x", MaxBytes)} {
		if err := s.Send(bad); err == nil || errors.Is(err, unix.ENOENT) {
			t.Errorf("%.20q: %v", bad, err)
		}
	}
	if err := s.Send(); err == nil {
		t.Error("sends nothing")
	}
}

func TestAddresses(t *testing.T) {
	for in, want := range map[string]Address{
		"/run/systemd/notify": {Path: "/run/systemd/notify", Types: []int{unix.SOCK_DGRAM}},
		"@abstract":           {Path: "@abstract", Types: []int{unix.SOCK_DGRAM}},
		"vsock:2:1234":        {CID: 2, Port: 1234, Types: []int{unix.SOCK_SEQPACKET, unix.SOCK_STREAM}},
		"vsock-stream:3:1":    {CID: 3, Port: 1, Types: []int{unix.SOCK_STREAM}},
		"vsock-seqpacket::9":  {CID: 2, Port: 9, Types: []int{unix.SOCK_SEQPACKET}},
		"vsock-dgram:1:2":     {CID: 1, Port: 2, Types: []int{unix.SOCK_DGRAM}},
	} {
		if got, err := ParseAddress(in); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%q: %+v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "/", "@", "run/x", "vsock:2", "vsock:2:x", "vsock:-1:5", "vsock:2:4294967295", "vsock-foo:1:2", "/" + strings.Repeat("x", 200), "/a\x00b"} {
		if a, err := ParseAddress(in); err == nil {
			t.Errorf("%q accepted: %+v", in, a)
		}
		if s, err := Open(in); err == nil {
			s.Close()
			t.Errorf("%q opened", in)
		}
	}
}

// TestVsock talks to ourselves over vsock loopback where the kernel has it;
// without it, Send must say so instead of waiting.
func TestVsock(t *testing.T) {
	const port = 0x6d757374
	s, err := Open(fmt.Sprintf("vsock:%d:%d", unix.VMADDR_CID_LOCAL, port))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	fd, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		defer unix.Close(fd)
		if err = unix.Bind(fd, &unix.SockaddrVM{CID: unix.VMADDR_CID_LOCAL, Port: port}); err == nil {
			err = unix.Listen(fd, 5)
		}
	}
	if err != nil {
		if err := s.Send("READY=1"); err == nil {
			t.Error("sent, although there is no vsock")
		}
		return
	}
	s.addr.Types = []int{unix.SOCK_STREAM}
	if err := s.Send("READY=1"); err != nil {
		t.Logf("no loopback: %v", err)
		return
	}
	c, _, err := unix.Accept(fd)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(c)
	buf := make([]byte, 100)
	if n, err := unix.Read(c, buf); err != nil || string(buf[:n]) != "READY=1" {
		t.Errorf("%q, %v", buf[:n], err)
	}
}

// TestGoSystemdSends: what go-systemd's client sends is what we read.
func TestGoSystemdSends(t *testing.T) {
	name := filepath.Join(t.TempDir(), "notify")
	fd := supervisor(t, name)
	t.Setenv("NOTIFY_SOCKET", name)
	for in, want := range map[string]string{
		daemon.SdNotifyReady: `{"Ready":true}`, daemon.SdNotifyStopping: `{"Stopping":true}`,
		daemon.SdNotifyReloading: `{"Reloading":true}`, daemon.SdNotifyWatchdog: `{"Watchdog":true}`,
	} {
		if ok, err := daemon.SdNotify(false, in); !ok || err != nil {
			t.Fatal(ok, err)
		}
		text, _ := receive(t, fd)
		if m, w, err := Parse([]byte(text)); err != nil || w != nil || values(m) != want {
			t.Errorf("%q: %s, %v, %v", text, values(m), w, err)
		}
	}
}
