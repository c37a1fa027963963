package value

import (
	"cmp"
	"strings"
)

// CompareVersions orders two version strings by the UAPI version format specification: digits by value, letters by code point, "~" before
// everything, then "-", "^" and ".". It returns -1, 0 or 1.
func CompareVersions(a, b string) int {
	for {
		a, b = strings.TrimLeftFunc(a, notInVersion), strings.TrimLeftFunc(b, notInVersion)
		if c, done := versionMark(&a, &b, '~', true); done {
			return c
		}
		if a == "" || b == "" {
			return cmp.Compare(len(a), len(b))
		}
		for _, m := range []byte{'-', '^', '.'} {
			if c, done := versionMark(&a, &b, m, false); done {
				return c
			}
		}
		if digitFirst(a) || digitFirst(b) {
			var x, y string
			x, a = cutRun(a, '0', '9', '0', '9')
			y, b = cutRun(b, '0', '9', '0', '9')
			x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
			if c := cmp.Compare(len(x), len(y)); c != 0 {
				return c
			}
			if c := strings.Compare(x, y); c != 0 {
				return c
			}
			continue
		}
		var x, y string
		x, a = cutRun(a, 'a', 'z', 'A', 'Z')
		y, b = cutRun(b, 'a', 'z', 'A', 'Z')
		if c := strings.Compare(x, y); c != 0 {
			return c
		}
	}
}

// versionMark compares by one separator: a version that has it where the other has not is the older one. both consumes it when both have it.
func versionMark(a, b *string, m byte, loop bool) (order int, done bool) {
	for {
		x, y := strings.HasPrefix(*a, string(m)), strings.HasPrefix(*b, string(m))
		switch {
		case x && !y:
			return -1, true
		case y && !x:
			return 1, true
		case !x:
			return 0, false
		}
		*a, *b = (*a)[1:], (*b)[1:]
		if !loop {
			return 0, false
		}
	}
}

func notInVersion(r rune) bool {
	return !(r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune("~-^.", r))
}

func digitFirst(s string) bool { return s != "" && s[0] >= '0' && s[0] <= '9' }

func cutRun(s string, lo1, hi1, lo2, hi2 byte) (head, rest string) {
	i := 0
	for i < len(s) && (s[i] >= lo1 && s[i] <= hi1 || s[i] >= lo2 && s[i] <= hi2) {
		i++
	}
	return s[:i], s[i:]
}
