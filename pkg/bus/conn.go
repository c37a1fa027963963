package bus

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"golang.org/x/sys/unix"
)

// Limits of one connection. Zero fields take the default.
type Limits struct {
	// MessageBytes is the longest message accepted. Default 16 MiB.
	MessageBytes int
	// QueueBytes is how much may wait for the peer to read. Default 64 MiB.
	// A peer that falls behind further has lost the connection.
	QueueBytes int
	// HoldBytes is the amount of waiting output above which WantsRead says
	// no: the peer's own calls wait until it has read some of its replies.
	// Default 1 MiB.
	HoldBytes int
	// ReadBytes is how much one OnReadable reads before it returns to the
	// loop. Default 256 KiB.
	ReadBytes int
	// PendingCalls is how many calls of ours may wait for a reply.
	// Default 4096.
	PendingCalls int
}

func (l *Limits) setDefaults() {
	def := func(p *int, v int) {
		if *p <= 0 {
			*p = v
		}
	}
	def(&l.MessageBytes, 16<<20)
	def(&l.QueueBytes, 64<<20)
	def(&l.HoldBytes, 1<<20)
	def(&l.ReadBytes, 256<<10)
	def(&l.PendingCalls, 4096)
	l.MessageBytes = min(l.MessageBytes, MaxMessageBytes)
}

// Peer is who is at the other end of a socket.
type Peer struct {
	PID int32
	UID uint32
	GID uint32
}

// PeerOf asks the kernel who connected the socket fd (SO_PEERCRED).
func PeerOf(fd int) (Peer, error) {
	c, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return Peer{}, fmt.Errorf("peer credentials: %w", err)
	}
	return Peer{PID: c.Pid, UID: c.Uid, GID: c.Gid}, nil
}

// ServerConfig is what the server side of a connection is told.
type ServerConfig struct {
	Limits Limits
	// GUID is the server id, 32 hex digits.
	GUID string
	// Peer is who connected; EXTERNAL is checked against its UID.
	Peer Peer
	// AllowAnonymous accepts ANONYMOUS.
	AllowAnonymous bool
	// RefuseFDs refuses descriptor passing.
	RefuseFDs bool
	// AuthDeadlineUSec is the time, on the clock the caller gives to Expire,
	// by which the handshake must be over. 0 means never.
	AuthDeadlineUSec uint64
}

// Errors of a connection. Each ends it.
var (
	// ErrQueueFull: the peer does not read what it asked for.
	ErrQueueFull = errors.New("connection: output queue is full")
	// ErrClosed: the connection was closed on this side.
	ErrClosed = errors.New("connection: closed")
	// ErrAuthTimeout: the handshake took too long.
	ErrAuthTimeout = errors.New("connection: authentication timed out")
	// ErrNotReady: the handshake is not over, nothing can be sent yet.
	ErrNotReady = errors.New("connection: not authenticated yet")
	// ErrTooManyCalls: PendingCalls calls wait for a reply. It does not end
	// the connection.
	ErrTooManyCalls = errors.New("connection: too many calls wait for a reply")
)

// Conn is one connection, driven by a loop that watches its socket:
//
//   - when it is readable and WantsRead, call OnReadable;
//   - when it is writable and WantsWrite, call OnWritable; calling it once at
//     the end of each turn saves most wakeups;
//   - at NextDeadline, call Expire.
//
// An error from any of them is final: Close the connection. Nothing blocks.
// A Conn belongs to one goroutine.
//
// Readiness is level-triggered: OnReadable may leave bytes in the socket.
type Conn struct {
	fd     int
	peer   Peer
	limits Limits
	server *serverAuth // until authenticated, server side
	client *clientAuth // until authenticated, client side
	isSrv  bool
	guid   string
	ready  bool
	fdPass bool
	err    error // what ended the connection

	authDeadline uint64

	in    []byte
	inFDs []int
	oob   []byte

	out    []byte
	outPos int
	sent   uint64 // bytes sent since the start: stream position of outPos
	outFDs []queuedFDs
	hello  []byte // handshake bytes, sent before out
	room   int    // unread bytes at which the kernel calls the socket writable; 0: not known yet

	serial  uint32
	pending map[uint32]pendingCall
}

// queuedFDs are descriptors to go out with the byte at stream position at.
type queuedFDs struct {
	at  uint64
	fds []int
}

// NewServerConn makes the server side of a connection on the stream socket fd,
// which must be non-blocking and becomes the Conn's.
func NewServerConn(fd int, cfg ServerConfig) (*Conn, error) {
	if !validGUID(cfg.GUID) {
		return nil, fmt.Errorf("server id %q: not 32 hex digits", cfg.GUID)
	}
	cfg.Limits.setDefaults()
	return &Conn{
		fd: fd, peer: cfg.Peer, limits: cfg.Limits, guid: cfg.GUID, isSrv: true,
		authDeadline: cfg.AuthDeadlineUSec,
		server: &serverAuth{
			guid: cfg.GUID, uid: cfg.Peer.UID, anonymous: cfg.AllowAnonymous, noFDs: cfg.RefuseFDs,
		},
	}, nil
}

// NewClientConn makes the client side of a connection on the stream socket fd,
// which must be non-blocking and becomes the Conn's. The connection may still
// be in progress. Messages may be queued at once; they are sent when the
// server has accepted us. authDeadlineUSec as in ServerConfig.
func NewClientConn(fd int, limits Limits, authDeadlineUSec uint64) *Conn {
	limits.setDefaults()
	return &Conn{
		fd: fd, limits: limits, client: &clientAuth{}, hello: []byte(clientHello), authDeadline: authDeadlineUSec,
	}
}

// FD is the socket.
func (c *Conn) FD() int { return c.fd }

// Peer is who is at the other end, as given to NewServerConn.
func (c *Conn) Peer() Peer { return c.peer }

// GUID is the server's id; on the client side empty until Ready.
func (c *Conn) GUID() string { return c.guid }

// Ready reports whether the handshake is over.
func (c *Conn) Ready() bool { return c.ready }

// CanPassFDs reports whether both sides agreed to pass descriptors.
func (c *Conn) CanPassFDs() bool { return c.fdPass }

// Err is what ended the connection, or nil.
func (c *Conn) Err() error { return c.err }

func (c *Conn) fail(err error) error {
	if c.err == nil {
		c.err = err
	}
	return c.err
}

// Close closes the socket and all descriptors that were received or queued,
// and ends every pending call with an error. It may be called twice.
func (c *Conn) Close() {
	c.fail(ErrClosed)
	if c.fd >= 0 {
		unix.Close(c.fd)
		c.fd = -1
	}
	closeAll(c.inFDs)
	for _, q := range c.outFDs {
		closeAll(q.fds)
	}
	c.in, c.inFDs, c.out, c.outFDs, c.hello, c.oob = nil, nil, nil, nil, nil, nil
	c.outPos = 0
	c.failPending(c.err)
}

// WantsRead reports whether the loop shall watch for input. It is false while
// the peer leaves too many replies unread.
func (c *Conn) WantsRead() bool {
	return c.err == nil && len(c.out)-c.outPos <= c.limits.HoldBytes
}

// WantsWrite reports whether there is output to be sent.
func (c *Conn) WantsWrite() bool {
	return c.err == nil && (len(c.hello) > 0 || c.ready && len(c.out) > c.outPos)
}

// QueuedBytes is how much output waits.
func (c *Conn) QueuedBytes() int { return len(c.out) - c.outPos }

// Behind reports whether the peer has left so much unread that the kernel
// doesn't call the socket writable, or that output waits here. The socket
// becomes writable when it has read enough, with or without output here.
func (c *Conn) Behind() bool {
	if c.WantsWrite() {
		return true
	}
	if c.err != nil {
		return false
	}
	if c.room == 0 {
		size, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_SNDBUF)
		c.room = max(1, size/4) // the kernel's bound for sockets of this kind
		if err != nil {
			return false
		}
	}
	unread, err := unix.IoctlGetInt(c.fd, unix.TIOCOUTQ)
	return err == nil && unread > c.room
}

// OnReadable reads what is there and returns the messages that are complete,
// in the order they were sent. Replies to our calls are among them, see
// Deliver. Messages may come together with an error: they were sent before
// the connection ended. The end of the connection is io.EOF.
func (c *Conn) OnReadable() ([]*Message, error) {
	if c.err != nil {
		return nil, c.err
	}
	var msgs []*Message
	for budget := c.limits.ReadBytes; budget > 0; {
		n, full, err := c.read()
		if err == unix.EAGAIN {
			break
		}
		if err != nil {
			return msgs, c.fail(err)
		}
		if msgs, err = c.consume(msgs); err != nil {
			return msgs, c.fail(err)
		}
		if !full {
			break
		}
		budget -= n
	}
	if len(c.in) == 0 && cap(c.in) > readBytes {
		c.in = nil
	}
	return msgs, nil
}

// readBytes is the size of the input buffer of a quiet connection.
const readBytes = 4096

// read does one recvmsg. full is false when the socket is probably empty.
func (c *Conn) read() (n int, full bool, err error) {
	c.growInput()
	if c.fdPass && c.oob == nil {
		c.oob = make([]byte, unix.CmsgSpace(4*MaxFDs))
	}
	free := c.in[len(c.in):cap(c.in)]
	var oobn, flags int
	for {
		n, oobn, flags, _, err = unix.Recvmsg(c.fd, free, c.oob, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil {
		if err == unix.EAGAIN {
			return 0, false, unix.EAGAIN
		}
		return 0, false, fmt.Errorf("connection: read: %w", err)
	}
	if oobn > 0 {
		if err := c.takeFDs(c.oob[:oobn]); err != nil {
			return 0, false, err
		}
	}
	if flags&unix.MSG_CTRUNC != 0 && c.fdPass {
		return 0, false, errors.New("connection: file descriptors were lost")
	}
	if n == 0 {
		return 0, false, io.EOF
	}
	c.in = c.in[:len(c.in)+n]
	return n, n == len(free) || oobn > 0, nil
}

// growInput makes room for a read. Room grows with what has arrived, not with
// what the peer announces.
func (c *Conn) growInput() {
	if len(c.in) < cap(c.in) {
		return
	}
	size := max(readBytes, 2*cap(c.in))
	if f, ok, err := parseFrame(c.in, c.limits.MessageBytes); ok && err == nil && c.ready && f.total > len(c.in) {
		size = min(size, max(readBytes, f.total))
	}
	c.in = slices.Grow(c.in, size-len(c.in))
}

// takeFDs collects received descriptors. Those that came before are the same
// message's or an earlier one's, so they stay in order.
func (c *Conn) takeFDs(oob []byte) error {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return fmt.Errorf("connection: control message: %w", err)
	}
	for i := range msgs {
		if msgs[i].Header.Level != unix.SOL_SOCKET || msgs[i].Header.Type != unix.SCM_RIGHTS {
			continue
		}
		fds, err := unix.ParseUnixRights(&msgs[i])
		if err != nil {
			return fmt.Errorf("connection: control message: %w", err)
		}
		c.inFDs = append(c.inFDs, fds...)
	}
	return nil
}

// consume turns input into messages, or advances the handshake.
func (c *Conn) consume(msgs []*Message) ([]*Message, error) {
	pos := 0
	if !c.ready {
		used, err := c.handshake()
		if err != nil {
			return msgs, err
		}
		pos = used
	}
	for c.ready {
		f, ok, err := parseFrame(c.in[pos:], c.limits.MessageBytes)
		if err != nil {
			return msgs, err
		}
		if !ok || len(c.in)-pos < f.total {
			break
		}
		m, nfds, err := f.parse(c.in[pos : pos+f.total])
		if err != nil {
			return msgs, err
		}
		if nfds > len(c.inFDs) {
			return msgs, fmt.Errorf("message: %d file descriptors announced, %d came", nfds, len(c.inFDs))
		}
		if nfds > 0 {
			m.FDs = append([]int(nil), c.inFDs[:nfds]...)
			c.inFDs = append(c.inFDs[:0], c.inFDs[nfds:]...)
		}
		pos += f.total
		if m.Type > TypeSignal { // unknown types are to be ignored
			m.CloseFDs()
			continue
		}
		msgs = append(msgs, m)
	}
	c.in = c.in[:copy(c.in, c.in[pos:])]
	if len(c.inFDs) > MaxFDs || len(c.in) == 0 && len(c.inFDs) > 0 {
		return msgs, errors.New("connection: file descriptors that no message announces")
	}
	return msgs, nil
}

// handshake feeds input to the authentication.
func (c *Conn) handshake() (used int, err error) {
	done := false
	if c.isSrv {
		var out []byte
		used, out, done, err = c.server.feed(c.in)
		c.hello = append(c.hello, out...)
		if done {
			c.fdPass = c.server.fds
		}
	} else {
		used, done, err = c.client.feed(c.in)
		if done {
			c.fdPass, c.guid = c.client.fds, c.client.guid
		}
	}
	if done {
		c.ready, c.server, c.client, c.authDeadline = true, nil, nil, 0
	}
	return used, err
}
