package bus

import (
	"errors"
	"strings"
	"testing"
)

func TestServerAuth(t *testing.T) {
	const ok = "OK " + testGUID + "\r\n"
	for _, c := range []struct {
		name, in, out string
		rest          string
		done, fail    bool
		anonymous     bool
	}{
		{name: "sd-bus", in: "\x00AUTH EXTERNAL\r\nDATA\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\nl\x01", out: "DATA\r\n" + ok + "AGREE_UNIX_FD\r\n", rest: "l\x01", done: true},
		{name: "uid given", in: "\x00AUTH EXTERNAL 31303030\r\nBEGIN\r\n", out: ok, done: true},
		{name: "uid in data", in: "\x00AUTH EXTERNAL\r\nDATA 31303030\r\nBEGIN\r\n", out: "DATA\r\n" + ok, done: true},
		{name: "other uid", in: "\x00AUTH EXTERNAL 30\r\n", out: "REJECTED EXTERNAL\r\n"},
		{name: "not hex", in: "\x00AUTH EXTERNAL zz\r\n", out: "REJECTED EXTERNAL\r\n"},
		{name: "question first", in: "\x00AUTH\r\nAUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n", out: "REJECTED EXTERNAL\r\nDATA\r\n" + ok, done: true},
		{name: "cookie", in: "\x00AUTH DBUS_COOKIE_SHA1 30\r\n", out: "REJECTED EXTERNAL\r\n"},
		{name: "anonymous", in: "\x00AUTH ANONYMOUS\r\n", out: "REJECTED EXTERNAL\r\n"},
		{name: "anonymous allowed", in: "\x00AUTH ANONYMOUS 61\r\nBEGIN\r\n", out: ok, done: true, anonymous: true},
		{name: "cancel", in: "\x00AUTH EXTERNAL\r\nCANCEL\r\n", out: "DATA\r\nREJECTED EXTERNAL\r\n"},
		{name: "cancel after ok", in: "\x00AUTH EXTERNAL 31303030\r\nNEGOTIATE_UNIX_FD\r\nCANCEL\r\nBEGIN\r\n", fail: true},
		{name: "unknown", in: "\x00HELLO\r\n", out: "ERROR\r\n"},
		{name: "fds too early", in: "\x00NEGOTIATE_UNIX_FD\r\n", out: "ERROR\r\n"},
		{name: "data too early", in: "\x00DATA\r\n", out: "ERROR\r\n"},
		{name: "begin too early", in: "\x00BEGIN\r\n", fail: true},
		{name: "no NUL", in: "AUTH EXTERNAL\r\n", fail: true},
		{name: "control bytes", in: "\x00AUTH \x01\r\n", fail: true},
		{name: "long line", in: "\x00" + strings.Repeat("A", maxAuthLine+1), fail: true},
		{name: "long whole line", in: "\x00" + strings.Repeat("A", maxAuthLine+1) + "\r\n", fail: true},
		{name: "many lines", in: "\x00" + strings.Repeat("X\r\n", maxAuthLines+1), fail: true},
		{name: "many attempts", in: "\x00" + strings.Repeat("AUTH\r\n", maxRejects+1), fail: true},
		{name: "half a line", in: "\x00AUTH EXTERNAL\r", rest: "AUTH EXTERNAL\r"},
		{name: "nothing", in: ""},
	} {
		a := serverAuth{guid: testGUID, uid: 1000, anonymous: c.anonymous}
		used, out, done, err := a.feed([]byte(c.in))
		if (err != nil) != c.fail {
			t.Errorf("%s: error %v", c.name, err)
		}
		if err != nil {
			continue
		}
		if string(out) != c.out || done != c.done || c.in[used:] != c.rest {
			t.Errorf("%s: answers %q, done %v, rest %q", c.name, out, done, c.in[used:])
		}
	}
}

func TestClientAuth(t *testing.T) {
	for _, c := range []struct {
		name, in   string
		done, fds  bool
		wantFail   bool
		wantedRest string
	}{
		{name: "ours", in: "DATA\r\nOK " + testGUID + "\r\nAGREE_UNIX_FD\r\nl", done: true, fds: true, wantedRest: "l"},
		{name: "no fds", in: "DATA\r\nOK " + testGUID + "\r\nERROR\r\n", done: true},
		{name: "waiting", in: "DATA\r\nOK " + testGUID + "\r\n"},
		{name: "rejected", in: "REJECTED EXTERNAL\r\n", wantFail: true},
		{name: "error", in: "ERROR\r\n", wantFail: true},
		{name: "bad id", in: "OK 12\r\n", wantFail: true},
		{name: "twice", in: "OK " + testGUID + "\r\nOK " + testGUID + "\r\n", wantFail: true},
		{name: "early agree", in: "AGREE_UNIX_FD\r\n", wantFail: true},
		{name: "nonsense", in: "HTTP/1.1 200\r\n", wantFail: true},
		{name: "endless", in: strings.Repeat("DATA\r\n", maxAuthLines+1), wantFail: true},
	} {
		var a clientAuth
		used, done, err := a.feed([]byte(c.in))
		if (err != nil) != c.wantFail {
			t.Errorf("%s: error %v", c.name, err)
		}
		if err == nil && (done != c.done || a.fds != c.fds || done && c.in[used:] != c.wantedRest) {
			t.Errorf("%s: done %v, fds %v, rest %q", c.name, done, a.fds, c.in[used:])
		}
	}
}

func TestServerNeedsGUID(t *testing.T) {
	if _, err := NewServerConn(-1, ServerConfig{GUID: "x"}); err == nil {
		t.Error("accepted")
	}
}

// FuzzServerAuth feeds the handshake whole and byte by byte: same outcome.
func FuzzServerAuth(f *testing.F) {
	f.Add([]byte(clientHello))
	f.Add([]byte("\x00AUTH EXTERNAL 30\r\nCANCEL\r\nAUTH\r\nERROR\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		whole := serverAuth{guid: testGUID, uid: 0}
		used, out, done, err := whole.feed(in)
		if used > len(in) || len(out) > 100*maxAuthLines {
			t.Fatalf("used %d of %d, answers %d bytes", used, len(in), len(out))
		}
		bytewise := serverAuth{guid: testGUID, uid: 0}
		var out2 []byte
		pos, done2 := 0, false
		var err2 error
		for i := 1; i <= len(in) && !done2 && err2 == nil; i++ {
			var n int
			var o []byte
			n, o, done2, err2 = bytewise.feed(in[pos:i])
			pos += n
			out2 = append(out2, o...)
		}
		if done != done2 || !errors.Is(err2, err) && (err == nil) != (err2 == nil) || err == nil && string(out) != string(out2) || done && pos != used {
			t.Fatalf("whole: %q %v %v, bytewise: %q %v %v", out, done, err, out2, done2, err2)
		}
	})
}
