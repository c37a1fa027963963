package unit

import (
	"slices"
	"strings"

	"github.com/muster-init/muster/pkg/unit/value"
)

// directoryReadOnly is the flag of a read-only directory on the bus.
const directoryReadOnly uint64 = 1

// directoryKind is RuntimeDirectory= and its four siblings. Only state, cache
// and logs directories can be read-only and have symlinks elsewhere; links
// says whether any are allowed.
func directoryKind(links bool) *kind[[]DirectoryItem] {
	k := listKind("list of relative paths", func(c *Context, text string) ([]DirectoryItem, error) {
		var out []DirectoryItem
		var faults []error
		r := value.WordReader{Rest: text, Flags: value.WordUnquote | value.WordRetainEscape}
		for {
			word, ok, err := r.Next()
			if err != nil {
				return out, joinErrors(append(faults, err))
			}
			if !ok {
				return out, joinErrors(faults)
			}
			item, err := c.directoryItem(word, links)
			if err != nil {
				faults = append(faults, err)
				continue
			}
			out = append(out, item)
		}
	}, formatDirectories, form[[]DirectoryItem]{sig: "as",
		write: func(w BusWriter, v *[]DirectoryItem) {
			w.BeginArray("s")
			for _, d := range *v {
				w.String(d.Path)
			}
			w.EndArray()
		},
		read: func(r BusReader, _ *[]DirectoryItem) ([]string, error) { return assignList(readStrings(r)) },
	})
	if links {
		k.bus = append(k.bus, form[[]DirectoryItem]{suffix: "Symlink", sig: "a(sst)",
			write: writeDirectoryLinks, read: readDirectoryLinks})
	}
	base := k.parse
	k.parse = func(c *Context, cur *[]DirectoryItem, text string) error {
		var added []DirectoryItem
		err := base(c, &added, text)
		if text == "" {
			*cur = nil
		}
		list := slices.Clone(*cur) // which may be another unit's too
		for _, d := range added {
			list = addDirectory(list, d)
		}
		*cur = list
		return err
	}
	return k
}

func (c *Context) directoryItem(word string, links bool) (DirectoryItem, error) {
	var item DirectoryItem
	parts, err := value.SplitWords(word, ":", value.WordDontCoalesce|value.WordCUnescape|value.WordUnescapeSeparators)
	if err != nil {
		return item, err
	}
	for i := range parts {
		if i == 2 {
			break
		}
		if parts[i], err = c.expand(parts[i]); err != nil {
			return item, err
		}
	}
	if len(parts) > 3 || len(parts) > 1 && !links {
		return item, errText("directory ", quoted(word), " has too many parts")
	}
	if item.Path, err = directoryPath(parts[0]); err != nil {
		return item, err
	}
	if len(parts) > 1 && parts[1] != "" {
		link, err := directoryPath(parts[1])
		if err != nil {
			return item, err
		}
		item.Symlinks = []string{link}
	}
	if len(parts) > 2 {
		if parts[2] != "ro" {
			return item, errText("directory flag ", quoted(parts[2]), " isn't known")
		}
		item.ReadOnly = true
	}
	return item, nil
}

func directoryPath(s string) (string, error) {
	p, err := value.ParsePath(s, value.PathRelative)
	if err != nil {
		return "", err
	}
	if p == "private" || strings.HasPrefix(p, "private/") {
		return "", errText("directory ", quoted(s), " is reserved")
	}
	return strings.Clone(p), nil
}

// addDirectory adds one to a list in the order of paths: a directory is made before those in it, whose links it takes the place of, and
// RUNTIME_DIRECTORY= and its kin have this order, too. Several assignments may name the same directory with different links.
func addDirectory(list []DirectoryItem, d DirectoryItem) []DirectoryItem {
	i, found := slices.BinarySearchFunc(list, d.Path, func(o DirectoryItem, path string) int { return value.ComparePaths(o.Path, path) })
	if !found {
		return slices.Insert(list, i, d)
	}
	links := slices.Clone(list[i].Symlinks)
	for _, l := range d.Symlinks {
		links = addName(links, l)
	}
	list[i].Symlinks, list[i].ReadOnly = links, list[i].ReadOnly || d.ReadOnly
	return list
}

func formatDirectories(list []DirectoryItem) []string {
	var words []string
	for _, d := range list {
		path := strings.ReplaceAll(d.Path, ":", `\:`)
		ro := ""
		if d.ReadOnly {
			ro = ":ro"
		}
		if len(d.Symlinks) == 0 {
			if d.ReadOnly {
				ro = ":" + ro
			}
			words = append(words, path+ro)
		}
		for _, l := range d.Symlinks {
			words = append(words, path+":"+strings.ReplaceAll(l, ":", `\:`)+ro)
		}
	}
	return formatWords(words)
}

func writeDirectoryLinks(w BusWriter, v *[]DirectoryItem) {
	w.BeginArray("(sst)")
	for _, d := range *v {
		flags := uint64(0)
		if d.ReadOnly {
			flags = directoryReadOnly
		}
		links := d.Symlinks
		if len(links) == 0 {
			links = []string{""}
		}
		for _, l := range links {
			w.BeginStruct()
			w.String(d.Path)
			w.String(l)
			w.Uint64(flags)
			w.EndStruct()
		}
	}
	w.EndArray()
}

func readDirectoryLinks(r BusReader, _ *[]DirectoryItem) ([]string, error) {
	var list []DirectoryItem
	r.BeginArray("(sst)")
	for r.More() {
		r.BeginStruct()
		d := DirectoryItem{Path: r.String()}
		if l := r.String(); l != "" {
			d.Symlinks = []string{l}
		}
		flags := r.Uint64()
		r.EndStruct()
		if flags&^directoryReadOnly != 0 {
			return nil, errText("directory flags are not known")
		}
		d.ReadOnly = flags != 0
		list = append(list, d)
	}
	r.EndArray()
	if len(list) == 0 {
		return one("")
	}
	return formatDirectories(list), nil
}

// kQuota is StateDirectoryQuota= and its siblings: bytes, a percentage, off.
var kQuota = &kind[Quota]{
	name: "size, percentage or off",
	parse: func(_ *Context, cur *Quota, text string) error {
		if text == "" || text == "off" {
			*cur = Quota{}
			return nil
		}
		if strings.HasSuffix(text, "%") {
			share, err := value.ParsePermyriad(text)
			if err == nil {
				*cur = Quota{Scale: scaleOf(share), Set: true}
			}
			return err
		}
		n, err := value.ParseSize(text, value.Base1024)
		if err == nil {
			*cur = Quota{Bytes: n, Set: true}
		}
		return err
	},
	format: func(v *Quota) []string { return []string{quotaText(v.Bytes, v.Scale, v.Set)} },
	bus: []form[Quota]{{sig: "(tus)",
		write: func(w BusWriter, v *Quota) {
			w.BeginStruct()
			w.Uint64(v.Bytes)
			w.Uint32(v.Scale)
			word := "off"
			if v.Set {
				word = "enforce"
			}
			w.String(word)
			w.EndStruct()
		},
		read: func(r BusReader, _ *Quota) ([]string, error) {
			r.BeginStruct()
			n, scale, word := r.Uint64(), r.Uint32(), r.String()
			r.EndStruct()
			return one(quotaText(n, scale, word != "off"))
		},
	}},
}

func quotaText(n uint64, scale uint32, set bool) string {
	switch {
	case !set:
		return "off"
	case scale != 0:
		return scaleText(scale)
	}
	return value.FormatBytes(n)
}

// scaleOf turns a share into a fraction of 2^32-1.
func scaleOf(p value.Permyriad) uint32 {
	const whole = 10000
	return uint32((uint64(p)*(1<<32-1) + whole/2) / whole)
}

// scaleText is the inverse of scaleOf.
func scaleText(scale uint32) string {
	const whole = 10000
	return value.Permyriad((uint64(scale)*whole + (1<<32-1)/2) / (1<<32 - 1)).String()
}
