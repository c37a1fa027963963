package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// receiver binds a socket as journald does.
func receiver(t *testing.T, path string) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	return fd
}

// receive reads one entry, from a datagram or a memfd. ok is false when there
// is none.
func receive(t *testing.T, fd int) (fields []field, ok bool) {
	t.Helper()
	buf, oob := make([]byte, 1<<20), make([]byte, 64)
	n, oobn, _, _, err := unix.Recvmsg(fd, buf, oob, unix.MSG_CMSG_CLOEXEC)
	if err == unix.EAGAIN {
		return nil, false
	}
	if err != nil {
		t.Fatal(err)
	}
	data := buf[:n]
	if oobn > 0 {
		data = readSealed(t, oob[:oobn])
	}
	fields, err = decode(data)
	if err != nil {
		t.Fatalf("%.100q: %v", data, err)
	}
	return fields, true
}

func readSealed(t *testing.T, oob []byte) []byte {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(msgs) != 1 {
		t.Fatal(msgs, err)
	}
	fds, err := unix.ParseUnixRights(&msgs[0])
	if err != nil || len(fds) != 1 {
		t.Fatal(fds, err)
	}
	f := os.NewFile(uintptr(fds[0]), "memfd")
	defer f.Close()
	seals, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0)
	if want := unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE | unix.F_SEAL_SEAL; err != nil || seals&want != want {
		t.Errorf("seals %#x, %v", seals, err)
	}
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, st.Size())
	if _, err := f.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	return b
}

func entry(message string) *Entry {
	var e Entry
	e.Begin("test", PriInfo, message)
	return &e
}

func message(fields []field) string {
	for _, f := range fields {
		if f.name == FieldMessage {
			return f.value
		}
	}
	return ""
}

func TestSocketSends(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	s, err := Open(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Send(entry("early")); !errors.Is(err, ErrNoJournal) {
		t.Errorf("nobody listens: %v", err)
	}
	fd := receiver(t, path)
	// What is more than the buffer goes as a memfd.
	if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 100_000); err != nil {
		t.Fatal(err)
	}
	big := strings.Repeat("0123456789abcdef", 1<<17)
	for _, m := range []string{"hello", big, "after"} {
		if err := s.Send(entry(m)); err != nil {
			t.Fatal(err)
		}
		if got, ok := receive(t, fd); !ok || message(got) != m {
			t.Errorf("%.20q: got %.20q", m, message(got))
		}
	}
	if err := s.Send(&Entry{}); err != nil {
		t.Error(err)
	}
	if _, ok := receive(t, fd); ok {
		t.Error("an empty entry was sent")
	}
	if err := s.Send(entry(strings.Repeat("x", maxEntry+1))); err == nil || s.Dropped() != 1 {
		t.Errorf("%v, %d dropped", err, s.Dropped())
	}
}

func TestSocketNeverWaits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	fd := receiver(t, path)
	s, err := Open(path, 100_000)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const n = 5000
	for i := range n {
		if err := s.Send(entry(fmt.Sprint(i, strings.Repeat("x", 1000)))); err != nil {
			t.Fatal(err)
		}
	}
	if s.Waiting() == 0 || s.bytes > 100_000 || s.Dropped() == 0 {
		t.Fatalf("%d wait with %d bytes, %d dropped", s.Waiting(), s.bytes, s.Dropped())
	}
	if d := s.NewlyDropped(); d != s.Dropped() || s.NewlyDropped() != 0 {
		t.Errorf("newly dropped %d", d)
	}
	got := 0
	for i := 0; ; i++ {
		f, ok := receive(t, fd)
		if !ok {
			if s.Waiting() == 0 || i > n {
				break
			}
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
			continue
		}
		// What arrives is in order and without holes until the first drop.
		if !strings.HasPrefix(message(f), fmt.Sprint(got, "x")) {
			t.Fatalf("entry %d is %.10q", got, message(f))
		}
		got++
	}
	if uint64(got)+s.Dropped() != n || s.bytes != 0 {
		t.Errorf("%d arrived, %d dropped of %d; %d bytes still booked", got, s.Dropped(), n, s.bytes)
	}
}

func TestSocketJournalGoesAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	fd := receiver(t, path)
	s, err := Open(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for s.Waiting() == 0 {
		if err := s.Send(entry("x")); err != nil {
			t.Fatal(err)
		}
	}
	unix.Close(fd)
	if err := s.Send(entry("y")); !errors.Is(err, ErrNoJournal) || s.Waiting() != 0 || s.Dropped() != 1 {
		t.Errorf("%v, %d wait, %d dropped", err, s.Waiting(), s.Dropped())
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	fd = receiver(t, path)
	if err := s.Send(entry("back")); err != nil {
		t.Fatal(err)
	}
	if f, ok := receive(t, fd); !ok || message(f) != "back" {
		t.Errorf("%q", f)
	}
}

func TestOpenStream(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stdout")
	h := StreamHeader{Identifier: "id", Unit: "a.service", Priority: 30, LevelPrefix: true}
	if _, err := OpenStream(path, &h); !errors.Is(err, unix.ENOENT) {
		t.Errorf("%v", err)
	}
	l, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(l)
	if err := unix.Bind(l, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(l, 1); err != nil {
		t.Fatal(err)
	}
	fd, err := OpenStream(path, &h)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(fd, []byte("line\n")); err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
	c, _, err := unix.Accept(l)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(c), "stream")
	defer f.Close()
	b := make([]byte, 200)
	n, err := f.Read(b)
	if err != nil || !strings.HasPrefix(string(b[:n]), "id\na.service\n30\n1\n0\n0\n0\n") {
		t.Errorf("%q, %v", b[:n], err)
	}
}
