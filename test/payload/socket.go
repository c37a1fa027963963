package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// clientTimeout bounds every exchange of a client.
const clientTimeout = 20 * time.Second

// passed is how many descriptors were passed, from 3 on.
func passed() int {
	count := 0
	if os.Getenv("LISTEN_PID") == fmt.Sprint(os.Getpid()) {
		_, _ = fmt.Sscan(os.Getenv("LISTEN_FDS"), &count)
	}
	return count
}

// client connects to NETWORK,ADDRESS[,TEXT], says TEXT, and prints the answer. Networks are those of net.Dial; vsock has none of them.
func client(argument string) error {
	conn, err := dialAndSay(argument)
	if err != nil {
		return err
	}
	defer conn.Close()
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	if strings.HasPrefix(argument, "unixgram") || strings.HasPrefix(argument, "udp") {
		return nil
	}
	if strings.HasPrefix(argument, "unixpacket") {
		buf := make([]byte, 4096)
		n, _ := conn.Read(buf)
		_, err = os.Stdout.Write(buf[:n])
		return err
	}
	_, err = io.Copy(os.Stdout, conn)
	if errors.Is(err, unix.ECONNRESET) {
		return nil // closed with what we said unread
	}
	return err
}

// held are the connections of hold: they are open until the payload ends.
var held []net.Conn

// hold is client without waiting for an answer and without closing.
func hold(argument string) error {
	conn, err := dialAndSay(argument)
	if err == nil {
		held = append(held, conn)
	}
	return err
}

func dialAndSay(argument string) (net.Conn, error) {
	network, rest, _ := strings.Cut(argument, ",")
	address, text, say := strings.Cut(rest, ",")
	conn, err := net.DialTimeout(network, address, clientTimeout)
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(clientTimeout))
	if say {
		if _, err := io.WriteString(conn, text+"\n"); err != nil {
			return nil, err
		}
	}
	return conn, nil
}

// serve takes COUNT connections (0: for ever) on the passed sockets and answers each with "FD pid PID".
func serve(argument string) error {
	count := 0
	if _, err := fmt.Sscan(argument, &count); err != nil {
		return err
	}
	n := passed()
	for done := 0; count == 0 || done < count; {
		fd, err := waitPassed(n)
		if err != nil {
			return err
		}
		conn, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
		if err == unix.EAGAIN {
			continue
		}
		if err != nil {
			return err
		}
		_, _ = unix.Write(conn, []byte(fmt.Sprintf("%d pid %d\n", fd, os.Getpid())))
		_ = unix.Close(conn)
		done++
	}
	return nil
}

func waitPassed(n int) (int, error) {
	var fds []unix.PollFd
	for i := range n {
		fds = append(fds, unix.PollFd{Fd: int32(3 + i), Events: unix.POLLIN})
	}
	for {
		_, err := unix.Poll(fds, -1)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return -1, err
		}
		for _, p := range fds {
			if p.Revents != 0 {
				return int(p.Fd), nil
			}
		}
	}
}

// drain appends what waits in the passed datagram sockets, FIFOs and queues to a file, one line each: "FD TEXT".
func drain(path string) error {
	for i := range passed() {
		fd := 3 + i
		_ = unix.SetNonblock(fd, true)
		for {
			buf := make([]byte, 8192)
			n, err := mqReceive(fd, buf)
			if err == unix.EBADF {
				n, err = unix.Read(fd, buf)
			}
			if n <= 0 || err != nil {
				break
			}
			if err := appendLine(path, fmt.Sprintf("%d %s", fd, strings.TrimSpace(string(buf[:n])))); err != nil {
				return err
			}
		}
	}
	return nil
}

func appendLine(path, line string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.WriteString(f, line+"\n")
	return err
}

// socketOptions are what sockets:FILE shows of each passed socket, if it can be read.
var socketOptions = []struct {
	name          string
	level, option int
}{
	{"domain", unix.SOL_SOCKET, unix.SO_DOMAIN}, {"type", unix.SOL_SOCKET, unix.SO_TYPE}, {"protocol", unix.SOL_SOCKET, unix.SO_PROTOCOL},
	{"listening", unix.SOL_SOCKET, unix.SO_ACCEPTCONN}, {"keepalive", unix.SOL_SOCKET, unix.SO_KEEPALIVE},
	{"broadcast", unix.SOL_SOCKET, unix.SO_BROADCAST}, {"passcred", unix.SOL_SOCKET, unix.SO_PASSCRED},
	{"passsec", unix.SOL_SOCKET, unix.SO_PASSSEC}, {"priority", unix.SOL_SOCKET, unix.SO_PRIORITY}, {"mark", unix.SOL_SOCKET, unix.SO_MARK},
	{"rcvbuf", unix.SOL_SOCKET, unix.SO_RCVBUF}, {"sndbuf", unix.SOL_SOCKET, unix.SO_SNDBUF}, {"reuseport", unix.SOL_SOCKET, unix.SO_REUSEPORT},
	{"reuseaddr", unix.SOL_SOCKET, unix.SO_REUSEADDR}, {"timestamp", unix.SOL_SOCKET, unix.SO_TIMESTAMP},
	{"timestampns", unix.SOL_SOCKET, unix.SO_TIMESTAMPNS}, {"keepidle", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE},
	{"keepintvl", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL}, {"keepcnt", unix.IPPROTO_TCP, unix.TCP_KEEPCNT},
	{"nodelay", unix.IPPROTO_TCP, unix.TCP_NODELAY}, {"deferaccept", unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT},
	{"tos", unix.IPPROTO_IP, unix.IP_TOS}, {"ttl", unix.IPPROTO_IP, unix.IP_TTL}, {"freebind", unix.IPPROTO_IP, unix.IP_FREEBIND},
	{"transparent", unix.IPPROTO_IP, unix.IP_TRANSPARENT}, {"pktinfo", unix.IPPROTO_IP, unix.IP_PKTINFO},
	{"v6only", unix.IPPROTO_IPV6, unix.IPV6_V6ONLY}, {"hops", unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS},
	{"pktinfo6", unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO}, {"freebind6", unix.IPPROTO_IPV6, unix.IPV6_FREEBIND},
}

// sockets describes the passed descriptors in a file: FD.name, FD.address, FD.link, FD.flags and FD.OPTION lines.
func sockets(path string) error {
	names := strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	var b strings.Builder
	for i := range passed() {
		fd := 3 + i
		fmt.Fprintf(&b, "%d.name=%s\n", fd, names[i])
		link, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
		fmt.Fprintf(&b, "%d.link=%s\n", fd, link)
		flags, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		fmt.Fprintf(&b, "%d.nonblock=%v\n", fd, flags&unix.O_NONBLOCK != 0)
		fmt.Fprintf(&b, "%d.mode=%d\n", fd, flags&unix.O_ACCMODE)
		if size, err := unix.FcntlInt(uintptr(fd), unix.F_GETPIPE_SZ, 0); err == nil {
			fmt.Fprintf(&b, "%d.pipesize=%d\n", fd, size)
		}
		if address := socketAddress(fd); address != "" {
			fmt.Fprintf(&b, "%d.address=%s\n", fd, address)
		}
		for _, o := range socketOptions {
			if v, err := unix.GetsockoptInt(fd, o.level, o.option); err == nil {
				fmt.Fprintf(&b, "%d.%s=%d\n", fd, o.name, v)
			}
		}
		if v, err := unix.GetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION); err == nil {
			fmt.Fprintf(&b, "%d.congestion=%s\n", fd, strings.TrimRight(v, "\x00"))
		}
		if v, err := unix.GetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE); err == nil {
			fmt.Fprintf(&b, "%d.device=%s\n", fd, strings.TrimRight(v, "\x00"))
		}
	}
	return os.WriteFile(path, []byte(b.String()), 0o644)
}

func socketAddress(fd int) string {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return ""
	}
	switch a := sa.(type) {
	case *unix.SockaddrUnix:
		return a.Name
	case *unix.SockaddrInet4:
		return fmt.Sprintf("%s:%d", net.IP(a.Addr[:]), a.Port)
	case *unix.SockaddrInet6:
		return fmt.Sprintf("[%s]:%d", net.IP(a.Addr[:]), a.Port)
	case *unix.SockaddrVM:
		return fmt.Sprintf("vsock:%d:%d", int32(a.CID), a.Port)
	case *unix.SockaddrNetlink:
		return fmt.Sprintf("netlink %d", a.Groups)
	}
	return "?"
}
