package notify

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

const (
	// MaxBytes is the length of the longest datagram that is looked at.
	MaxBytes = 4096
	// DefaultFDName is the name of stored descriptors nobody named.
	DefaultFDName = "stored"
	// maxNameBytes is the length of the longest FDNAME=.
	maxNameBytes = 255
	// maxErrno is the largest errno the kernel uses.
	maxErrno = 4095
)

// Errors of datagrams that are ignored as a whole.
var (
	ErrTooLong = fmt.Errorf("notification: longer than %d bytes", MaxBytes)
	ErrNUL     = errors.New("notification: NUL byte inside")
	ErrBarrier = errors.New("notification: BARRIER=1 together with other assignments")
)

// Message is one datagram. Pointers are nil where the assignment was absent or
// bad. What a datagram may say that nobody defined, X_… included, is dropped.
type Message struct {
	// At most one of the three is set: the last that was given.
	Ready, Reloading, Stopping bool
	// MonotonicUSec is CLOCK_MONOTONIC in µs at the time of RELOADING=1.
	MonotonicUSec *uint64
	// Status is valid UTF-8. Empty clears the text.
	Status *string
	// Errno is 0 to 4095.
	Errno *int32
	// BusError and VarlinkError are printable ASCII. Empty clears them.
	BusError, VarlinkError *string
	// MainPID is greater than 0.
	MainPID *int32
	// MainPIDFD: a pidfd of the main process is attached.
	MainPIDFD bool
	// MainPIDFDID is the inode number of the main process's pidfd.
	MainPIDFDID *uint64
	// Watchdog is the keep-alive ping, WatchdogTrigger the opposite.
	Watchdog, WatchdogTrigger bool
	WatchdogUSec              *uint64
	ExtendTimeoutUSec         *uint64
	// NotifyAccess is none, main, exec or all.
	NotifyAccess *string
	// At most one of FDStore and FDStoreRemove is set; removal wins. Removal
	// always comes with a name.
	FDStore, FDStoreRemove bool
	// FDName is DefaultFDName where FDStore comes without a valid name.
	FDName    string
	FDPollOff bool
	// Barrier: the one attached descriptor is to be closed when everything
	// sent before has been handled. Nothing else is set then.
	Barrier      bool
	RestartReset bool
	// ExitStatus is what a payload manager exits with.
	ExitStatus *uint8
}

// Parse reads one datagram. warnings say what was ignored, one sentence part
// each, to be logged with the unit. An error means all of it was.
func Parse(data []byte) (m Message, warnings []string, err error) {
	if len(data) > MaxBytes {
		return m, nil, ErrTooLong
	}
	data = bytes.TrimSuffix(data, []byte{0})
	if bytes.IndexByte(data, 0) >= 0 {
		return m, nil, ErrNUL
	}
	p := parser{lines: split(string(data))}
	if p.has("BARRIER=1") {
		if len(p.lines) != 1 {
			return m, nil, ErrBarrier
		}
		return Message{Barrier: true}, nil, nil
	}
	p.state(&m)
	p.texts(&m)
	p.mainPID(&m)
	p.timing(&m)
	p.store(&m)
	if v, ok := p.value("EXIT_STATUS="); ok {
		if n, ok := parseUint(v, 255); ok {
			s := uint8(n)
			m.ExitStatus = &s
		} else {
			p.warn("EXIT_STATUS=", v)
		}
	}
	m.RestartReset = p.has("RESTART_RESET=1")
	return m, p.warnings, nil
}

// split cuts at newlines and carriage returns and drops empty lines.
func split(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' })
}

type parser struct {
	lines    []string
	warnings []string
}

// has reports whether a line is there literally.
func (p *parser) has(line string) bool {
	for _, l := range p.lines {
		if l == line {
			return true
		}
	}
	return false
}

// value is the rest of the first line that begins with prefix.
func (p *parser) value(prefix string) (string, bool) {
	for _, l := range p.lines {
		if v, ok := strings.CutPrefix(l, prefix); ok {
			return v, true
		}
	}
	return "", false
}

func (p *parser) warn(name, value string) {
	p.warnings = append(p.warnings, fmt.Sprintf("notification: %s%q is not valid, ignored", name, clip(value)))
}

func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}

// state reads the three assignments of which the last counts.
func (p *parser) state(m *Message) {
	for i := len(p.lines) - 1; i >= 0 && !m.Ready && !m.Reloading && !m.Stopping; i-- {
		m.Ready = p.lines[i] == "READY=1"
		m.Reloading = p.lines[i] == "RELOADING=1"
		m.Stopping = p.lines[i] == "STOPPING=1"
	}
	m.MonotonicUSec = p.uint("MONOTONIC_USEC=")
}

// uint reads an assignment of a 64-bit number.
func (p *parser) uint(name string) *uint64 {
	v, ok := p.value(name)
	if !ok {
		return nil
	}
	n, ok := parseUint(v, 1<<64-1)
	if !ok {
		p.warn(name, v)
		return nil
	}
	return &n
}

func (p *parser) texts(m *Message) {
	if v, ok := p.value("STATUS="); ok {
		if !utf8.ValidString(v) { // systemd clears the text then
			p.warn("STATUS=", v)
			v = ""
		}
		m.Status = &v
	}
	if v, ok := p.value("ERRNO="); ok {
		if n, ok := parseErrno(v); ok {
			m.Errno = &n
		} else {
			p.warn("ERRNO=", v)
		}
	}
	for _, f := range []struct {
		name string
		to   **string
	}{{"BUSERROR=", &m.BusError}, {"VARLINKERROR=", &m.VarlinkError}} {
		if v, ok := p.value(f.name); ok {
			if isSafeASCII(v) {
				*f.to = &v
			} else {
				p.warn(f.name, v)
			}
		}
	}
	if v, ok := p.value("NOTIFYACCESS="); ok {
		switch v {
		case "none", "main", "exec", "all":
			m.NotifyAccess = &v
		default:
			p.warn("NOTIFYACCESS=", v)
		}
	}
}

func (p *parser) mainPID(m *Message) {
	if v, ok := p.value("MAINPID="); ok {
		if n, ok := parseUint(v, 1<<31-1); ok && n > 0 {
			pid := int32(n)
			m.MainPID = &pid
		} else {
			p.warn("MAINPID=", v)
		}
	}
	m.MainPIDFD = p.has("MAINPIDFD=1")
	m.MainPIDFDID = p.uint("MAINPIDFDID=")
}

func (p *parser) timing(m *Message) {
	if v, ok := p.value("WATCHDOG="); ok {
		switch v {
		case "1":
			m.Watchdog = true
		case "trigger":
			m.WatchdogTrigger = true
		default:
			p.warn("WATCHDOG=", v)
		}
	}
	m.WatchdogUSec = p.uint("WATCHDOG_USEC=")
	m.ExtendTimeoutUSec = p.uint("EXTEND_TIMEOUT_USEC=")
}

func (p *parser) store(m *Message) {
	name, named := p.value("FDNAME=")
	if named && !ValidFDName(name) {
		p.warn("FDNAME=", name)
		name, named = "", false
	}
	switch {
	case p.has("FDSTOREREMOVE=1"):
		if !named {
			p.warnings = append(p.warnings, "notification: FDSTOREREMOVE=1 without a valid FDNAME=, ignored")
			return
		}
		m.FDStoreRemove = true
	case p.has("FDSTORE=1"):
		if !named {
			name = DefaultFDName
		}
		m.FDStore = true
		m.FDPollOff = p.has("FDPOLL=0")
	default:
		return
	}
	m.FDName = name
}

// ValidFDName reports whether s may name a stored descriptor: printable ASCII
// without colon, at most 255 bytes, see sd_listen_fds_with_names(3).
func ValidFDName(s string) bool {
	if len(s) > maxNameBytes {
		return false
	}
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] > '~' || s[i] == ':' {
			return false
		}
	}
	return true
}

// isSafeASCII: printable ASCII without quotes and backslash.
func isSafeASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] > '~' || strings.IndexByte(`"'\`, s[i]) >= 0 {
			return false
		}
	}
	return true
}

// parseUint reads a number up to most the way strtoull(3) with base 0 does,
// white space in front included, and with 0b and 0o as further prefixes.
func parseUint(s string, most uint64) (uint64, bool) {
	s = strings.TrimLeft(s, " \t\n\r\v\f")
	s = strings.TrimPrefix(s, "+")
	base := uint64(10)
	if len(s) > 1 && s[0] == '0' {
		switch s[1] {
		case 'x', 'X':
			base, s = 16, s[2:]
		case 'b', 'B':
			base, s = 2, s[2:]
		case 'o', 'O':
			base, s = 8, s[2:]
		default:
			base, s = 8, s[1:]
		}
	}
	if s == "" {
		return 0, false
	}
	var n uint64
	for i := 0; i < len(s); i++ {
		d := digit(s[i])
		if d >= base || n > (1<<64-1-d)/base {
			return 0, false
		}
		n = n*base + d
	}
	return n, n <= most
}

// digit is the value of a hex digit, 99 for anything else.
func digit(c byte) uint64 {
	switch {
	case c >= '0' && c <= '9':
		return uint64(c - '0')
	case c >= 'a' && c <= 'f':
		return uint64(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return uint64(c-'A') + 10
	}
	return 99
}

// parseErrno reads a number or a name such as ENOENT, in any case.
func parseErrno(s string) (int32, bool) {
	if n, ok := errnoByName(s); ok {
		return n, true
	}
	n, ok := parseUint(s, maxErrno)
	return int32(n), ok
}
