package ctl

import "strings"

// compareVersions orders two versions by the rules of the version format specification of uapi-group.org: ~ sorts before the end, then - ^ . and
// letters; numbers as numbers, letters with capitals first. It gives -1, 0 or 1.
func compareVersions(a, b string) int {
	for {
		a, b = skipOther(a), skipOther(b)
		for _, mark := range []byte{'~', 0, '-', '^', '.'} {
			x, y := starts(a, mark), starts(b, mark)
			switch {
			case x && y && mark == 0:
				return 0
			case x && y:
				a, b = a[1:], b[1:]
			case x != y && (mark == '~' || mark == 0 || mark == '-' || mark == '^' || mark == '.'):
				if x {
					return -1
				}
				return 1
			default:
				continue
			}
			break
		}
		digits := startsDigit(a) || startsDigit(b)
		var x, y string
		x, a = cutRun(a, digits)
		y, b = cutRun(b, digits)
		if c := compareRun(x, y, digits); c != 0 {
			return c
		}
	}
}

// starts says whether s begins with mark; 0 is the end.
func starts(s string, mark byte) bool {
	if mark == 0 {
		return s == ""
	}
	return s != "" && s[0] == mark
}

func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func startsDigit(s string) bool { return s != "" && isDigit(s[0]) }

// skipOther drops what is neither a letter, a digit nor a mark.
func skipOther(s string) string {
	return strings.TrimLeftFunc(s, func(r rune) bool {
		return r > 0x7f || !isDigit(byte(r)) && !isLetter(byte(r)) && strings.IndexByte("~-^.", byte(r)) < 0
	})
}

// cutRun cuts the digits, or the letters, that s begins with.
func cutRun(s string, digits bool) (run, rest string) {
	n := 0
	for n < len(s) && (digits && isDigit(s[n]) || !digits && isLetter(s[n])) {
		n++
	}
	return s[:n], s[n:]
}

func compareRun(a, b string, digits bool) int {
	if digits {
		a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
		if len(a) != len(b) {
			if len(a) < len(b) {
				return -1
			}
			return 1
		}
	}
	return strings.Compare(a, b)
}
