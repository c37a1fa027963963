package ctl

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/bus"
)

// Env is all that a tool has to do with. Tests fill in their own.
type Env struct {
	Name      string // argv[0] as called
	In        io.Reader
	Out       io.Writer // data; see Flush
	Err       io.Writer // talk
	LookupEnv func(string) (string, bool)
	Environ   func() []string
	// Terminals: whether standard input, output and error are one.
	InTerminal, OutTerminal, ErrTerminal bool
	Columns, Lines                       int // of the terminal
	Now                                  func() time.Time
	Location                             *time.Location
	// Dial connects to the manager of the system, or with user to the caller's own.
	Dial func(user bool) (*bus.Client, error)
	// DialBus connects to the system bus; nil where there is none to use.
	DialBus func() (*bus.Client, error)
	// Root is the file system that is read for what the manager doesn't tell: /proc, /sys, unit files. "" is the running system.
	Root string
	// Chroot says that this is not the root that PID 1 runs in.
	Chroot bool

	pager *pager
	cut   bool // a line was shortened, for the hint of status
}

// NewEnv is the Env of this process.
func NewEnv(argv0 string) *Env {
	e := &Env{
		Name: argv0, In: os.Stdin, Out: newFlusher(os.Stdout), Err: os.Stderr, LookupEnv: os.LookupEnv, Environ: os.Environ,
		InTerminal: isTerminal(0), OutTerminal: isTerminal(1), ErrTerminal: isTerminal(2),
		Now: time.Now, Location: time.Local, Dial: dialManager, DialBus: bus.DialSystem,
	}
	e.Columns, e.Lines = terminalSize(1, os.Getenv)
	e.Chroot = runningInChroot(os.Getenv)
	return e
}

// errorf prints one line of talk, after what was printed so far. On a terminal it is red, as everything that failed.
func (e *Env) errorf(format string, args ...any) {
	e.talk(colorBrightRed, format, args...)
}

// warnf prints a warning; notef says what is only to be known.
func (e *Env) warnf(format string, args ...any) { e.talk(colorBrightYellow, format, args...) }
func (e *Env) notef(format string, args ...any) { e.talk(colorNone, format, args...) }

func (e *Env) talk(c color, format string, args ...any) {
	e.Flush()
	for _, line := range strings.Split(fmt.Sprintf(format, args...), "\n") {
		if c != colorNone && e.ErrTerminal && e.colors() {
			line = string(e.palette(c)) + line + colorReset
		}
		fmt.Fprintln(e.Err, line)
	}
}

func (e *Env) printf(format string, args ...any) { fmt.Fprintf(e.Out, format, args...) }

// Flush writes what is held back for Out.
func (e *Env) Flush() {
	if f, ok := e.Out.(interface{ Flush() error }); ok {
		// A reader that has gone away (`| head`) is no failure of the tool.
		_ = f.Flush()
	}
}

// Close flushes and waits for the pager.
func (e *Env) Close() {
	e.Flush()
	if e.pager != nil {
		e.pager.close()
	}
}

// path is a path in Root.
func (e *Env) path(p string) string { return e.Root + p }

// readFile reads a small file of Root, without its last line end; "" when it can't be read.
func (e *Env) readFile(p string) string {
	b, err := os.ReadFile(e.path(p))
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(b), "\n")
}

// flusher buffers output in large pieces.
type flusher struct {
	f   *os.File
	buf []byte
}

func newFlusher(f *os.File) *flusher { return &flusher{f: f} }

func (w *flusher) Write(p []byte) (int, error) {
	w.buf = append(w.buf, p...)
	if len(w.buf) > 1<<15 {
		return len(p), w.Flush()
	}
	return len(p), nil
}

func (w *flusher) Flush() error {
	_, err := w.f.Write(w.buf)
	w.buf = w.buf[:0]
	return err
}

func isTerminal(fd int) bool {
	_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	return err == nil
}

// terminalSize follows $COLUMNS and $LINES, then the terminal, then 80×24.
func terminalSize(fd int, getenv func(string) string) (columns, lines int) {
	columns, lines = atoi(getenv("COLUMNS")), atoi(getenv("LINES"))
	if w, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ); err == nil {
		if columns == 0 {
			columns = int(w.Col)
		}
		if lines == 0 {
			lines = int(w.Row)
		}
	}
	if columns == 0 {
		columns = 80
	}
	if lines == 0 {
		lines = 24
	}
	return columns, lines
}

// atoi gives 0 for anything but a positive number.
func atoi(s string) int {
	n := 0
	for _, c := range s {
		if c < '0' || c > '9' || n > 1<<20 {
			return 0
		}
		n = n*10 + int(c-'0')
	}
	return n
}

// runningInChroot compares our root with PID 1's (as systemd does, $SYSTEMD_IGNORE_CHROOT overrides it).
func runningInChroot(getenv func(string) string) bool {
	if v := getenv("SYSTEMD_IGNORE_CHROOT"); v != "" && v != "0" && v != "no" {
		return false
	}
	if v := getenv("SYSTEMD_IN_CHROOT"); v != "" {
		return v != "0" && v != "no"
	}
	var ours, first unix.Stat_t
	if unix.Stat("/", &ours) != nil {
		return false
	}
	if err := unix.Stat("/proc/1/root", &first); err != nil {
		// Without /proc there is no PID 1 to compare with.
		return err == unix.ENOENT
	}
	return ours.Dev != first.Dev || ours.Ino != first.Ino
}

// dialManager connects to the manager's private socket where there is one, else to the bus.
func dialManager(user bool) (*bus.Client, error) {
	if !user {
		if os.Geteuid() == 0 {
			if c, err := bus.DialPath("/run/systemd/private"); err == nil {
				return c, nil
			}
		}
		if !booted() {
			return nil, unix.EHOSTDOWN
		}
		return bus.DialSystem()
	}
	dir := os.Getenv("XDG_RUNTIME_DIR")
	if dir == "" {
		return nil, errNoRuntimeDir
	}
	if c, err := bus.DialPath(dir + "/systemd/private"); err == nil {
		return c, nil
	}
	return bus.DialUser()
}

// booted is sd_booted(3).
func booted() bool {
	var st unix.Stat_t
	return unix.Lstat("/run/systemd/system", &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR
}

// Getenv is a variable of the environment, "" if it isn't set.
func (e *Env) Getenv(name string) string {
	v, _ := e.LookupEnv(name)
	return v
}
