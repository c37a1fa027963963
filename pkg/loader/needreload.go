package loader

import (
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/kernel/reach"
	"github.com/muster-init/muster/pkg/unit"
)

// NeedReload reports whether the files of a loaded unit changed since the index was made: its fragment, drop-ins and source, and whether there are
// drop-ins more or less. It costs a stat of each of these and of the directories of the search path.
func (l *Loader) NeedReload(u *unit.Unit) bool {
	x := l.index
	if l.extra != nil && x.Resolve(u.Name).Fragment == "" {
		x = l.extra
	}
	if u.FragmentPath != "" && x.changed(u.Names, u.FragmentPath) {
		return true
	}
	if u.SourcePath != "" && !strings.HasPrefix(u.SourcePath, "/proc/") && l.sources[u.SourcePath] != modified(u.SourcePath) {
		return true
	}
	for _, p := range u.DropInPaths {
		if x.changedDropIn(p) {
			return true
		}
	}
	return x.otherDropIns(u.Names)
}

func (x *Index) changed(names []string, fragment string) bool {
	for _, name := range names {
		for _, f := range x.files.of(name) {
			if f.path == fragment {
				return f.id != x.currentIdentity(fragment)
			}
		}
		if unit.Form(name) == unit.NameInstance {
			for _, f := range x.files.of(unit.TemplateOf(name)) {
				if f.path == fragment {
					return f.id != x.currentIdentity(fragment)
				}
			}
		}
	}
	return x.currentIdentity(fragment) == identity{}
}

// currentIdentity looks at a file as the scan does.
func (x *Index) currentIdentity(path string) identity {
	e := entry{at: unix.AT_FDCWD, path: path, name: path[lastSlash(path)+1:]}
	if reach.Stat(e.at, path, path, unix.AT_SYMLINK_NOFOLLOW, &e.st) != nil {
		return identity{}
	}
	if e.st.Mode&unix.S_IFMT != unix.S_IFLNK {
		return identityOf(&e.st)
	}
	return x.link(&e).id
}

func (x *Index) changedDropIn(path string) bool {
	key := path[:lastSlash(path)]
	key = key[lastSlash(key)+1:]
	for _, s := range x.dropins[key] {
		for _, e := range s.entries {
			if e.path == path {
				return e.id != x.currentIdentity(path)
			}
		}
	}
	return true
}

// otherDropIns reports drop-in directories that have appeared, gone or changed. A directory NAME.d can only appear or go by a change of the directory
// it is in, so where that is as it was only the known ones are looked at.
func (x *Index) otherDropIns(names []string) bool {
	owners := ownersOf(names)
	for _, owner := range owners {
		for _, s := range x.dropins[owner+".d"] {
			if modified(s.path) != s.mtime {
				return true
			}
		}
	}
	for i, dir := range x.dirs {
		if modified(dir) == x.dirTimes[i] {
			continue
		}
		for _, owner := range owners {
			path := dir + "/" + owner + ".d"
			if (modified(path) != 0) != x.hasDropInDir(owner+".d", path) {
				return true
			}
		}
	}
	return false
}

func (x *Index) hasDropInDir(key, path string) bool {
	for _, s := range x.dropins[key] {
		if s.path == path {
			return true
		}
	}
	return false
}
