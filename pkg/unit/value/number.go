package value

import (
	"strconv"
	"strings"
)

const whitespace = " \t\n\r"

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// ParseUint reads an unsigned number of at most bits bits. As in C, 0x starts
// a hexadecimal number and a leading 0 an octal one; 0o and 0b are known too.
// Leading white space and a plus sign are allowed.
func ParseUint(s string, bits int) (uint64, error) {
	digits, negative := numberSign(s)
	v, err := parseDigits(s, digits, 0)
	if err != nil {
		return 0, err
	}
	if negative && v != 0 || bits < 64 && v>>uint(bits) != 0 {
		return 0, outOfRange("number", s)
	}
	return v, nil
}

// ParseInt reads a signed number of at most bits bits, see ParseUint.
func ParseInt(s string, bits int) (int64, error) {
	digits, negative := numberSign(s)
	v, err := parseDigits(s, digits, 0)
	if err != nil {
		return 0, err
	}
	limit := uint64(1) << uint(bits-1)
	switch {
	case negative && v <= limit:
		return int64(-v), nil
	case !negative && v < limit:
		return int64(v), nil
	}
	return 0, outOfRange("number", s)
}

// ParseIntRange reads a signed number between min and max, both included.
func ParseIntRange(s string, min, max int64) (int64, error) {
	v, err := ParseInt(s, 64)
	if err != nil {
		return 0, err
	}
	if v < min || v > max {
		return 0, outOfRange("number", s)
	}
	return v, nil
}

// ParseUintRange reads an unsigned number between min and max, both included.
func ParseUintRange(s string, min, max uint64) (uint64, error) {
	v, err := ParseUint(s, 64)
	if err != nil {
		return 0, err
	}
	if v < min || v > max {
		return 0, outOfRange("number", s)
	}
	return v, nil
}

func numberSign(s string) (digits string, negative bool) {
	digits = strings.TrimLeft(s, " \t\n\v\f\r")
	if digits != "" && (digits[0] == '-' || digits[0] == '+') {
		return digits[1:], digits[0] == '-'
	}
	return digits, false
}

// parseDigits reads digits without a sign in base, or in the base the prefix
// tells when base is 0.
func parseDigits(whole, digits string, base int) (uint64, error) {
	if base == 0 {
		base = 10
		if len(digits) > 1 && digits[0] == '0' {
			switch digits[1] {
			case 'x', 'X':
				base, digits = 16, digits[2:]
			case 'b', 'B':
				base, digits = 2, digits[2:]
			case 'o', 'O':
				base, digits = 8, digits[2:]
			default:
				base = 8
			}
		}
	}
	if digits == "" || digits[0] == '-' || digits[0] == '+' {
		return 0, invalid("number", whole)
	}
	v, err := strconv.ParseUint(digits, base, 64)
	if err != nil {
		if strings.HasSuffix(err.Error(), strconv.ErrRange.Error()) {
			return 0, outOfRange("number", whole)
		}
		return 0, invalid("number", whole)
	}
	return v, nil
}

// Mode is an access mode, at most 07777.
type Mode uint32

// ParseMode reads an octal access mode of at most 7777.
func ParseMode(s string) (Mode, error) {
	digits := strings.TrimLeft(s, " \t\n\v\f\r")
	v, err := parseDigits(s, digits, 8)
	if err != nil {
		return 0, invalid("access mode", s)
	}
	if v > 0o7777 {
		return 0, outOfRange("access mode", s)
	}
	return Mode(v), nil
}

// String writes the mode with four octal digits.
func (m Mode) String() string {
	s := strconv.FormatUint(uint64(m), 8)
	if len(s) < 4 {
		s = "0000"[len(s):] + s
	}
	return s
}
