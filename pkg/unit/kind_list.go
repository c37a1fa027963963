package unit

import (
	"strings"

	"github.com/muster-init/muster/pkg/unit/value"
)

// listKind is a list of T that assignments add to and empty text resets.
// items reads the items of one assignment; items that are wrong cost
// themselves only.
func listKind[T any](name string, items func(c *Context, text string) ([]T, error), format func(list []T) []string, bus ...form[[]T]) *kind[[]T] {
	return &kind[[]T]{
		name: name,
		parse: func(c *Context, cur *[]T, text string) error {
			if text == "" {
				*cur = nil
				return nil
			}
			list, err := items(c, text)
			if len(list) > 0 {
				*cur = append((*cur)[:len(*cur):len(*cur)], list...)
			}
			return partial(err)
		},
		format: func(v *[]T) []string { return format(*v) },
		bus:    bus,
	}
}

// words cuts text into words and expands specifiers in each; check refuses or
// changes a word.
func words(c *Context, text string, flags value.WordFlags, check func(word string) (string, error)) ([]string, error) {
	var out []string
	var faults []error
	r := value.WordReader{Rest: text, Flags: flags}
	for {
		word, ok, err := r.Next()
		if err != nil {
			return out, joinErrors(append(faults, err))
		}
		if !ok {
			return out, joinErrors(faults)
		}
		if word, err = c.expand(word); err == nil && check != nil {
			word, err = check(word)
		}
		if err != nil {
			faults = append(faults, err)
			continue
		}
		out = append(out, word)
	}
}

// joinErrors is nil for none and the error itself for one.
func joinErrors(list []error) error {
	switch len(list) {
	case 0:
		return nil
	case 1:
		return list[0]
	}
	return faultList(list)
}

// faultList are several faults of one assignment, reported one by one.
type faultList []error

func (f faultList) Error() string {
	var b strings.Builder
	for i, e := range f {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(e.Error())
	}
	return b.String()
}

// Unwrap gives the faults.
func (f faultList) Unwrap() []error { return f }

var busStrings = form[[]string]{sig: "as",
	write: func(w BusWriter, v *[]string) { writeStrings(w, *v) },
	read: func(r BusReader, _ *[]string) ([]string, error) {
		return assignList(readStrings(r))
	},
}

// assignList gives one text with all words quoted; an empty list resets.
func assignList(list []string) ([]string, error) {
	return one(escaped(value.QuoteWords(list)))
}

func formatWords(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	return []string{escaped(value.QuoteWords(list))}
}

// kWords is a list of words with specifiers that check refuses or changes.
func kWords(what string, flags value.WordFlags, check func(s string) (string, error)) *kind[[]string] {
	return listKind(what, func(c *Context, text string) ([]string, error) {
		return words(c, text, flags, check)
	}, formatWords, busStrings)
}

const wordsPlain = value.WordUnquote | value.WordRetainEscape

// kStrv is a list of words without further rules.
var kStrv = kWords("list of words", value.WordUnquote|value.WordCUnescape, nil)

func checkAbsolute(s string) (string, error) { return value.ParsePath(s, value.PathAbsolute) }

// kPaths is a list of absolute paths.
var kPaths = kWords("list of paths", value.WordUnquote|value.WordCUnescape, checkAbsolute)

// kColonPaths is a list of absolute paths separated by colons.
var kColonPaths = listKind("list of paths separated by colons", func(c *Context, text string) ([]string, error) {
	var out []string
	var faults []error
	for part := range strings.SplitSeq(text, ":") {
		if part == "" {
			continue
		}
		p, err := c.expand(part)
		if err == nil {
			p, err = checkAbsolute(p)
		}
		if err != nil {
			faults = append(faults, err)
			continue
		}
		out = append(out, p)
	}
	return out, joinErrors(faults)
}, func(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	return []string{escaped(strings.Join(list, ":"))}
}, form[[]string]{sig: "as", write: busStrings.write, read: func(r BusReader, _ *[]string) ([]string, error) {
	return one(escaped(strings.Join(readStrings(r), ":")))
}})

// kPrefixedPaths is a list of absolute paths that may have - and + in front.
var kPrefixedPaths = kWords("list of paths, - and + in front", value.WordUnquote|value.WordCUnescape,
	func(s string) (string, error) {
		e, err := value.ParsePathEntry(s)
		return e.String(), err
	})

// kUnitNames is a list of unit names in [Install], stored with specifiers
// not yet expanded: that is for whoever installs.
var kUnitNames = listKind("list of units", func(_ *Context, text string) ([]string, error) {
	return value.SplitWords(text, "", value.WordUnquote|value.WordRetainEscape)
}, func(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	return []string{strings.Join(list, " ")}
})

// filterKind is a list of names that allows, or with ~ in front forbids.
// As in systemd the first assignment decides which; later ones of the other
// sort take names away. check refuses a name.
func filterKind(what string, check func(name string) error) *kind[FilterList] {
	return &kind[FilterList]{
		name: what,
		parse: func(c *Context, cur *FilterList, text string) error {
			if text == "" {
				*cur = FilterList{}
				return nil
			}
			rest, invert := strings.CutPrefix(text, "~")
			if !cur.Set {
				*cur = FilterList{Set: true, Allow: !invert}
			}
			names, err := words(c, rest, value.WordUnquote, func(s string) (string, error) { return s, check(s) })
			for _, n := range names {
				if cur.Allow != invert {
					cur.Names = addName(cur.Names, n)
				} else {
					cur.Names = dropName(cur.Names, n)
				}
			}
			return partial(err)
		},
		format: func(v *FilterList) []string {
			if !v.Set {
				return nil
			}
			return []string{filterText(v.Allow, v.Names)}
		},
		bus: []form[FilterList]{{sig: "(bas)",
			write: func(w BusWriter, v *FilterList) {
				w.BeginStruct()
				w.Bool(v.Set && v.Allow)
				writeStrings(w, v.Names)
				w.EndStruct()
			},
			read: func(r BusReader, _ *FilterList) ([]string, error) {
				r.BeginStruct()
				allow := r.Bool()
				names := readStrings(r)
				r.EndStruct()
				if !allow && len(names) == 0 {
					return one("")
				}
				return one(filterText(allow, names))
			},
		}},
	}
}

func filterText(allow bool, names []string) string {
	s := escaped(value.QuoteWords(names))
	if !allow {
		s = "~" + s
	}
	return s
}

func addName(list []string, name string) []string {
	for _, have := range list {
		if have == name {
			return list
		}
	}
	return append(list[:len(list):len(list)], name)
}

func dropName(list []string, name string) []string {
	for i, have := range list {
		if have == name {
			return append(append([]string(nil), list[:i]...), list[i+1:]...)
		}
	}
	return list
}

// busPairs shows a list of items as a(ss).
func busPairs[T any](split func(v T) (a, b string), text func(a, b string) string) form[[]T] {
	return form[[]T]{sig: "a(ss)",
		write: func(w BusWriter, v *[]T) {
			writePairs(w, len(*v), func(i int) (string, string) { return split((*v)[i]) })
		},
		read: func(r BusReader, _ *[]T) ([]string, error) {
			pairs := readPairs(r)
			if len(pairs) == 0 {
				return one("")
			}
			out := make([]string, len(pairs))
			for i, p := range pairs {
				out[i] = text(p[0], p[1])
			}
			return out, nil
		},
	}
}

// kCPUSet is a set of numbers of CPUs or nodes, kept as the mask of the bus.
var kCPUSet = &kind[[]byte]{
	name: "list of numbers and ranges",
	parse: func(_ *Context, cur *[]byte, text string) error {
		if text == "" {
			*cur = nil
			return nil
		}
		more, err := value.ParseIndexSet(text)
		if more == nil {
			return err
		}
		set, _ := value.IndexSetFromBytes(*cur) // was one before
		set.Merge(more)
		*cur = set.Bytes()
		return partial(err)
	},
	format: func(v *[]byte) []string {
		if len(*v) == 0 {
			return nil
		}
		return []string{formatBits(*v)}
	},
	bus: []form[[]byte]{{sig: "ay",
		write: func(w BusWriter, v *[]byte) { w.Bytes(wholeWords(*v)) },
		read: func(r BusReader, _ *[]byte) ([]string, error) {
			set, err := value.IndexSetFromBytes(r.Bytes())
			if text := set.String(); text != "" {
				return []string{"", text}, err // instead of what was set before, not in addition
			}
			return one("")
		},
	}},
}

func formatBits(mask []byte) string {
	set, err := value.IndexSetFromBytes(mask)
	if err != nil {
		return ""
	}
	return set.String()
}

// wholeWords pads a mask to multiples of 64 bits, as systemd sends it.
func wholeWords(mask []byte) []byte {
	const word = 8
	if rest := len(mask) % word; rest != 0 {
		mask = append(mask[:len(mask):len(mask)], make([]byte, word-rest)...)
	}
	return mask
}
