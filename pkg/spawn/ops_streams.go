package spawn

import (
	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/kernel"
)

var streamNames = [3]string{"StandardInput", "StandardOutput", "StandardError"}
var streamStatus = [3]uint8{plan.ExitStdin, plan.ExitStdout, plan.ExitStderr}

// maxSunPath is the room for a path in struct sockaddr_un.
const maxSunPath = 107

// journalSendBuffer is SO_SNDBUF of the connection to the journal, in bytes.
const journalSendBuffer = 8 << 20

// Streams appends the three standard streams. Streams to the journal come
// first, because they use descriptor 0 for a moment; terminals are the
// executor's, which puts them at their numbers itself.
func (o *Ops) Streams() {
	streams := [3]*plan.Stream{&o.plan.Stdin, &o.plan.Stdout, &o.plan.Stderr}
	o.safeguard(streams)
	for n, s := range streams {
		if s.Kind == plan.StreamJournal {
			o.journal(n, s)
		}
	}
	for n, s := range streams {
		o.stream(n, s)
	}
}

// safeguard moves descriptors that are to become a standard stream out of the
// numbers 0 to 2, in case the manager itself was started without those.
func (o *Ops) safeguard(streams [3]*plan.Stream) {
	for n, s := range streams {
		if (s.Kind == plan.StreamFD || s.Kind == plan.StreamData || s.Kind == plan.StreamJournal) && s.FD >= 0 && s.FD < firstFD {
			ref := o.List.SafeFD(streamStatus[n], int(s.FD), firstFD)
			o.List.DupResult(streamStatus[n], ref, n)
			o.mark(streamNames[n], "")
			s.Kind = plan.StreamKeep
		}
	}
}

func (o *Ops) stream(n int, s *plan.Stream) {
	l, status := o.List, streamStatus[n]
	switch s.Kind {
	case plan.StreamNull:
		l.OpenTo(status, "/dev/null", int(s.Flags)|unix.O_NOCTTY, 0, n)
		o.mark(streamNames[n], "/dev/null")
		return
	case plan.StreamDup:
		l.Dup(status, n-1, n)
	case plan.StreamFD, plan.StreamData:
		l.Dup(status, int(s.FD), n)
		if s.Control {
			steal := uintptr(0)
			if s.Force {
				steal = 1
			}
			// Not a terminal, or one of another session: it is standard input all the same.
			l.Syscall(kernel.OpOther, 0, unix.SYS_IOCTL, kernel.FD(n), kernel.Value(unix.TIOCSCTTY), kernel.Value(steal))
		}
	case plan.StreamFile:
		o.file(n, s)
		return
	case plan.StreamKeep, plan.StreamTTY, plan.StreamJournal:
		return
	}
	o.mark(streamNames[n], "")
}

// file opens a file, or connects to it if it turns out to be a socket.
func (o *Ops) file(n int, s *plan.Stream) {
	l, status := o.List, streamStatus[n]
	mode := 0o666 &^ o.plan.UMask
	if s.Flags&unix.O_ACCMODE == unix.O_RDONLY || len(s.Path) > maxSunPath {
		l.OpenTo(status, s.Path, int(s.Flags)|unix.O_NOCTTY, mode, n)
		o.mark(streamNames[n], s.Path)
		return
	}
	// open(2) gives ENXIO for a socket. What could not be opened then still
	// has to be connected: a socket without a peer is none to start with.
	fd := l.Open(status, s.Path, int(s.Flags)|unix.O_NOCTTY, mode)
	l.Tolerate(unix.ENXIO)
	sock := l.Syscall(kernel.OpOther, status, unix.SYS_SOCKET, kernel.Value(unix.AF_UNIX), kernel.Value(unix.SOCK_STREAM|unix.SOCK_CLOEXEC), kernel.Value(0))
	addr := sockaddr(s.Path)
	l.Syscall(kernel.OpOther, 0, unix.SYS_CONNECT, kernel.Result(sock), l.Bytes(addr), kernel.Value(uintptr(len(addr))))
	l.Syscall(kernel.OpDup, status, unix.SYS_DUP3, kernel.Result(sock), kernel.FD(n), kernel.Value(0))
	l.Close(kernel.Result(sock))
	l.Syscall(kernel.OpDup, status, unix.SYS_DUP3, kernel.Result(fd), kernel.FD(n), kernel.Value(0))
	l.Tolerate(unix.EBADF)
	size := int32(len(addr))
	l.Syscall(kernel.OpOther, status, unix.SYS_GETPEERNAME, kernel.FD(n), l.Bytes(addr), l.Bytes(bytesOf(&size)))
	l.Tolerate(unix.ENOTSOCK)
	o.mark(streamNames[n], s.Path)
}

// journal connects to journald and says who is talking. When nobody listens,
// the stream is /dev/null instead. An op list has no branches, so the result
// of connect does the choosing: it is 0 on success, which is the number the
// socket is at meanwhile, and no descriptor at all otherwise.
func (o *Ops) journal(n int, s *plan.Stream) {
	l, status := o.List, streamStatus[n]
	h := &o.plan.Journal
	// Where DevicePolicy= forbids even /dev/null, the socket as it is takes its place: writing to it fails.
	l.Dup(status, int(s.FD), n)
	null := l.Open(status, "/dev/null", unix.O_WRONLY|unix.O_NOCTTY, 0)
	l.Tolerate(unix.EPERM)
	l.Syscall(kernel.OpDup, status, unix.SYS_DUP3, kernel.Result(null), kernel.FD(n), kernel.Value(0))
	l.Tolerate(unix.EBADF)
	l.Dup(status, int(s.FD), 0)
	addr := sockaddr(h.Socket)
	connected := l.Syscall(kernel.OpOther, 0, unix.SYS_CONNECT, kernel.FD(0), l.Bytes(addr), kernel.Value(uintptr(len(addr))))
	l.Syscall(kernel.OpOther, 0, unix.SYS_SHUTDOWN, kernel.Result(connected), kernel.Value(unix.SHUT_RD))
	size := int32(journalSendBuffer)
	for _, opt := range [2]uintptr{unix.SO_SNDBUF, unix.SO_SNDBUFFORCE} {
		l.Syscall(kernel.OpOther, 0, unix.SYS_SETSOCKOPT, kernel.Result(connected), kernel.Value(unix.SOL_SOCKET),
			kernel.Value(opt), l.Bytes(bytesOf(&size)), kernel.Value(4))
	}
	// Without it, what the program writes first would be taken for it.
	l.Write(status, kernel.Result(connected), journalHeader(h, s))
	l.Tolerate(unix.EBADF) // not connected
	l.Syscall(kernel.OpDup, status, unix.SYS_DUP3, kernel.Result(connected), kernel.FD(n), kernel.Value(0))
	l.Tolerate(unix.EBADF)
	o.mark(streamNames[n], h.Socket)
}

// journalHeader are the seven lines journald's stream socket wants first:
// identifier, unit, priority, level prefix, and whether to forward to syslog,
// kmsg and the console.
func journalHeader(h *plan.JournalHeader, s *plan.Stream) []byte {
	b := make([]byte, 0, len(h.Identifier)+len(h.Unit)+20)
	b = append(append(b, h.Identifier...), '\n')
	b = append(append(b, h.Unit...), '\n')
	b = append(append(b, itoa(int64(h.Priority))...), '\n')
	for _, on := range [4]bool{h.LevelPrefix, false, s.ForwardKmsg, s.ForwardConsole} {
		c := byte('0')
		if on {
			c = '1'
		}
		b = append(b, c, '\n')
	}
	return b
}

// sockaddr is struct sockaddr_un for a path, "@…" being an abstract name. A
// path that is too long is cut, and then not found.
func sockaddr(path string) []byte {
	if len(path) > maxSunPath {
		path = path[:maxSunPath]
	}
	family := uint16(unix.AF_UNIX)
	b := append(bytesOf(&family)[:2:2], path...)
	if len(path) > 0 && path[0] == '@' {
		b[2] = 0
		return b
	}
	return append(b, 0)
}
