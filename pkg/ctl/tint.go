package ctl

import "strings"

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
