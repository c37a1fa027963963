package value

import (
	"errors"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	pathMax     = 4096 // with the NUL
	filenameMax = 255
)

// PathIsAbsolute says whether s starts with a slash.
func PathIsAbsolute(s string) bool { return strings.HasPrefix(s, "/") }

// PathIsNormalized says whether s has no "." or ".." components, no doubled and
// no trailing slash, and is short enough for the kernel.
func PathIsNormalized(s string) bool {
	if !PathIsValid(s) {
		return false
	}
	return PathSimplify(s) == s && !hasDotDot(s) && s != "."
}

// PathIsValid says whether the kernel would take s as a path at all: not empty,
// short enough, each component too, no NUL.
func PathIsValid(s string) bool {
	if s == "" || len(s) >= pathMax || strings.IndexByte(s, 0) >= 0 {
		return false
	}
	for part := range strings.SplitSeq(s, "/") {
		if len(part) > filenameMax {
			return false
		}
	}
	return true
}

func hasDotDot(s string) bool {
	for part := range strings.SplitSeq(s, "/") {
		if part == ".." {
			return true
		}
	}
	return false
}

// ComparePaths orders paths by their components: a directory comes before
// everything in it.
func ComparePaths(a, b string) int {
	return slices.Compare(strings.Split(strings.Trim(a, "/"), "/"), strings.Split(strings.Trim(b, "/"), "/"))
}

// PathSimplify removes doubled slashes, "." components and trailing slashes.
// ".." is kept; a relative path of nothing else becomes ".".
func PathSimplify(s string) string {
	if s == "" {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	absolute := s[0] == '/'
	first := true
	for part := range strings.SplitSeq(s, "/") {
		if part == "" || part == "." {
			continue
		}
		if absolute || !first {
			b.WriteByte('/')
		}
		first = false
		b.WriteString(part)
	}
	if b.Len() == 0 {
		if absolute {
			return "/"
		}
		return "."
	}
	return b.String()
}

// PathFlags say what ParsePath asks of a path.
type PathFlags uint8

// Flags of ParsePath.
const (
	PathAbsolute PathFlags = 1 << iota // must be absolute
	PathRelative                       // must be relative
	PathKeepDots                       // ".." components are fine
)

// ParsePath checks and simplifies one path of a unit file: UTF-8, valid, no ".."
// unless PathKeepDots.
func ParsePath(s string, flags PathFlags) (string, error) {
	if !utf8.ValidString(s) {
		return "", invalidf("path", s, "is not UTF-8")
	}
	if !PathIsValid(s) {
		return "", invalid("path", s)
	}
	if flags&PathAbsolute != 0 && !PathIsAbsolute(s) {
		return "", invalidf("path", s, "is not absolute")
	}
	if flags&PathRelative != 0 && PathIsAbsolute(s) {
		return "", invalidf("path", s, "is absolute")
	}
	simple := PathSimplify(s)
	if flags&PathKeepDots == 0 && (hasDotDot(simple) || simple == ".") {
		return "", invalidf("path", s, "is not normalized")
	}
	return simple, nil
}

// FilenameIsValid says whether s can be the name of a file: no slash, not "."
// or "..", at most 255 bytes.
func FilenameIsValid(s string) bool {
	return s != "" && s != "." && s != ".." && len(s) <= filenameMax && strings.IndexAny(s, "/\x00") < 0
}

// PathEntry is a path with the prefixes of lists such as ReadWritePaths=.
type PathEntry struct {
	Path          string `json:"path"`
	IgnoreMissing bool   `json:"ignore_missing,omitempty"` // "-"
	RootPrefixed  bool   `json:"root_prefixed,omitempty"`  // "+": seen from RootDirectory=
}

// String writes the entry with its prefixes.
func (p PathEntry) String() string {
	s := p.Path
	if p.RootPrefixed {
		s = "+" + s
	}
	if p.IgnoreMissing {
		s = "-" + s
	}
	return s
}

// ParsePathEntries reads a list of quoted paths with prefixes. The good ones are
// returned even when err tells of others.
func ParsePathEntries(s string, expand Expander) ([]PathEntry, error) {
	var list []PathEntry
	var errs []error
	r := WordReader{Rest: s, Flags: WordUnquote}
	for {
		word, ok, err := r.Next()
		if err != nil || !ok {
			return list, errors.Join(append(errs, err)...)
		}
		if word, err = expand.expand(word); err == nil {
			var p PathEntry
			if p, err = ParsePathEntry(word); err == nil {
				list = append(list, p)
				continue
			}
		}
		errs = append(errs, err)
	}
}

// FormatPathEntries writes the list as ParsePathEntries reads it.
func FormatPathEntries(list []PathEntry) string {
	words := make([]string, len(list))
	for i, p := range list {
		words[i] = QuoteWordPlain(p.String())
	}
	return strings.Join(words, " ")
}

// ParsePathEntry reads an absolute path with optional "-" and "+" before it, in
// this order.
func ParsePathEntry(s string) (PathEntry, error) {
	var p PathEntry
	rest := s
	if after, ok := strings.CutPrefix(rest, "-"); ok {
		p.IgnoreMissing, rest = true, after
	}
	if after, ok := strings.CutPrefix(rest, "+"); ok {
		p.RootPrefixed, rest = true, after
	}
	var err error
	p.Path, err = ParsePath(rest, PathAbsolute)
	return p, err
}
