package loader

import (
	"errors"
	"os"
	"sort"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/kernel/reach"
)

// entry is one name in a directory, with its lstat.
type entry struct {
	name string
	st   unix.Stat_t
	at   int    // the open directory, AT_FDCWD where it is looked at by its path
	path string // of the entry
}

// eachEntry calls use for every entry of a directory in the order of names. It stats by the open directory, which costs about a µs an entry.
func eachEntry(dir string, use func(e *entry)) error {
	var names []string
	var err error
	e := entry{at: unix.AT_FDCWD}
	if reach.InPlace(dir) {
		var d *os.File
		if d, err = os.Open(dir); err != nil {
			return err
		}
		defer d.Close()
		names, err = d.Readdirnames(entriesMax)
		e.at = int(d.Fd())
	} else if hangs := reach.Do(dir, func() { names, err = readNames(dir) }); hangs != nil {
		return hangs
	}
	if err != nil {
		return err
	}
	sort.Strings(names)
	for _, name := range names {
		e.name, e.path = name, dir+"/"+name
		switch err := reach.Stat(e.at, e.relative(), e.path, unix.AT_SYMLINK_NOFOLLOW, &e.st); {
		case err == nil:
			use(&e)
		case errors.Is(err, reach.ErrHangs):
			e.st = unix.Stat_t{} // what it is is not known; its name may tell
			use(&e)
		}
	}
	return nil
}

func readNames(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Readdirnames(entriesMax)
}

// nameAt is where the name begins in the path.
func (e *entry) nameAt() uint16 { return uint16(len(e.path) - len(e.name)) }

// relative is the name to give with the directory.
func (e *entry) relative() string {
	if e.at == unix.AT_FDCWD {
		return e.path
	}
	return e.name
}

// readlink gives what the entry points to, "" if that can't be told.
func (e *entry) readlink() string {
	var buf [unix.PathMax]byte
	n := -1
	if e.at != unix.AT_FDCWD {
		n, _ = unix.Readlinkat(e.at, e.name, buf[:])
		return string(buf[:max(n, 0)])
	}
	var target string
	if reach.Do(e.path, func() { target, _ = os.Readlink(e.path) }) != nil {
		return ""
	}
	return target
}

// stat follows the entry.
func (e *entry) stat(to *unix.Stat_t) error { return reach.Stat(e.at, e.relative(), e.path, 0, to) }

// statPath is stat(2) of a path that may hang.
func statPath(path string, st *unix.Stat_t) error {
	return reach.Stat(unix.AT_FDCWD, path, path, 0, st)
}
