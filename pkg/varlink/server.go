package varlink

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// Bounds, because anybody on the machine may connect.
const (
	clientsMax = 128
	callBytes  = 16 << 10 // a call with all its parameters is a few hundred
	outBytes   = 4 << 20  // all dynamic users there can be
	callsMax   = 64       // of one client before the others get their turn
	acceptsMax = 64       // in one turn
	backlog    = 128
)

// Poll is the loop of the owner: ready is called with the events (EPOLL…) that came for fd.
type Poll interface {
	Add(fd int, events uint32, ready func(events uint32)) error
	Modify(fd int, events uint32) error
	Remove(fd int)
}

// Listen makes a listening socket at path that everybody may connect to, in the place of what is there. It is neither inherited nor blocking.
func Listen(path string) (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	_ = os.Remove(path)
	old := unix.Umask(0o111)
	err = unix.Bind(fd, &unix.SockaddrUnix{Name: path})
	unix.Umask(old)
	if err == nil {
		err = unix.Listen(fd, backlog)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// Server answers the calls that come over its listening sockets.
type Server struct {
	poll    Poll
	serve   func(c *Call)
	clients []*client // in the order they came
}

// NewServer makes a server. serve is called for every call and has to answer it before it returns, or to make it a [Stream].
func NewServer(poll Poll, serve func(c *Call)) *Server { return &Server{poll: poll, serve: serve} }

// Add lets the server answer who connects to a listening socket, which stays the caller's.
func (s *Server) Add(listen int) error {
	return s.poll.Add(listen, unix.EPOLLIN, func(uint32) { s.accept(listen) })
}

// client is a connection.
type client struct {
	server *Server
	fd     int
	in     []byte
	out    []byte
	stream *Stream
	gone   bool
}

func (s *Server) accept(listen int) {
	for range acceptsMax {
		fd, _, err := unix.Accept4(listen, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		if err != nil {
			return
		}
		if len(s.clients) >= clientsMax {
			if i := slices.IndexFunc(s.clients, func(c *client) bool { return c.stream == nil }); i >= 0 {
				s.clients[i].drop()
			}
		}
		c := &client{server: s, fd: fd}
		if len(s.clients) >= clientsMax || s.poll.Add(fd, unix.EPOLLIN, c.ready) != nil {
			_ = unix.Close(fd)
			continue
		}
		s.clients = append(s.clients, c)
	}
}

func (c *client) drop() {
	if c.gone {
		return
	}
	c.gone = true
	s := c.server
	s.clients = slices.DeleteFunc(s.clients, func(o *client) bool { return o == c })
	s.poll.Remove(c.fd)
	_ = unix.Close(c.fd)
	if c.stream != nil && c.stream.Gone != nil {
		c.stream.Gone()
	}
}

// ready reads what there is and answers whole calls. A client is not read from while it doesn't take its answers.
func (c *client) ready(events uint32) {
	if len(c.out) == 0 && c.stream == nil && events&(unix.EPOLLIN|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		var buf [4096]byte
		n, err := unix.Read(c.fd, buf[:])
		switch {
		case err == unix.EAGAIN || err == unix.EINTR:
		case err != nil || n == 0 || len(c.in)+n > callBytes:
			c.drop()
			return
		default:
			c.in = append(c.in, buf[:n]...)
		}
	} else if events&(unix.EPOLLHUP|unix.EPOLLRDHUP|unix.EPOLLERR) != 0 {
		c.drop()
		return
	}
	c.goOn()
}

// goOn answers the calls that have come, sends what the socket takes, and waits for what is next.
func (c *client) goOn() {
	if c.gone {
		return
	}
	if !c.answer() || !c.flush() {
		c.drop()
		return
	}
	wanted := uint32(unix.EPOLLIN)
	switch {
	case len(c.out) > 0 || c.stream == nil && bytes.IndexByte(c.in, 0) >= 0:
		wanted = unix.EPOLLOUT
	case c.stream != nil:
		wanted = 0 // what it calls meanwhile is not read
	}
	if c.stream != nil {
		wanted |= unix.EPOLLRDHUP
	}
	_ = c.server.poll.Modify(c.fd, wanted)
}

// answer serves the whole calls that have come. It reports false for what is no call.
func (c *client) answer() bool {
	for range callsMax {
		end := bytes.IndexByte(c.in, 0)
		if end < 0 || c.stream != nil || len(c.out) > callBytes {
			return true
		}
		var call request
		err := json.Unmarshal(c.in[:end], &call)
		c.in = append(c.in[:0], c.in[end+1:]...)
		if err != nil || call.Method == "" {
			return false
		}
		c.server.serve(&Call{Method: call.Method, Parameters: call.Parameters, More: call.More && !call.Oneway, oneway: call.Oneway, client: c})
		if c.gone || len(c.out) > outBytes {
			return false
		}
	}
	return true
}

func (c *client) queue(r reply) {
	text, err := json.Marshal(r)
	if err != nil {
		return // there is nothing in a reply that can't be written
	}
	c.out = append(append(c.out, text...), 0)
}

func (c *client) flush() (ok bool) {
	c.out, ok = send(c.fd, c.out)
	return ok
}

// send writes what the socket takes and gives the rest.
func send(fd int, out []byte) (rest []byte, ok bool) {
	for len(out) > 0 {
		n, err := unix.SendmsgN(fd, out, nil, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return out, true
		case err != nil:
			return out, false
		default:
			out = out[n:]
		}
	}
	return nil, true
}
