// Package cmdline reads the kernel command line as the generators do (kernel-command-line(7)).
package cmdline

import (
	"strings"

	"github.com/muster-init/muster/pkg/unit/value"
)

// Parameter is one word of the command line. Has tells `key=` from `key`.
type Parameter struct {
	Key, Value string
	Has        bool
}

// Is compares the key; dashes and underscores are the same.
func (p Parameter) Is(key string) bool { return normal(p.Key) == normal(key) }

// Flag is the value as a boolean; a parameter without a value is true.
func (p Parameter) Flag() (bool, error) {
	if !p.Has {
		return true, nil
	}
	return value.ParseBool(p.Value)
}

// Text is the value; ok is false where there is none or it is empty.
func (p Parameter) Text() (text string, ok bool) { return p.Value, p.Has && p.Value != "" }

func normal(key string) string { return strings.ReplaceAll(key, "-", "_") }

// Mode is how parameters that begin with "rd." are taken.
type Mode uint8

const (
	// Both gives all parameters as they are; the caller knows the names with "rd.".
	Both Mode = iota
	// Strict gives those for where we are: in the initrd only those with "rd.", which is cut off, else only those without.
	Strict
	// Loose gives in the initrd those with "rd.", which is cut off, and those without, else only those without.
	Loose
)

// bytesMax bounds the text: the kernel's own limit is far below.
const bytesMax = 1 << 20

// Parse splits the command line into parameters. Quotes group, backslashes have no meaning, an open quote ends with the text.
func Parse(text string, mode Mode, initrd bool) []Parameter {
	if len(text) > bytesMax {
		text = text[:bytesMax]
	}
	if i := strings.IndexByte(text, 0); i >= 0 {
		text = text[:i]
	}
	r := value.WordReader{Rest: text, Flags: value.WordUnquote | value.WordRelax | value.WordRetainEscape}
	var list []Parameter
	for {
		word, ok, err := r.Next()
		if !ok || err != nil {
			return list
		}
		rest, rd := strings.CutPrefix(word, "rd.")
		switch {
		case mode == Both:
		case rd && !initrd, mode == Strict && !rd && initrd:
			continue
		case rd:
			word = rest
		}
		key, v, has := strings.Cut(word, "=")
		list = append(list, Parameter{key, v, has})
	}
}
