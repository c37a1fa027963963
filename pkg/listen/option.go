package listen

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/unit"
)

// soPassRights is SO_PASSRIGHTS of Linux 6.16.
const soPassRights = 83

func warn(say func(string, ...any), what string, err error) {
	if err != nil {
		say("%s: %v", what, err)
	}
}

// Apply sets the options that can be set at any time, on listeners and on accepted connections. A kernel that doesn't know
// one is warned about; the socket works without.
func Apply(fd int, s *unit.Socket, say func(format string, args ...any)) {
	if say == nil {
		say = func(string, ...any) {}
	}
	family, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil {
		say("SO_DOMAIN: %v", err)
		return
	}
	set := func(what string, level, option, v int) {
		if err := unix.SetsockoptInt(fd, level, option, v); err != nil {
			say("%s: %v", what, err)
		}
	}
	const seconds = 1_000_000
	ip := family == unix.AF_INET || family == unix.AF_INET6
	if s.KeepAlive {
		set("KeepAlive=", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	}
	if ip {
		applyTCP(s, set, seconds)
	}
	if s.Broadcast {
		set("Broadcast=", unix.SOL_SOCKET, unix.SO_BROADCAST, 1)
	}
	if s.PassCredentials {
		set("PassCredentials=", unix.SOL_SOCKET, unix.SO_PASSCRED, 1)
	}
	if s.PassPIDFD {
		set("PassPIDFD=", unix.SOL_SOCKET, unix.SO_PASSPIDFD, 1)
	}
	if s.PassSecurity {
		set("PassSecurity=", unix.SOL_SOCKET, unix.SO_PASSSEC, 1)
	}
	if family == unix.AF_UNIX && !s.AcceptFileDescriptors {
		// Before Linux 6.16 there is no way to refuse descriptors.
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, soPassRights, 0); err != nil && !errors.Is(err, unix.ENOPROTOOPT) {
			say("AcceptFileDescriptors=: %v", err)
		}
	}
	if s.PassPacketInfo {
		packetInfo(family, set)
	}
	switch s.Timestamping {
	case "us":
		set("Timestamping=", unix.SOL_SOCKET, unix.SO_TIMESTAMP, 1)
	case "ns":
		set("Timestamping=", unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	}
	if s.Priority >= 0 {
		set("Priority=", unix.SOL_SOCKET, unix.SO_PRIORITY, int(s.Priority))
	}
	buffer(fd, "ReceiveBuffer=", s.ReceiveBuffer, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, say)
	buffer(fd, "SendBuffer=", s.SendBuffer, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, say)
	if s.Mark >= 0 {
		set("Mark=", unix.SOL_SOCKET, unix.SO_MARK, int(s.Mark))
	}
	if ip {
		applyIP(fd, family, s, set)
	}
	if s.TCPCongestion != "" && ip {
		warn(say, "TCPCongestion=", unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, s.TCPCongestion))
	}
	o := &Options{Warn: say}
	xattr(fd, "security.SMACK64IPIN", s.SmackLabelIPIn, o)
	xattr(fd, "security.SMACK64IPOUT", s.SmackLabelIPOut, o)
}

func applyTCP(s *unit.Socket, set func(string, int, int, int), seconds uint64) {
	if s.KeepAliveTimeUSec > 0 {
		set("KeepAliveTimeSec=", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, int(s.KeepAliveTimeUSec/seconds))
	}
	if s.KeepAliveIntervalUSec > 0 {
		set("KeepAliveIntervalSec=", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, int(s.KeepAliveIntervalUSec/seconds))
	}
	if s.KeepAliveProbes > 0 {
		set("KeepAliveProbes=", unix.IPPROTO_TCP, unix.TCP_KEEPCNT, int(s.KeepAliveProbes))
	}
	if s.DeferAcceptUSec > 0 {
		set("DeferAcceptSec=", unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, int(s.DeferAcceptUSec/seconds))
	}
	if s.NoDelay {
		set("NoDelay=", unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
}

// applyIP sets the options of both families on an IPv6 socket, which may serve IPv4 too.
func applyIP(fd, family int, s *unit.Socket, set func(string, int, int, int)) {
	if s.IPTOS >= 0 {
		set("IPTOS=", unix.IPPROTO_IP, unix.IP_TOS, int(s.IPTOS))
	}
	if s.IPTTL >= 0 {
		if family == unix.AF_INET6 {
			set("IPTTL=", unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, int(s.IPTTL))
			_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TTL, int(s.IPTTL))
			return
		}
		set("IPTTL=", unix.IPPROTO_IP, unix.IP_TTL, int(s.IPTTL))
	}
}

func packetInfo(family int, set func(string, int, int, int)) {
	switch family {
	case unix.AF_INET:
		set("PassPacketInfo=", unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
	case unix.AF_INET6:
		set("PassPacketInfo=", unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
	case unix.AF_NETLINK:
		set("PassPacketInfo=", unix.SOL_NETLINK, unix.NETLINK_PKTINFO, 1)
	}
}

// buffer sets the size of a buffer, above the limit for others if that is allowed.
func buffer(fd int, what string, size uint64, force, polite int, say func(string, ...any)) {
	if size == 0 {
		return
	}
	n := int(min(size, 1<<31-1))
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, n) == nil {
		return
	}
	warn(say, what, unix.SetsockoptInt(fd, unix.SOL_SOCKET, polite, n))
}

// attributes sets NAME=VALUE extended attributes with set. Sockets take attributes of their users on new kernels only.
func attributes(list []string, what string, say func(string, ...any), set func(name string, value []byte) error) {
	for _, a := range list {
		name, text, _ := strings.Cut(a, "=")
		if err := set(name, []byte(text)); err != nil {
			say("%s%s: %v", what, name, err)
		}
	}
}

// Accepted sets the options of a connection.
func Accepted(conn int, s *unit.Socket, say func(format string, args ...any)) {
	Apply(conn, s, say)
	attributes(s.XAttrAccept, "XAttrAccept=", say, func(name string, v []byte) error { return unix.Fsetxattr(conn, name, v, 0) })
}

// xattr labels a descriptor where the kernel has SMACK.
func xattr(fd int, name, label string, o *Options) {
	if label == "" {
		return
	}
	err := unix.Fsetxattr(fd, name, []byte(label), 0)
	if err != nil && !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EINVAL) {
		o.Warn("%s: %v", name, err)
	}
}
