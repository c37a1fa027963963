package listen

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"
)

// Peer describes the two ends of a connection.
type Peer struct {
	// Instance is the part of the name of the connection's unit behind the number: "10.0.0.1:80-10.0.0.2:4711", "PID-UID" for
	// AF_UNIX.
	Instance string
	// Source is equal for connections of the same peer: the address without the port, the user of AF_UNIX. "": can't be told.
	Source string
	// Text is the peer for people.
	Text string
	// Env are REMOTE_ADDR=, REMOTE_PORT= and SO_COOKIE=.
	Env []string
}

// Accept takes one connection, close-on-exec, and blocking, as the service that it is for expects. ok is false if there is none (any more).
func Accept(fd int) (conn int, ok bool, err error) {
	for {
		conn, _, err = unix.Accept4(fd, unix.SOCK_CLOEXEC)
		switch {
		case err == nil:
			return conn, true, nil
		case errors.Is(err, unix.EINTR):
			continue
		case transient(err):
			return -1, false, nil
		}
		return -1, false, fmt.Errorf("failed to accept a connection: %w", err)
	}
}

// transient errors of accept(2) are about a connection that is gone, not about the listener.
func transient(err error) bool {
	for _, e := range []error{unix.EAGAIN, unix.ECONNABORTED, unix.ENETDOWN, unix.EPROTO, unix.ENOPROTOOPT, unix.EHOSTDOWN, unix.ENONET,
		unix.EHOSTUNREACH, unix.EOPNOTSUPP, unix.ENETUNREACH, unix.ETIMEDOUT, unix.ECONNRESET, unix.EPERM} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// flushMax bounds what Flush throws away in one call.
const flushMax = 1024

// Flush throws away what waits in a listener: connections, datagrams, bytes. A service that has the listener may have made
// it blocking for all who share it, so nothing here relies on how it was opened.
func Flush(fd int) {
	listening, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil || listening != 0 {
		if unix.SetNonblock(fd, true) != nil {
			return
		}
	}
	var buf [4096]byte
	for range flushMax {
		switch {
		case err != nil: // no socket
			if n, e := unix.Read(fd, buf[:]); n <= 0 && !errors.Is(e, unix.EINTR) {
				return
			}
		case listening != 0:
			conn, ok, e := Accept(fd)
			if !ok || e != nil {
				return
			}
			_ = unix.Close(conn)
		default:
			if _, _, e := unix.Recvfrom(fd, buf[:], unix.MSG_DONTWAIT); e != nil && !errors.Is(e, unix.EINTR) {
				return
			}
		}
	}
}

// Identify describes the ends of an accepted connection.
func Identify(conn int) (Peer, error) {
	local, err := unix.Getsockname(conn)
	if err != nil {
		return Peer{}, fmt.Errorf("getsockname: %w", err)
	}
	remote, err := unix.Getpeername(conn)
	if err != nil {
		return Peer{}, fmt.Errorf("getpeername: %w", err)
	}
	var p Peer
	switch r := remote.(type) {
	case *unix.SockaddrInet4, *unix.SockaddrInet6:
		p = ipPeer(ipOf(local), ipOf(remote))
	case *unix.SockaddrVM:
		l, _ := local.(*unix.SockaddrVM)
		if l == nil {
			l = &unix.SockaddrVM{}
		}
		p = Peer{
			Instance: fmt.Sprintf("%d:%d-%d:%d", l.CID, l.Port, r.CID, r.Port), Source: fmt.Sprintf("vsock:%d", r.CID),
			Text: fmt.Sprintf("vsock:%d:%d", r.CID, r.Port),
			Env:  []string{fmt.Sprintf("REMOTE_ADDR=vsock:%d", r.CID), fmt.Sprintf("REMOTE_PORT=%d", r.Port)},
		}
	case *unix.SockaddrUnix:
		p = unixPeer(conn, r.Name)
	}
	if cookie, err := unix.GetsockoptUint64(conn, unix.SOL_SOCKET, unix.SO_COOKIE); err == nil {
		p.Env = append(p.Env, "SO_COOKIE="+strconv.FormatUint(cookie, 10))
	}
	return p, nil
}

// ipOf is the address of an IP socket; IPv4 in IPv6 is shown as what it is.
func ipOf(sa unix.Sockaddr) netip.AddrPort {
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port))
	}
	return netip.AddrPort{}
}

func ipPeer(local, remote netip.AddrPort) Peer {
	port := strconv.Itoa(int(remote.Port()))
	return Peer{
		Instance: fmt.Sprintf("%s:%d-%s:%s", local.Addr(), local.Port(), remote.Addr(), port),
		Source:   remote.Addr().String(),
		Text:     remote.String(),
		Env:      []string{"REMOTE_ADDR=" + remote.Addr().String(), "REMOTE_PORT=" + port},
	}
}

// unixPeer names the process and the user at the other end.
func unixPeer(conn int, name string) Peer {
	var p Peer
	if len(name) > 1 && (name[0] == '/' || name[0] == '@') {
		p.Env = append(p.Env, "REMOTE_ADDR="+name)
	}
	cred, err := unix.GetsockoptUcred(conn, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil || cred.Pid <= 0 {
		p.Instance, p.Text = "unknown", "unknown"
		if err == nil {
			p.Source = fmt.Sprintf("uid %d", cred.Uid)
		}
		return p
	}
	p.Source = fmt.Sprintf("uid %d", cred.Uid)
	p.Text = fmt.Sprintf("PID %d/UID %d", cred.Pid, cred.Uid)
	p.Instance = fmt.Sprintf("%d-%d", cred.Pid, cred.Uid)
	return p
}
