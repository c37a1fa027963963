package kernel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// Multicast groups of NETLINK_KOBJECT_UEVENT.
const (
	UeventKernel = 1 // from the kernel
	UeventUdev   = 2 // from udevd, when it has handled a device
)

// Limits of one message. What is longer is dropped; udevd sends up to 8 KiB.
const ueventMax = 32 << 10

// Uevent is one message about a device: its properties, as the kernel or udevd has them (udev(7), "The udev database").
type Uevent struct {
	FromUdev bool
	Action   string // add, remove, change, move, online, offline, bind, unbind
	Devpath  string // below /sys
	Props    map[string]string
}

// Get gives a property, "" if there is none.
func (u *Uevent) Get(key string) string { return u.Props[key] }

// A UeventSocket receives messages about devices.
type UeventSocket struct {
	fd  int
	buf []byte
	oob []byte
}

// ErrUeventsLost says that messages were lost: everything has to be listed again.
var ErrUeventsLost = errors.New("uevent: messages were lost")

// OpenUevents joins groups (UeventKernel, UeventUdev) with a receive buffer of so many bytes. Watch FD with EPOLLIN.
func OpenUevents(groups uint32, bufferBytes int) (*UeventSocket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return nil, fmt.Errorf("uevent: %w", err)
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bufferBytes) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, bufferBytes)
	}
	err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups})
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("uevent: %w", err)
	}
	return &UeventSocket{fd: fd, buf: make([]byte, ueventMax), oob: make([]byte, unix.CmsgSpace(unix.SizeofUcred))}, nil
}

// FD is the descriptor to watch.
func (s *UeventSocket) FD() int { return s.fd }

// Close closes the socket.
func (s *UeventSocket) Close() error { return unix.Close(s.fd) }

// Read takes one message; ok false: there is none now. Messages that are forged (not from the kernel where they say so, not from root) or
// that make no sense are passed over. ErrUeventsLost: the buffer has overflown.
func (s *UeventSocket) Read() (ev Uevent, ok bool, err error) {
	for range 4096 {
		n, oobn, flags, from, err := unix.Recvmsg(s.fd, s.buf, s.oob, 0)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return Uevent{}, false, nil
		case errors.Is(err, unix.ENOBUFS):
			return Uevent{}, false, ErrUeventsLost
		case err != nil:
			return Uevent{}, false, fmt.Errorf("uevent: %w", err)
		}
		if flags&unix.MSG_TRUNC != 0 || !genuine(from, s.oob[:oobn]) {
			continue
		}
		if ev, err := ParseUevent(s.buf[:n]); err == nil {
			sender, _ := from.(*unix.SockaddrNetlink)
			if ev.FromUdev == (sender.Groups == UeventUdev) {
				return ev, true, nil
			}
		}
	}
	return Uevent{}, false, nil
}

// genuine checks who has sent a message: the kernel, or to the group of udev a process of root.
func genuine(from unix.Sockaddr, oob []byte) bool {
	sender, ok := from.(*unix.SockaddrNetlink)
	if !ok || sender.Groups == 0 {
		return false // not multicast: anybody may send that
	}
	if sender.Groups == UeventKernel && sender.Pid != 0 {
		return false
	}
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return false
	}
	for i := range messages {
		if cred, err := unix.ParseUnixCredentials(&messages[i]); err == nil {
			return cred.Uid == 0
		}
	}
	return false
}

// udevHeader is how a message of udevd begins: the prefix, a magic number in network order, then sizes in the order of the machine.
const (
	udevPrefix     = "libudev\x00"
	udevMagic      = 0xfeedcafe
	udevHeaderSize = 40
)

// ParseUevent reads a message of the kernel ("ACTION@DEVPATH", then KEY=value, each ended by a NUL) or of udevd (a header, then the same list).
func ParseUevent(b []byte) (Uevent, error) {
	ev := Uevent{Props: map[string]string{}}
	bad := func(what string) (Uevent, error) { return Uevent{}, fmt.Errorf("uevent: %s: %w", what, unix.EBADMSG) }
	if bytes.HasPrefix(b, []byte(udevPrefix)) {
		if len(b) < udevHeaderSize || binary.BigEndian.Uint32(b[8:]) != udevMagic {
			return bad("header")
		}
		off, size := uint64(binary.NativeEndian.Uint32(b[16:])), uint64(binary.NativeEndian.Uint32(b[20:]))
		if off < udevHeaderSize || off+size > uint64(len(b)) {
			return bad("length")
		}
		ev.FromUdev = true
		b = b[off : off+size]
	} else {
		head, rest, ok := bytes.Cut(b, []byte{0})
		if !ok || bytes.IndexByte(head, '@') <= 0 {
			return bad("head")
		}
		b = rest
	}
	for len(b) > 0 {
		var line []byte
		line, b, _ = bytes.Cut(b, []byte{0})
		if key, value, ok := bytes.Cut(line, []byte{'='}); ok && len(key) > 0 {
			ev.Props[string(key)] = string(value)
		}
	}
	ev.Action, ev.Devpath = ev.Props["ACTION"], ev.Props["DEVPATH"]
	if ev.Action == "" || !strings.HasPrefix(ev.Devpath, "/") || strings.Contains(ev.Devpath, "/../") {
		return bad("no action or path")
	}
	return ev, nil
}
