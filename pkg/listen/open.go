package listen

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// Port is one open listener.
type Port struct {
	Kind    string // as in unit.Listen
	Address string
	FD      int
	Aux     []int // end points of a USB function
}

// Options are what the section does not say.
type Options struct {
	// NetNS is the path of the network namespace to open in, "" for the own one. PrivateNet: a new one, with nothing but the loopback
	// interface, that lives as long as a socket in it.
	NetNS      string
	PrivateNet bool
	// Made are sockets of the kinds that Internet lists, in that order, to be used instead of new ones. Open takes them over.
	Made []int
	// Warn gets what went wrong without keeping the listener from working, as systemd only logs it.
	Warn func(format string, args ...any)
	// USB are the descriptors and strings files of a USB function, from the service.
	USB USBFunction
}

// USBFunction names the files that describe a USB function (USBFunctionDescriptors=, USBFunctionStrings=).
type USBFunction struct{ Descriptors, Strings string }

// Open opens the listeners of s.
func Open(s *unit.Socket, o Options) (ports []Port, err error) {
	if o.Warn == nil {
		o.Warn = func(string, ...any) {}
	}
	defer func() {
		for _, fd := range o.Made {
			_ = unix.Close(fd)
		}
	}()
	if o.NetNS != "" || o.PrivateNet {
		back, err := enterNetNS(o.NetNS)
		if err != nil {
			return nil, err
		}
		defer func() {
			if e := back(); e != nil {
				Close(ports)
				ports, err = nil, e
			}
		}()
	}
	for _, l := range s.Listen {
		p := Port{Kind: l.Kind, Address: l.Address, FD: -1}
		if err = openOne(s, &p, &o); err != nil {
			Close(ports)
			if s.RemoveOnStop {
				Remove(s, ports)
			}
			return nil, fmt.Errorf("Listen%s=%s: %w", l.Kind, l.Address, err)
		}
		attributes(s.XAttrListen, "XAttrListen=", o.Warn, func(name string, v []byte) error { return unix.Fsetxattr(p.FD, name, v, 0) })
		if OnDisk(p.Kind, p.Address) {
			attributes(s.XAttrEntryPoint, "XAttrEntryPoint=", o.Warn, func(name string, v []byte) error { return unix.Lsetxattr(p.Address, name, v, 0) })
		}
		ports = append(ports, p)
	}
	if err := symlinks(s); err != nil {
		o.Warn("%v", err)
	}
	return ports, nil
}

func openOne(s *unit.Socket, p *Port, o *Options) (err error) {
	switch p.Kind {
	case "Stream", "Datagram", "SequentialPacket":
		a, err := value.ParseListen(p.Address)
		if err != nil {
			return err
		}
		p.FD, err = openSocket(s, a, p.Kind, o)
		return err
	case "Netlink":
		a, err := value.ParseListenNetlink(p.Address)
		if err != nil {
			return err
		}
		p.FD, err = openNetlink(s, a, o)
		return err
	case "FIFO":
		p.FD, err = openFIFO(s, p.Address, o)
	case "Special":
		p.FD, err = openSpecial(s, p.Address)
	case "MessageQueue":
		p.FD, err = openQueue(s, p.Address)
	case "USBFunction":
		p.FD, p.Aux, err = openUSB(p.Address, o.USB)
	default:
		err = errors.New("unknown kind of listener")
	}
	return err
}

// Close closes listeners.
func Close(ports []Port) {
	for _, p := range ports {
		if p.FD >= 0 {
			_ = unix.Close(p.FD)
		}
		for _, fd := range p.Aux {
			_ = unix.Close(fd)
		}
	}
}

// Remove removes what listeners have left in the file system, and the symlinks to them (RemoveOnStop=).
func Remove(s *unit.Socket, ports []Port) {
	for _, p := range ports {
		switch {
		case p.Kind == "MessageQueue":
			_ = unlinkQueue(p.Address)
		case OnDisk(p.Kind, p.Address):
			_ = unix.Unlink(p.Address)
		}
	}
	for _, link := range s.Symlinks {
		_ = unix.Unlink(link)
	}
}

// OnDisk reports whether a listener is a node in the file system.
func OnDisk(kind, address string) bool {
	switch kind {
	case "FIFO":
		return true
	case "Stream", "Datagram", "SequentialPacket":
		return strings.HasPrefix(address, "/")
	}
	return false
}

// symlinks makes Symlinks= lead to the one listener that is in the file system.
func symlinks(s *unit.Socket) error {
	if len(s.Symlinks) == 0 {
		return nil
	}
	target := ""
	for _, l := range s.Listen {
		if OnDisk(l.Kind, l.Address) {
			target = l.Address
		}
	}
	if target == "" {
		return nil
	}
	var errs []error
	for _, link := range s.Symlinks {
		parents(link, s.DirectoryMode)
		err := unix.Symlink(target, link)
		if errors.Is(err, unix.EEXIST) {
			if have := make([]byte, unix.PathMax); true {
				if n, e := unix.Readlink(link, have); e == nil && string(have[:n]) == target {
					continue
				}
			}
			if err = unix.Unlink(link); err == nil {
				err = unix.Symlink(target, link)
			}
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("symlink %s to %s: %w", link, target, err))
		}
	}
	return errors.Join(errs...)
}

// parents makes the directories above path that are missing. What can't be made shows when path itself is.
func parents(path string, mode uint32) {
	dir := filepath.Dir(path)
	if dir == "/" || dir == "." {
		return
	}
	if unix.Access(dir, unix.F_OK) == nil {
		return
	}
	parents(dir, mode)
	if unix.Mkdir(dir, mode) == nil {
		_ = unix.Chmod(dir, mode)
	}
}

// openFIFO makes a FIFO, or takes over one that was made with the same mode by the same owner.
func openFIFO(s *unit.Socket, path string, o *Options) (int, error) {
	parents(path, s.DirectoryMode)
	err := unix.Mkfifo(path, s.SocketMode)
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return -1, err
	}
	made := err == nil
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		if made {
			_ = unix.Unlink(path) // its mode is not right yet
		}
		return -1, err
	}
	if made {
		_ = unix.Fchmod(fd, s.SocketMode)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFIFO || st.Mode&0o777 != s.SocketMode&0o777 || int(st.Uid) != unix.Getuid() || int(st.Gid) != unix.Getgid() {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("something else is there: %w", unix.EEXIST)
	}
	if s.PipeSize > 0 {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, int(min(s.PipeSize, 1<<31-1))); err != nil {
			o.Warn("PipeSize=: %v", err)
		}
	}
	xattr(fd, "security.SMACK64", s.SmackLabel, o)
	return fd, nil
}

// openSpecial opens a character device or a file that is like one (below /proc or /sys).
func openSpecial(s *unit.Socket, path string) (int, error) {
	mode := unix.O_RDONLY
	if s.Writable {
		mode = unix.O_RDWR
	}
	fd, err := unix.Open(path, mode|unix.O_CLOEXEC|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return -1, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	if t := st.Mode & unix.S_IFMT; t != unix.S_IFREG && t != unix.S_IFCHR {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("neither a character device nor a regular file: %w", unix.EEXIST)
	}
	if err := pollable(fd); err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("can't be watched: %w", err)
	}
	return fd, nil
}

// pollable reports EPERM for files that are always ready, on which nobody can wait.
func pollable(fd int) error {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(ep)
	return unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN})
}

// queueAttr is struct mq_attr of mq_open(3).
type queueAttr struct {
	flags, maxMessages, messageSize, current int
	_                                        [4]int
}

func openQueue(s *unit.Socket, name string) (int, error) {
	p, err := unix.BytePtrFromString(strings.TrimPrefix(name, "/"))
	if err != nil {
		return -1, err
	}
	var attr *queueAttr
	if s.MessageQueueMaxMessages > 0 && s.MessageQueueMessageSize > 0 {
		attr = &queueAttr{maxMessages: int(s.MessageQueueMaxMessages), messageSize: int(s.MessageQueueMessageSize)}
	}
	fd, _, errno := unix.Syscall6(unix.SYS_MQ_OPEN, uintptr(unsafe.Pointer(p)), unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_CREAT,
		uintptr(s.SocketMode), uintptr(unsafe.Pointer(attr)), 0, 0)
	if errno != 0 {
		return -1, errno
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(fd), &st); err != nil {
		_ = unix.Close(int(fd))
		return -1, err
	}
	if st.Mode&0o777 != s.SocketMode&0o777 || int(st.Uid) != unix.Getuid() || int(st.Gid) != unix.Getgid() {
		_ = unix.Close(int(fd))
		return -1, fmt.Errorf("a queue of another owner or mode is there: %w", unix.EEXIST)
	}
	return int(fd), nil
}

func unlinkQueue(name string) error {
	p, err := unix.BytePtrFromString(strings.TrimPrefix(name, "/"))
	if err != nil {
		return err
	}
	if _, _, errno := unix.Syscall(unix.SYS_MQ_UNLINK, uintptr(unsafe.Pointer(p)), 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// openUSB opens the control end point of a USB gadget in FunctionFS, describes the function on it, and opens the other end points.
func openUSB(dir string, usb USBFunction) (fd int, aux []int, err error) {
	fd, err = unix.Open(dir+"/ep0", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return -1, nil, err
	}
	for _, file := range []string{usb.Descriptors, usb.Strings} {
		if file == "" {
			continue
		}
		if err := copyUSB(fd, file); err != nil {
			_ = unix.Close(fd)
			return -1, nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	for n := 1; ; n++ {
		ep, err := unix.Open(fmt.Sprintf("%s/ep%d", dir, n), unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
		if err != nil {
			return fd, aux, nil
		}
		aux = append(aux, ep)
	}
}

const usbFileMax = 1 << 20

func copyUSB(to int, file string) error {
	from, err := unix.Open(file, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer unix.Close(from)
	buf := make([]byte, usbFileMax)
	n, err := unix.Read(from, buf)
	if err == nil {
		_, err = unix.Write(to, buf[:n])
	}
	return err
}
