package xdgautostart

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/muster-init/muster/pkg/unit/value"
)

// entry is the group [Desktop Entry] of a file (Desktop Entry Specification).
type entry struct {
	kind, name, exec, tryExec, dir string
	onlyIn, notIn                  []string
	hidden, skip                   bool
	gnomePhase, gnomeIf, kdeIf     string
}

const (
	lineMax = 64 << 10
	listMax = 256
)

// parse reads a desktop file. An error means that it must not be used; report gets what is only left out.
func parse(path, text string, report func(format string, args ...any)) (*entry, error) {
	e := &entry{}
	seen := map[string]bool{}
	inEntry := false
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
			continue
		case len(line) > lineMax || strings.IndexByte(line, 0) >= 0 || !utf8.ValidString(line):
			report("%s:%d: line is too long, holds NUL or isn't UTF-8, ignored", path, n)
			continue
		case line[0] == '[':
			inEntry = line == "[Desktop Entry]"
			continue
		case !inEntry:
			continue
		}
		key, raw, ok := strings.Cut(line, "=")
		if !ok {
			report("%s:%d: no assignment, ignored", path, n)
			continue
		}
		key, raw = strings.TrimSpace(key), strings.TrimSpace(raw)
		if seen[key] {
			report("%s:%d: %s is there twice, the first counts", path, n, key)
			continue
		}
		seen[key] = true
		if err := e.set(key, raw); err != nil {
			return nil, fmt.Errorf("%s:%d: %s: %w", path, n, key, err)
		}
	}
	return e, nil
}

func (e *entry) set(key, raw string) (err error) {
	switch key {
	case "Type":
		e.kind = unescape(raw)
	case "Name":
		e.name = unescape(raw)
	case "Exec":
		e.exec = unescape(raw)
	case "TryExec":
		e.tryExec = unescape(raw)
	case "Path":
		e.dir = unescape(raw)
	case "OnlyShowIn":
		e.onlyIn = list(raw)
	case "NotShowIn":
		e.notIn = list(raw)
	case "X-GNOME-Autostart-Phase":
		e.gnomePhase = unescape(raw)
	case "AutostartCondition":
		e.gnomeIf = unescape(raw)
	case "X-KDE-autostart-condition":
		e.kdeIf = unescape(raw)
	case "Hidden":
		e.hidden, err = value.ParseBool(raw)
	case "X-systemd-skip":
		e.skip, err = value.ParseBool(raw)
	}
	return err
}

// unescape undoes \s, \n, \t, \r and \\.
func unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case 's':
			b.WriteByte(' ')
		case 'n':
			b.WriteByte('\n')
		case 't':
			b.WriteByte('\t')
		case 'r':
			b.WriteByte('\r')
		case '\\':
			b.WriteByte('\\')
		default:
			b.WriteByte('\\')
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// list splits at semicolons that aren't escaped.
func list(raw string) []string {
	var out []string
	start := 0
	for i := 0; i <= len(raw) && len(out) < listMax; i++ {
		if i < len(raw) && (raw[i] != ';' || i > 0 && raw[i-1] == '\\') {
			continue
		}
		if item := unescape(strings.ReplaceAll(raw[start:i], `\;`, ";")); item != "" {
			out = append(out, item)
		}
		start = i + 1
	}
	return out
}

// arguments splits Exec=: quotes group, field codes vanish, as there are no files to hand over; %% is a percent sign.
func arguments(exec string) ([]string, error) {
	r := value.WordReader{Rest: exec, Flags: value.WordUnquote | value.WordRelax}
	var args []string
	for {
		word, ok, err := r.Next()
		if err != nil {
			return nil, err
		}
		if !ok {
			return args, nil
		}
		if len(word) == 2 && word[0] == '%' && word[1] != '%' {
			continue
		}
		args = append(args, strings.ReplaceAll(word, "%%", "%"))
	}
}
