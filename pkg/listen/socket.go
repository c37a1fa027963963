package listen

import (
	"errors"
	"fmt"
	"net"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/kernel"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// socketType is the type of a kind of listener; vsock addresses may name their own.
func socketType(kind string, a value.ListenAddress) int {
	switch a.Type {
	case "stream":
		return unix.SOCK_STREAM
	case "dgram":
		return unix.SOCK_DGRAM
	case "seqpacket":
		return unix.SOCK_SEQPACKET
	}
	switch kind {
	case "Datagram":
		return unix.SOCK_DGRAM
	case "SequentialPacket":
		return unix.SOCK_SEQPACKET
	}
	return unix.SOCK_STREAM
}

// sockaddr translates the address. A port alone is IPv4 where the kernel has no IPv6.
func sockaddr(a value.ListenAddress) (family int, sa unix.Sockaddr, err error) {
	switch a.Family {
	case value.ListenUnix:
		return unix.AF_UNIX, &unix.SockaddrUnix{Name: a.Path}, nil
	case value.ListenIPv4:
		return unix.AF_INET, &unix.SockaddrInet4{Port: int(a.Port), Addr: a.Addr.As4()}, nil
	case value.ListenIPv6:
		if internetFamily(a) == unix.AF_INET {
			return unix.AF_INET, &unix.SockaddrInet4{Port: int(a.Port)}, nil
		}
		sa := &unix.SockaddrInet6{Port: int(a.Port), Addr: a.Addr.As16()}
		if a.Scope != "" {
			if sa.ZoneId, err = interfaceIndex(a.Scope); err != nil {
				return 0, nil, err
			}
		}
		return unix.AF_INET6, sa, nil
	case value.ListenVsock:
		return unix.AF_VSOCK, &unix.SockaddrVM{CID: a.CID, Port: a.Port}, nil
	}
	return 0, nil, unix.EAFNOSUPPORT
}

// internetFamily is the family of an internet address: where there is no IPv6, a port alone is one of IPv4.
func internetFamily(a value.ListenAddress) int {
	if a.Family == value.ListenIPv4 || a.PortOnly && !haveIPv6() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

func haveIPv6() bool { return unix.Access("/proc/net/if_inet6", unix.F_OK) == nil }

func interfaceIndex(name string) (uint32, error) {
	if n, err := strconv.ParseUint(name, 10, 32); err == nil {
		return uint32(n), nil
	}
	i, err := net.InterfaceByName(name)
	if err != nil {
		return 0, fmt.Errorf("interface %s: %w", name, unix.ENODEV)
	}
	return uint32(i.Index), nil
}

// Kind is what socket(2) is told.
type Kind struct{ Family, Type, Protocol int }

func (k Kind) internet() bool { return k.Family == unix.AF_INET || k.Family == unix.AF_INET6 }

// Make makes a socket.
func (k Kind) Make() (int, error) {
	return kernel.MakeSocket(k.Family, k.Type, k.Protocol)
}

// Internet lists the sockets for internet addresses that Open will need.
func Internet(s *unit.Socket) []Kind {
	var list []Kind
	for _, l := range s.Listen {
		a, err := value.ParseListen(l.Address)
		if err != nil || l.Kind != "Stream" && l.Kind != "Datagram" && l.Kind != "SequentialPacket" {
			continue
		}
		if a.Family == value.ListenIPv4 || a.Family == value.ListenIPv6 {
			list = append(list, Kind{internetFamily(a), socketType(l.Kind, a), int(s.SocketProtocol)})
		}
	}
	return list
}

// openSocket makes, binds and listens.
func openSocket(s *unit.Socket, a value.ListenAddress, kind string, o *Options) (int, error) {
	family, sa, err := sockaddr(a)
	if err != nil {
		return -1, err
	}
	typ := socketType(kind, a)
	k := Kind{family, typ, 0}
	var fd int
	if family == unix.AF_INET || family == unix.AF_INET6 {
		k.Protocol = int(s.SocketProtocol)
	}
	if len(o.Made) > 0 && k.internet() {
		fd, o.Made = o.Made[0], o.Made[1:]
	} else if fd, err = k.Make(); err != nil {
		return -1, err
	}
	err = prepare(fd, family, s, o)
	if err == nil {
		Apply(fd, s, o.Warn)
		err = bind(fd, s, a, sa)
	}
	if err == nil && typ != unix.SOCK_DGRAM {
		err = unix.Listen(fd, backlog(s))
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// backlog is Backlog= as listen(2) takes it; the kernel cuts it down to net.core.somaxconn.
func backlog(s *unit.Socket) int { return int(min(s.Backlog, 1<<31-1)) }

// prepare sets what has to be set before bind. Without it the address would be another one, so failures of those that decide about the
// address are fatal; systemd only warns about the rest.
func prepare(fd, family int, s *unit.Socket, o *Options) error {
	if family == unix.AF_INET6 && s.BindIPv6Only != "" && s.BindIPv6Only != "default" {
		only := 0
		if s.BindIPv6Only == "ipv6-only" {
			only = 1
		}
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only); err != nil {
			return fmt.Errorf("BindIPv6Only=: %w", err)
		}
	}
	if family != unix.AF_INET && family != unix.AF_INET6 {
		return nil
	}
	if s.BindToDevice != "" {
		if err := unix.BindToDevice(fd, s.BindToDevice); err != nil {
			return fmt.Errorf("BindToDevice=: %w", err)
		}
	}
	if s.ReusePort {
		warn(o.Warn, "ReusePort=", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
	}
	level, free, transparent := unix.IPPROTO_IP, unix.IP_FREEBIND, unix.IP_TRANSPARENT
	if family == unix.AF_INET6 {
		level, free, transparent = unix.IPPROTO_IPV6, unix.IPV6_FREEBIND, unix.IPV6_TRANSPARENT
	}
	if s.FreeBind {
		warn(o.Warn, "FreeBind=", unix.SetsockoptInt(fd, level, free, 1))
	}
	if s.Transparent {
		warn(o.Warn, "Transparent=", unix.SetsockoptInt(fd, level, transparent, 1))
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return fmt.Errorf("SO_REUSEADDR: %w", err)
	}
	return nil
}

// bind binds; a node in the file system that is in the way is removed.
func bind(fd int, s *unit.Socket, a value.ListenAddress, sa unix.Sockaddr) error {
	if a.Family != value.ListenUnix || a.Path[0] == '@' {
		return unix.Bind(fd, sa)
	}
	parents(a.Path, s.DirectoryMode)
	// The new node gets the mode of the socket's inode, so it is never open wider than asked for.
	if err := unix.Fchmod(fd, s.SocketMode); err != nil {
		return err
	}
	err := unix.Bind(fd, sa)
	if errors.Is(err, unix.EADDRINUSE) {
		if err := unix.Unlink(a.Path); err != nil {
			return err
		}
		err = unix.Bind(fd, sa)
	}
	if err != nil {
		return err
	}
	if unix.Getpid() != 1 {
		// A user manager has a umask, which the node has lost bits to.
		return unix.Chmod(a.Path, s.SocketMode)
	}
	return nil
}

func openNetlink(s *unit.Socket, a value.ListenAddress, o *Options) (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, a.NetlinkProtocol)
	if err != nil {
		return -1, err
	}
	Apply(fd, s, o.Warn)
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: a.NetlinkGroup}); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}
