package box

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// IsTerminal tells whether the file is a terminal.
func IsTerminal(file *os.File) bool {
	_, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS)
	return err == nil
}

// Shell connects the terminal on stdin and stdout to a program inside, on a
// terminal of the box's own, and returns its exit code.
func (b *Box) Shell(ctx context.Context, stdin, stdout *os.File, argv ...string) (int, error) {
	master, slavePath, err := openPTY(b.Path("/dev/pts/ptmx"), b.Path("/dev/pts"))
	if err != nil {
		return 0, fmt.Errorf("container: shell: %w", err)
	}
	defer master.Close()
	slave, err := os.OpenFile(slavePath, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return 0, fmt.Errorf("container: shell: %w", err)
	}
	defer slave.Close()
	restore, err := rawTerminal(stdin)
	if err != nil {
		return 0, fmt.Errorf("container: shell: %w", err)
	}
	defer restore()
	stopResize := followSize(stdin, master)
	defer stopResize()
	// Both copies end with the program or with the terminal; the one that
	// reads stdin stays blocked until the next key, which is at most one
	// goroutine of a program that is about to exit.
	go func() { _, _ = io.Copy(master, stdin) }()
	go func() { _, _ = io.Copy(stdout, master) }()
	return b.run(ctx, slave, slave, slave, &syscall.SysProcAttr{Setsid: true, Setctty: true}, argv)
}

// rawTerminal hands every key on as it is and returns how to undo that.
func rawTerminal(file *os.File) (func(), error) {
	fd := int(file.Fd())
	saved, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, err
	}
	raw := *saved
	raw.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	raw.Oflag &^= unix.OPOST
	raw.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &raw); err != nil {
		return nil, err
	}
	return func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, saved) }, nil
}

// followSize keeps the inner terminal as large as the outer one.
func followSize(outer, inner *os.File) (stop func()) {
	copySize := func() {
		if size, err := unix.IoctlGetWinsize(int(outer.Fd()), unix.TIOCGWINSZ); err == nil {
			_ = unix.IoctlSetWinsize(int(inner.Fd()), unix.TIOCSWINSZ, size)
		}
	}
	copySize()
	changes := make(chan os.Signal, 1)
	signal.Notify(changes, unix.SIGWINCH)
	go func() {
		for range changes {
			copySize()
		}
	}()
	return func() {
		signal.Stop(changes)
		close(changes)
	}
}
