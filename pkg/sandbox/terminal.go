package sandbox

import (
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/plan"
)

const unset32 = 1<<32 - 1

// terminal makes the unit's terminal ready and puts it where standard streams
// ask for it (systemd.exec(5), TTYPath= and StandardInput=tty).
func terminal(r *run) *plan.Failure {
	p := r.p
	t := &p.TTY
	if t.VHangup {
		ignoreMissing(onTerminal(t.Path, func(fd int) error { return ioctl(fd, unix.TIOCVHANGUP, 0) }))
	}
	if t.Reset {
		ignoreMissing(onTerminal(t.Path, resetTerminal))
	}
	if t.VTDisallocate {
		disallocate(t.Path)
	}
	if p.Stdin.Kind == plan.StreamTTY {
		fd, err := acquire(t.Path, terminalWait{force: p.Stdin.Force, fail: p.Stdin.Fail})
		if err != nil {
			return failed(plan.ExitStdin, "StandardInput", t.Path, err)
		}
		if f := place(p, fd, 0); f != nil {
			return f
		}
		if p.Identity != nil && p.ChangeUser {
			// The user must be able to open /dev/tty and mesg.
			const ttyMode = 0o620
			_ = unix.Fchown(0, int(p.Identity.UID), -1)
			_ = unix.Fchmod(0, ttyMode)
		}
	}
	for n, s := range []*plan.Stream{&p.Stdout, &p.Stderr} {
		if s.Kind != plan.StreamTTY {
			continue
		}
		fd, err := unix.Open(t.Path, unix.O_WRONLY|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
		if err != nil {
			return failed(streamStatus[n+1], streamNames[n+1], t.Path, err)
		}
		if f := place(p, fd, n+1); f != nil {
			return f
		}
	}
	return setSize(t)
}

var streamNames = [3]string{"StandardInput", "StandardOutput", "StandardError"}
var streamStatus = [3]uint8{plan.ExitStdin, plan.ExitStdout, plan.ExitStderr}

// place moves a terminal to number n.
func place(p *plan.Plan, fd, n int) *plan.Failure {
	if fd == n {
		return nil
	}
	if err := unix.Dup3(fd, n, 0); err != nil {
		return failed(streamStatus[n], streamNames[n], p.TTY.Path, err)
	}
	unix.Close(fd)
	return nil
}

// terminalWait says what happens while somebody else has the terminal.
type terminalWait struct {
	force bool   // it is taken away
	fail  bool   // EPERM at once
	usec  uint64 // otherwise ETIMEDOUT after this, 0: never
}

// acquire opens a terminal and makes it the controlling one: by force, at once
// or not at all, or after waiting until whoever has it closes it.
func acquire(path string, wait terminalWait) (int, error) {
	watch, force, fail := -1, wait.force, wait.fail
	end := monotonicUSec() + wait.usec
	if !force && !fail {
		var err error
		if watch, err = unix.InotifyInit1(unix.IN_CLOEXEC); err != nil {
			return -1, err
		}
		defer unix.Close(watch)
		if _, err := unix.InotifyAddWatch(watch, path, unix.IN_CLOSE); err != nil {
			return -1, err
		}
	}
	for {
		fd, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
		if err != nil {
			return -1, err
		}
		steal := uintptr(0)
		if force {
			steal = 1
		}
		err = ioctl(fd, unix.TIOCSCTTY, steal)
		if err == nil {
			return fd, nil
		}
		unix.Close(fd)
		if err != unix.EPERM || force || fail {
			return -1, err
		}
		if wait.usec != 0 && !readableUntil(watch, end) {
			return -1, unix.ETIMEDOUT
		}
		buf := make([]byte, 4096)
		if _, err := unix.Read(watch, buf); err != nil && err != unix.EINTR {
			return -1, err
		}
	}
}

func onTerminal(path string, use func(fd int) error) error {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return use(fd)
}

// ignoreMissing: preparing a terminal is a courtesy; whether it can be used at
// all shows when it is opened for a stream.
func ignoreMissing(error) {}

func ioctl(fd int, req uint, arg uintptr) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(req), arg)
	if errno != 0 {
		return errno
	}
	return nil
}

// resetTerminal puts line discipline, echo and special characters back to what
// a login expects, and leaves graphics mode.
func resetTerminal(fd int) error {
	const kdSetMode, kdText, kdSKBMode, kbUnicode = 0x4B3A, 0, 0x4B45, 3
	_ = ioctl(fd, unix.TIOCNXCL, 0)
	_ = ioctl(fd, kdSetMode, kdText)
	_ = ioctl(fd, kdSKBMode, kbUnicode)
	tio, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return err
	}
	tio.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.ISTRIP | unix.INLCR | unix.IGNCR
	tio.Iflag |= unix.ICRNL | unix.IMAXBEL | unix.IUTF8
	tio.Oflag |= unix.ONLCR | unix.OPOST
	tio.Cflag |= unix.CREAD
	tio.Lflag |= unix.ISIG | unix.ICANON | unix.IEXTEN | unix.ECHO | unix.ECHOE | unix.ECHOK | unix.ECHOCTL | unix.ECHOKE
	tio.Cc[unix.VINTR], tio.Cc[unix.VQUIT], tio.Cc[unix.VERASE] = 3, 28, 127
	tio.Cc[unix.VKILL], tio.Cc[unix.VEOF], tio.Cc[unix.VSTART], tio.Cc[unix.VSTOP] = 21, 4, 17, 19
	tio.Cc[unix.VSUSP], tio.Cc[unix.VLNEXT], tio.Cc[unix.VWERASE] = 26, 22, 23
	tio.Cc[unix.VEOL], tio.Cc[unix.VEOL2] = 0, 0
	tio.Cc[unix.VTIME], tio.Cc[unix.VMIN] = 0, 1
	err = unix.IoctlSetTermios(fd, unix.TCSETS, tio)
	_ = ioctl(fd, unix.TCFLSH, unix.TCIOFLUSH)
	return err
}

// disallocate gives the memory of a virtual console back, so that nothing of
// what was on it is left; terminals without that are cleared.
func disallocate(path string) {
	const vtDisallocate = 0x5608
	if n, err := strconv.Atoi(strings.TrimPrefix(path, "/dev/tty")); err == nil && n > 0 && strings.HasPrefix(path, "/dev/tty") {
		if onTerminal("/dev/tty0", func(fd int) error { return ioctl(fd, vtDisallocate, uintptr(n)) }) == nil {
			return
		}
	}
	const clearAll = "\033[r\033[H\033[3J" // scroll region, cursor home, erase with scroll-back
	ignoreMissing(onTerminal(path, func(fd int) error {
		_, err := unix.Write(fd, []byte(clearAll))
		return err
	}))
}

// setSize applies TTYRows= and TTYColumns=.
func setSize(t *plan.TTY) *plan.Failure {
	if t.Rows == unset32 && t.Columns == unset32 {
		return nil
	}
	ignoreMissing(onTerminal(t.Path, func(fd int) error {
		ws, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ)
		if err != nil {
			return err
		}
		if t.Rows != unset32 {
			ws.Row = uint16(t.Rows)
		}
		if t.Columns != unset32 {
			ws.Col = uint16(t.Columns)
		}
		return ioctl(fd, unix.TIOCSWINSZ, uintptr(unsafe.Pointer(ws)))
	}))
	return nil
}
