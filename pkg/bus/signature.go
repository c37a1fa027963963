package bus

import (
	"errors"
	"fmt"
)

var (
	errSignatureLong  = errors.New("signature: longer than 255 bytes")
	errSignatureEmpty = errors.New("signature: no complete type")
	errSignatureDepth = errors.New("signature: nested too deeply")
)

// ValidSignature reports whether s is a sequence of complete types, possibly
// empty, within the limits of the specification.
func ValidSignature(s string) bool { return checkSignature(s) == nil }

// checkSignature is ValidSignature with a reason.
func checkSignature(s string) error {
	if len(s) > MaxSignatureBytes {
		return errSignatureLong
	}
	for s != "" {
		n, err := typeLen(s, 0, 0)
		if err != nil {
			return err
		}
		s = s[n:]
	}
	return nil
}

// checkSingle requires s to be exactly one complete type, as in a variant.
func checkSingle(s string) error {
	if len(s) > MaxSignatureBytes {
		return errSignatureLong
	}
	n, err := typeLen(s, 0, 0)
	if err != nil {
		return err
	}
	if n != len(s) {
		return fmt.Errorf("signature %q: more than one complete type", s)
	}
	return nil
}

// typeLen returns the length in bytes of the first complete type of s.
func typeLen(s string, arrays, structs int) (int, error) {
	if s == "" {
		return 0, errSignatureEmpty
	}
	switch c := s[0]; c {
	case 'a':
		return arrayLen(s, arrays+1, structs)
	case '(':
		return structLen(s, arrays, structs+1)
	default:
		if isBasic(c) || c == 'v' {
			return 1, nil
		}
		return 0, fmt.Errorf("signature: unexpected %q", c)
	}
}

func arrayLen(s string, arrays, structs int) (int, error) {
	if arrays > maxArrayDepth {
		return 0, errSignatureDepth
	}
	if len(s) < 2 || s[1] != '{' {
		n, err := typeLen(s[1:], arrays, structs)
		return n + 1, err
	}
	// A dictionary: a{kv}. The entry counts as a struct.
	if structs+1 > maxStructDepth {
		return 0, errSignatureDepth
	}
	if len(s) < 3 || !isBasic(s[2]) {
		return 0, errors.New("signature: dictionary key is not a basic type")
	}
	n, err := typeLen(s[3:], arrays, structs+1)
	if err != nil {
		return 0, err
	}
	if len(s) < n+4 || s[n+3] != '}' {
		return 0, errors.New("signature: dictionary entry is not closed after its value")
	}
	return n + 4, nil
}

func structLen(s string, arrays, structs int) (int, error) {
	if structs > maxStructDepth {
		return 0, errSignatureDepth
	}
	pos := 1
	for {
		if pos >= len(s) {
			return 0, errors.New("signature: structure is not closed")
		}
		if s[pos] == ')' {
			break
		}
		n, err := typeLen(s[pos:], arrays, structs)
		if err != nil {
			return 0, err
		}
		pos += n
	}
	if pos == 1 {
		return 0, errors.New("signature: empty structure")
	}
	return pos + 1, nil
}

// splitType cuts a signature already known to be valid after its first
// complete type.
func splitType(s string) (first, rest string) {
	n, err := typeLen(s, 0, 0)
	if err != nil {
		return s, ""
	}
	return s[:n], s[n:]
}

func isBasic(c byte) bool {
	switch c {
	case 'y', 'b', 'n', 'q', 'i', 'u', 'x', 't', 'd', 's', 'o', 'g', 'h':
		return true
	}
	return false
}

// alignOf is the alignment of the type that begins with c.
func alignOf(c byte) int {
	switch c {
	case 'n', 'q':
		return 2
	case 'b', 'i', 'u', 's', 'o', 'a', 'h':
		return 4
	case 'x', 't', 'd', '(', '{':
		return 8
	}
	return 1 // y, g, v
}

// fixedSize is the length of a value of type c where every value has the
// same, and 0 where it varies.
func fixedSize(c byte) int {
	switch c {
	case 'y':
		return 1
	case 'n', 'q':
		return 2
	case 'b', 'i', 'u', 'h':
		return 4
	case 'x', 't', 'd':
		return 8
	}
	return 0
}
