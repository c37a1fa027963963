package value

import "strings"

// ParseBool reads a boolean: 1 yes y true t on, 0 no n false f off, in any case
// (systemd.syntax(7)).
func ParseBool(s string) (bool, error) {
	switch strings.ToLower(s) {
	case "1", "yes", "y", "true", "t", "on":
		return true, nil
	case "0", "no", "n", "false", "f", "off":
		return false, nil
	}
	return false, invalid("boolean", s)
}

// FormatBool writes "yes" or "no".
func FormatBool(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// Tristate is a boolean that may be left open.
type Tristate string

// The three values.
const (
	TristateUnset Tristate = ""
	TristateNo    Tristate = "no"
	TristateYes   Tristate = "yes"
)

// ParseTristate reads a boolean; the empty string is TristateUnset.
func ParseTristate(s string) (Tristate, error) {
	if s == "" {
		return TristateUnset, nil
	}
	b, err := ParseBool(s)
	if err != nil {
		return TristateUnset, err
	}
	return TristateOf(b), nil
}

// TristateOf is the set value for b.
func TristateOf(b bool) Tristate { return Tristate(FormatBool(b)) }

// Or is the value, or def where it is unset.
func (t Tristate) Or(def bool) bool {
	if t == TristateUnset {
		return def
	}
	return t == TristateYes
}
