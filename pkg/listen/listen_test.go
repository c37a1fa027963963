package listen

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/unit"
)

// section parses lines of [Socket]; $D is a directory of the test.
func section(t *testing.T, lines ...string) (*unit.Socket, string) {
	t.Helper()
	dir := t.TempDir()
	text := "[Socket]\n" + strings.ReplaceAll(strings.Join(lines, "\n"), "$D", dir) + "\n"
	u, messages := unit.Load(&unit.Host{}, unit.NewDefaults(unit.DefaultManagerConfig(true)), &unit.Source{
		Name: "t.socket", Names: []string{"t.socket"}, Fragment: &unit.File{Path: "/t.socket", Text: text}})
	for _, m := range messages {
		t.Fatal(m.String())
	}
	return u.GetSocket(), dir
}

func open(t *testing.T, s *unit.Socket) []Port {
	t.Helper()
	ports, err := Open(s, Options{Warn: func(format string, args ...any) { t.Errorf("warning: "+format, args...) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Close(ports) })
	return ports
}

func openFDs(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func TestOpenKinds(t *testing.T) {
	s, dir := section(t, "ListenStream=$D/a/b/stream", "ListenDatagram=$D/dgram", "ListenSequentialPacket=@listen-test", "ListenStream=127.66.0.1:59901",
		"ListenFIFO=$D/fifo", "ListenNetlink=route 1", "DirectoryMode=0711", "SocketMode=0640")
	ports := open(t, s)
	if len(ports) != 6 {
		t.Fatalf("%d ports", len(ports))
	}
	for i, p := range ports {
		if p.Kind != s.Listen[i].Kind || p.Address != s.Listen[i].Address {
			t.Errorf("port %d is %s %s", i, p.Kind, p.Address)
		}
		flags, _ := unix.FcntlInt(uintptr(p.FD), unix.F_GETFL, 0)
		if flags&unix.O_NONBLOCK == 0 {
			t.Errorf("%s may block", p.Address)
		}
		if cloexec, _ := unix.FcntlInt(uintptr(p.FD), unix.F_GETFD, 0); cloexec&unix.FD_CLOEXEC == 0 {
			t.Errorf("%s is not close-on-exec", p.Address)
		}
	}
	for path, mode := range map[string]uint32{"a/b/stream": 0o640, "dgram": 0o640, "fifo": 0o640, "a": 0o711, "a/b": 0o711} {
		var st unix.Stat_t
		if err := unix.Lstat(filepath.Join(dir, path), &st); err != nil || st.Mode&0o777 != mode {
			t.Errorf("%s: mode %o, %v", path, st.Mode&0o777, err)
		}
	}
	if n, _ := unix.GetsockoptInt(ports[0].FD, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); n != 1 {
		t.Error("the stream socket does not listen")
	}
	// Opening again replaces the nodes.
	again := open(t, func() *unit.Socket { c := *s; c.Listen = c.Listen[:2]; return &c }())
	if len(again) != 2 {
		t.Errorf("%d ports", len(again))
	}
}

func TestAllOrNone(t *testing.T) {
	before := openFDs(t)
	for _, bad := range []string{"ListenStream=192.0.2.1:80", "ListenSpecial=/no/such", "ListenSpecial=/dev/null", "ListenFIFO=$D", "ListenStream=/dev/null/x",
		"ListenSpecial=/proc", "ListenUSBFunction=/no/such", "ListenStream=[fe80::1]:1%%nodev0"} {
		s, dir := section(t, "ListenStream=$D/first", "ListenStream=127.66.0.1:59901", bad, "RemoveOnStop=yes")
		ports, err := Open(s, Options{})
		if err == nil || ports != nil {
			t.Errorf("%s: opened", bad)
		}
		if err != nil && !strings.Contains(err.Error(), "Listen") {
			t.Errorf("%s: the error does not name the directive: %v", bad, err)
		}
		if _, err := os.Lstat(dir + "/first"); err == nil {
			t.Errorf("%s: the first node is left", bad)
		}
	}
	if after := openFDs(t); after != before {
		t.Errorf("%d descriptors were open, now %d", before, after)
	}
}

// Every open of the list can fail for want of descriptors; nothing may leak then.
func TestOutOfDescriptors(t *testing.T) {
	s, _ := section(t, "ListenStream=$D/a", "ListenFIFO=$D/b", "ListenDatagram=127.66.0.1:59901", "ListenNetlink=route 0", "ListenStream=@listen-emfile")
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Setrlimit(unix.RLIMIT_NOFILE, &old) })
	before := openFDs(t)
	low := old
	low.Cur = uint64(highestFD(t)) + 16
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	for room := range 5 {
		var filling []int
		for {
			fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				break
			}
			filling = append(filling, fd)
		}
		for _, fd := range filling[:room] {
			_ = unix.Close(fd)
		}
		ports, err := Open(s, Options{})
		for _, fd := range filling[room:] {
			_ = unix.Close(fd)
		}
		if !errors.Is(err, unix.EMFILE) || ports != nil {
			t.Errorf("room for %d: %v", room, err)
		}
		Close(ports)
	}
	_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &old)
	if after := openFDs(t); after != before {
		t.Errorf("%d descriptors were open, now %d", before, after)
	}
}

// highestFD is the highest number of an open descriptor.
func highestFD(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	top := 0
	for _, e := range list {
		var n int
		if _, err := fmt.Sscan(e.Name(), &n); err == nil {
			top = max(top, n)
		}
	}
	return top
}

func TestSymlinksAndRemove(t *testing.T) {
	s, dir := section(t, "ListenStream=$D/node", "Symlinks=$D/x/one $D/two", "RemoveOnStop=yes")
	if err := os.Symlink("/elsewhere", dir+"/two"); err != nil {
		t.Fatal(err)
	}
	ports := open(t, s)
	for _, link := range []string{"/x/one", "/two"} {
		if to, _ := os.Readlink(dir + link); to != dir+"/node" {
			t.Errorf("%s leads to %q", link, to)
		}
	}
	Remove(s, ports)
	left, _ := filepath.Glob(dir + "/*")
	if !slices.Equal(left, []string{dir + "/x"}) {
		t.Errorf("left: %v", left)
	}
}

// A service may have made the listener blocking; nothing here may hang because of that.
func TestFlushNeverBlocks(t *testing.T) {
	s, dir := section(t, "ListenStream=$D/stream", "ListenDatagram=$D/dgram", "ListenFIFO=$D/fifo")
	ports := open(t, s)
	for _, p := range ports {
		if err := unix.SetNonblock(p.FD, false); err != nil {
			t.Fatal(err)
		}
	}
	client, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(client)
	if err := unix.Sendto(client, []byte("x"), 0, &unix.SockaddrUnix{Name: dir + "/dgram"}); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(ports[2].FD, []byte("x")); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		for _, p := range ports {
			Flush(p.FD)
			Flush(p.FD)
		}
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(2 * time.Minute):
		t.Fatal("Flush hangs")
	}
	for _, p := range ports {
		fds := []unix.PollFd{{Fd: int32(p.FD), Events: unix.POLLIN}}
		if n, _ := unix.Poll(fds, 0); n != 0 {
			t.Errorf("something is left in %s", p.Address)
		}
	}
}

func TestAcceptAndIdentify(t *testing.T) {
	lines := []string{"ListenStream=$D/stream", "ListenStream=127.66.0.1:59901", "KeepAlive=yes", "IPTTL=9", "Priority=3"}
	if hasIPv6() {
		lines = slices.Insert(lines, 2, "ListenStream=[::1]:59902")
	}
	s, dir := section(t, lines...)
	ports := open(t, s)
	if _, ok, err := Accept(ports[0].FD); ok || err != nil {
		t.Fatalf("nobody is there, but %v %v", ok, err)
	}
	me := fmt.Sprintf("%d-%d", os.Getpid(), os.Getuid())
	for i, want := range []struct{ instance, source, env string }{
		{me, fmt.Sprintf("uid %d", os.Getuid()), ""},
		{"127.66.0.1:PORT-127.0.0.1:REMOTE", "127.0.0.1", "REMOTE_ADDR=127.0.0.1"},
		{"::1:PORT-::1:REMOTE", "::1", "REMOTE_ADDR=::1"},
	}[:len(ports)] {
		sa, err := unix.Getsockname(ports[i].FD)
		if err != nil {
			t.Fatal(err)
		}
		family, port := unix.AF_UNIX, 0
		switch a := sa.(type) {
		case *unix.SockaddrInet4:
			family, port = unix.AF_INET, a.Port
		case *unix.SockaddrInet6:
			family, port = unix.AF_INET6, a.Port
		}
		client, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(client)
		if err := unix.Connect(client, sa); err != nil {
			t.Fatalf("connect %s%s: %v", dir, ports[i].Address, err)
		}
		conn, ok, err := Accept(ports[i].FD)
		if !ok || err != nil {
			t.Fatal(ok, err)
		}
		defer unix.Close(conn)
		peer, err := Identify(conn)
		if err != nil {
			t.Fatal(err)
		}
		remote := ipOf(mustName(t, client))
		instance := strings.NewReplacer("PORT", fmt.Sprint(port), "REMOTE", fmt.Sprint(remote.Port())).Replace(want.instance)
		if peer.Instance != instance || peer.Source != want.source {
			t.Errorf("%s: instance %q source %q, want %q %q", ports[i].Address, peer.Instance, peer.Source, instance, want.source)
		}
		if want.env != "" && !slices.Contains(peer.Env, want.env) || want.env == "" && strings.Contains(strings.Join(peer.Env, " "), "REMOTE") {
			t.Errorf("%s: environment %v", ports[i].Address, peer.Env)
		}
		Accepted(conn, s, func(format string, args ...any) { t.Errorf(format, args...) })
		if n, _ := unix.GetsockoptInt(conn, unix.SOL_SOCKET, unix.SO_PRIORITY); n != 3 {
			t.Errorf("%s: priority %d", ports[i].Address, n)
		}
	}
}

func mustName(t *testing.T, fd int) unix.Sockaddr {
	t.Helper()
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return sa
}

// A connection that is gone when it is looked at is no failure of the listener.
func TestIdentifyGone(t *testing.T) {
	s, _ := section(t, "ListenStream=127.66.0.1:59901")
	ports := open(t, s)
	client, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Connect(client, mustName(t, ports[0].FD)); err != nil {
		t.Fatal(err)
	}
	// A reset instead of an orderly end.
	_ = unix.SetsockoptLinger(client, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	_ = unix.Close(client)
	conn, ok, err := Accept(ports[0].FD)
	if err != nil {
		t.Fatal(err)
	}
	if !ok {
		return
	}
	defer unix.Close(conn)
	if _, err := Identify(conn); err == nil {
		t.Error("a connection without peer was identified")
	}
}

func TestUnknownOptionsWarn(t *testing.T) {
	s, _ := section(t, "ListenStream=127.66.0.1:59901", "TCPCongestion=nosuch", "SmackLabelIPIn=label")
	var warnings []string
	ports, err := Open(s, Options{Warn: func(format string, args ...any) { warnings = append(warnings, fmt.Sprintf(format, args...)) }})
	if err != nil {
		t.Fatal(err)
	}
	defer Close(ports)
	if len(warnings) != 1 || !strings.HasPrefix(warnings[0], "TCPCongestion=:") {
		t.Errorf("%q", warnings)
	}
}
