package ctl

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// jsonObject keeps its fields in the order they were added.
type jsonObject []jsonField

type jsonField struct {
	name  string
	value any
}

// formatJSON writes a value on one line, or pretty: one element per line, indented by tabs.
func formatJSON(v any, pretty bool) string {
	var b strings.Builder
	writeJSON(&b, v, pretty, 0)
	return b.String()
}

func writeJSON(b *strings.Builder, v any, pretty bool, depth int) {
	switch x := v.(type) {
	case nil, jsonNull:
		b.WriteString("null")
	case string:
		b.WriteString(jsonString(x))
	case bool:
		b.WriteString(strconv.FormatBool(x))
	case jsonObject:
		writeJSONList(b, pretty, depth, "{}", len(x), func(i int) {
			b.WriteString(jsonString(x[i].name))
			if pretty {
				b.WriteString(" : ")
			} else {
				b.WriteByte(':')
			}
			writeJSON(b, x[i].value, pretty, depth+1)
		})
	case []any:
		writeJSONList(b, pretty, depth, "[]", len(x), func(i int) { writeJSON(b, x[i], pretty, depth+1) })
	case []string:
		writeJSONList(b, pretty, depth, "[]", len(x), func(i int) { b.WriteString(jsonString(x[i])) })
	default:
		fmt.Fprint(b, x)
	}
}

func writeJSONList(b *strings.Builder, pretty bool, depth int, brackets string, n int, item func(i int)) {
	b.WriteByte(brackets[0])
	for i := 0; i < n; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		if pretty {
			b.WriteString("\n" + strings.Repeat("\t", depth+1))
		}
		item(i)
	}
	if pretty && n > 0 {
		b.WriteString("\n" + strings.Repeat("\t", depth))
	}
	b.WriteByte(brackets[1])
}

func jsonString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\b':
			b.WriteString(`\b`)
		case r == '\f':
			b.WriteString(`\f`)
		case r < 0x20:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
		i += n
	}
	b.WriteByte('"')
	return b.String()
}
