package ctl

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/bus"
)

// ptyPair is a pseudo terminal: we have the master, a service opens path.
type ptyPair struct {
	master int
	path   string
}

func openPTY() (*ptyPair, error) {
	m, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.IoctlSetPointerInt(m, unix.TIOCSPTLCK, 0); err != nil {
		unix.Close(m)
		return nil, err
	}
	n, err := unix.IoctlGetInt(m, unix.TIOCGPTN)
	if err != nil {
		unix.Close(m)
		return nil, err
	}
	return &ptyPair{m, fmt.Sprintf("/dev/pts/%d", n)}, nil
}

func (p *ptyPair) close() { unix.Close(p.master) }

// ptyForward passes what is typed to the pseudo terminal, and what it says to our output.
type ptyForward struct {
	p      *ptyPair
	hold   int // our own descriptor of the slave, so that the master doesn't hang up before the service opens it
	saved  *unix.Termios
	stdin  bool
	escape [2]time.Time // when ^] was typed last
	width  unix.Winsize
	tint   *tint // nil: the service's colours are left alone
}

// forward begins: our terminal becomes raw.
func (p *ptyPair) forward(stdin bool) (*ptyForward, error) {
	f := &ptyForward{p: p, stdin: true}
	hold, err := unix.Open(p.path, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f.hold = hold
	if stdin {
		if t, err := unix.IoctlGetTermios(0, unix.TCGETS); err == nil {
			saved := *t
			f.saved = &saved
			t.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
			t.Oflag &^= unix.OPOST
			t.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
			t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
			if err := unix.IoctlSetTermios(0, unix.TCSETS, t); err != nil {
				return nil, err
			}
		}
	}
	f.resize()
	return f, nil
}

// resize gives the pseudo terminal the size of ours.
func (f *ptyForward) resize() {
	w, err := unix.IoctlGetWinsize(1, unix.TIOCGWINSZ)
	if err == nil && *w != f.width {
		f.width = *w
		// A size that can't be set is only unpleasant to look at.
		_ = unix.IoctlSetWinsize(f.p.master, unix.TIOCSWINSZ, w)
	}
}

// turn waits once for input of either side or of the manager. left says that the user typed ^] three times.
func (f *ptyForward) turn(c *bus.Client) (left bool, err error) {
	f.resize()
	poll := []unix.PollFd{{Fd: int32(c.FD()), Events: unix.POLLIN}, {Fd: int32(f.p.master), Events: unix.POLLIN}, {Fd: -1, Events: unix.POLLIN}}
	if f.stdin {
		poll[2].Fd = 0
	}
	if _, err := unix.Poll(poll, 500); err != nil && err != unix.EINTR {
		return false, err
	}
	if poll[1].Revents != 0 {
		f.copyOut()
	}
	if poll[2].Revents != 0 && f.copyIn() {
		return true, nil
	}
	if poll[0].Revents != 0 {
		if _, err := c.Process(0); err != nil {
			return false, err
		}
	}
	return false, nil
}

// copyOut writes what the service said; false when there is nothing more now.
func (f *ptyForward) copyOut() bool {
	var buf [8192]byte
	n, err := unix.Read(f.p.master, buf[:])
	if n <= 0 || err != nil {
		return false
	}
	for out := f.tint.apply(buf[:n]); len(out) > 0; {
		w, err := os.Stdout.Write(out)
		if err != nil {
			return false
		}
		out = out[w:]
	}
	return true
}

// copyIn passes what was typed on, and looks out for the three ^].
func (f *ptyForward) copyIn() (left bool) {
	var buf [4096]byte
	n, err := unix.Read(0, buf[:])
	if n <= 0 || err != nil {
		f.stdin = false
		if err == nil {
			// End of input: what ^D means to the terminal.
			_, _ = unix.Write(f.p.master, []byte{4})
		}
		return false
	}
	for _, b := range buf[:n] {
		if b != 0x1d {
			f.escape = [2]time.Time{}
			continue
		}
		now := time.Now()
		if !f.escape[0].IsZero() && now.Sub(f.escape[0]) < time.Second {
			return true
		}
		f.escape[0], f.escape[1] = f.escape[1], now
	}
	// The terminal's queue bounds what a service that doesn't read can be sent.
	_, _ = unix.Write(f.p.master, buf[:n])
	return false
}

// finish writes what is left when the service has ended.
func (f *ptyForward) finish() {
	unix.Close(f.hold)
	f.hold = -1
	for f.copyOut() {
	}
}

// stop gives our terminal back as it was.
func (f *ptyForward) stop() {
	if f.hold >= 0 {
		unix.Close(f.hold)
	}
	if end := f.tint.end(); end != "" {
		_, _ = os.Stdout.WriteString(end)
	}
	if f.saved != nil {
		_ = unix.IoctlSetTermios(0, unix.TCSETS, f.saved)
	}
}

// tint gives a background to all that passes through: it is set at the start and again behind every sequence that may have taken it away, and lines are
// filled with it to their end.
type tint struct {
	set      string // the sequence that sets the background
	begun    bool
	sequence []byte // of CSI, as far as it has come; nil: outside
}

// tintSequenceMax bounds a control sequence; what is longer is none.
const tintSequenceMax = 64

// newTint takes the parameters of the colour, "" for no tint.
func newTint(color string) *tint {
	if color == "" {
		return nil
	}
	return &tint{set: "\x1b[" + color + "m"}
}

// apply gives what is to be printed for p. A sequence that p ends in the middle of is finished by the next call.
func (t *tint) apply(p []byte) []byte {
	if t == nil {
		return p
	}
	out := make([]byte, 0, len(p)+64)
	if !t.begun {
		t.begun = true
		out = append(out, t.set...)
	}
	for _, c := range p {
		switch {
		case c == '\x1b':
			t.sequence = append(t.sequence[:0], c)
		case len(t.sequence) == 1 && c != '[':
			// Some other escape sequence; \x1bc resets the terminal.
			if t.sequence = t.sequence[:0]; c == 'c' {
				out = append(append(out, c), t.set...)
				continue
			}
		case len(t.sequence) == 1:
			t.sequence = append(t.sequence, c)
		case len(t.sequence) > 1 && c >= 0x40 && c <= 0x7e:
			parameters := string(t.sequence[2:])
			t.sequence = t.sequence[:0]
			if c == 'm' && clearsBackground(parameters) {
				out = append(append(out, c), t.set...)
				continue
			}
		case len(t.sequence) > 1:
			if t.sequence = append(t.sequence, c); len(t.sequence) > tintSequenceMax {
				t.sequence = t.sequence[:0]
			}
		case c == '\n':
			out = append(out, "\x1b[K"...)
		}
		out = append(out, c)
	}
	return out
}

// clearsBackground says whether a colour sequence goes back to the terminal's own background: by 0 or nothing for all attributes, or by 49.
func clearsBackground(parameters string) bool {
	list := strings.Split(parameters, ";")
	for i := 0; i < len(list); i++ {
		switch strings.TrimLeft(list[i], "0") {
		case "", "49":
			return true
		case "38", "48", "58":
			// What follows is a colour: 5 and its number, or 2 and three of them.
			if i+1 < len(list) && list[i+1] == "5" {
				i += 2
			} else {
				i += 4
			}
		}
	}
	return false
}

// end gives the terminal its own background back.
func (t *tint) end() string {
	if t == nil || !t.begun {
		return ""
	}
	return "\x1b[0m\x1b[K"
}

// lookupGroup finds a group by name or number.
func lookupGroup(name string) (int, error) {
	if g, err := user.LookupGroup(name); err == nil {
		return strconv.Atoi(g.Gid)
	}
	n, err := strconv.ParseUint(name, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("Failed to resolve group %s: No such process", name)
	}
	return int(n), nil
}
