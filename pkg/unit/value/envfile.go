package value

import (
	"bytes"
	"errors"
	"strconv"
	"unicode/utf8"
)

// ParseEnvFile reads a file of EnvironmentFile=, of os-release or of
// locale.conf: NAME=value lines, comments starting with # or ;, values bare or
// in quotes that may run over several lines (systemd.exec(5)). It is not a
// shell: nothing is expanded.
//
// Bytes that are not UTF-8 or are NUL make the whole file invalid and no pairs are
// returned. Otherwise all pairs with a good name and value are, together with an
// error about the others. A name may occur several times; the last one counts.
func ParseEnvFile(data []byte) ([]Pair, error) {
	if bytes.IndexByte(data, 0) >= 0 {
		return nil, invalidf("environment file", "", "contains a NUL byte")
	}
	r := envFileReader{data: data, line: 1}
	for r.skipToKey() {
		line := r.line
		key, ok := r.key()
		if !ok {
			continue
		}
		val := r.value()
		if !utf8.ValidString(key) || !utf8.ValidString(val) {
			return nil, invalidf("environment file", key, "line "+strconv.Itoa(line)+" is not UTF-8")
		}
		if !EnvNameIsValid(key) || !EnvValueIsValid(val) {
			r.errs = append(r.errs, invalidf("environment file", key, "line "+strconv.Itoa(line)+" is not an assignment"))
			continue
		}
		r.pairs = append(r.pairs, Pair{key, val})
	}
	return r.pairs, errors.Join(r.errs...)
}

type envFileReader struct {
	data  []byte
	at    int
	line  int
	pairs []Pair
	errs  []error
}

func isNewline(c byte) bool { return c == '\n' || c == '\r' }

func (r *envFileReader) next() (byte, bool) {
	if r.at == len(r.data) {
		return 0, false
	}
	c := r.data[r.at]
	r.at++
	if c == '\n' {
		r.line++
	}
	return c, true
}

// skipToKey passes white space and comments; false at the end of the file.
func (r *envFileReader) skipToKey() bool {
	for r.at < len(r.data) {
		c := r.data[r.at]
		switch {
		case c == '#' || c == ';':
			r.skipComment()
		case isSpace(c):
			r.next()
		default:
			return true
		}
	}
	return false
}

// skipComment passes the rest of the line. A backslash at its end does not
// continue the comment (since 254; before, it did).
func (r *envFileReader) skipComment() {
	for {
		c, ok := r.next()
		if !ok || isNewline(c) {
			return
		}
	}
}

// key reads up to the equals sign; a line without one has no key.
func (r *envFileReader) key() (string, bool) {
	start := r.at
	for {
		c, ok := r.next()
		if !ok || isNewline(c) {
			return "", false
		}
		if c == '=' {
			return string(bytes.TrimRight(r.data[start:r.at-1], whitespace)), true
		}
	}
}

// value reads quoted parts, which may follow each other, and then a bare rest,
// in which quotes are ordinary characters.
func (r *envFileReader) value() string {
	var b []byte
	for {
		c, ok := r.next()
		switch {
		case !ok || isNewline(c):
			return string(b)
		case c == '\'':
			b = r.singleQuoted(b)
		case c == '"':
			b = r.doubleQuoted(b)
		case isSpace(c):
		default:
			r.back(c)
			return string(r.bare(b))
		}
	}
}

func (r *envFileReader) back(c byte) {
	r.at--
	if c == '\n' {
		r.line--
	}
}

func (r *envFileReader) bare(b []byte) []byte {
	keep := len(b)
	for {
		c, ok := r.next()
		switch {
		case !ok || isNewline(c):
			return b[:keep]
		case c == '\\':
			if c, ok = r.next(); ok && !isNewline(c) {
				b = append(b, c)
			}
			keep = len(b)
		default:
			b = append(b, c)
			if !isSpace(c) {
				keep = len(b)
			}
		}
	}
}

func (r *envFileReader) singleQuoted(b []byte) []byte {
	for {
		c, ok := r.next()
		if !ok || c == '\'' {
			return b
		}
		b = append(b, c)
	}
}

func (r *envFileReader) doubleQuoted(b []byte) []byte {
	for {
		c, ok := r.next()
		if !ok || c == '"' {
			return b
		}
		if c != '\\' {
			b = append(b, c)
			continue
		}
		switch c, ok = r.next(); {
		case !ok:
			return b
		case c == '"' || c == '\\' || c == '`' || c == '$':
			b = append(b, c)
		case c == '\n':
		default:
			b = append(b, '\\', c)
		}
	}
}
