package manager

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const nativeSocket = "/run/systemd/journal/socket"

// logger sends the manager's own messages where LogTarget= says, without ever waiting: to journald when it listens, to the kernel log before
// that, to the console, or nowhere. Every message about a unit is also offered to the memory log when there is no journald.
type logger struct {
	level   int
	target  string // console, journal, kmsg, journal-or-kmsg, null, auto…
	system  bool
	native  int // socket to journald, -1 none
	kmsg    int // /dev/kmsg, -1 none
	con     *console
	memory  func(unit, line string, level int)
	dropped uint64

	time, location bool // in front of messages on the console

	override       *int   // level set at run time
	targetOverride string // target set at run time
}

func newLogger(system bool, con *console) *logger {
	return &logger{level: 6, target: "auto", system: system, native: -1, kmsg: -1, con: con}
}

// setLevel and setTarget change what is logged and where at run time; a reload of the configuration doesn't undo that.
func (l *logger) setLevel(n int) {
	l.level = n
	l.override = &n
}

func (l *logger) setTarget(name string) {
	l.target = name
	l.targetOverride = name
}

// configure sets what the configuration says.
func (l *logger) configure(level int, target string) {
	l.level, l.target = level, target
	if l.override != nil {
		l.level = *l.override
	}
	if l.targetOverride != "" {
		l.target = l.targetOverride
	}
}

// journalStream reports whether journald takes the output of services.
func (l *logger) journalStream() bool {
	return unix.Faccessat(unix.AT_FDCWD, "/run/systemd/journal/stdout", unix.F_OK, 0) == nil
}

func (l *logger) emergency(unit, format string, args ...any) { l.write(0, unit, nil, format, args...) }
func (l *logger) err(unit, format string, args ...any)       { l.write(3, unit, nil, format, args...) }
func (l *logger) warning(unit, format string, args ...any)   { l.write(4, unit, nil, format, args...) }
func (l *logger) notice(unit, format string, args ...any)    { l.write(5, unit, nil, format, args...) }
func (l *logger) info(unit, format string, args ...any)      { l.write(6, unit, nil, format, args...) }
func (l *logger) debug(unit, format string, args ...any)     { l.write(7, unit, nil, format, args...) }

// write sends one message. Fields are further journal fields, KEY=value.
func (l *logger) write(level int, unit string, fields []string, format string, args ...any) {
	if level > l.level || l.target == "null" {
		return
	}
	text := format
	if len(args) > 0 {
		text = fmt.Sprintf(format, args...)
	}
	if unit != "" && !strings.HasPrefix(text, unit) && !mentions(text, unit) {
		text = unit + ": " + text
	}
	switch l.target {
	case "console", "console-prefixed":
		l.con.write(l.prefix(level) + text + "\r\n")
		return
	case "kmsg":
		l.toKmsg(level, text)
		return
	}
	if l.toJournal(level, unit, text, fields) {
		return
	}
	if l.memory != nil {
		l.memory(unit, text, level)
	}
	l.toKmsg(level, text)
}

// prefix is what LogTime= and LogLocation= put in front of a message, and the priority for those who take the console apart.
func (l *logger) prefix(level int) string {
	var b strings.Builder
	if l.target == "console-prefixed" {
		fmt.Fprintf(&b, "<%d>", 3<<3|level)
	}
	if l.time {
		b.WriteString(time.Now().Format("Mon 2006-01-02 15:04:05 MST "))
	}
	if file, line := caller(); l.location && file != "" {
		fmt.Fprintf(&b, "(%s:%d) ", file, line)
	}
	return b.String()
}

// caller is the place outside of the logger that a message comes from, its file as a path in the repository.
func caller() (file string, line int) {
	for skip := 2; skip < 10; skip++ {
		_, file, line, ok := runtime.Caller(skip)
		if !ok {
			break
		}
		if filepath.Base(file) == "logging.go" {
			continue
		}
		if i := strings.Index(file, "pkg/manager/"); i >= 0 {
			file = file[i:]
		}
		return file, line
	}
	return "", 0
}

// mentions reports whether a status message names the unit anyway ("Started nginx.service - …").
func mentions(text, unit string) bool {
	i := strings.Index(text, unit)
	return i >= 0 && i < 40
}

// toJournal sends the native protocol (systemd.journal-fields(7)). false: nobody listens.
func (l *logger) toJournal(level int, unit, text string, fields []string) bool {
	if l.native < 0 && !l.connect() {
		return false
	}
	b := make([]byte, 0, 256+len(text))
	b = appendField(b, "PRIORITY", fmt.Sprint(level))
	b = appendField(b, "SYSLOG_FACILITY", "3")
	b = appendField(b, "SYSLOG_IDENTIFIER", "systemd")
	b = appendField(b, "TID", fmt.Sprint(unix.Gettid()))
	if unit != "" {
		key := "UNIT"
		if !l.system {
			key = "USER_UNIT"
		}
		b = appendField(b, key, unit)
	}
	if l.location {
		if file, line := caller(); file != "" {
			b = appendField(b, "CODE_FILE", file)
			b = appendField(b, "CODE_LINE", fmt.Sprint(line))
		}
	}
	for _, f := range fields {
		if k, v, ok := strings.Cut(f, "="); ok {
			b = appendField(b, k, v)
		}
	}
	b = appendField(b, "MESSAGE", text)
	err := unix.Sendto(l.native, b, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, &unix.SockaddrUnix{Name: nativeSocket})
	switch err {
	case nil:
		return true
	case unix.EAGAIN, unix.ENOBUFS:
		l.dropped++
		return true
	}
	_ = unix.Close(l.native)
	l.native = -1
	return false
}

// connect makes the socket if journald's is there. Looking for a path below /run cannot hang.
func (l *logger) connect() bool {
	if unix.Faccessat(unix.AT_FDCWD, nativeSocket, unix.F_OK, 0) != nil {
		return false
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return false
	}
	l.native = fd
	return true
}

// appendField appends one field, in the binary form where the value has a newline.
func appendField(b []byte, key, val string) []byte {
	b = append(b, key...)
	if !strings.Contains(val, "\n") {
		b = append(b, '=')
		b = append(b, val...)
		return append(b, '\n')
	}
	b = append(b, '\n')
	n := len(val)
	for range 8 {
		b = append(b, byte(n))
		n >>= 8
	}
	b = append(b, val...)
	return append(b, '\n')
}

func (l *logger) toKmsg(level int, text string) {
	if !l.system {
		l.con.write(text + "\n")
		return
	}
	if l.kmsg < 0 {
		fd, err := unix.Open("/dev/kmsg", unix.O_WRONLY|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			return
		}
		l.kmsg = fd
	}
	if len(text) > 900 {
		text = text[:900]
	}
	_, _ = unix.Write(l.kmsg, []byte(fmt.Sprintf("<%d>systemd[%d]: %s\n", 3<<3|level, unix.Getpid(), text)))
}
