package bus

import (
	"maps"
	"slices"
)

// ReplyFunc takes the answer to a call. For an error reply err is an *Error
// and reply is that message; for a call that got none, because of a timeout or
// the end of the connection, reply is nil.
type ReplyFunc func(reply *Message, err error)

type pendingCall struct {
	deadlineUSec uint64
	done         ReplyFunc
}

// Call queues m and has done called once with its answer: by Deliver, by
// Expire when deadlineUSec (0: never) is over, or by Close. done is never
// called before Call returns, and not at all when Call returns an error.
func (c *Conn) Call(m *Message, deadlineUSec uint64, done ReplyFunc) (serial uint32, err error) {
	if len(c.pending) >= c.limits.PendingCalls {
		return 0, ErrTooManyCalls
	}
	if serial, err = c.Queue(m); err != nil {
		return 0, err
	}
	if c.pending == nil {
		c.pending = map[uint32]pendingCall{}
	}
	c.pending[serial] = pendingCall{deadlineUSec: deadlineUSec, done: done}
	return serial, nil
}

// Deliver hands m, if it answers a call made with Call, to that call's
// function and returns true. A reply nobody waits for is dropped and gives
// true as well; what is no reply gives false.
func (c *Conn) Deliver(m *Message) bool {
	if m.Type != TypeReply && m.Type != TypeError {
		return false
	}
	p, ok := c.pending[m.ReplySerial]
	if !ok {
		m.CloseFDs()
		return true
	}
	delete(c.pending, m.ReplySerial)
	p.done(m, m.AsError())
	return true
}

// Forget ends the wait for a call; its function will not be called.
func (c *Conn) Forget(serial uint32) { delete(c.pending, serial) }

// PendingCalls is the number of calls that wait for an answer.
func (c *Conn) PendingCalls() int { return len(c.pending) }

// NextDeadline is the earliest time in µs at which Expire has something to do,
// 0 when there is none.
func (c *Conn) NextDeadline() uint64 {
	next := c.authDeadline
	for _, p := range c.pending {
		if p.deadlineUSec != 0 && (next == 0 || p.deadlineUSec < next) {
			next = p.deadlineUSec
		}
	}
	return next
}

// Expire ends, in the order they were made, the calls whose deadline is not
// after nowUSec, and fails when the handshake should have been over.
func (c *Conn) Expire(nowUSec uint64) error {
	if c.err != nil {
		return c.err
	}
	if c.authDeadline != 0 && c.authDeadline <= nowUSec {
		return c.fail(ErrAuthTimeout)
	}
	var over []uint32
	for serial, p := range c.pending {
		if p.deadlineUSec != 0 && p.deadlineUSec <= nowUSec {
			over = append(over, serial)
		}
	}
	slices.Sort(over)
	for _, serial := range over {
		if p, ok := c.pending[serial]; ok {
			delete(c.pending, serial)
			p.done(nil, &Error{Name: ErrNoReply, Message: "no reply within the time allowed"})
		}
	}
	return nil
}

// failPending ends all calls, in the order they were made.
func (c *Conn) failPending(err error) {
	pending := c.pending
	c.pending = nil
	for _, serial := range slices.Sorted(maps.Keys(pending)) {
		pending[serial].done(nil, &Error{Name: ErrDisconnected, Message: err.Error()})
	}
}
