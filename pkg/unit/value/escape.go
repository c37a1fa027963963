package value

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// decodeEscape reads the C escape at the start of s, which is what follows the
// backslash: a b f n r t v s \ " ' xHH uXXXX UXXXXXXXX and three octal digits.
// length is 0 if there is none. isByte tells a raw byte from a code point. No
// escape stands for NUL.
func decodeEscape(s string) (r rune, isByte bool, length int) {
	if s == "" {
		return 0, false, 0
	}
	switch s[0] {
	case 'a':
		return '\a', true, 1
	case 'b':
		return '\b', true, 1
	case 'f':
		return '\f', true, 1
	case 'n':
		return '\n', true, 1
	case 'r':
		return '\r', true, 1
	case 't':
		return '\t', true, 1
	case 'v':
		return '\v', true, 1
	case 's':
		return ' ', true, 1
	case '\\', '"', '\'':
		return rune(s[0]), true, 1
	case 'x':
		return decodeNumber(s, 1, 2, 16, 0xff, true)
	case 'u':
		return decodeNumber(s, 1, 4, 16, utf8.MaxRune, false)
	case 'U':
		return decodeNumber(s, 1, 8, 16, utf8.MaxRune, false)
	case '0', '1', '2', '3', '4', '5', '6', '7':
		return decodeNumber(s, 0, 3, 8, 0xff, true)
	}
	return 0, false, 0
}

func decodeNumber(s string, start, digits, base int, limit uint64, isByte bool) (rune, bool, int) {
	if len(s) < start+digits {
		return 0, false, 0
	}
	text := s[start : start+digits]
	if text[0] == '+' || text[0] == '-' {
		return 0, false, 0
	}
	v, err := strconv.ParseUint(text, base, 32)
	if err != nil || v == 0 || v > limit {
		return 0, false, 0
	}
	return rune(v), isByte, start + digits
}

// CUnescape decodes all C escapes of s; an unknown one is an error.
func CUnescape(s string) (string, error) { return cUnescape(s, false) }

// CUnescapeRelaxed decodes the C escapes of s and keeps unknown ones as they
// are.
func CUnescapeRelaxed(s string) string {
	out, _ := cUnescape(s, true)
	return out
}

func cUnescape(s string, relax bool) (string, error) {
	if strings.IndexByte(s, '\\') < 0 {
		return s, nil
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); {
		if s[i] != '\\' {
			out = append(out, s[i])
			i++
			continue
		}
		r, isByte, n := decodeEscape(s[i+1:])
		switch {
		case n > 0:
			out = appendEscaped(out, r, isByte)
			i += 1 + n
		case relax:
			out = append(out, '\\')
			i++
		default:
			return "", quoteError(s, "unknown escape sequence")
		}
	}
	return string(out), nil
}

// CEscape writes s with C escapes: control characters, quotes, backslashes and
// bytes outside ASCII.
func CEscape(s string) string {
	var b []byte
	for i := 0; i < len(s); i++ {
		b = appendCEscape(b, s[i])
	}
	return string(b)
}

func appendCEscape(b []byte, c byte) []byte {
	if letter := escapeLetter(c); letter != 0 {
		return append(b, '\\', letter)
	}
	if c < ' ' || c >= 127 {
		return append(b, '\\', '0'+c>>6, '0'+c>>3&7, '0'+c&7)
	}
	return append(b, c)
}

func escapeLetter(c byte) byte {
	switch c {
	case '\a':
		return 'a'
	case '\b':
		return 'b'
	case '\f':
		return 'f'
	case '\n':
		return 'n'
	case '\r':
		return 'r'
	case '\t':
		return 't'
	case '\v':
		return 'v'
	case '\\', '"', '\'':
		return c
	}
	return 0
}

// XEscape writes the bytes of s that are in bad, outside printable ASCII, or a
// backslash as \xHH.
func XEscape(s, bad string) string {
	const hexDigits = "0123456789abcdef"
	var b []byte
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c < ' ' || c >= 127 || c == '\\' || strings.IndexByte(bad, c) >= 0 {
			b = append(b, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
		} else {
			b = append(b, c)
		}
	}
	return string(b)
}

const (
	shellNeedEscape = "\"\\`$"
	shellNeedQuotes = shellNeedEscape + "*?[" + "'()<>|&;!"
)

// ShellMaybeQuote puts s into double quotes if a shell would need it, the way
// systemctl prints values and command lines. The empty string becomes "".
func ShellMaybeQuote(s string) string {
	if s == "" {
		return `""`
	}
	if !needsShellQuotes(s) {
		return s
	}
	b := append(make([]byte, 0, len(s)+2), '"')
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		c := s[0]
		switch {
		case r == utf8.RuneError && n == 1 || c < ' ' || c == 127:
			b = appendCEscape(b, c)
		case strings.IndexByte(shellNeedEscape, c) >= 0:
			b = append(b, '\\', c)
		default:
			b = append(b, s[:n]...)
		}
		s = s[n:]
	}
	return string(append(b, '"'))
}

func needsShellQuotes(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] == 127 || strings.IndexByte(shellNeedQuotes, s[i]) >= 0 {
			return true
		}
	}
	return !utf8.ValidString(s)
}

// ShellQuoteArg writes one argument of a command line as `systemctl status`
// shows it.
func ShellQuoteArg(s string) string { return ShellMaybeQuote(s) }

// ShellQuoteCommandLine writes a whole command line as `systemctl status` shows
// it.
func ShellQuoteCommandLine(argv []string) string {
	words := make([]string, len(argv))
	for i, arg := range argv {
		words[i] = ShellMaybeQuote(arg)
	}
	return strings.Join(words, " ")
}

// QuoteWord writes s as one word of a unit file: WordReader with WordUnquote
// and WordCUnescape reads it back exactly.
func QuoteWord(s string) string {
	plain := s != ""
	for i := 0; i < len(s) && plain; i++ {
		c := s[i]
		plain = c > ' ' && c != 127 && c != '"' && c != '\'' && c != '\\'
	}
	if plain && utf8.ValidString(s) {
		return s
	}
	b := append(make([]byte, 0, len(s)+2), '"')
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if r < utf8.RuneSelf || r == utf8.RuneError && n == 1 {
			if s[0] == '\'' {
				b = append(b, '\'')
			} else {
				b = appendCEscape(b, s[0])
			}
		} else {
			b = append(b, s[:n]...)
		}
		s = s[n:]
	}
	return string(append(b, '"'))
}

// QuoteWordPlain writes s as one word for lists that have quotes but no C
// escapes: WordReader with WordUnquote alone reads it back.
func QuoteWordPlain(s string) string {
	if s != "" && strings.IndexAny(s, whitespace+`"'\`) < 0 {
		return s
	}
	return `"` + strings.NewReplacer(`"`, `\"`, `\`, `\\`).Replace(s) + `"`
}

// QuoteWords writes words as a list QuoteWord by QuoteWord.
func QuoteWords(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = QuoteWord(w)
	}
	return strings.Join(quoted, " ")
}
