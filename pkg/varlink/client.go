package varlink

import (
	"encoding/json"
	"fmt"

	"golang.org/x/sys/unix"
)

// reportBytes bounds what waits for a server that doesn't read.
const reportBytes = 1 << 20

// Client reports to a server by calls that get no answer.
type Client struct {
	poll Poll
	fd   int
	out  []byte
	gone func()
}

// Dial connects to the server at path without waiting; gone is called once, when the connection is lost.
func Dial(poll Poll, path string, gone func()) (*Client, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	c := &Client{poll: poll, fd: fd, gone: gone}
	if err = unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err == nil {
		err = poll.Add(fd, unix.EPOLLIN, c.ready)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// Send calls a method. A server for which too much waits by then is given up.
func (c *Client) Send(method string, params any) {
	if c.fd < 0 {
		return
	}
	text, err := json.Marshal(params)
	if err == nil {
		text, err = json.Marshal(request{Method: method, Parameters: text, Oneway: true})
	}
	if err != nil {
		return // there is nothing in a report that can't be written
	}
	c.out = append(append(c.out, text...), 0)
	c.flush()
}

func (c *Client) ready(events uint32) {
	if events&unix.EPOLLIN != 0 {
		var buf [4096]byte // nothing is waited for, so what comes is of no interest
		n, err := unix.Read(c.fd, buf[:])
		if n == 0 || err != nil && err != unix.EAGAIN && err != unix.EINTR {
			c.close()
			return
		}
	} else if events&(unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		c.close()
		return
	}
	c.flush()
}

func (c *Client) flush() {
	ok := true
	if c.out, ok = send(c.fd, c.out); !ok || len(c.out) > reportBytes {
		c.close()
		return
	}
	wanted := uint32(unix.EPOLLIN)
	if len(c.out) > 0 {
		wanted |= unix.EPOLLOUT
	}
	_ = c.poll.Modify(c.fd, wanted)
}

func (c *Client) close() {
	if c.fd < 0 {
		return
	}
	c.poll.Remove(c.fd)
	_ = unix.Close(c.fd)
	c.fd = -1
	c.gone()
}
