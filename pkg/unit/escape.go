package unit

import (
	"strings"

	"github.com/muster-init/muster/pkg/unit/value"
)

const escapeKeep = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ:_."

// Escape makes any text fit for a unit name: "/" becomes "-", and other bytes
// that can't stand in a name, "-" and "\" too, become \xNN, as does a leading
// dot (systemd-escape(1)).
func Escape(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for i := range len(s) {
		switch {
		case s[i] == '/':
			b.WriteByte('-')
		case i == 0 && s[i] == '.', strings.IndexByte(escapeKeep, s[i]) < 0:
			const hex = "0123456789abcdef"
			b.WriteString(`\x`)
			b.WriteByte(hex[s[i]>>4])
			b.WriteByte(hex[s[i]&15])
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// Unescape is the inverse of Escape. It refuses broken \x sequences.
func Unescape(s string) (string, error) {
	if strings.IndexByte(s, '-') < 0 && strings.IndexByte(s, '\\') < 0 {
		return s, nil
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '-':
			b.WriteByte('/')
		case '\\':
			if i+3 >= len(s) || s[i+1] != 'x' {
				return "", errText("name ", quoted(s), ": broken escape")
			}
			hi, ok1 := hexDigit(s[i+2])
			lo, ok2 := hexDigit(s[i+3])
			if !ok1 || !ok2 {
				return "", errText("name ", quoted(s), ": broken escape")
			}
			b.WriteByte(hi<<4 | lo)
			i += 3
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), nil
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// PathEscape makes a path fit for a unit name: simplified, without leading and
// trailing slashes, then as Escape; the root is "-". It refuses paths with "..".
func PathEscape(path string) (string, error) {
	if path == "" {
		return "", errText("path is empty")
	}
	p := strings.Trim(value.PathSimplify(path), "/")
	if p == "" {
		return "-", nil
	}
	for part := range strings.SplitSeq(p, "/") {
		if part == ".." || part == "." {
			return "", errText("path ", quoted(path), " is not normalized")
		}
	}
	return Escape(p), nil
}

// PathUnescape is the inverse of PathEscape and gives an absolute path.
func PathUnescape(s string) (string, error) {
	if s == "" {
		return "", errText("path is empty")
	}
	if s == "-" {
		return "/", nil
	}
	p, err := Unescape(s)
	if err != nil {
		return "", err
	}
	if strings.HasPrefix(p, "/") || strings.HasSuffix(p, "/") || !value.PathIsNormalized("/"+p) {
		return "", errText("name ", quoted(s), " isn't an escaped path")
	}
	return "/" + p, nil
}

// NameFromPath gives the name of the unit that stands for a path, e.g. the
// mount unit of a mount point; suffix is given with its dot.
func NameFromPath(path, suffix string) (string, error) {
	e, err := PathEscape(path)
	if err != nil {
		return "", err
	}
	if len(e)+len(suffix) > NameMax {
		// DEVIATION: a mount whose path makes no name of up to 255 characters is no unit; systemd gives it a shortened name with a hash in it.
		return "", errText("path ", quoted(path), " is too long for a unit name")
	}
	return e + suffix, nil
}

// NameToPath gives the path a unit name stands for.
func NameToPath(name string) (string, error) { return PathUnescape(prefixOf(name)) }

// MangleFlags change Mangle.
type MangleFlags uint8

// Flags of Mangle.
const (
	MangleGlob MangleFlags = 1 << iota // leave patterns with * ? [ alone
)

const globChars = "*?["

// IsGlob says whether s has characters of a pattern.
func IsGlob(s string) bool { return strings.ContainsAny(s, globChars) }

// Mangle turns what people type into a unit name: a valid name stays, paths
// below /dev/ become devices, other absolute paths mounts, the rest is escaped
// and gets suffix (with its dot) if it has none. changed says that characters
// had to be escaped, which is worth a warning.
func Mangle(s, suffix string, flags MangleFlags) (name string, changed bool, err error) {
	if s == "" {
		return "", false, errText("unit name is empty")
	}
	if !ValidSuffix(suffix) {
		return "", false, errText("unit name suffix ", quoted(suffix), " isn't one")
	}
	if ValidName(s, NameAny) {
		return s, false, nil
	}
	if flags&MangleGlob != 0 && IsGlob(s) && onlyChars(s, validChars+"@"+globChars+"]!-^") {
		return s, false, nil // without a suffix too: foo* is meant to match foo.service
	}
	if devicePath(s) {
		name, err = NameFromPath(s, ".device")
		return name, false, err
	}
	if value.PathIsAbsolute(s) {
		name, err = NameFromPath(s, ".mount")
		return name, false, err
	}
	name, changed = mangleEscape(s, flags)
	if (flags&MangleGlob == 0 || !IsGlob(name)) && TypeOf(name) == TypeInvalid {
		name += suffix
	}
	if len(name) > NameMax || !ValidName(name, NameAny) && !(flags&MangleGlob != 0 && IsGlob(name)) {
		return "", changed, errText("unit name ", quoted(s), " can't be made valid")
	}
	return name, changed, nil
}

// ValidSuffix says whether s is a dot and a unit type.
func ValidSuffix(s string) bool {
	return len(s) > 1 && s[0] == '.' && TypeFromString(s[1:]) != TypeInvalid
}

func onlyChars(s, chars string) bool {
	for i := range len(s) {
		if strings.IndexByte(chars, s[i]) < 0 {
			return false
		}
	}
	return true
}

func devicePath(s string) bool {
	return strings.HasPrefix(s, "/dev/") || strings.HasPrefix(s, "/sys/")
}

// mangleEscape escapes only what can't be in a name, leaving "@", "-" and "\"
// where they are.
func mangleEscape(s string, flags MangleFlags) (string, bool) {
	keep := validChars + "@"
	if flags&MangleGlob != 0 {
		keep += "[]!-*?"
	}
	var b strings.Builder
	changed := false
	for i := range len(s) {
		switch {
		case s[i] == '/':
			b.WriteByte('-')
			changed = true
		case strings.IndexByte(keep, s[i]) < 0:
			const hex = "0123456789abcdef"
			b.WriteString(`\x`)
			b.WriteByte(hex[s[i]>>4])
			b.WriteByte(hex[s[i]&15])
			changed = true
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), changed
}
