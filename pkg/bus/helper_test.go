package bus

import (
	"errors"
	"io"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience ends what hangs. Nothing that works takes as long, on whatever machine.
const patience = 2 * time.Minute

const testGUID = "0123456789abcdef0123456789abcdef"

// pair returns two connected non-blocking stream sockets.
func pair(t testing.TB) (int, int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	return fds[0], fds[1]
}

// connPair returns both sides of an authenticated connection.
func connPair(t testing.TB, srv ServerConfig, cli Limits) (server, client *Conn) {
	t.Helper()
	a, b := pair(t)
	srv.GUID = testGUID
	srv.Peer = Peer{PID: int32(unix.Getpid()), UID: uint32(unix.Getuid())}
	server, err := NewServerConn(a, srv)
	if err != nil {
		t.Fatal(err)
	}
	client = NewClientConn(b, cli, 0)
	t.Cleanup(func() { server.Close(); client.Close() })
	for i := 0; !server.Ready() || !client.Ready(); i++ {
		if i > 10 {
			t.Fatal("handshake does not end")
		}
		turn(t, client)
		turn(t, server)
	}
	if got := client.GUID(); got != testGUID {
		t.Fatalf("guid %q", got)
	}
	return server, client
}

// turn does one loop turn of a connection that must stay alive.
func turn(t testing.TB, c *Conn) []*Message {
	t.Helper()
	if err := c.OnWritable(); err != nil {
		t.Fatal(err)
	}
	msgs, err := c.OnReadable()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.OnWritable(); err != nil {
		t.Fatal(err)
	}
	return msgs
}

// serve runs server connections on a listening socket until stop is closed,
// handing each message to handle. It returns when the loop has ended.
func serve(t testing.TB, lfd int, cfg ServerConfig, handle func(*Conn, *Message)) (stop func()) {
	t.Helper()
	wake := make([]int, 2)
	if err := unix.Pipe2(wake, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	cfg.GUID = testGUID
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		serveLoop(t, lfd, wake[0], cfg, handle)
	}()
	return func() {
		unix.Close(wake[1])
		select {
		case <-ended:
		case <-time.After(patience):
			t.Error("server loop does not end")
		}
		unix.Close(wake[0])
		unix.Close(lfd)
	}
}

func serveLoop(t testing.TB, lfd, wake int, cfg ServerConfig, handle func(*Conn, *Message)) {
	conns := map[int]*Conn{}
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	for {
		polls := []unix.PollFd{{Fd: int32(lfd), Events: unix.POLLIN}, {Fd: int32(wake), Events: unix.POLLIN}}
		for fd, c := range conns {
			p := unix.PollFd{Fd: int32(fd)}
			if c.WantsRead() {
				p.Events |= unix.POLLIN
			}
			if c.WantsWrite() {
				p.Events |= unix.POLLOUT
			}
			polls = append(polls, p)
		}
		if _, err := unix.Poll(polls, -1); err != nil && err != unix.EINTR {
			t.Error(err)
			return
		}
		if polls[1].Revents != 0 {
			return
		}
		if polls[0].Revents != 0 {
			if fd, _, err := unix.Accept4(lfd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC); err == nil {
				conf := cfg
				if conf.Peer, err = PeerOf(fd); err != nil {
					conf.Peer.UID = uint32(unix.Getuid())
				}
				c, err := NewServerConn(fd, conf)
				if err != nil {
					t.Error(err)
					return
				}
				conns[fd] = c
			}
		}
		for _, p := range polls[2:] {
			if p.Revents != 0 {
				serveConn(t, conns, conns[int(p.Fd)], handle)
			}
		}
	}
}

func serveConn(t testing.TB, conns map[int]*Conn, c *Conn, handle func(*Conn, *Message)) {
	msgs, err := c.OnReadable()
	for _, m := range msgs {
		handle(c, m)
	}
	if err == nil {
		err = c.OnWritable()
	}
	if err != nil {
		if !errors.Is(err, io.EOF) && !errors.Is(err, unix.ECONNRESET) && !errors.Is(err, unix.EPIPE) {
			t.Logf("connection ended: %v", err)
		}
		delete(conns, c.FD())
		c.Close()
	}
}

// listen makes a listening socket at path.
func listen(t testing.TB, path string) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 16); err != nil {
		t.Fatal(err)
	}
	return fd
}
