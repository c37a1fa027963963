package journal

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// StreamHeader begins a stream to journald: seven lines that say whose output
// follows.
type StreamHeader struct {
	// Identifier becomes SYSLOG_IDENTIFIER.
	Identifier string
	// Unit is believed only from PID 1 and from a user's own manager.
	Unit string
	// Priority is priority plus facility times 8, as in syslog(3).
	Priority int
	// LevelPrefix: lines may begin with <N>.
	LevelPrefix bool
	// Where journald passes the lines on to.
	ForwardSyslog, ForwardKmsg, ForwardConsole bool
}

// Append appends the wire form to dst.
func (h *StreamHeader) Append(dst []byte) []byte {
	dst = appendLine(dst, h.Identifier)
	dst = appendLine(dst, h.Unit)
	dst = strconv.AppendInt(dst, int64(h.Priority), 10)
	dst = append(dst, '\n')
	for _, b := range []bool{h.LevelPrefix, h.ForwardSyslog, h.ForwardKmsg, h.ForwardConsole} {
		if b {
			dst = append(dst, '1', '\n')
		} else {
			dst = append(dst, '0', '\n')
		}
	}
	return dst
}

// appendLine keeps a value from ending its line early.
func appendLine(dst []byte, s string) []byte {
	if strings.ContainsAny(s, "\n\r\x00") {
		s = strings.NewReplacer("\n", " ", "\r", " ", "\x00", " ").Replace(s)
	}
	return append(append(dst, s...), '\n')
}

// OpenStream connects to journald's stream socket at path, usually StreamPath,
// and sends the header. It may wait for journald to accept, so it is for the
// executor, not for PID 1. The descriptor has CLOEXEC and blocks on writing,
// as programs expect of their standard output.
func OpenStream(path string, h *StreamHeader) (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("journal stream: %w", err)
	}
	if err := startStream(fd, path, h); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("journal stream: %w", err)
	}
	return fd, nil
}

func startStream(fd int, path string, h *StreamHeader) error {
	for {
		err := unix.Connect(fd, &unix.SockaddrUnix{Name: path})
		if err == nil {
			break
		}
		if err != unix.EINTR {
			return err
		}
	}
	if err := unix.Shutdown(fd, unix.SHUT_RD); err != nil {
		return err
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, sendBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer)
	}
	for b := h.Append(nil); len(b) > 0; {
		n, err := unix.Write(fd, b)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}
