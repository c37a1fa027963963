package output

import (
	"errors"
	"strings"

	"github.com/muster-init/muster/pkg/unit"
)

// Unit is the text of a unit file or drop-in in the making. Settings appear in the order in which they were set, a section begins when the section of
// a setting differs from the one before.
type Unit struct {
	b       strings.Builder
	section string
	err     error
}

// NewUnit begins a unit file; generator names who wrote it, for the reader of the file.
func NewUnit(generator string) *Unit {
	u := &Unit{}
	u.b.WriteString("# Written by " + generator + ", which overwrites changes.\n")
	return u
}

var errControl = errors.New("a value holds a line break or NUL")

// Set adds a setting. Percent signs are doubled, so that no specifier comes of foreign text.
func (u *Unit) Set(section, key, value string) { u.Raw(section, key, unit.EscapeSpecifiers(value)) }

// Raw adds a setting whose value may have specifiers.
func (u *Unit) Raw(section, key, value string) {
	if strings.ContainsAny(value, "\n\r\x00") {
		u.err = errControl
		return
	}
	if section != u.section {
		u.b.WriteString("\n[" + section + "]\n")
		u.section = section
	}
	// A backslash at the end would join the next line.
	if n := len(value) - len(strings.TrimRight(value, `\`)); n%2 == 1 {
		value += " "
	}
	u.b.WriteString(key + "=" + value + "\n")
}

func (u *Unit) text() (string, error) { return u.b.String(), u.err }
