package bus

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const daemonConfig = `<busconfig><type>session</type><listen>unix:path=%s</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/><allow user="*"/></policy></busconfig>`

// startDaemon runs a dbus-daemon of our own and returns its address.
func startDaemon(t *testing.T) string {
	daemon := tool(t, "dbus-daemon")
	dir := t.TempDir()
	conf, sock := filepath.Join(dir, "conf"), filepath.Join(dir, "bus")
	if err := os.WriteFile(conf, fmt.Appendf(nil, daemonConfig, sock), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(daemon, "--config-file="+conf, "--nofork", "--print-address=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line := make([]byte, 4096)
	n, err := out.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(line[:n]))
}

func TestClientOnRealBus(t *testing.T) {
	addr := startDaemon(t)
	a, err := DialBus(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := DialBus(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if a.Name() == "" || a.Name() == b.Name() {
		t.Errorf("names %q, %q", a.Name(), b.Name())
	}
	got, err := a.CallArgs("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "RequestName", "test.Name", uint32(4))
	if err != nil || got[0] != uint32(1) {
		t.Fatalf("%v, %v", got, err)
	}
	rule := Match{Type: TypeSignal, Interface: "test.I", Args: map[int]string{0: "it's, quoted\\"}}
	if err := b.AddMatch(rule.String()); err != nil {
		t.Fatal(err)
	}
	var seen []*Message
	b.OnSignal = func(m *Message) {
		if m.Interface == "test.I" {
			seen = append(seen, m)
		}
	}
	for _, arg := range []string{"other", "it's, quoted\\"} {
		var e Encoder
		e.String(arg)
		s := NewSignal("/x", "test.I", "S")
		s.SetBody("s", &e)
		if err := a.Send(s); err != nil {
			t.Fatal(err)
		}
	}
	for len(seen) == 0 {
		if ok, err := b.Process(patience); err != nil || !ok {
			t.Fatal("no signal", err)
		}
	}
	if len(seen) != 1 || seen[0].Sender != a.Name() || !rule.Matches(seen[0]) {
		t.Errorf("%+v", seen)
	}
	passOverBus(t, a, b)
	_, err = b.CallArgs("no.such.Name", "/", "a.b", "M")
	if !HasName(err, ErrServiceUnknown) {
		t.Errorf("%v", err)
	}
}

// passOverBus sends a descriptor from b to a and back.
func passOverBus(t *testing.T, a, b *Client) {
	a.OnCall = func(m *Message) {
		d := m.Decoder()
		var e Encoder
		e.UnixFD(d.UnixFD())
		r := m.Reply()
		r.SetBody("h", &e)
		if _, err := a.conn.Queue(r); err != nil {
			t.Error(err)
		}
		m.CloseFDs()
	}
	fd, err := unix.MemfdCreate("over-the-bus", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	var back string
	m := NewCall("test.Name", "/", "a.b", "M")
	var e Encoder
	e.UnixFD(fd)
	m.SetBody("h", &e)
	_, err = b.conn.Call(m, 0, func(r *Message, err error) {
		if err != nil {
			t.Error(err)
			back = "error"
			return
		}
		d := r.Decoder()
		back, _ = os.Readlink(fmt.Sprintf("/proc/self/fd/%d", d.UnixFD()))
		r.CloseFDs()
	})
	if err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); back == ""; {
		if time.Since(began) > patience {
			t.Fatal("no answer")
		}
		for _, c := range []*Client{b, a} {
			if _, err := c.Process(10 * time.Millisecond); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !strings.Contains(back, "over-the-bus") {
		t.Errorf("came back as %q", back)
	}
}

// TestConnOnRealBus runs the non-blocking client side as the manager does:
// everything queued before the socket is even connected to.
func TestConnOnRealBus(t *testing.T) {
	list, err := ParseAddress(startDaemon(t))
	if err != nil {
		t.Fatal(err)
	}
	sa, err := list[0].Socket(os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	c := NewClientConn(fd, Limits{}, 0)
	defer c.Close()
	var got []string
	done := func(name string) ReplyFunc {
		return func(m *Message, err error) { got = append(got, fmt.Sprint(name, err)) }
	}
	bus := func(member string, args ...any) *Message {
		m := call(member, args...)
		m.Destination, m.Path, m.Interface = "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus"
		return m
	}
	for i, m := range []*Message{bus("Hello"), bus("RequestName", "org.test.Manager", uint32(0)), bus("AddMatch", "type='signal'")} {
		if _, err := c.Call(m, 0, done(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Connect(fd, sa); err != nil {
		t.Fatal(err)
	}
	for i := 0; len(got) < 3; i++ {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if c.WantsWrite() {
			p[0].Events |= unix.POLLOUT
		}
		if _, err := unix.Poll(p, int(patience.Milliseconds())); err != nil && err != unix.EINTR || i > 1000 {
			t.Fatal("no progress", err)
		}
		for _, m := range turn(t, c) {
			c.Deliver(m)
		}
	}
	if s := strings.Join(got, " "); s != "0<nil> 1<nil> 2<nil>" {
		t.Errorf("answers %s", s)
	}
}
