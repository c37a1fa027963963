package environmentd

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/muster-init/muster/pkg/unit/value"
)

// assignment is one of a file, its quotes and escapes undone.
type assignment struct {
	name, value string
	line        int
}

// parser reads the format of environment.d(5), which is that of EnvironmentFile= (systemd.exec(5)): quotes may go over lines, a backslash at the end
// of a line joins it with the next.
type parser struct {
	path, text string
	pos, line  int
	messages   []string
}

// messagesMax bounds what is said about one file.
const messagesMax = 50

func (p *parser) complain(line int, format string, args ...any) {
	if len(p.messages) < messagesMax {
		p.messages = append(p.messages, fmt.Sprintf("%s:%d: ", p.path, line)+fmt.Sprintf(format, args...))
	}
}

// next is the next assignment that is good.
func (p *parser) next() (assignment, bool) {
	for p.pos < len(p.text) {
		line := p.line
		switch p.text[p.pos] {
		case '\n':
			p.line++
			p.pos++
			continue
		case ' ', '\t', '\r':
			p.pos++
			continue
		case '#', ';':
			p.skipLine()
			continue
		}
		end := strings.IndexAny(p.text[p.pos:], "=\n")
		if end < 0 || p.text[p.pos+end] == '\n' {
			p.complain(line, "no assignment, ignored")
			p.skipLine()
			continue
		}
		key := strings.TrimSpace(p.text[p.pos : p.pos+end])
		p.pos += end + 1
		text := p.value()
		switch {
		case !value.EnvNameIsValid(key):
			p.complain(line, "%.80q is no name of a variable, ignored", key)
		case text == "":
			p.complain(line, "%s has no value, ignored", key)
		case strings.IndexByte(text, 0) >= 0 || !utf8.ValidString(text):
			p.complain(line, "%s: value has NUL or is not UTF-8, ignored", key)
		default:
			return assignment{key, text, line}, true
		}
	}
	return assignment{}, false
}

// skipLine goes behind the end of a comment; one that ends with a backslash goes on.
func (p *parser) skipLine() {
	for p.pos < len(p.text) {
		c := p.text[p.pos]
		p.pos++
		if c == '\\' && p.pos < len(p.text) {
			if p.text[p.pos] == '\n' {
				p.line++
			}
			p.pos++
			continue
		}
		if c == '\n' {
			p.line++
			return
		}
	}
}

// value reads to the end of the line and of open quotes. White space around it is cut off, that inside quotes is not.
func (p *parser) value() string {
	var b strings.Builder
	keep := 0 // length up to which nothing is cut off
	quote := byte(0)
	for p.pos < len(p.text) {
		c := p.text[p.pos]
		p.pos++
		if c == '\n' {
			p.line++
		}
		switch {
		case quote == '\'' && c != quote, quote == '"' && c != quote && c != '\\':
			b.WriteByte(c)
		case quote != 0 && c == quote:
			quote = 0
			keep = b.Len()
		case c == '\\' && p.pos < len(p.text):
			n := p.text[p.pos]
			p.pos++
			if n == '\n' {
				p.line++
				continue
			}
			if quote == '"' && strings.IndexByte("\"\\`$", n) < 0 {
				b.WriteByte('\\')
			}
			b.WriteByte(n)
			keep = b.Len()
		case c == '\n':
			return trim(b.String(), keep)
		case (c == ' ' || c == '\t') && b.Len() == 0 && keep == 0:
		case (c == '"' || c == '\'') && quote == 0:
			quote = c
		default:
			b.WriteByte(c)
			if c != ' ' && c != '\t' && c != '\r' {
				keep = b.Len()
			}
		}
	}
	if quote != 0 {
		return b.String()
	}
	return trim(b.String(), keep)
}

func trim(s string, keep int) string { return s[:keep] + strings.TrimRight(s[keep:], " \t\r") }
