package unit

import (
	"errors"
	"strconv"
)

// Level is how bad a Message is, with the numbers of syslog(3).
type Level uint8

// Levels of messages. An assignment with LevelError was not applied.
const (
	LevelError   Level = 3
	LevelWarning Level = 4
	LevelNotice  Level = 5
	LevelInfo    Level = 6
	LevelDebug   Level = 7
)

// Message is one remark about a unit file.
type Message struct {
	Level Level
	File  string
	Line  uint32 // 0: about the file as a whole
	Text  string
}

// String gives "file:line: text", as compilers do.
func (m Message) String() string {
	switch {
	case m.File == "":
		return m.Text
	case m.Line == 0:
		return m.File + ": " + m.Text
	}
	return m.File + ":" + strconv.FormatUint(uint64(m.Line), 10) + ": " + m.Text
}

// messagesMax bounds what one file can make us say; a file of 10,000 wrong
// lines must not fill the journal.
const messagesMax = 200

// fatalError is a fault that makes the whole unit bad-setting rather than
// only losing the assignment.
type fatalError struct{ err error }

func (e *fatalError) Error() string { return e.err.Error() }
func (e *fatalError) Unwrap() error { return e.err }

func fatal(err error) error {
	if err == nil {
		return nil
	}
	return &fatalError{err}
}

func isFatal(err error) bool {
	var f *fatalError
	return errors.As(err, &f)
}

// errText makes a plain error; errors of this package carry no state.
func errText(parts ...string) error {
	s := ""
	for _, p := range parts {
		s += p
	}
	return errors.New(s)
}

// quoted shows untrusted text in a message, shortened.
func quoted(s string) string {
	const limit = 120
	if len(s) > limit {
		s = s[:limit] + "…"
	}
	return strconv.Quote(s)
}
