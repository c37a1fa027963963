package manager

import (
	"bytes"
	"encoding/json"

	"golang.org/x/sys/unix"
)

// Bounds of the varlink server: anybody on the machine may connect.
const (
	varlinkClientsMax = 128
	varlinkCallBytes  = 16 << 10 // a call with all its parameters is a few hundred
	varlinkOutBytes   = 4 << 20  // all dynamic users there can be
	varlinkCallsMax   = 64       // of one client before the others get their turn
)

// varlinkServer serves one varlink socket on the loop: JSON texts, each ended by a NUL, calls of one client answered in their order.
type varlinkServer struct {
	m       *Manager
	listen  int
	clients map[*varlinkClient]struct{}
	oldest  []*varlinkClient // in the order they came
	serve   func(c varlinkCall) ([]any, *varlinkError)
}

type varlinkClient struct {
	fd  int
	in  []byte
	out []byte
}

// varlinkCall is what a client sends.
type varlinkCall struct {
	Method     string          `json:"method"`
	Parameters json.RawMessage `json:"parameters"`
	More       bool            `json:"more"`
	Oneway     bool            `json:"oneway"`
}

// varlinkError is an answer that something went wrong.
type varlinkError struct {
	Name       string
	Parameters any
}

type varlinkReply struct {
	Error      string `json:"error,omitempty"`
	Parameters any    `json:"parameters"`
	Continues  bool   `json:"continues,omitempty"`
}

type varlinkInfo struct {
	Vendor     string   `json:"vendor"`
	Product    string   `json:"product"`
	Version    string   `json:"version"`
	URL        string   `json:"url"`
	Interfaces []string `json:"interfaces"`
}

func (s *varlinkServer) accept(uint32) {
	for range 64 {
		fd, _, err := unix.Accept4(s.listen, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		if err != nil {
			return
		}
		if len(s.clients) >= varlinkClientsMax {
			s.drop(s.oldest[0]) // whoever holds connections open must not lock out the others
		}
		c := &varlinkClient{fd: fd}
		if err := s.m.sources.add(fd, unix.EPOLLIN, prioBus, sourceFunc(func(ev uint32) { s.ready(c, ev) })); err != nil {
			_ = unix.Close(fd)
			continue
		}
		s.clients[c] = struct{}{}
		s.oldest = append(s.oldest, c)
	}
}

func (s *varlinkServer) drop(c *varlinkClient) {
	if _, ok := s.clients[c]; !ok {
		return
	}
	delete(s.clients, c)
	for i, o := range s.oldest {
		if o == c {
			s.oldest = append(s.oldest[:i], s.oldest[i+1:]...)
			break
		}
	}
	s.m.sources.remove(c.fd)
	_ = unix.Close(c.fd)
}

// ready reads what there is and answers whole calls. A client is not read from while it doesn't take its answers.
func (s *varlinkServer) ready(c *varlinkClient, events uint32) {
	if len(c.out) == 0 && events&(unix.EPOLLIN|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		var buf [4096]byte
		n, err := unix.Read(c.fd, buf[:])
		switch {
		case err == unix.EAGAIN || err == unix.EINTR:
		case err != nil || n == 0 || len(c.in)+n > varlinkCallBytes:
			s.drop(c)
			return
		default:
			c.in = append(c.in, buf[:n]...)
		}
	} else if events&(unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		s.drop(c)
		return
	}
	if !s.answer(c) || !c.flush() {
		s.drop(c)
		return
	}
	wanted := uint32(unix.EPOLLIN)
	if len(c.out) > 0 || bytes.IndexByte(c.in, 0) >= 0 {
		wanted = unix.EPOLLOUT
	}
	_ = s.m.poll.Modify(c.fd, wanted)
}

// answer serves the whole calls that have come. It reports false for what is no call.
func (s *varlinkServer) answer(c *varlinkClient) bool {
	for range varlinkCallsMax {
		end := bytes.IndexByte(c.in, 0)
		if end < 0 || len(c.out) > 0 && end >= 0 && len(c.out) > varlinkCallBytes {
			return true
		}
		var call varlinkCall
		err := json.Unmarshal(c.in[:end], &call)
		c.in = append(c.in[:0], c.in[end+1:]...)
		if err != nil || call.Method == "" {
			return false
		}
		replies, failure := s.serve(call)
		if call.Oneway {
			continue
		}
		if failure != nil {
			params := failure.Parameters
			if params == nil {
				params = struct{}{}
			}
			c.queue(varlinkReply{Error: failure.Name, Parameters: params})
		}
		if !call.More && len(replies) > 1 {
			replies = replies[:1]
		}
		for i, r := range replies {
			c.queue(varlinkReply{Parameters: r, Continues: i < len(replies)-1})
		}
		if len(c.out) > varlinkOutBytes {
			return false
		}
	}
	return true
}

func (c *varlinkClient) queue(r varlinkReply) {
	text, err := json.Marshal(r)
	if err != nil {
		return // there is nothing in a reply that can't be written
	}
	c.out = append(append(c.out, text...), 0)
}

// flush sends what the socket takes.
func (c *varlinkClient) flush() bool {
	for len(c.out) > 0 {
		n, err := unix.SendmsgN(c.fd, c.out, nil, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return true
		case err != nil:
			return false
		default:
			c.out = c.out[n:]
		}
	}
	c.out = nil
	return true
}
