package manager

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// console writes the status output that a person sees at boot. It never waits: the terminal is opened without blocking and what it doesn't take
// is dropped.
type console struct {
	path      string // "/dev/console"; "" writes nothing
	show      string // no, error, auto, temporary, yes
	colour    bool
	container bool
	override  string // the mode that a client or a signal has set
	trouble   bool   // auto: something failed or takes long, so the output was switched on
}

// marks are the status words in front of a line and their colours.
var marks = map[string]struct{ text, colour string }{
	"ok":      {"  OK  ", "1;32"},
	"failed":  {"FAILED", "1;31"},
	"depend":  {"DEPEND", "1;33"},
	"time":    {" TIME ", "1;31"},
	"skip":    {" SKIP ", "1;39"},
	"info":    {" INFO ", "0;1;34"},
	"assert":  {"ASSERT", "1;33"},
	"support": {"UNSUPP", "1;33"},
	"once":    {" ONCE ", "1;39"},
	"frozen":  {"FROZEN", "1;36"},
}

// setStatus changes the mode at run time; "" goes back to the configured one at the next reload.
func (c *console) setStatus(mode string) {
	c.override = mode
	if mode != "" {
		c.show = mode
	}
}

// configure sets what the configuration says; a mode that was set at run time stands.
func (c *console) configure(show string, colour bool) {
	c.show, c.colour = show, colour
	if c.override != "" {
		c.show = c.override
	}
}

// enabled reports whether a line with this mark is shown now.
func (c *console) enabled(mark string) bool {
	bad := mark == "failed" || mark == "depend" || mark == "time" || mark == "assert"
	switch c.show {
	case "no":
		return false
	case "error":
		return bad
	case "auto":
		if bad {
			c.trouble = true
		}
		return c.trouble
	}
	return true
}

// status writes one line with a mark in front ("" none).
func (c *console) status(mark, format string, args ...any) {
	if c.path == "" || !c.enabled(mark) {
		return
	}
	text := fmt.Sprintf(format, args...)
	if text == "" {
		return
	}
	var b strings.Builder
	switch m, ok := marks[mark]; {
	case !ok && mark == "":
		b.WriteString("         ")
	case ok && c.colour:
		b.WriteString("[\x1b[0;" + m.colour + "m" + m.text + "\x1b[0m] ")
	case ok:
		b.WriteString("[" + m.text + "] ")
	}
	b.WriteString(text)
	b.WriteString("\r\n")
	c.write(b.String())
}

func (c *console) write(s string) {
	fd, err := unix.Open(c.path, unix.O_WRONLY|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	_, _ = unix.Write(fd, []byte(s))
	_ = unix.Close(fd)
}
