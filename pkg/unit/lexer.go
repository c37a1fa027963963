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
}

// Lexer cuts the text of a unit file into lines. The strings it gives are
// parts of the text wherever no continuation had to be joined.
type Lexer struct {
	rest    string
	number  uint32
	section string
	broken  bool // inside a section with a broken header
}

// NewLexer starts at the beginning of text. A byte order mark is skipped.
func NewLexer(text string) *Lexer {
	return &Lexer{rest: strings.TrimPrefix(text, "\ufeff")}
}

// Next gives the next line that isn't empty or a comment; ok is false at the end.
func (l *Lexer) Next() (line Line, ok bool) {
	for l.rest != "" {
		text, long := l.logical()
		if long {
			return Line{Number: l.number, Section: l.section, Fault: "line is longer than 1 MiB"}, true
		}
		text = trimSpace(text)
		if text == "" {
			continue
		}
		line = Line{Number: l.number, Section: l.section}
		if !utf8.ValidString(text) {
			// DEVIATION: systemd 252 refuses the whole unit; only the line is lost here.
			line.Fault = "text isn't valid UTF-8"
			if text[0] == '[' {
				l.section, l.broken = "", true
			}
			return line, true
		}
		if text[0] == '[' {
			return l.header(line, text), true
		}
		if l.broken {
			continue
		}
		return assignment(line, text), true
	}
	return Line{}, false
}

// header starts a section. DEVIATION: a broken header costs its section;
// systemd 252 refuses the whole unit.
func (l *Lexer) header(line Line, text string) Line {
	if len(text) < 3 || text[len(text)-1] != ']' {
		l.section, l.broken = "", true
		line.Section = ""
		line.Fault = "section header " + quoted(text) + " is broken"
		return line
	}
	l.section, l.broken = text[1:len(text)-1], false
	line.Section = l.section
	return line
}

func assignment(line Line, text string) Line {
	eq := strings.IndexByte(text, '=')
	switch {
	case line.Section == "":
		line.Fault = "assignment outside of any section"
	case eq < 0:
		line.Fault = "line without ="
	case eq == 0:
		line.Fault = "nothing before ="
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
		if len(joined)+len(start) > LineMax {
			l.skipContinuation(start)
			return "", true
		}
		more := endsEscaped(start)
		if joined == nil && !more {
			return start, false
		}
		joined = append(joined, start...)
		if !more {
			return string(joined), false
		}
		joined[len(joined)-1] = ' '
		if l.rest == "" {
			return string(joined), false
		}
	}
}

// skipContinuation drops the rest of a line that is too long.
func (l *Lexer) skipContinuation(last string) {
	for endsEscaped(last) && l.rest != "" {
		last = l.physical()
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
	end := strings.IndexByte(l.rest, '\n')
	if end < 0 {
		end = len(l.rest)
	}
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
