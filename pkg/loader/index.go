package loader

import (
	"errors"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/kernel/reach"
	"github.com/muster-init/muster/pkg/unit"
)

// Index is what the directories of the search path hold. It is immutable: Scan makes a new one.
type Index struct {
	dirs    []string // existing directories in order of precedence, without doubles
	files   fileList
	dropins map[string][]subdir // "NAME.d" → the directories of that name in order of precedence
	links   map[string][]subdir // unit name → its .wants/, .requires/, .upholds/ directories
	aliases map[string][]string // unit name → names of links that lead to it

	dirIDs   map[identity]bool // inode and device of dirs
	dirTimes []int64           // when each of dirs was changed last, ns
	problems []string
	silent   []string // directories that gave no answer
	began    int64    // when the scan began, ns since the epoch
}

// subdir is a directory NAME.d, NAME.wants, … with the entries that matter.
type subdir struct {
	path    string
	kind    unit.DepType // of dependency links; 0 for drop-ins
	mtime   int64        // of the directory, ns
	entries []file
}

const (
	// entriesMax bounds what one directory may hold; the rest is not seen.
	entriesMax = 1 << 20
	// aliasDepthMax bounds a chain of links from name to name.
	aliasDepthMax = 16
	// freshNSec is how coarse the time stamps of files may be: two changes within it can look the same.
	freshNSec = 20e6
)

var linkKinds = []struct {
	suffix string
	kind   unit.DepType
}{{".wants", unit.DepWants}, {".requires", unit.DepRequires}, {".upholds", unit.DepUpholds}}

// Scan lists the directories. What can't be listed is left out; for what doesn't answer see [Index.Inherit].
func Scan(path []string) *Index {
	x := &Index{dropins: map[string][]subdir{}, links: map[string][]subdir{}, aliases: map[string][]string{},
		dirIDs: map[identity]bool{}, began: time.Now().UnixNano()}
	for _, dir := range path {
		if dir == "" || dir[0] != '/' {
			continue
		}
		var st unix.Stat_t
		err := statPath(dir, &st)
		if errors.Is(err, reach.ErrHangs) {
			x.noAnswer(dir, err)
			continue
		}
		if err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
			continue
		}
		id := identity{ino: st.Ino, size: int64(st.Dev)}
		if x.dirIDs[id] {
			continue
		}
		x.dirIDs[id] = true
		x.dirs = append(x.dirs, dir)
		x.dirTimes = append(x.dirTimes, st.Mtim.Nano())
		x.scanDir(dir)
	}
	x.files.sort()
	x.resolveAliases()
	x.files = slices.Clip(slices.Clone(x.files))
	return x
}

// noAnswer notes a directory that hangs.
func (x *Index) noAnswer(dir string, err error) {
	if errors.Is(err, reach.ErrHangs) {
		x.silent = append(x.silent, dir)
		x.problems = append(x.problems, err.Error()+"; what was in it before still counts")
	}
}

// stale reports whether an entry was added to or removed from one of the directories since they were listed.
func (x *Index) stale() bool {
	for i, dir := range x.dirs {
		var st unix.Stat_t
		if statPath(dir, &st) != nil || st.Mtim.Nano() != x.dirTimes[i] {
			return true
		}
	}
	return false
}

func (x *Index) scanDir(dir string) {
	err := eachEntry(dir, func(e *entry) {
		switch e.st.Mode & unix.S_IFMT {
		case unix.S_IFDIR:
			x.addSubdir(dir, e.name)
		case unix.S_IFREG:
			if unit.ValidName(e.name, unit.NameAny) {
				x.files = append(x.files, x.regular(e))
			}
		case unix.S_IFLNK:
			if unit.ValidName(e.name, unit.NameAny) {
				x.files = append(x.files, x.link(e))
			} else if hasSubdirSuffix(e.name) {
				x.addSubdir(dir, e.name)
			}
		case 0: // it doesn't answer
			if hasSubdirSuffix(e.name) {
				x.addSubdir(dir, e.name)
			}
		}
	})
	x.noAnswer(dir, err)
}

func hasSubdirSuffix(name string) bool {
	if strings.HasSuffix(name, ".d") {
		return true
	}
	for _, l := range linkKinds {
		if strings.HasSuffix(name, l.suffix) {
			return true
		}
	}
	return false
}

// addSubdir lists NAME.d and the directories of dependency links.
func (x *Index) addSubdir(dir, name string) {
	path := dir + "/" + name
	if strings.HasSuffix(name, ".d") {
		s := subdir{path: path, mtime: modified(path)}
		err := eachEntry(path, func(e *entry) {
			if strings.HasSuffix(e.name, ".conf") && e.name[0] != '.' {
				f := x.regular(e)
				if e.st.Mode&unix.S_IFMT == unix.S_IFLNK {
					f = x.link(e)
				}
				s.entries = append(s.entries, f)
			}
		})
		x.noAnswer(path, err)
		x.dropins[name] = append(x.dropins[name], s)
		return
	}
	for _, l := range linkKinds {
		owner, ok := strings.CutSuffix(name, l.suffix)
		if !ok || !unit.ValidName(owner, unit.NameAny) && unit.TypeFromString(owner) == unit.TypeInvalid {
			continue
		}
		s := subdir{path: path, kind: l.kind, mtime: modified(path)}
		err := eachEntry(path, func(e *entry) {
			switch {
			case !unit.ValidName(e.name, unit.NameAny):
			case e.st.Mode&unix.S_IFMT == unix.S_IFLNK:
				s.entries = append(s.entries, x.link(e))
			default:
				x.problems = append(x.problems, e.path+": is not a symlink, ignoring it")
			}
		})
		x.noAnswer(path, err)
		x.links[owner] = append(x.links[owner], s)
	}
}

func modified(path string) int64 {
	var st unix.Stat_t
	if statPath(path, &st) != nil {
		return 0
	}
	return st.Mtim.Nano()
}

// regular is the entry of a file that is not a link.
func (x *Index) regular(e *entry) file {
	return file{path: e.path, nameAt: e.nameAt(), id: identityOf(&e.st), masked: e.st.Size == 0, fresh: x.isFresh(&e.st)}
}

// isFresh reports whether a file changed so late that a change after the scan could leave its identity as it is.
func (x *Index) isFresh(st *unix.Stat_t) bool { return st.Ctim.Nano() > x.began-freshNSec }

// link reads a symbolic link. What it leads to outside of its directory may change without the link: the identity takes the target's in.
func (x *Index) link(e *entry) file {
	f := file{path: e.path, nameAt: e.nameAt(), id: identityOf(&e.st), fresh: x.isFresh(&e.st)}
	target := e.readlink()
	if target == "" {
		return f
	}
	f.link = &link{target: target}
	var to unix.Stat_t
	if f.link.target == "/dev/null" {
		f.masked = true
	} else if e.stat(&to) == nil {
		t := identityOf(&to)
		f.id.mtime ^= t.mtime
		f.id.ctime ^= t.ctime
		f.id.size += t.size
		f.fresh = f.fresh || x.isFresh(&to)
		f.masked = to.Mode&unix.S_IFMT == unix.S_IFCHR || to.Mode&unix.S_IFMT == unix.S_IFREG && to.Size == 0
	}
	return f
}

func identityOf(st *unix.Stat_t) identity {
	return identity{ino: st.Ino, size: st.Size, mtime: st.Mtim.Nano(), ctime: st.Ctim.Nano()}
}
