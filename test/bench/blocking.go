package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/test/container/box"
)

// blockingConn is a connection whose reader sleeps in the kernel. A net.Conn reads, finds nothing, parks its goroutine, is woken by
// another thread and reads again: for an answer of a few microseconds that takes longer than the manager took for it.
type blockingConn struct {
	fd   int
	conn io.Closer // that fd is a copy of
}

func dialBlocking(ctx context.Context, inside *box.Box, path string) (*blockingConn, error) {
	conn, err := inside.DialUnix(ctx, path)
	if err != nil {
		return nil, err
	}
	fd, err := copyBlocking(conn)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &blockingConn{fd, conn}, nil
}

// copyBlocking makes a second descriptor; both no longer return from what has to wait.
func copyBlocking(conn net.Conn) (int, error) {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return -1, fmt.Errorf("%T has no descriptor", conn)
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd := -1
	if failed := raw.Control(func(original uintptr) {
		if fd, err = unix.FcntlInt(original, unix.F_DUPFD_CLOEXEC, 0); err == nil {
			err = unix.SetNonblock(fd, false)
		}
	}); failed != nil {
		return -1, failed
	}
	return fd, err
}

// limit bounds how long each read and each write may wait.
func (c *blockingConn) limit(d time.Duration) error {
	t := unix.NsecToTimeval(d.Nanoseconds())
	return errors.Join(unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &t), unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &t))
}

// abort ends what waits in Read and Write, in whatever goroutine.
func (c *blockingConn) abort() { _ = unix.Shutdown(c.fd, unix.SHUT_RDWR) }

// Close ends what waits, too: the kernel wouldn't.
func (c *blockingConn) Close() error {
	c.abort()
	return errors.Join(unix.Close(c.fd), c.conn.Close())
}

func (c *blockingConn) Read(p []byte) (int, error) {
	for {
		n, err := unix.Read(c.fd, p)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 0, fmt.Errorf("read: %w", err)
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

func (c *blockingConn) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n, err := unix.Write(c.fd, p[done:])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return done, fmt.Errorf("write: %w", err)
		}
		done += n
	}
	return done, nil
}
