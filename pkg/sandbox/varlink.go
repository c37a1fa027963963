package sandbox

import (
	"bytes"

	"golang.org/x/sys/unix"
)

// varlinkCall makes one call: JSON text ended by a NUL, both ways. It waits for at most so many ms for each step, and takes a reply of at
// most so many bytes. A reply with an error is one as well.
func varlinkCall(socket, method, parameters string, timeoutMSec int64, limit int) (string, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	wait := unix.NsecToTimeval(timeoutMSec * 1000 * 1000)
	for _, opt := range []int{unix.SO_RCVTIMEO, unix.SO_SNDTIMEO} {
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, opt, &wait); err != nil {
			return "", err
		}
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: socket}); err != nil {
		return "", err
	}
	call := []byte(`{"method":"` + method + `","parameters":` + parameters + "}\x00")
	for len(call) > 0 {
		n, err := unix.SendmsgN(fd, call, nil, nil, unix.MSG_NOSIGNAL)
		if err != nil && err != unix.EINTR {
			return "", err
		}
		call = call[max(n, 0):]
	}
	var reply []byte
	buf := make([]byte, 4096)
	for {
		n, err := unix.Read(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return "", err
		}
		end := bytes.IndexByte(buf[:n], 0)
		if end >= 0 {
			return string(append(reply, buf[:end]...)), nil
		}
		if reply = append(reply, buf[:n]...); n == 0 || len(reply) > limit {
			return "", unix.EPROTO
		}
	}
}
