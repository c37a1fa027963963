package bus

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func call(member string, args ...any) *Message {
	m := NewCall("", "/", "a.b", member)
	if len(args) > 0 {
		var e Encoder
		sig := e.Append(args...)
		m.SetBody(sig, &e)
	}
	return m
}

func TestCallsKeepTheirOrder(t *testing.T) {
	srv, cli := connPair(t, ServerConfig{}, Limits{})
	const n = 5000
	var order []uint32
	for i := range n {
		_, err := cli.Call(call("M", uint32(i)), 0, func(m *Message, err error) {
			if err != nil {
				t.Error(err)
				return
			}
			d, err := m.Args("u")
			if err != nil {
				t.Error(err)
			}
			order = append(order, d.Uint32())
		})
		if errors.Is(err, ErrTooManyCalls) {
			if cli.PendingCalls() != 4096 {
				t.Fatalf("%d calls pending", cli.PendingCalls())
			}
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	want := cli.PendingCalls()
	for i := 0; cli.PendingCalls() > 0; i++ {
		if i > 10000 {
			t.Fatal("does not end")
		}
		for _, m := range turn(t, srv) {
			d := m.Decoder()
			r := m.Reply()
			var e Encoder
			e.Uint32(d.Uint32())
			r.SetBody("u", &e)
			if _, err := srv.Queue(r); err != nil {
				t.Fatal(err)
			}
		}
		for _, m := range turn(t, cli) {
			if !cli.Deliver(m) {
				t.Error("not a reply")
			}
		}
	}
	if len(order) != want {
		t.Fatalf("%d of %d answers", len(order), want)
	}
	for i, v := range order {
		if v != uint32(i) {
			t.Fatalf("answer %d is to call %d", i, v)
		}
	}
}

// TestSplitAnywhere cuts a stream with handshake, small and big messages at
// every place.
func TestSplitAnywhere(t *testing.T) {
	stream := []byte(clientHello)
	for i := range 3 {
		m := call("M", strings.Repeat("x", i*40))
		m.Serial = uint32(i + 1)
		var err error
		if stream, err = m.Append(stream); err != nil {
			t.Fatal(err)
		}
	}
	for cut := 1; cut < len(stream); cut++ {
		a, b := pair(t)
		srv, err := NewServerConn(a, ServerConfig{GUID: testGUID, Peer: Peer{UID: 5}})
		if err != nil {
			t.Fatal(err)
		}
		var got []*Message
		for _, part := range [][]byte{stream[:cut], stream[cut:]} {
			if _, err := unix.Write(b, part); err != nil {
				t.Fatal(err)
			}
			msgs, err := srv.OnReadable()
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, msgs...)
		}
		if len(got) != 3 || got[2].Serial != 3 {
			t.Fatalf("cut at %d: %d messages", cut, len(got))
		}
		srv.Close()
		unix.Close(b)
	}
}

func TestBigMessageBothWays(t *testing.T) {
	srv, cli := connPair(t, ServerConfig{}, Limits{})
	text := strings.Repeat("0123456789abcdef", 300_000)
	for _, c := range []struct{ from, to *Conn }{{cli, srv}, {srv, cli}} {
		if _, err := c.from.Queue(call("Big", text)); err != nil {
			t.Fatal(err)
		}
		var got []*Message
		for i := 0; len(got) == 0; i++ {
			if i > 10000 {
				t.Fatal("does not arrive")
			}
			turn(t, c.from)
			got = turn(t, c.to)
		}
		d := got[0].Decoder()
		if d.String() != text {
			t.Error("text changed")
		}
		turn(t, c.to)
		if cap(c.to.in) > readBytes || cap(c.from.out) > idleOutput {
			t.Errorf("big buffers are kept: in %d, out %d", cap(c.to.in), cap(c.from.out))
		}
	}
}

func TestInputGrowsWithWhatArrives(t *testing.T) {
	srv, cli := connPair(t, ServerConfig{}, Limits{})
	// 16 bytes that announce a body of 15 MiB.
	head := []byte{'l', 1, 0, 1, 0, 0, 0xf0, 0, 1, 0, 0, 0, 0, 0, 0, 0}
	if _, err := unix.Write(cli.FD(), head); err != nil {
		t.Fatal(err)
	}
	turn(t, srv)
	if cap(srv.in) > 2*readBytes {
		t.Errorf("input buffer has %d bytes after 16", cap(srv.in))
	}
}

func TestTooLongIsRefusedAtOnce(t *testing.T) {
	srv, cli := connPair(t, ServerConfig{Limits: Limits{MessageBytes: 1000}}, Limits{})
	if _, err := cli.Queue(call("M", strings.Repeat("x", 2000))); err != nil {
		t.Fatal(err)
	}
	if err := cli.OnWritable(); err != nil {
		t.Fatal(err)
	}
	if _, err := srv.OnReadable(); err == nil || !strings.Contains(err.Error(), "1000 allowed") {
		t.Errorf("got %v", err)
	}
	if _, err := srv.OnReadable(); err == nil || srv.WantsRead() || srv.WantsWrite() {
		t.Errorf("goes on after an error")
	}
}

func TestFileDescriptorsArriveInOrder(t *testing.T) {
	srv, cli := connPair(t, ServerConfig{}, Limits{})
	if !srv.CanPassFDs() || !cli.CanPassFDs() {
		t.Fatal("no descriptor passing")
	}
	var want []string
	before := countFDs(t)
	for i := range 20 {
		m := call("Plain", uint32(i))
		if i%3 != 0 {
			var e Encoder
			for k := range i%3 + 1 {
				name := fmt.Sprintf("m%d-%d", i, k)
				fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
				if err != nil {
					t.Fatal(err)
				}
				e.UnixFD(fd)
				defer unix.Close(fd)
				want = append(want, name)
			}
			m = NewCall("", "/", "a.b", "FDs")
			m.SetBody(strings.Repeat("h", len(e.FDs())), &e)
		}
		if _, err := cli.Queue(m); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for n := 0; n < 20; {
		turn(t, cli)
		for _, m := range turn(t, srv) {
			n++
			d := m.Decoder()
			for range strings.Count(m.Signature, "h") {
				name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", d.UnixFD()))
				if err != nil {
					t.Error(err)
				}
				name = strings.TrimSuffix(strings.TrimPrefix(name, "/memfd:"), " (deleted)")
				got = append(got, name)
			}
			if m.Member == "FDs" && d.Done() != nil {
				t.Error(d.Err())
			}
			m.CloseFDs()
		}
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("got %v\nwant %v", got, want)
	}
	if n := countFDs(t) - len(want); n != before {
		t.Errorf("%d descriptors, %d before", n, before)
	}
}

func countFDs(t testing.TB) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(d)
}

func TestFileDescriptorsNobodyAnnounces(t *testing.T) {
	srv, cli := connPair(t, ServerConfig{}, Limits{})
	raw, err := (&Message{Type: TypeCall, Serial: 1, Path: "/", Member: "M"}).Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	before := countFDs(t)
	if err := unix.Sendmsg(cli.FD(), raw, unix.UnixRights(0, 1, 2), nil, 0); err != nil {
		t.Fatal(err)
	}
	msgs, err := srv.OnReadable()
	if len(msgs) != 1 || err == nil || !strings.Contains(err.Error(), "no message announces") {
		t.Errorf("%d messages, %v", len(msgs), err)
	}
	srv.Close()
	if n := countFDs(t); n != before-1 {
		t.Errorf("%d descriptors left, %d before", n, before)
	}
}

func TestFileDescriptorsMissing(t *testing.T) {
	srv, cli := connPair(t, ServerConfig{}, Limits{})
	m := &Message{Type: TypeCall, Serial: 1, Path: "/", Member: "M", FDs: []int{0}}
	raw, err := m.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(cli.FD(), raw); err != nil {
		t.Fatal(err)
	}
	if _, err := srv.OnReadable(); err == nil || !strings.Contains(err.Error(), "1 file descriptors announced, 0 came") {
		t.Errorf("got %v", err)
	}
}

func TestFileDescriptorsNotNegotiated(t *testing.T) {
	srv, cli := connPair(t, ServerConfig{RefuseFDs: true}, Limits{})
	if srv.CanPassFDs() || cli.CanPassFDs() {
		t.Fatal("descriptor passing although refused")
	}
	var e Encoder
	e.UnixFD(0)
	m := NewCall("", "/", "a.b", "M")
	m.SetBody("h", &e)
	if _, err := cli.Queue(m); err == nil {
		t.Error("queued")
	}
	raw, err := call("M").withSerial(1).Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	before := countFDs(t)
	if err := unix.Sendmsg(cli.FD(), raw, unix.UnixRights(0, 1), nil, 0); err != nil {
		t.Fatal(err)
	}
	if msgs := turn(t, srv); len(msgs) != 1 {
		t.Errorf("%d messages", len(msgs))
	}
	if n := countFDs(t); n != before {
		t.Errorf("%d descriptors, %d before", n, before)
	}
}

func (m *Message) withSerial(s uint32) *Message { m.Serial = s; return m }

// TestLargeMessagesKeepTheirOrder mixes messages that are sent from where they are with small ones, over a socket that is full most of the time.
func TestLargeMessagesKeepTheirOrder(t *testing.T) {
	srv, cli := connPair(t, ServerConfig{}, Limits{})
	if err := unix.SetsockoptInt(srv.FD(), unix.SOL_SOCKET, unix.SO_SNDBUF, 40_000); err != nil {
		t.Fatal(err)
	}
	sizes := []int{10, directBytes, 300_000, 20, 3 * directBytes, directBytes - 100, 1_000_000, 1, 70_000}
	var e Encoder
	var got []*Message
	queued := 0
	for i := 0; len(got) < 3*len(sizes); i++ {
		if i > 10000 {
			t.Fatalf("%d of %d arrive", len(got), 3*len(sizes))
		}
		// As many as are sent at once, and then the one that is not: what follows has to wait behind it.
		for queued < 3*len(sizes) && (!srv.WantsWrite() || i%3 == 0) {
			e.Reset()
			e.String(strings.Repeat("x", sizes[queued%len(sizes)]))
			m := NewSignal("/", "a.b", "S")
			m.SetBody("s", &e)
			serial, err := srv.Queue(m)
			if err != nil || m.Serial != 0 || int(serial) != queued+1 {
				t.Fatal(serial, err)
			}
			queued++
		}
		turn(t, srv)
		for _, m := range turn(t, cli) {
			m.Body = bytes.Clone(m.Body)
			got = append(got, m)
		}
	}
	for i, m := range got {
		d := m.Decoder()
		if s := d.String(); len(s) != sizes[i%len(sizes)] || strings.Trim(s, "x") != "" || int(m.Serial) != i+1 {
			t.Errorf("message %d: serial %d, %d bytes", i, m.Serial, len(s))
		}
	}
	if cap(srv.out) > idleOutput {
		t.Errorf("a queue of %d bytes is kept", cap(srv.out))
	}
}

func TestLargeMessageToNobody(t *testing.T) {
	srv, cli := connPair(t, ServerConfig{}, Limits{})
	cli.Close()
	if _, err := srv.Queue(call("Big", strings.Repeat("x", directBytes))); err == nil || srv.Err() == nil {
		t.Error("the end of the connection isn't noticed")
	}
}

func TestQueueIsBounded(t *testing.T) {
	srv, _ := connPair(t, ServerConfig{Limits: Limits{QueueBytes: 100_000, HoldBytes: 50_000}}, Limits{})
	m := NewSignal("/", "a.b", "S")
	var e Encoder
	e.String(strings.Repeat("x", 1000))
	m.SetBody("s", &e)
	held := false
	for i := range 200 {
		_, err := srv.Queue(m)
		if err != nil {
			if !errors.Is(err, ErrQueueFull) || i < 90 {
				t.Errorf("after %d: %v", i, err)
			}
			break
		}
		held = held || !srv.WantsRead()
	}
	if !held {
		t.Error("input was never held back")
	}
	if !errors.Is(srv.OnWritable(), ErrQueueFull) || !errors.Is(srv.Err(), ErrQueueFull) {
		t.Error("the connection lives on")
	}
}

func TestHoldEndsWhenPeerReads(t *testing.T) {
	srv, cli := connPair(t, ServerConfig{Limits: Limits{HoldBytes: 1000}}, Limits{})
	if _, err := srv.Queue(call("M", strings.Repeat("x", 2_000_000))); err != nil {
		t.Fatal(err)
	}
	if err := srv.OnWritable(); err != nil || srv.WantsRead() || !srv.WantsWrite() {
		t.Fatalf("%v, reads %v, writes %v", err, srv.WantsRead(), srv.WantsWrite())
	}
	for i := 0; srv.WantsWrite(); i++ {
		if i > 1000 {
			t.Fatal("does not drain")
		}
		turn(t, cli)
		turn(t, srv)
	}
	if !srv.WantsRead() {
		t.Error("still holds")
	}
}

func TestQueueRawSetsSerial(t *testing.T) {
	srv, cli := connPair(t, ServerConfig{}, Limits{})
	raw, err := NewSignal("/x", "a.b", "S").withSerial(1).Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := srv.QueueRaw(raw); err != nil {
			t.Fatal(err)
		}
	}
	turn(t, srv)
	got := turn(t, cli)
	if len(got) != 3 || got[0].Serial != 1 || got[2].Serial != 3 || got[1].Member != "S" {
		t.Errorf("got %+v", got)
	}
	if _, err := srv.QueueRaw([]byte("short")); err == nil {
		t.Error("accepts anything")
	}
}

func TestPeerGone(t *testing.T) {
	srv, cli := connPair(t, ServerConfig{}, Limits{})
	var ended error
	if _, err := cli.Call(call("M"), 0, func(m *Message, err error) { ended = err }); err != nil {
		t.Fatal(err)
	}
	turn(t, cli)
	if _, err := srv.Queue(call("Last")); err != nil {
		t.Fatal(err)
	}
	if err := srv.OnWritable(); err != nil {
		t.Fatal(err)
	}
	unix.Shutdown(srv.FD(), unix.SHUT_WR)
	srv.Close()
	msgs, err := cli.OnReadable()
	for err == nil {
		var more []*Message
		more, err = cli.OnReadable()
		msgs = append(msgs, more...)
	}
	if len(msgs) != 1 || msgs[0].Member != "Last" || !errors.Is(err, io.EOF) && !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("%d messages, %v", len(msgs), err)
	}
	cli.Close()
	cli.Close()
	if !HasName(ended, ErrDisconnected) {
		t.Errorf("the call ended with %v", ended)
	}
	if _, err := cli.Queue(call("M")); err == nil {
		t.Error("queues on a closed connection")
	}
}

func TestDeadlines(t *testing.T) {
	srv, cli := connPair(t, ServerConfig{}, Limits{})
	var got []string
	done := func(name string) ReplyFunc {
		return func(m *Message, err error) { got = append(got, fmt.Sprint(name, " ", HasName(err, ErrNoReply))) }
	}
	for _, c := range []struct {
		name string
		at   uint64
	}{{"a", 500}, {"b", 0}, {"c", 300}, {"d", 400}} {
		if _, err := cli.Call(call("M"), c.at, done(c.name)); err != nil {
			t.Fatal(err)
		}
	}
	if d := cli.NextDeadline(); d != 300 {
		t.Errorf("deadline %d", d)
	}
	if err := cli.Expire(400); err != nil {
		t.Fatal(err)
	}
	if s := strings.Join(got, ","); s != "c true,d true" {
		t.Errorf("expired %s", s)
	}
	if d := cli.NextDeadline(); d != 500 {
		t.Errorf("deadline %d", d)
	}
	// A late answer is nobody's, and a reply all the same.
	turn(t, cli)
	for _, m := range turn(t, srv) {
		if _, err := srv.Queue(m.Reply()); err != nil {
			t.Fatal(err)
		}
	}
	turn(t, srv)
	for _, m := range turn(t, cli) {
		if !cli.Deliver(m) {
			t.Error("a reply is not one")
		}
	}
	if s := strings.Join(got, ","); s != "c true,d true,a false,b false" {
		t.Errorf("ended %s", s)
	}
}

func TestAuthDeadline(t *testing.T) {
	a, b := pair(t)
	defer unix.Close(b)
	srv, err := NewServerConn(a, ServerConfig{GUID: testGUID, AuthDeadlineUSec: 90})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	if srv.NextDeadline() != 90 || srv.Expire(89) != nil {
		t.Error("too early")
	}
	if _, err := srv.Queue(call("M")); !errors.Is(err, ErrNotReady) {
		t.Errorf("queues before the handshake: %v", err)
	}
	if !errors.Is(srv.Expire(90), ErrAuthTimeout) {
		t.Error("does not expire")
	}
}

func TestErrorReply(t *testing.T) {
	m := call("M").withSerial(9)
	m.Sender = ":1.7"
	r := m.ErrorReply(fmt.Errorf("start: %w", Errorf(ErrNoSuchUnit, "Unit x.service not found.")))
	if r.ReplySerial != 9 || r.Destination != ":1.7" {
		t.Errorf("%+v", r)
	}
	raw, err := r.withSerial(1).Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	back, err := Parse(raw, nil)
	if err != nil {
		t.Fatal(err)
	}
	e := back.AsError()
	if !HasName(e, ErrNoSuchUnit) || e.Error() != "start: Unit x.service not found." || !errors.Is(e, unix.ENOENT) {
		t.Errorf("%v", e)
	}
}

func TestMessageHeaderErrors(t *testing.T) {
	good, err := sample(t).Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Parse(good, nil); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func([]byte) []byte{
		"byte order": func(b []byte) []byte { b[0] = 'x'; return b },
		"type 0":     func(b []byte) []byte { b[1] = 0; return b },
		"version":    func(b []byte) []byte { b[3] = 2; return b },
		"serial 0":   func(b []byte) []byte { copy(b[8:], "\x00\x00\x00\x00"); return b },
		"truncated":  func(b []byte) []byte { return b[:len(b)-1] },
		"too much":   func(b []byte) []byte { return append(b, 0) },
		"field code": func(b []byte) []byte { b[16] = 0; return b },
		"field type": func(b []byte) []byte { b[18] = 's'; return b },
		"path":       func(b []byte) []byte { b[24] = 'x'; return b },
		"empty":      func(b []byte) []byte { return nil },
		"huge body":  func(b []byte) []byte { copy(b[4:], "\xff\xff\xff\xff"); return b },
		"huge head":  func(b []byte) []byte { copy(b[12:], "\xff\xff\xff\xff"); return b },
	} {
		if m, err := Parse(f(bytes.Clone(good)), nil); err == nil {
			t.Errorf("%s: %+v", name, m)
		}
	}
	// Every single damaged byte gives an error or a message, no panic.
	for i := range good {
		for _, v := range []byte{0, 1, 0x7f, 0xff, good[i] + 1} {
			b := bytes.Clone(good)
			b[i] = v
			if m, err := Parse(b, nil); err == nil {
				_, _ = m.DecodeArgs()
			}
		}
	}
	for _, m := range []*Message{
		{Type: TypeCall, Path: "/"}, {Type: TypeCall, Member: "M"}, {Type: TypeSignal, Path: "/", Member: "M"}, {Type: TypeReply},
		{Type: TypeError, ReplySerial: 1}, {}, {Type: TypeCall, Path: "/", Member: "M", Body: []byte{1}},
		{Type: TypeCall, Path: "/", Member: "M", Destination: "x"}, {Type: TypeCall, Path: "/", Member: "M", Signature: "("},
	} {
		if _, err := m.withSerial(1).Append(nil); err == nil {
			t.Errorf("sent: %+v", m)
		}
	}
}

// TestBehind: who leaves much unread is behind until he has read it, and then the socket is writable.
func TestBehind(t *testing.T) {
	server, client := connPair(t, ServerConfig{}, Limits{})
	writable := func() bool {
		fds := []unix.PollFd{{Fd: int32(server.FD()), Events: unix.POLLOUT}}
		n, err := unix.Poll(fds, 0)
		return err == nil && n == 1
	}
	if server.Behind() {
		t.Error("behind with nothing sent")
	}
	body := &Encoder{}
	body.String(strings.Repeat("x", 10_000))
	sent := 0
	for ; sent < 1000 && !server.Behind(); sent++ {
		msg := NewSignal("/a", "a.b", "C")
		msg.SetBody("s", body)
		if _, err := server.Queue(msg); err != nil {
			t.Fatal(err)
		}
		if err := server.OnWritable(); err != nil {
			t.Fatal(err)
		}
	}
	if sent < 2 || sent == 1000 || server.WantsWrite() || writable() {
		t.Fatalf("behind after %d messages, more to write: %t, writable: %t", sent, server.WantsWrite(), writable())
	}
	for range sent {
		turn(t, client)
	}
	if server.Behind() || !writable() {
		t.Errorf("behind after everything was read: %t, writable: %t", server.Behind(), writable())
	}
}
