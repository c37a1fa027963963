package journal

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

const (
	// DefaultBacklog is how many bytes of entries wait for journald at most.
	DefaultBacklog = 256 << 10
	// maxEntry bounds one entry; journald refuses more than 768 MiB, we stop
	// where a message has become nonsense.
	maxEntry = 16 << 20
	// sendBuffer is asked for the socket, as sd_journal_send(3) does.
	sendBuffer = 8 << 20
	// entryOverhead is charged per waiting entry besides its bytes.
	entryOverhead = 64
)

// ErrNoJournal: nobody listens at the socket. Log elsewhere.
var ErrNoJournal = errors.New("journal: not running")

// Socket sends entries to journald. It never waits: while journald does not
// read, entries are kept up to a bound, then dropped and counted. It belongs
// to one goroutine.
type Socket struct {
	fd   int
	addr unix.SockaddrUnix

	backlog  int
	waiting  [][]byte
	bytes    int
	dropped  uint64
	reported uint64
}

// Open makes a sender for the socket at path, usually SocketPath. Nobody need
// listen there yet. backlog is in bytes, 0 means DefaultBacklog.
func Open(path string, backlog int) (*Socket, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("journal socket: %w", err)
	}
	// Without CAP_NET_ADMIN the smaller buffer of the second call will do.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, sendBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer)
	}
	if backlog <= 0 {
		backlog = DefaultBacklog
	}
	return &Socket{fd: fd, addr: unix.SockaddrUnix{Name: path}, backlog: backlog}, nil
}

// Close closes the socket; what waits is lost. It may be called twice.
func (s *Socket) Close() {
	if s.fd >= 0 {
		unix.Close(s.fd)
		s.fd = -1
	}
	s.waiting, s.bytes = nil, 0
}

// Send sends e, after what waits. nil means sent or kept for Flush, or, when
// too much waits, dropped and counted; ErrNoJournal that nobody listens. e may
// be reused at once.
func (s *Socket) Send(e *Entry) error {
	if len(e.buf) == 0 {
		return nil
	}
	if len(e.buf) > maxEntry {
		s.dropped++
		return fmt.Errorf("journal entry: %d bytes", len(e.buf))
	}
	if err := s.Flush(); err != nil {
		return err
	}
	if len(s.waiting) == 0 {
		err := s.send(e.buf)
		if err != unix.EAGAIN {
			return err
		}
	}
	if s.bytes+len(e.buf)+entryOverhead > s.backlog {
		s.dropped++
		return nil
	}
	s.waiting = append(s.waiting, append([]byte(nil), e.buf...))
	s.bytes += len(e.buf) + entryOverhead
	return nil
}

// Flush sends what waits, as far as journald takes it. Call it from the loop
// while Waiting says so, say every 100 ms: a datagram socket without a fixed
// peer cannot be watched for room. ErrNoJournal drops what waits.
func (s *Socket) Flush() error {
	n := 0
	var err error
	for ; n < len(s.waiting); n++ {
		if err = s.send(s.waiting[n]); err == unix.EAGAIN {
			break
		} else if err != nil && !errors.Is(err, ErrNoJournal) {
			s.dropped++ // this entry is the trouble, not the next
			continue
		} else if err != nil {
			s.dropped += uint64(len(s.waiting) - n)
			s.waiting, s.bytes = nil, 0
			return ErrNoJournal
		}
		s.bytes -= len(s.waiting[n]) + entryOverhead
	}
	if s.waiting = append(s.waiting[:0], s.waiting[n:]...); len(s.waiting) == 0 {
		s.waiting, s.bytes = nil, 0
	}
	return nil
}

// Waiting is the number of entries that wait for journald.
func (s *Socket) Waiting() int { return len(s.waiting) }

// Dropped is the number of entries lost so far.
func (s *Socket) Dropped() uint64 { return s.dropped }

// NewlyDropped is the number of entries lost since the last call, for a
// message about it.
func (s *Socket) NewlyDropped() uint64 {
	n := s.dropped - s.reported
	s.reported = s.dropped
	return n
}

// send writes one entry. The error is nil, EAGAIN, ErrNoJournal or another.
func (s *Socket) send(b []byte) error {
	err := s.sendmsg(b, nil)
	switch err {
	case nil, unix.EAGAIN:
		return err
	case unix.EMSGSIZE, unix.ENOBUFS:
		return s.sendMemfd(b)
	case unix.ENOENT, unix.ECONNREFUSED, unix.ENOTDIR:
		return ErrNoJournal
	}
	return fmt.Errorf("journal socket: %w", err)
}

func (s *Socket) sendmsg(b, oob []byte) error {
	for {
		_, err := unix.SendmsgN(s.fd, b, oob, &s.addr, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		if err != unix.EINTR {
			return err
		}
	}
}

// sendMemfd passes an entry that is too big for a datagram as a sealed memfd.
func (s *Socket) sendMemfd(b []byte) error {
	fd, err := unix.MemfdCreate("journal-entry", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return fmt.Errorf("journal entry: memfd: %w", err)
	}
	defer unix.Close(fd)
	for rest := b; len(rest) > 0; {
		n, err := unix.Write(fd, rest)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("journal entry: memfd: %w", err)
		}
		rest = rest[n:]
	}
	const seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		return fmt.Errorf("journal entry: seal: %w", err)
	}
	switch err := s.sendmsg(nil, unix.UnixRights(fd)); err {
	case nil, unix.EAGAIN:
		return err
	case unix.ENOENT, unix.ECONNREFUSED, unix.ENOTDIR:
		return ErrNoJournal
	default:
		return fmt.Errorf("journal entry: %w", err)
	}
}
