package bpf

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// inGroup puts the test itself into a new group, because what programs decide about is done by processes in it.
func inGroup(t *testing.T) (dir int) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root to attach programs")
	}
	base := "/sys/fs/cgroup"
	if _, err := os.Stat(base + "/cgroup.procs"); err != nil {
		base += "/unified"
	}
	self, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	at := "/"
	for line := range strings.Lines(string(self)) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			at = rest
		}
	}
	home := base + at
	path := fmt.Sprintf("%s/muster-bpf-%d-%s", strings.TrimSuffix(home, "/"), os.Getpid(), strings.ReplaceAll(t.Name(), "/", "-"))
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Skip("no groups can be made on this machine: " + err.Error())
	}
	dir, err = unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	move := func(to string) {
		if err := os.WriteFile(to+"/cgroup.procs", []byte("0"), 0); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		move(home)
		_ = unix.Close(dir)
		// A thread that is on its end is in the group until it is gone.
		err := os.Remove(path)
		for began := time.Now(); errors.Is(err, unix.EBUSY) && time.Since(began) < time.Minute; time.Sleep(10 * time.Millisecond) {
			err = os.Remove(path)
		}
		if err != nil {
			t.Error(err)
		}
	})
	if err := Probe(dir); err != nil {
		t.Skip("no programs can be attached on this machine: " + err.Error())
	}
	move(path)
	return dir
}

func apply(t *testing.T, dir int, old, s *Settings) {
	t.Helper()
	for _, err := range Apply(dir, old, s) {
		t.Fatal(err)
	}
}

// opens says how a device can be opened.
func opens(path string) string {
	s := ""
	for _, m := range []struct {
		letter string
		flags  int
	}{{"r", unix.O_RDONLY}, {"w", unix.O_WRONLY}, {"b", unix.O_RDWR}} {
		if fd, err := unix.Open(path, m.flags|unix.O_CLOEXEC, 0); err == nil {
			_ = unix.Close(fd)
			s += m.letter
		}
	}
	return s
}

func TestDevices(t *testing.T) {
	dir := inGroup(t)
	for _, c := range []struct {
		rules           []DeviceRule
		null, zero, tty string
	}{
		{nil, "", "", ""},
		{[]DeviceRule{{Kind: Character, Access: Read, Major: 1, Minor: 3}}, "r", "", ""},
		{[]DeviceRule{{Kind: Character, Access: Read, Major: 1, Minor: 3}, {Kind: Character, Access: Write, Major: 1, Minor: 3}}, "rwb", "", ""},
		{[]DeviceRule{{Kind: Character, Access: Read | Write, Major: 1, AnyMinor: true}}, "rwb", "rwb", ""},
		{[]DeviceRule{{Kind: Character, Access: Write, AnyMajor: true}, {Kind: Character, Access: allAccess, Major: 1, Minor: 5}}, "w", "rwb", "w"},
		{[]DeviceRule{{Kind: Block, Access: allAccess, AnyMajor: true}}, "", "", ""},
	} {
		apply(t, dir, nil, &Settings{LimitDevices: true, Devices: c.rules})
		if n, z := opens("/dev/null"), opens("/dev/zero"); n != c.null || z != c.zero {
			t.Errorf("%+v: null %q, zero %q", c.rules, n, z)
		}
	}
	apply(t, dir, nil, &Settings{})
	if n := opens("/dev/null"); n != "rwb" {
		t.Errorf("without a program: %q", n)
	}
}

// udpTo sends a datagram to a socket of its own. It may arrive when the call that sent it has returned already, so one that is to come is waited
// for; for one that is not to come a moment must do.
func udpTo(t *testing.T, address netip.Addr, come bool) error {
	t.Helper()
	family, any := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	if address.Is6() {
		family, any = unix.AF_INET6, &unix.SockaddrInet6{Addr: netip.IPv6Loopback().As16()}
	}
	open := func() int {
		fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Skip("no such sockets on this machine: " + err.Error())
		}
		t.Cleanup(func() { _ = unix.Close(fd) })
		return fd
	}
	server, client := open(), open()
	if err := unix.Bind(server, any); err != nil {
		t.Skip("no such sockets on this machine: " + err.Error())
	}
	to, _ := unix.Getsockname(server)
	if v4, ok := to.(*unix.SockaddrInet4); ok {
		v4.Addr = address.As4()
		_ = unix.Bind(server, v4)
	}
	if err := unix.Sendto(client, []byte("12345"), 0, to); err != nil {
		return err
	}
	wait := 20
	if come {
		wait = 120_000
	}
	for {
		if _, err := unix.Poll([]unix.PollFd{{Fd: int32(server), Events: unix.POLLIN}}, wait); err != unix.EINTR {
			break
		}
	}
	n, _, err := unix.Recvfrom(server, make([]byte, 16), unix.MSG_DONTWAIT)
	if err == nil && n != 5 {
		t.Errorf("%d bytes", n)
	}
	return err
}

func prefixes(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func TestFirewall(t *testing.T) {
	dir := inGroup(t)
	v4, v6 := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")
	for _, c := range []struct {
		name        string
		allow, deny []netip.Prefix
		four, six   bool
	}{
		{"nothing", nil, nil, true, true},
		{"any", nil, prefixes("0.0.0.0/0", "::/0"), false, false},
		{"any of v4", nil, prefixes("0.0.0.0/0"), false, true},
		{"one", nil, prefixes("127.0.0.1/32"), false, true},
		{"another one", nil, prefixes("127.0.0.2/32"), true, true},
		{"allowed wins, though it is wider", prefixes("127.0.0.0/8"), prefixes("127.0.0.1/32", "::/0"), true, false},
		{"allowed wins, being narrower", prefixes("127.0.0.1/32", "::1/128"), prefixes("0.0.0.0/0", "::/0"), true, true},
		{"allowed only", prefixes("10.0.0.0/8"), nil, true, true},
	} {
		apply(t, dir, nil, &Settings{Allow: c.allow, Deny: c.deny})
		if err := udpTo(t, v4, c.four); (err == nil) != c.four {
			t.Errorf("%s: IPv4: %v", c.name, err)
		}
		if err := udpTo(t, v6, c.six); (err == nil) != c.six {
			t.Errorf("%s: IPv6: %v", c.name, err)
		}
	}
}

func TestCounters(t *testing.T) {
	dir := inGroup(t)
	if _, err := Counted(dir); !errors.Is(err, unix.ENOENT) {
		t.Errorf("without a program: %v", err)
	}
	count := &Settings{Count: true}
	apply(t, dir, &Settings{}, count)
	if err := udpTo(t, netip.MustParseAddr("127.0.0.1"), true); err != nil {
		t.Fatal(err)
	}
	want := Traffic{1, 33, 1, 33} // 20 bytes of IP, 8 of UDP, 5 of payload
	if got, err := Counted(dir); got != want || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
	// What is denied isn't counted; other lists keep the counters, also when it isn't known what was attached.
	for _, old := range []*Settings{count, nil} {
		apply(t, dir, old, &Settings{Count: true, Deny: prefixes("0.0.0.0/0")})
		if err := udpTo(t, netip.MustParseAddr("127.0.0.1"), false); err == nil {
			t.Error("a packet passed")
		}
		if got, err := Counted(dir); got != want || err != nil {
			t.Errorf("after a change: %+v, %v", got, err)
		}
	}
	if err := ResetCounted(dir); err != nil {
		t.Error(err)
	}
	if got, err := Counted(dir); got != (Traffic{}) || err != nil {
		t.Errorf("after a reset: %+v, %v", got, err)
	}
}

// bind tries a port of a new socket.
func bind(t *testing.T, family, kind int, port int) bool {
	t.Helper()
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Skip("no such sockets on this machine: " + err.Error())
	}
	defer unix.Close(fd)
	address := unix.Sockaddr(&unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
	if family == unix.AF_INET6 {
		address = &unix.SockaddrInet6{Port: port, Addr: netip.IPv6Loopback().As16()}
	}
	err = unix.Bind(fd, address)
	if err != nil && !errors.Is(err, unix.EPERM) {
		t.Fatal(err)
	}
	return err == nil
}

func TestBind(t *testing.T) {
	dir := inGroup(t)
	anything := []BindRule{{}}
	for _, c := range []struct {
		name                string
		allow, deny         []BindRule
		tcp, udp, tcp6, far bool
	}{
		{"nothing", nil, nil, true, true, true, true},
		{"all denied", nil, anything, false, false, false, false},
		{"a range", []BindRule{{Port: 40000, Count: 11}}, anything, true, true, true, false},
		{"TCP", []BindRule{{Protocol: unix.IPPROTO_TCP}}, anything, true, false, true, true},
		{"IPv6", []BindRule{{Family: unix.AF_INET6}}, anything, false, false, true, false},
		{"IPv4 and UDP denied", nil, []BindRule{{Family: unix.AF_INET, Protocol: unix.IPPROTO_UDP}}, true, false, true, true},
		{"one port denied", nil, []BindRule{{Port: 40010, Count: 1}}, false, false, false, true},
	} {
		apply(t, dir, nil, &Settings{BindAllow: c.allow, BindDeny: c.deny})
		got := []bool{bind(t, unix.AF_INET, unix.SOCK_STREAM, 40010), bind(t, unix.AF_INET, unix.SOCK_DGRAM, 40010),
			bind(t, unix.AF_INET6, unix.SOCK_STREAM, 40010), bind(t, unix.AF_INET, unix.SOCK_STREAM, 40011)}
		if want := []bool{c.tcp, c.udp, c.tcp6, c.far}; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %v, want %v", c.name, got, want)
		}
	}
}

func TestInterfaces(t *testing.T) {
	dir := inGroup(t)
	const loopback = 1
	for _, c := range []struct {
		s  Settings
		ok bool
	}{
		{Settings{LimitInterfaces: true}, false},
		{Settings{LimitInterfaces: true, Interfaces: []uint32{4711}}, false},
		{Settings{LimitInterfaces: true, Interfaces: []uint32{4711, loopback}}, true},
		{Settings{LimitInterfaces: true, DenyInterfaces: true, Interfaces: []uint32{4711, loopback}}, false},
		{Settings{LimitInterfaces: true, DenyInterfaces: true, Interfaces: []uint32{4711}}, true},
	} {
		apply(t, dir, nil, &c.s)
		if err := udpTo(t, netip.MustParseAddr("127.0.0.1"), c.ok); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c.s, err)
		}
	}
}

func TestBoundInterface(t *testing.T) {
	dir := inGroup(t)
	apply(t, dir, nil, &Settings{BoundInterface: 1})
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if name, err := unix.GetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE); err != nil || name != "lo" {
		t.Errorf("%q, %v", name, err)
	}
}

// A program of somebody else in the same group is neither replaced nor detached.
func TestOthersStay(t *testing.T) {
	dir := inGroup(t)
	theirs, err := load("theirs", unix.BPF_PROG_TYPE_CGROUP_DEVICE, unix.BPF_CGROUP_DEVICE, deviceProgram([]DeviceRule{
		{Kind: Character, Access: Read, AnyMajor: true}}))
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	if err := attach(dir, unix.BPF_CGROUP_DEVICE, theirs.fd, -1); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = detach(dir, unix.BPF_CGROUP_DEVICE, theirs.fd) }()
	for _, s := range []*Settings{{LimitDevices: true, Devices: []DeviceRule{{Kind: Character, Access: allAccess, AnyMajor: true}}}, {}} {
		apply(t, dir, nil, s)
		if got := opens("/dev/null"); got != "r" {
			t.Errorf("%+v: %q", s, got)
		}
	}
}

// The main thread is kept for itself: ownMounts changes the mount namespace of a thread and lets it end, which the main thread cannot.
func init() { runtime.LockOSThread() }

// ownMounts gives the rest of the test a thread with mounts that nobody else sees.
func ownMounts(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		t.Skip("no mount namespace on this machine: " + err.Error())
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
}

func TestForeign(t *testing.T) {
	dir := inGroup(t)
	ownMounts(t)
	if err := unix.Mount("bpf", "/sys/fs/bpf", "bpf", 0, ""); err != nil {
		t.Skip("no file system to pin in on this machine: " + err.Error())
	}
	p, err := load("pinned", unix.BPF_PROG_TYPE_CGROUP_DEVICE, unix.BPF_CGROUP_DEVICE, deviceProgram(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	f := Foreign{"device", PinnedDir + "muster-test"}
	if err := Pin(p, f.Path); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(f.Path)
	with := &Settings{Foreign: []Foreign{f}}
	apply(t, dir, &Settings{}, with)
	apply(t, dir, nil, with) // once more, as after a re-execution
	if got := opens("/dev/null"); got != "" {
		t.Errorf("attached: %q", got)
	}
	apply(t, dir, with, &Settings{})
	if got := opens("/dev/null"); got != "rwb" {
		t.Errorf("detached: %q", got)
	}
	for _, bad := range []Foreign{{"device", "/tmp/x"}, {"device", PinnedDir + "../x"}, {"device", PinnedDir + "missing"}, {"nonsense", f.Path}, {"ingress", f.Path}} {
		if errs := Apply(dir, &Settings{}, &Settings{Foreign: []Foreign{bad}}); len(errs) != 1 {
			t.Errorf("%v: %v", bad, errs)
		}
	}
}
