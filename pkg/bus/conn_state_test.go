package bus

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestStateCarriesEverything detaches the server in the middle of input and
// output, with descriptors waiting both ways.
func TestStateCarriesEverything(t *testing.T) {
	srv, cli := connPair(t, ServerConfig{}, Limits{})
	ended := false
	if _, err := srv.Call(call("Ours"), 0, func(m *Message, err error) { ended = HasName(err, ErrDisconnected) }); err != nil {
		t.Fatal(err)
	}
	turn(t, srv)
	turn(t, cli)
	// Half of a message with a descriptor comes in.
	raw, err := (&Message{Type: TypeCall, Serial: 9, Path: "/", Member: "In", Signature: "h", Body: make([]byte, 4), FDs: []int{0}}).Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Sendmsg(cli.FD(), raw[:30], unix.UnixRights(0), nil, 0); err != nil {
		t.Fatal(err)
	}
	if got := turn(t, srv); len(got) != 0 {
		t.Fatal("half a message arrived")
	}
	// Much goes out, then a message with a descriptor.
	for range 40 {
		if _, err := srv.Queue(call("Out", strings.Repeat("x", 20_000))); err != nil {
			t.Fatal(err)
		}
	}
	m := NewCall("", "/", "a.b", "OutFD")
	var e Encoder
	e.UnixFD(0)
	m.SetBody("h", &e)
	if _, err := srv.Queue(m); err != nil {
		t.Fatal(err)
	}
	if err := srv.OnWritable(); err != nil || !srv.WantsWrite() {
		t.Fatal("everything was sent", err)
	}
	state, err := srv.Detach()
	if err != nil {
		t.Fatal(err)
	}
	if !ended || srv.Err() == nil || len(state.Descriptors()) != 3 {
		t.Errorf("pending call ended: %v, %v, %d descriptors", ended, srv.Err(), len(state.Descriptors()))
	}
	text, err := json.Marshal(state)
	if err != nil {
		t.Fatal(err)
	}
	var back ConnState
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	again, err := RestoreConn(&back, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if _, err := unix.Write(cli.FD(), raw[30:]); err != nil {
		t.Fatal(err)
	}
	in := turn(t, again)
	if len(in) != 1 || in[0].Member != "In" || len(in[0].FDs) != 1 {
		t.Fatalf("%+v", in)
	}
	in[0].CloseFDs()
	n := 0
	for i := 0; n < 41; i++ {
		if i > 1000 {
			t.Fatalf("%d messages", n)
		}
		for _, m := range turn(t, cli) {
			n++
			if (m.Member == "OutFD") != (n == 41) || len(m.FDs) != n/41 || m.Serial != uint32(n+1) {
				t.Fatalf("message %d: %s, serial %d, %d descriptors", n, m.Member, m.Serial, len(m.FDs))
			}
			m.CloseFDs()
		}
		turn(t, again)
	}
}

func TestDetachRefuses(t *testing.T) {
	a, b := pair(t)
	defer unix.Close(b)
	srv, err := NewServerConn(a, ServerConfig{GUID: testGUID})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := srv.Detach(); !errors.Is(err, ErrNotReady) {
		t.Errorf("%v", err)
	}
	srv.Close()
	if _, err := srv.Detach(); !errors.Is(err, ErrClosed) {
		t.Errorf("%v", err)
	}
	for _, s := range []ConnState{
		{OutFDs: []ConnOutput{{At: 0, FDs: []int{0}}}},
		{Out: []byte("xx"), OutFDs: []ConnOutput{{At: 1}, {At: 1}}},
		{Out: []byte("xx"), OutFDs: []ConnOutput{{At: -1}}},
	} {
		if _, err := RestoreConn(&s, Limits{}); err == nil {
			t.Errorf("%+v accepted", s)
		}
	}
}
