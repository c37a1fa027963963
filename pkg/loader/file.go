package loader

import (
	"path/filepath"
	"slices"
	"strings"
)

// file is one entry with the name of a unit, or of a drop-in or dependency link. There are as many as unit files on the disk: it is kept small.
type file struct {
	path   string
	link   *link // nil: a regular file
	id     identity
	nameAt uint16 // where the name begins in path
	masked bool
	fresh  bool // changed so shortly before the scan that a further change may not show in id
}

// link is where a symbolic link leads.
type link struct {
	target string // as it is written
	alias  string // name of another unit in the search path that it leads to, "" for none
}

// identity changes whenever the content of a file may have.
type identity struct {
	ino   uint64
	size  int64
	mtime int64 // ns
	ctime int64 // ns
}

// name is the last component of the path.
func (f *file) name() string { return f.path[f.nameAt:] }

// target is what a link points to, "" for a regular file.
func (f *file) target() string {
	if f.link == nil {
		return ""
	}
	return f.link.target
}

// alias is the name that a link makes another one for, "" for none.
func (f *file) alias() string {
	if f.link == nil {
		return ""
	}
	return f.link.alias
}

// equal reports whether two entries are the same in all that the scan saw.
func (f *file) equal(other *file) bool {
	return f.path == other.path && f.id == other.id && f.masked == other.masked && f.fresh == other.fresh &&
		f.target() == other.target() && f.alias() == other.alias()
}

// absoluteTarget is the path that a link leads to, without following further.
func (f *file) absoluteTarget() string {
	target := f.target()
	if target == "" || target[0] == '/' {
		return filepath.Clean(target)
	}
	return filepath.Join(filepath.Dir(f.path), target)
}

// fileList has the files of all units, sorted by name, those of one name in order of precedence. It takes half of the memory of a map.
type fileList []file

// sort puts files in order that were appended in order of precedence.
func (l fileList) sort() {
	slices.SortStableFunc(l, func(a, b file) int { return strings.Compare(a.name(), b.name()) })
}

// search gives the place of the first file with a name, or where it would be.
func (l fileList) search(name string) (at int, found bool) {
	return slices.BinarySearchFunc(l, name, func(f file, name string) int { return strings.Compare(f.name(), name) })
}

// of gives the files with a name, the one that counts first.
func (l fileList) of(name string) []file {
	begin, found := l.search(name)
	if !found {
		return nil
	}
	return l[begin:l.after(begin)]
}

// after is where the next name begins.
func (l fileList) after(i int) int {
	end := i + 1
	for end < len(l) && l[end].name() == l[i].name() {
		end++
	}
	return end
}

// each calls use for every name with its files.
func (l fileList) each(use func(name string, list []file)) {
	for i := 0; i < len(l); {
		end := l.after(i)
		use(l[i].name(), l[i:end])
		i = end
	}
}

// first puts f before all others of its name.
func (l *fileList) first(f file) {
	i, _ := l.search(f.name())
	if len(*l) == cap(*l) {
		const spare = 64 // a quarter more, which append takes, would be thousands
		*l = append(make(fileList, 0, len(*l)+spare), *l...)
	}
	*l = slices.Insert(*l, i, f)
}

// remove takes out the file with a name and a path; false if there is none.
func (l *fileList) remove(name, path string) bool {
	i, found := l.search(name)
	for ; found && i < len(*l) && (*l)[i].name() == name; i++ {
		if (*l)[i].path == path {
			*l = slices.Delete(*l, i, i+1)
			return true
		}
	}
	return false
}

// reuse takes equal paths from an older list: loaded units have those in their configurations.
func (l fileList) reuse(old fileList) {
	for i, k := 0, 0; i < len(l) && k < len(old); {
		switch c := strings.Compare(l[i].name(), old[k].name()); {
		case c < 0:
			i++
		case c > 0:
			k++
		default:
			if l[i].path == old[k].path {
				l[i].path = old[k].path
			}
			i++
			k++
		}
	}
}
