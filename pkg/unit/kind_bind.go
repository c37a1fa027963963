package unit

import (
	"strings"

	"github.com/muster-init/muster/pkg/unit/value"
)

// colonWords cuts text into words, and each word at colons into at most most
// parts with specifiers expanded; the last part keeps further colons.
func colonWords(c *Context, text string, most int) ([][]string, error) {
	var out [][]string
	r := value.WordReader{Rest: text, Flags: value.WordUnquote | value.WordRetainEscape}
	for {
		word, ok, err := r.Next()
		if err != nil || !ok {
			return out, err
		}
		var parts []string
		inner := value.WordReader{Rest: word, Separators: ":", Flags: value.WordDontCoalesce | value.WordCUnescape | value.WordUnescapeSeparators}
		for len(parts) < most-1 {
			part, ok, err := inner.Next()
			if err != nil {
				return out, err
			}
			if !ok {
				break
			}
			parts = append(parts, part)
		}
		if len(parts) == most-1 && inner.Rest != "" {
			parts = append(parts, inner.Rest)
		}
		for i := range parts {
			if parts[i], err = c.expand(parts[i]); err != nil {
				return out, err
			}
		}
		if len(parts) > 0 {
			out = append(out, parts)
		}
	}
}

func part(parts []string, i int) string {
	if i < len(parts) {
		return parts[i]
	}
	return ""
}

// colonText joins parts so that colonWords takes them apart again.
func colonText(parts ...string) string {
	for len(parts) > 1 && parts[len(parts)-1] == "" {
		parts = parts[:len(parts)-1]
	}
	out := make([]string, len(parts))
	for i, p := range parts {
		out[i] = strings.ReplaceAll(strings.ReplaceAll(p, `\`, `\\`), ":", `\:`)
		if i == len(parts)-1 && i > 0 {
			out[i] = p // the last part is taken as it is
		}
	}
	return escaped(value.QuoteWord(strings.Join(out, ":")))
}

// kBindPaths is BindPaths=, or BindReadOnlyPaths= with readOnly. Both share
// one list, whose order counts, and resetting one resets both.
func kBindPaths(readOnly bool) *kind[[]BindPath] {
	only := func(list []BindPath) []BindPath {
		var out []BindPath
		for _, b := range list {
			if b.ReadOnly == readOnly {
				out = append(out, b)
			}
		}
		return out
	}
	return listKind("list of SOURCE:DESTINATION:OPTIONS", func(c *Context, text string) ([]BindPath, error) {
		list, err := colonWords(c, text, 3)
		faults := oneFault(err)
		var out []BindPath
		for _, parts := range list {
			b, err := bindPath(parts, readOnly)
			if err != nil {
				faults = append(faults, err)
				continue
			}
			out = append(out, b)
		}
		return out, joinErrors(faults)
	}, func(list []BindPath) []string {
		var out []string
		for _, b := range only(list) {
			out = append(out, bindText(b))
		}
		return out
	}, form[[]BindPath]{sig: "a(ssbt)",
		write: func(w BusWriter, v *[]BindPath) { writeBindPaths(w, only(*v)) },
		read:  readBindPaths,
	})
}

func oneFault(err error) []error {
	if err == nil {
		return nil
	}
	return []error{err}
}

func bindPath(parts []string, readOnly bool) (BindPath, error) {
	b := BindPath{ReadOnly: readOnly, Recursive: true}
	src, missing := strings.CutPrefix(parts[0], "-")
	b.IgnoreMissing = missing
	var err error
	if b.Source, err = checkAbsolute(src); err != nil {
		return b, err
	}
	b.Destination = b.Source
	if d := part(parts, 1); d != "" {
		if b.Destination, err = checkAbsolute(d); err != nil {
			return b, err
		}
	}
	for _, o := range strings.FieldsFunc(part(parts, 2), func(r rune) bool { return r == ',' }) {
		switch o {
		case "rbind":
			b.Recursive = true
		case "norbind":
			b.Recursive = false
		default:
			return b, errText("bind mount option ", quoted(o), " isn't known")
		}
	}
	return b, nil
}

func bindText(b BindPath) string {
	src := b.Source
	if b.IgnoreMissing {
		src = "-" + src
	}
	opts := ""
	if !b.Recursive {
		opts = "norbind"
	}
	if b.Destination == b.Source && opts == "" {
		return colonText(src)
	}
	return colonText(src, b.Destination, opts)
}

func writeBindPaths(w BusWriter, list []BindPath) {
	w.BeginArray("(ssbt)")
	for _, b := range list {
		w.BeginStruct()
		w.String(b.Source)
		w.String(b.Destination)
		w.Bool(b.IgnoreMissing)
		flags := uint64(0)
		if b.Recursive {
			flags = mountRecursive
		}
		w.Uint64(flags)
		w.EndStruct()
	}
	w.EndArray()
}

func readBindPaths(r BusReader, _ *[]BindPath) ([]string, error) {
	var out []string
	r.BeginArray("(ssbt)")
	for r.More() {
		r.BeginStruct()
		b := BindPath{Source: r.String(), Destination: r.String(), IgnoreMissing: r.Bool()}
		flags := r.Uint64()
		r.EndStruct()
		if flags&^mountRecursive != 0 {
			return nil, errText("bind mount flags are not known")
		}
		b.Recursive = flags != 0
		if b.Destination == "" {
			b.Destination = b.Source
		}
		out = append(out, bindText(b))
	}
	r.EndArray()
	if len(out) == 0 {
		return one("")
	}
	return out, nil
}

// pairKind is a list of words "A:B", shown as a(ss).
func pairKind[T any](name string, parse func(parts []string) (T, error), split func(v T) (a, b string)) *kind[[]T] {
	return listKind(name, func(c *Context, text string) ([]T, error) {
		list, err := colonWords(c, text, 2)
		faults := oneFault(err)
		var out []T
		for _, parts := range list {
			v, err := parse(parts)
			if err != nil {
				faults = append(faults, err)
				continue
			}
			out = append(out, v)
		}
		return out, joinErrors(faults)
	}, func(list []T) []string {
		var out []string
		for _, v := range list {
			a, b := split(v)
			out = append(out, colonText(a, b))
		}
		return out
	}, busPairs(split, func(a, b string) string { return colonText(a, b) }))
}

var kTemporaryFileSystem = pairKind("list of PATH:OPTIONS", func(parts []string) (TemporaryFileSystem, error) {
	path, err := checkAbsolute(parts[0])
	return TemporaryFileSystem{Path: path, Options: part(parts, 1)}, err
}, func(v TemporaryFileSystem) (string, string) { return v.Path, v.Options })
