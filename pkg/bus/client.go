package bus

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// DefaultTimeout is how long Client waits where no time is given, as
// sd-bus does.
const DefaultTimeout = 25 * time.Second

// Client is a blocking connection for tools. Calls are sent and answered in
// order; signals that come in meanwhile go to OnSignal. It belongs to one
// goroutine.
type Client struct {
	conn *Conn
	// Timeout bounds each call. 0 means DefaultTimeout, a negative value no
	// bound.
	Timeout time.Duration
	// OnSignal takes signals, in order, while a method of Client waits. Nil
	// drops them. It may not call the Client.
	OnSignal func(*Message)
	// OnCall takes method calls of the peer. Nil refuses them.
	OnCall func(*Message)

	name     string // unique name on a bus, empty on a direct connection
	signaled bool   // a signal came since Process returned
}

// Dial connects to the first address of the list that answers. It is for
// direct connections; on a bus call Hello next, or use DialBus.
func Dial(address string) (*Client, error) {
	list, err := ParseAddress(address)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, a := range list {
		sa, err := a.Socket(os.Getenv)
		if err == nil {
			var c *Client
			if c, err = dialSocket(sa); err == nil {
				if err = c.checkGUID(a.Keys["guid"]); err == nil {
					return c, nil
				}
				c.Close()
			}
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// DialPath connects to a socket in the file system, such as
// /run/systemd/private.
func DialPath(path string) (*Client, error) {
	return dialSocket(&unix.SockaddrUnix{Name: path})
}

// DialBus connects to a bus and says Hello.
func DialBus(address string) (*Client, error) {
	c, err := Dial(address)
	if err != nil {
		return nil, err
	}
	if err := c.Hello(); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// DialSystem connects to the system bus.
func DialSystem() (*Client, error) { return DialBus(SystemAddress()) }

// DialUser connects to the user's session bus.
func DialUser() (*Client, error) {
	a := UserAddress()
	if a == "" {
		return nil, errors.New("user bus: neither $DBUS_SESSION_BUS_ADDRESS nor $XDG_RUNTIME_DIR is set")
	}
	return DialBus(a)
}

func dialSocket(sa *unix.SockaddrUnix) (*Client, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	// Connecting may wait for room in the backlog; the rest never blocks.
	for {
		if err = unix.Connect(fd, sa); err != unix.EINTR {
			break
		}
	}
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("%s: %w", sa.Name, err)
	}
	return NewClient(fd)
}

// NewClient makes a Client on a connected stream socket, which becomes the
// Client's, and waits for the handshake to be over.
func NewClient(fd int) (*Client, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("socket: %w", err)
	}
	// Tools may receive what a big manager has to say in one message, and
	// never mind how much they queue.
	limits := Limits{MessageBytes: MaxMessageBytes, QueueBytes: 2 * MaxMessageBytes, HoldBytes: 2 * MaxMessageBytes}
	c := &Client{conn: NewClientConn(fd, limits, 0)}
	deadline := c.deadline()
	for !c.conn.Ready() {
		if err := c.turn(deadline); err != nil {
			c.Close()
			return nil, err
		}
	}
	return c, nil
}

var errNoAnswer = &Error{Name: ErrNoReply, Message: "no answer within the time allowed"}

func (c *Client) checkGUID(want string) error {
	if want != "" && want != c.conn.GUID() {
		return fmt.Errorf("server id %s: not the one of the address, %s", c.conn.GUID(), clip(want))
	}
	return nil
}

// Close ends the connection. What was queued and not sent is lost.
func (c *Client) Close() { c.conn.Close() }

// FD is the socket, for a caller that polls by itself; see Process.
func (c *Client) FD() int { return c.conn.FD() }

// Name is the unique name a bus gave us, empty on a direct connection.
func (c *Client) Name() string { return c.name }

// Hello introduces the connection to a bus.
func (c *Client) Hello() error {
	r, err := c.Call(NewCall("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello"))
	if err != nil {
		return err
	}
	d, err := r.Args("s")
	if err != nil {
		return err
	}
	c.name = d.String()
	return d.Done()
}

// AddMatch asks the bus for the signals that rule matches.
func (c *Client) AddMatch(rule string) error {
	m := NewCall("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "AddMatch")
	var e Encoder
	e.String(rule)
	m.SetBody("s", &e)
	_, err := c.Call(m)
	return err
}

// Send queues m and sends it without waiting for an answer.
func (c *Client) Send(m *Message) error {
	if _, err := c.conn.Queue(m); err != nil {
		return err
	}
	for deadline := c.deadline(); ; {
		if err := c.conn.OnWritable(); err != nil {
			return disconnected(err)
		}
		if !c.conn.WantsWrite() {
			return nil
		}
		if err := c.turn(deadline); err != nil {
			return err
		}
	}
}

// Call sends m and waits for its answer. An error reply is an *Error; when
// the connection breaks the error is an *Error named ErrDisconnected, and
// ErrNoReply after Timeout.
func (c *Client) Call(m *Message) (*Message, error) {
	replies, err := c.CallAll([]*Message{m})
	if err != nil {
		return nil, err
	}
	return replies[0].Message, replies[0].Err
}

// Reply is the answer to one of CallAll's calls: one of the two is set, both
// for an error reply.
type Reply struct {
	Message *Message
	Err     error
}

// CallAll sends all calls at once and waits for all answers: one round trip
// instead of many. Timeout bounds the whole. The error is about the
// connection; what a call itself was answered is in its Reply.
func (c *Client) CallAll(calls []*Message) ([]Reply, error) {
	replies := make([]Reply, len(calls))
	waiting := 0
	serials := make([]uint32, 0, len(calls))
	defer func() {
		for _, s := range serials {
			c.conn.Forget(s)
		}
	}()
	deadline := c.deadline()
	for i, m := range calls {
		serial, err := c.conn.Call(m, 0, func(r *Message, err error) {
			replies[i] = Reply{Message: r, Err: err}
			waiting--
		})
		if err != nil {
			return nil, err
		}
		serials = append(serials, serial)
		waiting++
		for c.conn.PendingCalls() >= c.conn.limits.PendingCalls {
			if err := c.turn(deadline); err != nil {
				return nil, err
			}
		}
	}
	for waiting > 0 {
		if err := c.turn(deadline); err != nil {
			return nil, err
		}
		// A peer that keeps us busy with signals does not move the deadline.
		if waiting > 0 && !deadline.IsZero() && time.Now().After(deadline) {
			return nil, errNoAnswer
		}
	}
	return replies, nil
}

// CallArgs calls member of iface with Go values and returns the answer's
// values; see Encoder.Append and Decoder.Decode for their types. Descriptors
// in the answer are the caller's.
func (c *Client) CallArgs(destination string, path ObjectPath, iface, member string, args ...any) ([]any, error) {
	m := NewCall(destination, path, iface, member)
	var e Encoder
	sig := e.Append(args...)
	if err := e.Err(); err != nil {
		return nil, err
	}
	m.SetBody(sig, &e)
	r, err := c.Call(m)
	if err != nil {
		return nil, err
	}
	return r.DecodeArgs()
}

// Process handles input for at most wait (negative: without bound), and
// returns as soon as anything was handled. It returns false when the time was
// over first. A signal that came while a call waited for its answer counts: who
// has asked for a state and then waits for a change of it misses none.
func (c *Client) Process(wait time.Duration) (bool, error) {
	if c.signaled {
		c.signaled = false
		return true, nil
	}
	var deadline time.Time
	if wait >= 0 {
		deadline = time.Now().Add(wait)
	}
	err := c.turn(deadline)
	c.signaled = false
	if HasName(err, ErrNoReply) {
		return false, nil
	}
	return err == nil, err
}

func (c *Client) deadline() time.Time {
	switch {
	case c.Timeout < 0:
		return time.Time{}
	case c.Timeout == 0:
		return time.Now().Add(DefaultTimeout)
	}
	return time.Now().Add(c.Timeout)
}

// turn waits once for the socket and handles what there is.
func (c *Client) turn(deadline time.Time) error {
	if err := c.conn.OnWritable(); err != nil {
		return disconnected(err)
	}
	p := []unix.PollFd{{Fd: int32(c.conn.FD()), Events: unix.POLLIN}}
	if c.conn.WantsWrite() {
		p[0].Events |= unix.POLLOUT
	}
	ms := -1
	if !deadline.IsZero() {
		left := time.Until(deadline)
		ms = max(0, int((left+time.Millisecond-1)/time.Millisecond))
	}
	n, err := unix.Poll(p, ms)
	switch {
	case err == unix.EINTR:
		return nil
	case err != nil:
		return fmt.Errorf("poll: %w", err)
	case n == 0:
		return errNoAnswer
	}
	if p[0].Revents&^unix.POLLOUT == 0 {
		return nil
	}
	msgs, err := c.conn.OnReadable()
	for _, m := range msgs {
		c.handle(m)
	}
	if err != nil {
		return disconnected(err)
	}
	return nil
}

func disconnected(err error) error {
	return &Error{Name: ErrDisconnected, Message: "connection ended: " + err.Error()}
}

func (c *Client) handle(m *Message) {
	switch {
	case c.conn.Deliver(m):
	case m.Type == TypeSignal && c.OnSignal != nil:
		c.signaled = true
		c.OnSignal(m)
	case m.Type == TypeCall && c.OnCall != nil:
		c.OnCall(m)
	default:
		if m.WantsReply() {
			// The connection's own error shows on the next turn.
			_, _ = c.conn.Queue(m.ErrorReply(Errorf(ErrUnknownObject, "no object at %s", m.Path)))
		}
		m.CloseFDs()
	}
}
