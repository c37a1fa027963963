package notify

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// errnoByName looks up a name such as ENOENT, in any case.
func errnoByName(s string) (int32, bool) {
	if s == "" || s[0]|0x20 != 'e' {
		return 0, false
	}
	for no := unix.Errno(1); no < 256; no++ {
		if strings.EqualFold(unix.ErrnoName(no), s) {
			return int32(no), true
		}
	}
	return 0, false
}

// Address is a parsed $NOTIFY_SOCKET.
type Address struct {
	// Path is a socket in the file system, or, with @ in front, in the
	// abstract name space. Empty for vsock.
	Path string
	// CID and Port are those of a vsock address.
	CID, Port uint32
	// Types are the socket types to try for it, in order.
	Types []int
}

// ParseAddress reads the value of $NOTIFY_SOCKET: an absolute path, @name, or
// vsock:CID:PORT, also as vsock-stream:, vsock-seqpacket: and vsock-dgram:.
func ParseAddress(s string) (Address, error) {
	if scheme, rest, ok := strings.Cut(s, ":"); ok && (scheme == "vsock" || strings.HasPrefix(scheme, "vsock-")) {
		return parseVsock(scheme, rest)
	}
	switch {
	case s == "" || s[0] != '/' && s[0] != '@' || len(s) < 2:
		return Address{}, fmt.Errorf("notification socket %q: neither a path nor @name nor vsock:CID:PORT", clip(s))
	case len(s) > 107 || strings.IndexByte(s, 0) >= 0:
		return Address{}, fmt.Errorf("notification socket %q: no socket name", clip(s))
	}
	return Address{Path: s, Types: []int{unix.SOCK_DGRAM}}, nil
}

func parseVsock(scheme, rest string) (a Address, err error) {
	switch scheme {
	case "vsock":
		// VMMs differ in what they offer; a packet is kept whole where it can be.
		a.Types = []int{unix.SOCK_SEQPACKET, unix.SOCK_STREAM}
	case "vsock-stream":
		a.Types = []int{unix.SOCK_STREAM}
	case "vsock-seqpacket":
		a.Types = []int{unix.SOCK_SEQPACKET}
	case "vsock-dgram":
		a.Types = []int{unix.SOCK_DGRAM}
	default:
		return a, fmt.Errorf("notification socket %q: unknown scheme", clip(scheme))
	}
	cid, port, ok := strings.Cut(rest, ":")
	if cid == "" { // any host: the hypervisor
		cid = strconv.Itoa(unix.VMADDR_CID_HOST)
	}
	c, err1 := strconv.ParseUint(cid, 10, 32)
	p, err2 := strconv.ParseUint(port, 10, 32)
	if !ok || err1 != nil || err2 != nil || p == unix.VMADDR_PORT_ANY {
		return a, fmt.Errorf("notification socket %s:%s: not CID:PORT", scheme, clip(rest))
	}
	a.CID, a.Port = uint32(c), uint32(p)
	return a, nil
}

// Socket sends notifications to a supervisor. It does not wait for anyone,
// except vsockWaitMSec for the host of a virtual machine.
type Socket struct {
	addr Address
	fd   int
	sa   unix.Sockaddr
	// stream sockets end a notification by closing, so each has its own.
	stream bool
}

// Open prepares a socket for the value of $NOTIFY_SOCKET. The supervisor need
// not be there yet.
func Open(address string) (*Socket, error) {
	a, err := ParseAddress(address)
	if err != nil {
		return nil, err
	}
	if a.Path == "" {
		return &Socket{addr: a, fd: -1, sa: &unix.SockaddrVM{CID: a.CID, Port: a.Port}, stream: true}, nil
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("notification socket: %w", err)
	}
	return &Socket{addr: a, fd: fd, sa: &unix.SockaddrUnix{Name: a.Path}}, nil
}

// Close closes the socket. It may be called twice.
func (s *Socket) Close() {
	if s.fd >= 0 {
		unix.Close(s.fd)
		s.fd = -1
	}
}

// Send sends the assignments, each NAME=value without newline, as one
// notification. A supervisor that does not read is an error (EAGAIN), not a
// wait; so is one that is not there.
func (s *Socket) Send(assignments ...string) error { return s.SendFDs(nil, assignments...) }

// SendFDs is Send with descriptors attached. They stay the caller's.
func (s *Socket) SendFDs(fds []int, assignments ...string) error {
	for _, a := range assignments {
		if strings.ContainsAny(a, "\n\r\x00") || strings.IndexByte(a, '=') < 1 {
			return fmt.Errorf("notification %q: not one assignment", clip(a))
		}
	}
	if len(assignments) == 0 {
		return errors.New("notification: nothing to say")
	}
	text := []byte(strings.Join(assignments, "\n"))
	if len(text) > MaxBytes {
		return ErrTooLong
	}
	if s.stream {
		return s.sendVsock(text, fds)
	}
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	for {
		_, err := unix.SendmsgN(s.fd, text, oob, s.sa, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		if err != unix.EINTR {
			return wrap(s.addr.Path, err)
		}
	}
}

// sendVsock connects for each notification: the end of the connection is what
// ends one on a stream, and between two boots of a host nothing stays open.
func (s *Socket) sendVsock(text []byte, fds []int) error {
	if len(fds) > 0 {
		return errors.New("notification: vsock takes no file descriptors")
	}
	var err error
	for _, typ := range s.addr.Types {
		if err = vsockOnce(typ, s.sa, text); err == nil {
			return nil
		}
		// Only a type that is not there is worth another attempt.
		if err != unix.EPROTONOSUPPORT && err != unix.ESOCKTNOSUPPORT && err != unix.EPROTOTYPE && err != unix.ENODEV {
			break
		}
	}
	return wrap("vsock", err)
}

// vsockOnce connects, sends and closes. It waits for the connection at most
// vsockWaitMSec.
func vsockOnce(typ int, sa unix.Sockaddr, text []byte) error {
	fd, err := unix.Socket(unix.AF_VSOCK, typ|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, sa); err != nil && err != unix.EINPROGRESS {
		return err
	}
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	if _, err := unix.Poll(p, vsockWaitMSec); err != nil && err != unix.EINTR {
		return err
	}
	_, err = unix.SendmsgN(fd, text, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	return err
}

// vsockWaitMSec bounds the wait for a connection to the hypervisor, which is
// made by an interrupt of the virtual machine and takes microseconds.
const vsockWaitMSec = 20

func wrap(where string, err error) error {
	if err != nil {
		return fmt.Errorf("notification to %s: %w", clip(where), err)
	}
	return nil
}
