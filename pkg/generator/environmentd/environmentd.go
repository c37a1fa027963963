// Package environmentd reads the files of environment.d(5) and says which variables come of them, for a user manager.
//
// Invariants:
//  1. A file of a name that stands in a directory of higher precedence too isn't read; an empty one or a link to /dev/null masks it.
//  2. Files count in the order of their names, lines in theirs; a variable may be made of those before it.
package environmentd

import (
	"strings"

	"github.com/muster-init/muster/pkg/unit/value"
)

// Source is a text and where it comes from.
type Source struct{ Path, Text string }

// variablesMax bounds the result.
const (
	variablesMax = 4096
	valueMax     = 128 << 10 // the kernel's limit for one string of an environment
)

// Generate gives the assignments in the order in which the variables appeared first, and what was wrong, with file and line. lookup gives variables
// that are there already.
func Generate(files []Source, lookup func(name string) (string, bool)) (list []value.Pair, messages []string) {
	index := map[string]int{}
	get := func(name string) string {
		if i, ok := index[name]; ok {
			return list[i].Value
		}
		v, _ := lookup(name)
		return v
	}
	for _, f := range files {
		p := parser{path: f.Path, text: f.Text, line: 1}
		for {
			a, ok := p.next()
			if !ok {
				break
			}
			text := ""
			if len(a.value) <= valueMax {
				text = expand(a.value, get, 0)
			}
			if len(a.value) > valueMax || len(text) > valueMax || len(list) >= variablesMax {
				p.complain(a.line, "%s is too long or one too many, ignored", a.name)
				continue
			}
			if i, ok := index[a.name]; ok {
				list[i].Value = text
				continue
			}
			index[a.name] = len(list)
			list = append(list, value.Pair{Name: a.name, Value: text})
		}
		messages = append(messages, p.messages...)
	}
	return list, messages
}

// Parse reads what Format wrote: assignments whose values are taken as they are.
func Parse(path, text string) (list []value.Pair, messages []string) {
	p := parser{path: path, text: text, line: 1}
	for len(list) < variablesMax {
		a, ok := p.next()
		if !ok {
			break
		}
		list = append(list, value.Pair{Name: a.name, Value: a.value})
	}
	return list, p.messages
}

// Format writes the assignments as systemd.environment-generator(7) wants them.
func Format(list []value.Pair) string {
	var b strings.Builder
	for _, p := range list {
		b.WriteString(p.Name + "=" + value.ShellMaybeQuote(p.Value) + "\n")
	}
	return b.String()
}

const depthMax = 16

// expand replaces $NAME, ${NAME}, ${NAME:-default} and ${NAME:+alternative}. $$ is a dollar sign.
func expand(s string, get func(string) string, depth int) string {
	var b strings.Builder
	for i := 0; i < len(s) && b.Len() <= valueMax; {
		if s[i] != '$' || i+1 == len(s) {
			b.WriteByte(s[i])
			i++
			continue
		}
		rest := s[i+1:]
		switch {
		case rest[0] == '$':
			b.WriteByte('$')
			i += 2
		case rest[0] == '{':
			end := closing(rest)
			if end < 0 || depth >= depthMax {
				b.WriteByte('$')
				i++
				continue
			}
			b.WriteString(braces(rest[1:end], get, depth))
			i += 1 + end + 1
		default:
			n := nameLength(rest)
			if n == 0 {
				b.WriteByte('$')
				i++
				continue
			}
			b.WriteString(get(rest[:n]))
			i += 1 + n
		}
	}
	return b.String()
}

// bracesMax bounds one ${…}: without it, text of nothing but openings would take the square of its length.
const bracesMax = 4096

// closing is the index of the brace that ends the one at the beginning, -1 for none.
func closing(s string) int {
	depth := 0
	for i := range min(len(s), bracesMax) {
		switch s[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

func braces(s string, get func(string) string, depth int) string {
	n := nameLength(s)
	if n == 0 {
		return "${" + s + "}"
	}
	name, op := s[:n], s[n:]
	switch {
	case op == "":
		return get(name)
	case strings.HasPrefix(op, ":-"):
		if v := get(name); v != "" {
			return v
		}
		return expand(op[2:], get, depth+1)
	case strings.HasPrefix(op, ":+"):
		if get(name) != "" {
			return expand(op[2:], get, depth+1)
		}
		return ""
	}
	return "${" + s + "}"
}

func nameLength(s string) int {
	n := 0
	for n < len(s) && (s[n] == '_' || s[n]|0x20 >= 'a' && s[n]|0x20 <= 'z' || n > 0 && s[n] >= '0' && s[n] <= '9') {
		n++
	}
	return n
}
