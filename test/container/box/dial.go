package box

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// DialTCP connects to a port on the loopback of the box's network namespace.
func (b *Box) DialTCP(ctx context.Context, port int) (net.Conn, error) {
	type answer struct {
		conn net.Conn
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		var conn net.Conn
		err := b.inside([]string{"net"}, func() (err error) {
			conn, err = dialLoopback(port)
			return err
		})
		answers <- answer{conn, err}
	}()
	select {
	case a := <-answers:
		if a.err != nil {
			return nil, fmt.Errorf("container: connect to port %d: %w", port, a.err)
		}
		return a.conn, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("container: connect to port %d: %w", port, ctx.Err())
	}
}

// dialLoopback connects in the network namespace of the calling thread.
func dialLoopback(port int) (net.Conn, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "tcp")
	defer file.Close()
	timeout := unix.NsecToTimeval((10 * time.Second).Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &timeout); err != nil {
		return nil, err
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return nil, err
	}
	return net.FileConn(file)
}
