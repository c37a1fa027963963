package kernel

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// SetCloexec sets or clears close-on-exec of fd.
func SetCloexec(fd int, on bool) error {
	flags := 0
	if on {
		flags = unix.FD_CLOEXEC
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, flags); err != nil {
		return fmt.Errorf("fd %d: close-on-exec: %w", fd, err)
	}
	return nil
}

// SetNonblock sets or clears O_NONBLOCK of the open file behind fd.
func SetNonblock(fd int, on bool) error {
	if err := unix.SetNonblock(fd, on); err != nil {
		return fmt.Errorf("fd %d: non-blocking: %w", fd, err)
	}
	return nil
}

// CloseFD closes fd if it is one; for descriptors that have nothing to report.
func CloseFD(fd int) {
	if fd >= 0 {
		_ = unix.Close(fd)
	}
}

// CopyFD duplicates fd to a number that is none of the standard streams, close-on-exec.
func CopyFD(fd int) (int, error) {
	const first = 3
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, first)
	if err != nil {
		return -1, fmt.Errorf("fd %d: duplicate: %w", fd, err)
	}
	return n, nil
}

// A StatusPipe tells whether a child came to its execve. The child holds the
// write end, close-on-exec: the execve closes it, and a child (or its executor)
// that cannot execute writes up to [StatusPipeBytes] about why before it ends.
type StatusPipe struct {
	// R is non-blocking; watch it with EPOLLIN and [StatusPipe.Read].
	R int
	// W is for the child only: pass it as it is, and call CloseWrite after the
	// Spawn.
	W int

	got []byte
}

// StatusPipeBytes bounds what a child may say about its failure.
const StatusPipeBytes = 4096

// NewStatusPipe makes the pipe. Both ends are close-on-exec.
func NewStatusPipe() (*StatusPipe, error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return nil, fmt.Errorf("status pipe: %w", err)
	}
	if err := unix.SetNonblock(p[0], true); err != nil {
		_, _ = unix.Close(p[0]), unix.Close(p[1])
		return nil, fmt.Errorf("status pipe: %w", err)
	}
	return &StatusPipe{R: p[0], W: p[1]}, nil
}

// CloseWrite closes our copy of the write end.
func (p *StatusPipe) CloseWrite() {
	CloseFD(p.W)
	p.W = -1
}

// Read returns done when every write end is closed: the child executed if
// message is empty (and it is still alive or said nothing), otherwise message is
// what it wrote.
func (p *StatusPipe) Read() (done bool, message []byte) {
	var b [512]byte
	for {
		n, err := unix.Read(p.R, b[:])
		switch {
		case err == unix.EINTR:
			continue
		case errors.Is(err, unix.EAGAIN):
			return false, nil
		case err != nil || n == 0:
			return true, p.got
		}
		if room := StatusPipeBytes - len(p.got); n > room {
			n = room
		}
		p.got = append(p.got, b[:n]...)
	}
}

// Close closes what is still open.
func (p *StatusPipe) Close() {
	p.CloseWrite()
	CloseFD(p.R)
	p.R = -1
}
