package varlink

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// loop is a [Poll] that a test turns by hand.
type loop struct {
	t     *testing.T
	ready map[int]func(uint32)
	want  map[int]uint32
}

func newLoop(t *testing.T) *loop {
	return &loop{t, map[int]func(uint32){}, map[int]uint32{}}
}

func (l *loop) Add(fd int, events uint32, ready func(uint32)) error {
	l.ready[fd], l.want[fd] = ready, events
	return nil
}

func (l *loop) Modify(fd int, events uint32) error { l.want[fd] = events; return nil }

func (l *loop) Remove(fd int) { delete(l.ready, fd); delete(l.want, fd) }

// turn handles what is ready until nothing is.
func (l *loop) turn() {
	l.t.Helper()
	for range 10000 {
		var fds []unix.PollFd
		for fd, events := range l.want {
			fds = append(fds, unix.PollFd{Fd: int32(fd), Events: int16(events)})
		}
		n, err := unix.Poll(fds, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			l.t.Fatal(err)
		}
		if n == 0 {
			return
		}
		for _, f := range fds {
			if ready := l.ready[int(f.Fd)]; f.Revents != 0 && ready != nil {
				ready(uint32(f.Revents))
			}
		}
	}
	l.t.Fatal("the loop spins")
}

// serving makes a server with a method for each way to answer, and gives the path of its socket.
func serving(t *testing.T) (*loop, *Server, string, *[]*Stream) {
	t.Helper()
	l := newLoop(t)
	streams := &[]*Stream{}
	s := NewServer(l, func(c *Call) {
		switch c.Method {
		case "a.Echo":
			var v struct {
				Text string `json:"text"`
			}
			if c.Decode(&v) {
				c.Reply(v.Text)
			}
		case "a.Three":
			c.Reply(1, 2, 3)
		case "a.Big":
			c.Reply(strings.Repeat("x", 300_000))
		case "a.Peer":
			pid, err := c.Peer()
			c.Reply(err == nil && pid == int32(unix.Getpid()))
		case "a.Stream":
			stream := c.Stream()
			stream.Gone = func() { *streams = slices.DeleteFunc(*streams, func(o *Stream) bool { return o == stream }) }
			*streams = append(*streams, stream)
			stream.Send("first")
		default:
			c.Unknown()
		}
	})
	path := filepath.Join(t.TempDir(), "s")
	fd, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := s.Add(fd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for len(s.clients) > 0 {
			s.clients[0].drop()
		}
	})
	return l, s, path, streams
}

// connect is a client without patience.
func connect(t *testing.T, path string) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err == nil {
		err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func say(t *testing.T, fd int, text string) {
	t.Helper()
	if n, err := unix.Write(fd, []byte(text)); n != len(text) || err != nil {
		t.Fatalf("write: %d, %v", n, err)
	}
}

// heard is what a client got, its messages separated by spaces; ended: the server has closed the connection.
func heard(t *testing.T, fd int) (text string, ended bool) {
	t.Helper()
	var all []byte
	buf := make([]byte, 1<<16)
	for {
		n, err := unix.Read(fd, buf)
		all = append(all, buf[:max(n, 0)]...)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return string(bytes.ReplaceAll(all, []byte{0}, []byte(" "))), false
		case err != nil || n == 0:
			return string(bytes.ReplaceAll(all, []byte{0}, []byte(" "))), true
		}
	}
}

func TestCalls(t *testing.T) {
	l, _, path, _ := serving(t)
	for _, c := range []struct{ call, want string }{
		{`{"method":"a.Echo","parameters":{"text":"hi"}}`, `{"parameters":"hi"} `},
		{`{"method":"a.Echo","parameters":{"text":1}}`, `{"error":"org.varlink.service.InvalidParameter","parameters":{"parameter":"text"}} `},
		{`{"method":"a.Three"}`, `{"parameters":1} `},
		{`{"method":"a.Three","more":true}`, `{"parameters":1,"continues":true} {"parameters":2,"continues":true} {"parameters":3} `},
		{`{"method":"a.Three","oneway":true}`, ``},
		{`{"method":"a.Peer"}`, `{"parameters":true} `},
		{`{"method":"b.None"}`, `{"error":"org.varlink.service.MethodNotFound","parameters":{"method":"b.None"}} `},
	} {
		fd := connect(t, path)
		// In pieces, and two at a time.
		say(t, fd, c.call[:5])
		l.turn()
		say(t, fd, c.call[5:]+"\x00"+c.call+"\x00")
		l.turn()
		if got, ended := heard(t, fd); got != c.want+c.want || ended {
			t.Errorf("%s: want %s twice, got %s, ended %v", c.call, c.want, got, ended)
		}
	}
}

func TestBadClients(t *testing.T) {
	l, s, path, _ := serving(t)
	for _, text := range []string{"nonsense\x00", "\x00", `{"method":""}` + "\x00", `[]` + "\x00", strings.Repeat("x", callBytes+1)} {
		fd := connect(t, path)
		say(t, fd, text)
		l.turn()
		if got, ended := heard(t, fd); got != "" || !ended {
			t.Errorf("%.20q: want the end, got %.50q, %v", text, got, ended)
		}
	}
	// Who doesn't take the answers is not read from, and nobody else waits.
	deaf := connect(t, path)
	call := `{"method":"a.Big"}` + "\x00"
	for sent := 0; sent < 1<<20; sent += len(call) {
		if _, err := unix.Write(deaf, []byte(call)); err != nil {
			break
		}
		l.turn()
	}
	for _, c := range s.clients {
		if len(c.out) > outBytes || len(c.in) > callBytes {
			t.Errorf("%d bytes wait for the client, %d of it", len(c.out), len(c.in))
		}
	}
	fd := connect(t, path)
	say(t, fd, `{"method":"a.Echo","parameters":{"text":"hi"}}`+"\x00")
	l.turn()
	if got, _ := heard(t, fd); got != `{"parameters":"hi"} ` {
		t.Errorf("beside a deaf one: %s", got)
	}
}

func TestStream(t *testing.T) {
	l, s, path, streams := serving(t)
	fd := connect(t, path)
	say(t, fd, `{"method":"a.Stream","more":true}`+"\x00"+`{"method":"a.Three"}`+"\x00")
	l.turn()
	if len(*streams) != 1 {
		t.Fatalf("streams: %d", len(*streams))
	}
	(*streams)[0].Send("second")
	l.turn()
	if got, _ := heard(t, fd); got != `{"parameters":"first","continues":true} {"parameters":"second","continues":true} ` {
		t.Errorf("got %s", got)
	}
	// A crowd doesn't push it out.
	for range 2 * clientsMax {
		connect(t, path)
		l.turn()
	}
	if len(s.clients) > clientsMax || len(*streams) != 1 {
		t.Errorf("%d clients, %d streams", len(s.clients), len(*streams))
	}
	(*streams)[0].Send("third")
	if got, _ := heard(t, fd); got != `{"parameters":"third","continues":true} ` {
		t.Errorf("got %s", got)
	}
	// One that never reads is given up, after a bounded number of bytes.
	text, sent := strings.Repeat("x", 100_000), 0
	for len(*streams) == 1 && sent < 100 {
		(*streams)[0].Send(text)
		sent++
		l.turn()
	}
	if len(*streams) != 0 || sent*len(text) > 2*outBytes {
		t.Errorf("%d messages were queued for a client that doesn't read", sent)
	}
	// One that leaves is noticed.
	fd = connect(t, path)
	say(t, fd, `{"method":"a.Stream","more":true}`+"\x00")
	l.turn()
	if err := unix.Shutdown(fd, unix.SHUT_RDWR); err != nil {
		t.Fatal(err)
	}
	l.turn()
	if len(*streams) != 0 {
		t.Error("a stream outlives its client")
	}
}

func TestClient(t *testing.T) {
	l, _, _, _ := serving(t)
	path := filepath.Join(t.TempDir(), "s")
	if _, err := Dial(l, path, func() {}); err == nil {
		t.Error("connected to nobody")
	}
	listen, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(listen)
	gone := 0
	c, err := Dial(l, path, func() { gone++ })
	if err != nil {
		t.Fatal(err)
	}
	peer, _, err := unix.Accept4(listen, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	c.Send("a.B", map[string]int{"c": 1})
	text, _ := heard(t, peer)
	var call request
	if err := json.Unmarshal([]byte(strings.TrimSpace(text)), &call); err != nil || call.Method != "a.B" || !call.Oneway || string(call.Parameters) != `{"c":1}` {
		t.Errorf("%s: %v", text, err)
	}
	// A server that doesn't read is given up.
	for range 40 {
		c.Send("a.B", strings.Repeat("x", 100_000))
		l.turn()
	}
	if gone != 1 || c.fd >= 0 {
		t.Errorf("gone %d times", gone)
	}
	c.Send("a.B", nil)
	unix.Close(peer)
	// One that leaves, too.
	if c, err = Dial(l, path, func() { gone++ }); err != nil {
		t.Fatal(err)
	}
	if peer, _, err = unix.Accept4(listen, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	unix.Close(peer)
	l.turn()
	if gone != 2 || c.fd >= 0 {
		t.Errorf("gone %d times", gone)
	}
}
