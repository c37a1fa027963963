package kernel

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// OpenTerminal opens a terminal device without making it the controlling one,
// close-on-exec and non-blocking (a serial line without carrier would hang);
// ENOTTY if it is something else. A terminal that is just being hung up gives
// EIO for a moment: the caller may try again later.
func OpenTerminal(path string, flags int) (int, error) {
	fd, err := openRetry(path, flags|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK)
	if err != nil {
		return -1, fmt.Errorf("%s: %w", path, err)
	}
	if _, err := unix.IoctlGetTermios(fd, unix.TCGETS); err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("%s: %w", path, unix.ENOTTY)
	}
	return fd, nil
}

// ResetTerminal gives a terminal sane settings: no exclusive mode, text mode
// and Unicode keyboard on a virtual console, canonical input with echo and
// signals; speed and parity are kept. tty_ioctl(4), ioctl_console(2).
func ResetTerminal(fd int) error {
	const (
		kdSetMode, kdText     = 0x4B3A, 0
		kdSetKbMode, kUnicode = 0x4B45, 3
	)
	// The first three are refused by what is no (virtual) terminal.
	_ = unix.IoctlSetInt(fd, unix.TIOCNXCL, 0)
	_ = unix.IoctlSetInt(fd, kdSetMode, kdText)
	_ = unix.IoctlSetInt(fd, kdSetKbMode, kUnicode)
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return fmt.Errorf("terminal: %w", err)
	}
	t.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.IUCLC
	t.Iflag |= unix.ICRNL | unix.IMAXBEL | unix.IUTF8
	t.Oflag |= unix.ONLCR | unix.OPOST
	t.Cflag |= unix.CREAD
	t.Lflag = unix.ISIG | unix.ICANON | unix.IEXTEN | unix.ECHO | unix.ECHOE | unix.ECHOK | unix.ECHOCTL | unix.ECHOPRT | unix.ECHOKE
	for i, c := range map[int]uint8{
		unix.VINTR: 3, unix.VQUIT: 28, unix.VERASE: 127, unix.VKILL: 21, unix.VEOF: 4, unix.VSTART: 17, unix.VSTOP: 19,
		unix.VSUSP: 26, unix.VLNEXT: 22, unix.VWERASE: 23, unix.VREPRINT: 18, unix.VEOL: 0, unix.VEOL2: 0,
		unix.VTIME: 0, unix.VMIN: 1,
	} {
		t.Cc[i] = c
	}
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, t); err != nil {
		return fmt.Errorf("terminal: %w", err)
	}
	_ = unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCIOFLUSH)
	return nil
}

// HangupTerminal ends the sessions on a terminal; ioctl TIOCVHANGUP needs
// CAP_SYS_TTY_CONFIG.
func HangupTerminal(fd int) error {
	if err := unix.IoctlSetInt(fd, unix.TIOCVHANGUP, 0); err != nil {
		return fmt.Errorf("terminal: hang up: %w", err)
	}
	return nil
}

// DisallocateVT frees the screen buffer of virtual console n (TTYVTDisallocate=).
func DisallocateVT(n int) error {
	fd, err := openRetry("/dev/tty0", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK)
	if err != nil {
		return fmt.Errorf("/dev/tty0: %w", err)
	}
	defer unix.Close(fd)
	const vtDisallocate = 0x5608
	if err := unix.IoctlSetInt(fd, vtDisallocate, n); err != nil && !errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("virtual console %d: %w", n, err)
	}
	return nil
}

// TerminalSize returns rows and columns, 0 where they are not known.
func TerminalSize(fd int) (rows, cols int) {
	ws, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0
	}
	return int(ws.Row), int(ws.Col)
}

// SetTerminalSize sets rows and columns; a zero keeps what there is.
func SetTerminalSize(fd, rows, cols int) error {
	ws, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ)
	if err == nil {
		if rows > 0 {
			ws.Row = uint16(rows)
		}
		if cols > 0 {
			ws.Col = uint16(cols)
		}
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, ws)
	}
	if err != nil {
		return fmt.Errorf("terminal: size: %w", err)
	}
	return nil
}

// KeyboardSignal asks the kernel to send sig to us for the keyboard request
// key (SIGWINCH in a manager; KDSIGACCEPT in ioctl_console(2)).
func KeyboardSignal(fd int, sig unix.Signal) error {
	const kdSigAccept = 0x4B4E
	if err := unix.IoctlSetInt(fd, kdSigAccept, int(sig)); err != nil {
		return fmt.Errorf("keyboard request: %w", err)
	}
	return nil
}

// ActiveConsoles lists the devices behind /dev/console, the last one being
// where input comes from, as sysfs names them ("tty0", "ttyS0").
func ActiveConsoles() ([]string, error) {
	b, err := readSmall("/sys/class/tty/console/active")
	if err != nil {
		return nil, err
	}
	return strings.Fields(string(b)), nil
}
