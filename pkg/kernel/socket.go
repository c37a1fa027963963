package kernel

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Limits of one received datagram; sd_notify(3) allows a page of text.
const (
	// DatagramMax is the number of bytes taken; what is longer is Truncated.
	DatagramMax = 4096
	// DatagramFDs is SCM_MAX_FD, what the kernel allows in one message.
	DatagramFDs = 253
)

// UnixAddress makes a socket address: a path, or an abstract name written
// with a leading "@". ENAMETOOLONG beyond 107 bytes (108 for abstract names).
func UnixAddress(path string) (unix.Sockaddr, error) {
	limit := 107
	if len(path) > 0 && path[0] == '@' {
		limit = 108
	}
	if len(path) == 0 || len(path) > limit {
		return nil, fmt.Errorf("socket address %q: %w", path, unix.ENAMETOOLONG)
	}
	return &unix.SockaddrUnix{Name: path}, nil
}

// ListenUnix binds and, for stream and seqpacket types, listens: a
// close-on-exec, non-blocking socket of type SOCK_STREAM, SOCK_SEQPACKET or
// SOCK_DGRAM. A socket file that is there already is removed first. mode is the
// mode of the file (umask apart); abstract names have none.
func ListenUnix(path string, sockType int, mode uint32, backlog int) (fd int, err error) {
	addr, err := UnixAddress(path)
	if err != nil {
		return -1, err
	}
	fd, err = unix.Socket(unix.AF_UNIX, sockType|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("socket %s: %w", path, err)
	}
	err = bindUnix(fd, path, addr, mode)
	if err == nil && sockType != unix.SOCK_DGRAM {
		err = unix.Listen(fd, backlog)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("socket %s: %w", path, err)
	}
	return fd, nil
}

func bindUnix(fd int, path string, addr unix.Sockaddr, mode uint32) error {
	if path[0] == '@' {
		return unix.Bind(fd, addr)
	}
	// The mode of the new file is that of the socket's inode, so it is never
	// open wider than asked for.
	if err := unix.Fchmod(fd, mode); err != nil {
		return err
	}
	err := unix.Bind(fd, addr)
	if errors.Is(err, unix.EADDRINUSE) {
		if err := unix.Unlink(path); err != nil {
			return err
		}
		err = unix.Bind(fd, addr)
	}
	if err != nil {
		return err
	}
	return unix.Chmod(path, mode)
}

// Accept takes one connection, close-on-exec and non-blocking; ok is false if
// there is none, or it went away.
func Accept(fd int) (conn int, ok bool, err error) {
	for {
		conn, _, err = unix.Accept4(fd, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ECONNABORTED):
			return -1, false, nil
		case err != nil:
			return -1, false, fmt.Errorf("accept: %w", err)
		}
		return conn, true, nil
	}
}

// PeerCred returns pid, uid and gid of the process that connected; unix(7).
func PeerCred(fd int) (unix.Ucred, error) {
	c, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return unix.Ucred{}, fmt.Errorf("SO_PEERCRED: %w", err)
	}
	return *c, nil
}

// PeerPidFD returns a close-on-exec pidfd of the peer, since Linux 6.5; before
// ENOPROTOOPT. ESRCH or ENODATA if it is gone.
func PeerPidFD(fd int) (int, error) {
	var pidfd int32 = -1
	size := uint32(4)
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERPIDFD,
		uintptr(unsafe.Pointer(&pidfd)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return -1, fmt.Errorf("SO_PEERPIDFD: %w", errno)
	}
	return int(pidfd), nil
}

// PeerGroups returns the supplementary groups of the peer.
func PeerGroups(fd int) ([]uint32, error) {
	gids := make([]uint32, 64)
	for {
		size := uint32(len(gids) * 4)
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&gids[0])), uintptr(unsafe.Pointer(&size)), 0)
		if errno == unix.ERANGE && int(size/4) > len(gids) && size <= 65536*4 {
			gids = make([]uint32, size/4)
			continue
		}
		if errno != 0 {
			return nil, fmt.Errorf("SO_PEERGROUPS: %w", errno)
		}
		return gids[:size/4], nil
	}
}

// A Datagram is one message with what the kernel says about its sender.
type Datagram struct {
	Data []byte
	// Cred is the sender's, translated into our namespaces; pid 0 is a process
	// outside of our pid namespace. HasCred is false if the kernel sent none.
	Cred    unix.Ucred
	HasCred bool
	// PidFD is the sender's pidfd where the kernel has SO_PASSPIDFD, else -1;
	// the receiver closes it.
	PidFD int
	// FDs are the descriptors sent along, close-on-exec; the receiver closes them.
	FDs []int
	// Truncated: the message was longer than DatagramMax. FDsTruncated: some
	// descriptors (or credentials) did not fit and were closed by the kernel.
	Truncated, FDsTruncated bool
	// Sender is the path or @name the sender is bound to, if any.
	Sender string
}

// Close closes every descriptor of the datagram.
func (d *Datagram) Close() {
	CloseFD(d.PidFD)
	d.PidFD = -1
	for _, fd := range d.FDs {
		CloseFD(fd)
	}
	d.FDs = nil
}

// A DatagramSocket receives bounded datagrams with credentials: the notify
// socket.
type DatagramSocket struct {
	fd  int
	buf []byte
	oob []byte
}

// ListenDatagram binds a datagram socket with SO_PASSCRED and, where the
// kernel has it, SO_PASSPIDFD; see [ListenUnix] for path and mode. receiveBytes
// is the wanted receive buffer (SO_RCVBUFFORCE), 0 for the default.
func ListenDatagram(path string, mode uint32, receiveBytes int) (*DatagramSocket, error) {
	fd, err := ListenUnix(path, unix.SOCK_DGRAM, mode, 0)
	if err != nil {
		return nil, err
	}
	s, err := NewDatagramSocket(fd)
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	if receiveBytes > 0 {
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBytes) != nil {
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBytes)
		}
	}
	return s, nil
}

// NewDatagramSocket takes over a bound datagram socket, e.g. after a
// re-execution, and sets the options it needs.
func NewDatagramSocket(fd int) (*DatagramSocket, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, fmt.Errorf("datagram socket: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1); err != nil {
		return nil, fmt.Errorf("SO_PASSCRED: %w", err)
	}
	// Linux 6.5 and later; credentials alone do before.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSPIDFD, 1)
	return &DatagramSocket{
		fd:  fd,
		buf: make([]byte, DatagramMax+1),
		oob: make([]byte, unix.CmsgSpace(unix.SizeofUcred)+unix.CmsgSpace(4)+unix.CmsgSpace(4*DatagramFDs)),
	}, nil
}

// FD is the descriptor to watch.
func (s *DatagramSocket) FD() int { return s.fd }

// Receive takes the next datagram; ok is false if there is none. Data is valid
// until the next Receive.
func (s *DatagramSocket) Receive() (d Datagram, ok bool, err error) {
	for {
		n, oobn, flags, from, err := unix.Recvmsg(s.fd, s.buf, s.oob, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return Datagram{PidFD: -1}, false, nil
		case err != nil:
			return Datagram{PidFD: -1}, false, fmt.Errorf("receive: %w", err)
		}
		d = Datagram{PidFD: -1, Data: s.buf[:min(n, DatagramMax)]}
		d.Truncated = flags&unix.MSG_TRUNC != 0 || n > DatagramMax
		d.FDsTruncated = flags&unix.MSG_CTRUNC != 0
		if addr, isUnix := from.(*unix.SockaddrUnix); isUnix {
			d.Sender = addr.Name
		}
		return d, true, d.control(s.oob[:oobn])
	}
}

// control reads the ancillary messages. It does not stop at one that it cannot
// read, so that no descriptor is forgotten open.
func (d *Datagram) control(oob []byte) error {
	list, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return fmt.Errorf("receive: control message: %w", err)
	}
	for i := range list {
		m := &list[i]
		if m.Header.Level != unix.SOL_SOCKET {
			continue
		}
		switch m.Header.Type {
		case unix.SCM_CREDENTIALS:
			if c, err := unix.ParseUnixCredentials(m); err == nil {
				d.Cred, d.HasCred = *c, true
			}
		case unix.SCM_PIDFD:
			if len(m.Data) >= 4 {
				d.PidFD = int(*(*int32)(unsafe.Pointer(&m.Data[0])))
			}
		case unix.SCM_RIGHTS:
			if fds, err := unix.ParseUnixRights(m); err == nil {
				d.FDs = append(d.FDs, fds...)
			}
		}
	}
	return nil
}

// Close closes the socket; its file stays.
func (s *DatagramSocket) Close() error { return unix.Close(s.fd) }

// SendDatagram sends b with descriptors to a path or @name, as the process
// itself; for tests and for forwarding.
func SendDatagram(path string, b []byte, fds []int) error {
	addr, err := UnixAddress(path)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(fd)
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	if err := unix.Sendmsg(fd, b, oob, addr, unix.MSG_NOSIGNAL); err != nil {
		return fmt.Errorf("send to %s: %w", path, err)
	}
	return nil
}

// MakeSocket makes a socket that is close-on-exec and doesn't block. A kernel without MPTCP speaks plain TCP, which every MPTCP peer falls back to.
func MakeSocket(family, typ, protocol int) (int, error) {
	typ |= unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK
	fd, err := unix.Socket(family, typ, protocol)
	if protocol == unix.IPPROTO_MPTCP && (errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.ENOPROTOOPT)) {
		return unix.Socket(family, typ, 0)
	}
	return fd, err
}
