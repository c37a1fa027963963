package unit

import (
	"strings"
	"unicode/utf8"
)

// Bounds of what is read (systemd.syntax(7)).
const (
	LineMax = 1 << 20  // a line, continuations joined, in bytes
	FileMax = 16 << 20 // a whole file
)

// Line is one logical line of a unit file: a section header, an assignment,
// or what is wrong with it.
type Line struct {
	Number  uint32 // of its last physical line, from 1, as messages of systemd count
	Section string // the section it is in, or that it starts
	Key     string // "" for a section header
	Value   string
	Fault   string // not empty: the line is to be ignored, and why
	Fatal   FaultKind
}

// FaultKind says that the rest of a file can't be used either, and what kind of
// load error that is.
type FaultKind uint8

// Kinds of fatal faults; 0 is none.
const (
	FaultHeader   FaultKind = iota + 1 // broken section header
	FaultEncoding                      // not UTF-8
	FaultLength                        // line or file too long
)

// loadErrors are the bus errors of the kinds, as systemd has them.
var loadErrors = [...]LoadError{
	FaultHeader:   {"org.freedesktop.DBus.Error.InconsistentMessage", "Bad message"},
	FaultEncoding: {ErrInvalidArgs, "Invalid argument"},
	FaultLength:   {"org.freedesktop.DBus.Error.LimitsExceeded", "No buffer space available"},
}

// Lexer cuts the text of a unit file into lines. The strings it gives are
// parts of the text wherever no continuation had to be joined.
type Lexer struct {
	rest    string
	lf      int // bytes from the next LF to the end, 0 if there is none; more than rest has: not looked for yet
	number  uint32
	section string
}

// NewLexer starts at the beginning of text. A byte order mark is skipped.
func NewLexer(text string) *Lexer {
	return &Lexer{rest: strings.TrimPrefix(text, "\ufeff"), lf: len(text) + 1}
}

// Next gives the next line that isn't empty or a comment; ok is false at the end.
func (l *Lexer) Next() (line Line, ok bool) {
	for l.rest != "" {
		text, long := l.logical()
		if long {
			return l.fatal(FaultLength, "Line is longer than 1 MiB, ignoring the rest of the file."), true
		}
		text = trimSpace(text)
		switch {
		case text == "":
			continue
		case !utf8.ValidString(text):
			return l.fatal(FaultEncoding, "String is not UTF-8 clean, ignoring the rest of the file: "+printable(text)), true
		case text[0] != '[':
			return assignment(Line{Number: l.number, Section: l.section}, text), true
		case len(text) < 3 || text[len(text)-1] != ']':
			return l.fatal(FaultHeader, "Invalid section header '"+printable(text)+"', ignoring the rest of the file."), true
		}
		l.section = text[1 : len(text)-1]
		return Line{Number: l.number, Section: l.section}, true
	}
	return Line{}, false
}

// fatal ends the file: as in systemd, text that can't be made sense of
// isn't read past.
func (l *Lexer) fatal(kind FaultKind, fault string) Line {
	l.rest = ""
	return Line{Number: l.number, Section: l.section, Fault: fault, Fatal: kind}
}

func assignment(line Line, text string) Line {
	eq := strings.IndexByte(text, '=')
	switch {
	case line.Section == "":
		line.Fault = "Assignment outside of section, ignoring."
	case eq < 0:
		line.Fault = "Missing '=', ignoring line."
	case eq == 0:
		line.Fault = "Missing key name before '=', ignoring line."
	default:
		line.Key, line.Value = trimSpace(text[:eq]), trimSpace(text[eq+1:])
	}
	return line
}

// logical gives the next line with continuations joined: the backslash
// becomes a space, comment lines in between are skipped.
func (l *Lexer) logical() (text string, long bool) {
	var joined []byte
	for {
		raw := l.physical()
		start := trimLeft(raw)
		if start != "" && (start[0] == '#' || start[0] == ';') {
			if joined == nil || l.rest == "" {
				return string(joined), false
			}
			continue
		}
		text := raw // within quotes, what a line that goes on begins with is meant
		if joined == nil {
			text = start
		}
		if len(joined)+len(text) > LineMax {
			return "", true
		}
		more := endsEscaped(text)
		if joined == nil && !more {
			return text, false
		}
		joined = append(joined, text...)
		if !more {
			return string(joined), false
		}
		joined[len(joined)-1] = ' '
		if l.rest == "" {
			return string(joined), false
		}
	}
}

// endsEscaped says whether the line ends in a backslash that isn't itself
// escaped.
func endsEscaped(s string) bool {
	n := 0
	for n < len(s) && s[len(s)-1-n] == '\\' {
		n++
	}
	return n%2 == 1
}

// physical gives the text up to the next end of line: LF, CR, NUL, or
// different ones of these in a row.
func (l *Lexer) physical() string {
	l.number++
	if l.lf > len(l.rest) {
		// Once for each LF: in a file of NULs only, the end would be looked for from each of them.
		if i := strings.IndexByte(l.rest, '\n'); i >= 0 {
			l.lf = len(l.rest) - i
		} else {
			l.lf = 0
		}
	}
	end := len(l.rest) - l.lf
	// NUL and CR are rare: looked for only in front of the LF.
	if i := strings.IndexAny(l.rest[:end], "\r\x00"); i >= 0 {
		end = i
	}
	line := l.rest[:end]
	i, seen := end, ""
	for i < len(l.rest) {
		c := l.rest[i]
		if c != '\n' && c != '\r' && c != 0 || strings.IndexByte(seen, c) >= 0 {
			break
		}
		seen += string(rune(c))
		i++
	}
	l.rest = l.rest[i:]
	return line
}

const spaceChars = " \t\n\r"

func trimLeft(s string) string  { return strings.TrimLeft(s, spaceChars) }
func trimSpace(s string) string { return strings.Trim(s, spaceChars) }
