package fstab

import (
	"fmt"
	"strings"
)

// entry is a line of fstab(5), decoded.
type entry struct {
	where    string // `file:line`, for messages
	source   string // SourcePath= of what is made of it
	what     string
	point    string // mount point
	fstype   string
	options  options
	check    bool // the sixth field asks for a file system check
	fromRoot bool // of the fstab of the real root, read in the initrd
}

// lineMax bounds a line: the longest path twice, and options of one page, fit.
const lineMax = 16 << 10

// parse reads lines; what is wrong is reported and left out, the rest stays.
func parse(src Source, report func(format string, args ...any)) []entry {
	var list []entry
	n := 0
	for line := range strings.Lines(src.Text) {
		n++
		line = strings.TrimRight(line, "\n")
		at := fmt.Sprintf("%s:%d", src.Path, n)
		fields := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' })
		switch {
		case len(fields) == 0 || fields[0][0] == '#':
			continue
		case len(line) > lineMax:
			report("%s: line is longer than %d bytes, ignored", at, lineMax)
			continue
		case strings.IndexByte(line, 0) >= 0:
			report("%s: line holds NUL, ignored", at)
			continue
		case len(fields) < 2:
			report("%s: line has no mount point, ignored", at)
			continue
		}
		for i := range fields {
			fields[i] = decode(strings.TrimSuffix(fields[i], "\r"))
		}
		e := entry{where: at, source: src.Path, what: fields[0], point: fields[1]}
		if len(fields) > 2 {
			e.fstype = fields[2]
		}
		if len(fields) > 3 {
			e.options = splitOptions(fields[3])
		}
		if len(fields) > 5 {
			e.check = leadingNumber(fields[5])
		}
		if bad := control(fields); bad != "" {
			report("%s: %q holds a line break, ignored", at, bad)
			continue
		}
		list = append(list, e)
	}
	return list
}

func control(fields []string) string {
	for _, f := range fields[:min(4, len(fields))] {
		if strings.ContainsAny(f, "\n\r\x00") {
			return f
		}
	}
	return ""
}

// decode turns \040 and the like into the byte they stand for, which is how fields hold white space.
func decode(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) && octal(s[i+1:i+4]) {
			n := int(s[i+1]-'0')<<6 | int(s[i+2]-'0')<<3 | int(s[i+3]-'0')
			if strings.IndexByte(" \t\n\\", byte(n)) >= 0 {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		if s[i] == '\\' && i+1 < len(s) && s[i+1] == '\\' {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func octal(s string) bool {
	return s[0] <= '3' && strings.Trim(s, "01234567") == ""
}

// leadingNumber tells whether the text begins with a number that isn't 0, which is how the C library reads the field.
func leadingNumber(s string) bool {
	s = strings.TrimLeft(s, "+-")
	digits := s[:len(s)-len(strings.TrimLeft(s, "0123456789"))]
	return strings.Trim(digits, "0") != ""
}
