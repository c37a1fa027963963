package bus

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// maxWrite bounds one sendmsg, so that a big queue does not hold the loop.
const maxWrite = 256 << 10

// idleOutput is the largest output buffer a connection keeps when it is empty.
const idleOutput = 16 << 10

// directBytes is the size from which a body is not copied into the queue if the
// socket takes it at once.
const directBytes = 4 << 10

// Queue appends m to the output and returns its serial, which it chooses when
// m.Serial is 0. Nothing of m is kept: body and descriptors are copied, the
// caller's descriptors stay the caller's.
//
// On the server side nothing can be queued before the handshake is over. An
// error that ends the connection is also kept in Err.
func (c *Conn) Queue(m *Message) (serial uint32, err error) {
	if err := c.canQueue(); err != nil {
		return 0, err
	}
	if len(m.FDs) > 0 && c.ready && !c.fdPass {
		return 0, errors.New("message: the peer does not take file descriptors")
	}
	asked := m.Serial
	if asked == 0 {
		m.Serial = c.nextSerial()
	}
	serial = m.Serial
	c.compact()
	if len(m.Body) >= directBytes && len(m.FDs) == 0 && c.ready && len(c.hello) == 0 && c.outPos == len(c.out) {
		err = c.queueDirect(m)
		m.Serial = asked
		return serial, err
	}
	start := len(c.out)
	c.out, err = m.Append(c.out)
	m.Serial = asked
	if err != nil {
		return 0, err
	}
	if len(m.FDs) > 0 {
		if err := c.queueFDs(m.FDs, start); err != nil {
			c.out = c.out[:start]
			return 0, err
		}
	}
	return serial, c.checkQueue()
}

// queueDirect sends a large message from where it is, with an empty queue, and
// queues what the socket does not take.
func (c *Conn) queueDirect(m *Message) error {
	header, err := m.appendHeader(c.out[:0])
	if err != nil {
		return err
	}
	c.out, c.outPos = header[:0], 0
	body := m.Body
	for len(header)+len(body) > 0 {
		some := body[:min(len(body), maxWrite)]
		n, err := c.send2(header, some)
		if err != nil {
			return err
		}
		c.sent += uint64(n)
		full := n < len(header)+len(some)
		taken := min(n, len(header))
		header, body = header[taken:], body[n-taken:]
		if full {
			break
		}
	}
	if len(header)+len(body) > 0 {
		rest := make([]byte, 0, len(header)+len(body))
		c.out = append(append(rest, header...), body...)
	}
	return c.checkQueue()
}

// QueueRaw appends an encoded little-endian message after giving it a serial
// of this connection. It is for signals that go to many connections: encode
// once with Message.Append. raw is changed, but not kept. It must announce no
// descriptors.
func (c *Conn) QueueRaw(raw []byte) (serial uint32, err error) {
	if err := c.canQueue(); err != nil {
		return 0, err
	}
	if len(raw) < fixedHeaderBytes || raw[0] != 'l' {
		return 0, errors.New("message: not an encoded little-endian message")
	}
	serial = c.nextSerial()
	binary.LittleEndian.PutUint32(raw[8:], serial)
	c.compact()
	c.out = append(c.out, raw...)
	return serial, c.checkQueue()
}

func (c *Conn) canQueue() error {
	if c.err != nil {
		return c.err
	}
	if !c.ready && c.isSrv {
		return ErrNotReady
	}
	return nil
}

func (c *Conn) checkQueue() error {
	if len(c.out)-c.outPos > c.limits.QueueBytes {
		return c.fail(ErrQueueFull)
	}
	return nil
}

func (c *Conn) nextSerial() uint32 {
	if c.serial++; c.serial == 0 {
		c.serial = 1
	}
	return c.serial
}

// queueFDs duplicates fds to go out with the byte at offset start of out.
func (c *Conn) queueFDs(fds []int, start int) error {
	q := queuedFDs{at: c.sent + uint64(start-c.outPos)}
	for _, fd := range fds {
		dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			closeAll(q.fds)
			return fmt.Errorf("file descriptor %d: %w", fd, err)
		}
		q.fds = append(q.fds, dup)
	}
	c.outFDs = append(c.outFDs, q)
	return nil
}

// compact moves unsent output to the front when most of the buffer is sent.
func (c *Conn) compact() {
	if c.outPos > 4096 && c.outPos > len(c.out)/2 {
		c.out = c.out[:copy(c.out, c.out[c.outPos:])]
		c.outPos = 0
	}
}

// OnWritable sends what the socket takes.
func (c *Conn) OnWritable() error {
	if c.err != nil {
		return c.err
	}
	for len(c.hello) > 0 {
		n, err := c.send(c.hello, nil)
		if err != nil {
			return err
		}
		if n == 0 {
			return nil
		}
		c.hello = c.hello[n:]
	}
	if !c.ready {
		return nil
	}
	for c.outPos < len(c.out) {
		full, err := c.sendSome()
		if err != nil || full {
			return err
		}
	}
	if c.out = c.out[:0]; cap(c.out) > idleOutput {
		c.out = nil
	}
	c.outPos = 0
	return nil
}

// sendSome does one sendmsg from the queue. full is true when the socket takes
// no more. Descriptors go out with the first byte of their message, alone: a
// send never spans the start of a later message that has some.
func (c *Conn) sendSome() (full bool, err error) {
	b := c.out[c.outPos:]
	var fds []int
	next := 0
	if len(c.outFDs) > 0 && c.outFDs[0].at == c.sent {
		if !c.fdPass {
			return false, c.fail(errors.New("message: the peer does not take file descriptors"))
		}
		fds, next = c.outFDs[0].fds, 1
	}
	if len(c.outFDs) > next {
		b = b[:min(len(b), int(c.outFDs[next].at-c.sent))]
	}
	b = b[:min(len(b), maxWrite)]
	n, err := c.send(b, fds)
	if err != nil || n == 0 {
		return n == 0, err
	}
	if fds != nil {
		closeAll(fds)
		c.outFDs = c.outFDs[1:]
		if len(c.outFDs) == 0 {
			c.outFDs = nil
		}
	}
	c.outPos += n
	c.sent += uint64(n)
	return n < len(b), nil
}

// send writes without blocking. n is 0 when the socket is full.
func (c *Conn) send(b []byte, fds []int) (n int, err error) {
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	for {
		n, err = unix.SendmsgN(c.fd, b, oob, nil, sendFlags)
		if again, err := c.sendError(err); !again {
			return max(n, 0), err
		}
	}
}

const sendFlags = unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL

// send2 is send for two pieces.
func (c *Conn) send2(a, b []byte) (n int, err error) {
	for {
		n, err = unix.SendmsgBuffers(c.fd, [][]byte{a, b}, nil, nil, sendFlags)
		if again, err := c.sendError(err); !again {
			return max(n, 0), err
		}
	}
}

// sendError says what an error of sendmsg means: to try again, nothing, or the
// end of the connection.
func (c *Conn) sendError(err error) (again bool, _ error) {
	switch err {
	case nil:
		return false, nil
	case unix.EINTR:
		return true, nil
	case unix.EAGAIN, unix.ENOTCONN, unix.EINPROGRESS:
		// The socket is full, or the connection still being made.
		return false, nil
	}
	return false, c.fail(fmt.Errorf("connection: write: %w", err))
}
