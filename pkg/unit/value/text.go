package value

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

// hasControl says whether s has a control character, DEL included, that is not in
// allowed.
func hasControl(s, allowed string) bool {
	for i := 0; i < len(s); i++ {
		if (s[i] < ' ' || s[i] == 127) && strings.IndexByte(allowed, s[i]) < 0 {
			return true
		}
	}
	return false
}

// HasControl says whether s has a control character, DEL included.
func HasControl(s string) bool { return hasControl(s, "") }

// StringIsSafe says whether s is free of control characters, quotes and
// backslashes, as names of executables must be.
func StringIsSafe(s string) bool {
	return !hasControl(s, "") && strings.IndexAny(s, "\\\"'") < 0
}

// TextIsValid says whether s is UTF-8 without control characters except tab and
// newline.
func TextIsValid(s string) bool { return utf8.ValidString(s) && !hasControl(s, "\t\n") }

// ParseHex reads hexadecimal digits, white space between them allowed.
func ParseHex(s string) ([]byte, error) {
	b, err := hex.DecodeString(dropSpace(s))
	if err != nil {
		return nil, invalid("hexadecimal data", s)
	}
	return b, nil
}

// FormatHex writes lower case hexadecimal digits.
func FormatHex(b []byte) string { return hex.EncodeToString(b) }

// ParseBase64 reads base64 with the standard alphabet, white space allowed.
func ParseBase64(s string) ([]byte, error) {
	b, err := base64.StdEncoding.Strict().DecodeString(dropSpace(s))
	if err != nil {
		return nil, invalid("base64 data", s)
	}
	return b, nil
}

// FormatBase64 writes base64 on one line.
func FormatBase64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func dropSpace(s string) string {
	return strings.Map(func(r rune) rune {
		if r == ' ' || r == '\t' || r == '\n' || r == '\r' {
			return -1
		}
		return r
	}, s)
}

// ID128 is a 128-bit identifier: a machine, boot or invocation ID.
type ID128 [16]byte

// ParseID128 reads 32 hexadecimal digits, or the same as a UUID with dashes.
func ParseID128(s string) (ID128, error) {
	var id ID128
	digits := s
	if len(s) == 36 {
		for _, i := range [...]int{8, 13, 18, 23} {
			if s[i] != '-' {
				return id, invalid("ID", s)
			}
		}
		digits = s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:]
	}
	if len(digits) != 32 {
		return id, invalid("ID", s)
	}
	if _, err := hex.Decode(id[:], []byte(digits)); err != nil {
		return ID128{}, invalid("ID", s)
	}
	return id, nil
}

// String writes 32 lower case hexadecimal digits.
func (id ID128) String() string { return hex.EncodeToString(id[:]) }

// UUID writes the ID with dashes.
func (id ID128) UUID() string {
	s := id.String()
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// IsZero says whether all bits are clear.
func (id ID128) IsZero() bool { return id == ID128{} }

// MarshalText writes String.
func (id ID128) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText is ParseID128.
func (id *ID128) UnmarshalText(b []byte) error {
	parsed, err := ParseID128(string(b))
	if err == nil {
		*id = parsed
	}
	return err
}
