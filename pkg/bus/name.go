package bus

// ValidPath reports whether s is an object path: "/", or elements of
// [A-Za-z0-9_]+ each after a slash.
func ValidPath(s string) bool {
	if s == "" || s[0] != '/' {
		return false
	}
	if s == "/" {
		return true
	}
	prev := byte('/')
	for i := 1; i < len(s); i++ {
		c := s[i]
		if c == '/' {
			if prev == '/' {
				return false
			}
		} else if !isWord(c) {
			return false
		}
		prev = c
	}
	return prev != '/'
}

// ValidInterface reports whether s is an interface name: at least two
// elements of [A-Za-z_][A-Za-z0-9_]* joined by dots, at most 255 bytes.
func ValidInterface(s string) bool { return validDotted(s, false, false) }

// ValidErrorName reports whether s is an error name; the rules are those of
// interface names.
func ValidErrorName(s string) bool { return validDotted(s, false, false) }

// ValidBusName reports whether s is a unique (:1.5) or well-known name.
func ValidBusName(s string) bool {
	if s != "" && s[0] == ':' {
		return len(s) <= MaxNameBytes && validDotted(s[1:], true, true)
	}
	return validDotted(s, true, false)
}

// ValidMember reports whether s is a method or signal name:
// [A-Za-z_][A-Za-z0-9_]*, at most 255 bytes.
func ValidMember(s string) bool {
	if s == "" || len(s) > MaxNameBytes || isDigit(s[0]) {
		return false
	}
	for i := 0; i < len(s); i++ {
		if !isWord(s[i]) {
			return false
		}
	}
	return true
}

// validDotted checks names made of elements and dots. Bus names allow dashes,
// unique names also elements that begin with a digit.
func validDotted(s string, dash, digitFirst bool) bool {
	if s == "" || len(s) > MaxNameBytes {
		return false
	}
	dots, first := 0, true
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '.':
			if first {
				return false
			}
			dots++
			first = true
			continue
		case isDigit(c):
			if first && !digitFirst {
				return false
			}
		case isWord(c):
		case c == '-' && dash:
		default:
			return false
		}
		first = false
	}
	return dots > 0 && !first
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || isDigit(c) || c == '_'
}
