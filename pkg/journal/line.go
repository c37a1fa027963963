package journal

import "bytes"

// DefaultLineMax is the length in bytes of the longest line, as LineMax= of
// journald.conf(5).
const DefaultLineMax = 48 << 10

// Break is what ended a line.
type Break byte

// Kinds of line breaks.
const (
	BreakNewline Break = iota
	BreakNUL
	BreakLineMax // the line goes on in the next one
	BreakEOF
)

// Output is one line of a service's output.
type Output struct {
	Text     []byte // valid until the next call of the LineReader
	Priority int
	Break    Break
}

// LineReader makes lines of a byte stream the way journald's stdout transport
// does: a line ends at newline or NUL or after LineMax bytes, trailing white
// space goes, empty lines go, and <N> in front sets the priority. Its memory
// is one line.
type LineReader struct {
	// Priority is that of lines without prefix.
	Priority int
	// LevelPrefix looks for <N>.
	LevelPrefix bool
	// LineMax is in bytes; 0 means DefaultLineMax.
	LineMax int

	rest []byte
}

// Write takes what was read from the pipe and calls emit for each line that is
// complete.
func (r *LineReader) Write(p []byte, emit func(Output)) {
	limit := r.LineMax
	if limit <= 0 {
		limit = DefaultLineMax
	}
	for len(p) > 0 {
		i := bytes.IndexAny(p, "\n\x00")
		n := i
		if i < 0 {
			n = len(p)
		}
		if room := limit - len(r.rest); n >= room {
			r.finish(p[:room], BreakLineMax, emit)
			p = p[room:]
			continue
		}
		if i < 0 {
			r.rest = append(r.rest, p...)
			return
		}
		kind := BreakNewline
		if p[i] == 0 {
			kind = BreakNUL
		}
		r.finish(p[:i], kind, emit)
		p = p[i+1:]
	}
}

// Close emits what is left after the last line break.
func (r *LineReader) Close(emit func(Output)) {
	if len(r.rest) > 0 {
		r.finish(nil, BreakEOF, emit)
	}
	r.rest = nil
}

// Pending is the number of bytes of the unfinished line.
func (r *LineReader) Pending() int { return len(r.rest) }

// finish emits rest plus tail as one line.
func (r *LineReader) finish(tail []byte, kind Break, emit func(Output)) {
	line := tail
	if len(r.rest) > 0 {
		r.rest = append(r.rest, tail...)
		line = r.rest
	}
	o := Output{Text: line, Priority: r.Priority, Break: kind}
	if r.LevelPrefix {
		if p, n := ParsePrefix(line); n > 0 {
			o.Priority = r.Priority&^7 | p
			o.Text = line[n:]
		}
	}
	if t := bytes.TrimRight(o.Text, " \t\r\n\v\f"); len(t) > 0 {
		o.Text = t
	}
	if len(o.Text) > 0 {
		emit(o)
	}
	if r.rest = r.rest[:0]; cap(r.rest) > 4096 {
		r.rest = nil
	}
}

// ParsePrefix reads a priority prefix: <0> to <7>, leading zeros allowed, at
// most three digits. n is its length, 0 where there is none.
func ParsePrefix(line []byte) (priority, n int) {
	if len(line) < 3 || line[0] != '<' {
		return 0, 0
	}
	for i := 1; i < len(line) && i <= 4; i++ {
		c := line[i]
		switch {
		case c == '>' && i > 1:
			return priority, i + 1
		case c < '0' || c > '9' || i == 4:
			return 0, 0
		}
		if priority = priority*10 + int(c-'0'); priority > 7 {
			return 0, 0
		}
	}
	return 0, 0
}
