package cgroup

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/muster-init/muster/pkg/kernel"
	"golang.org/x/sys/unix"
)

// ErrBusy: the group still has processes, or more directories below than are
// removed at once.
var ErrBusy = errors.New("control group is not empty")

// trimMax bounds the directories one [Tree.Release] removes below a group.
const trimMax = 64

// Release removes the group of a unit, with empty groups below it that are
// none of ours (what a delegated service left behind). ErrBusy while there are
// processes: try again when cgroup.events says that it is empty, or have a
// worker do [RemoveTree] first. What the group asked for no longer counts in
// any case. Groups above are kept: release slices by themselves.
func (t *Tree) Release(path string) error {
	path = clean(path)
	g := t.groups[path]
	if g == t.root {
		return fmt.Errorf("cgroup %s: %w: the root stays", t.Absolute(path), unix.EINVAL)
	}
	if g != nil {
		t.setOwn(g, 0)
		if g.children > 0 {
			return fmt.Errorf("cgroup %s: %w: it has units", t.Absolute(path), ErrBusy)
		}
	}
	err := unix.Unlinkat(t.rootFD, path, unix.AT_REMOVEDIR)
	if errors.Is(err, unix.EBUSY) {
		err = removeTree(t.rootFD, path, &budget{left: trimMax})
	}
	switch {
	case err == nil || errors.Is(err, unix.ENOENT):
		if g != nil {
			t.forget(g)
			t.drop(g)
		}
		return nil
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("cgroup %s: %w", t.Absolute(path), ErrBusy)
	}
	return fmt.Errorf("cgroup %s: remove: %w", t.Absolute(path), err)
}

// drop takes g out of the tree.
func (t *Tree) drop(g *group) {
	before := g.needs()
	g.own, g.wanted = 0, nil
	t.carry(g, before)
	g.parent.children--
	delete(t.groups, g.path)
	delete(t.excess, g)
}

// forget closes what was open of g's directory.
func (t *Tree) forget(g *group) {
	for i, c := range t.cache {
		if c == g {
			t.cache[i] = nil
		}
	}
	kernel.CloseFD(g.dirFD)
	g.dirFD = -1
	t.watch.drop(g)
}

// RemoveTree removes a directory and everything below, as far as there are no
// processes, at most limit directories. dir is absolute ([Tree.Dir]). It does
// not touch a Tree, so a worker may call it. ErrBusy if something is left.
func RemoveTree(dir string, limit int) error {
	return removed(dir, removeTree(unix.AT_FDCWD, dir, &budget{left: limit}))
}

// Trim removes everything below a directory in the same way, but not itself, until stop is set: then nothing is removed any more that somebody
// makes from then on. A worker may call it.
func Trim(dir string, limit int, stop *atomic.Bool) error {
	return removed(dir, removeBelow(unix.AT_FDCWD, dir, &budget{left: limit, stop: stop}))
}

// budget bounds how many directories are visited.
type budget struct {
	left int
	stop *atomic.Bool
}

func (b *budget) spent() bool { return b.left <= 0 || b.stop != nil && b.stop.Load() }

func removed(dir string, err error) error {
	switch {
	case err == nil || errors.Is(err, unix.ENOENT):
		return nil
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("%s: %w", dir, ErrBusy)
	}
	return fmt.Errorf("%s: remove: %w", dir, err)
}

func removeTree(at int, path string, b *budget) error {
	if b.spent() {
		return unix.EBUSY
	}
	b.left--
	if err := removeBelow(at, path, b); err != nil && !errors.Is(err, unix.EBUSY) {
		return err
	}
	if b.stop != nil && b.stop.Load() {
		return unix.EBUSY
	}
	return unix.Unlinkat(at, path, unix.AT_REMOVEDIR)
}

// removeBelow gives EBUSY if something may be left.
func removeBelow(at int, path string, b *budget) error {
	return below(at, path, func(at int, path string) error {
		subs, err := subdirectories(at, path)
		if err != nil {
			return err
		}
		var busy error
		for _, name := range subs {
			// One that is busy must not keep its siblings.
			err := removeTree(at, path+"/"+name, b)
			if errors.Is(err, unix.EBUSY) {
				busy = err
			} else if err != nil && !errors.Is(err, unix.ENOENT) {
				return err
			}
			if b.spent() {
				return unix.EBUSY
			}
		}
		return busy
	})
}

// longPath is the length from which on a path goes on from a descriptor: whoever owns a delegated group can nest directories deeper than
// a path can be long, and must not hide processes there.
const longPath = 1024

// below calls what is to be done below a directory with a short name for it.
func below(at int, path string, do func(at int, path string) error) error {
	if len(path) < longPath {
		return do(at, path)
	}
	fd, err := unix.Openat(at, path, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return do(fd, ".")
}

// subdirectories lists the groups directly below one, sorted.
func subdirectories(at int, path string) ([]string, error) {
	fd, err := unix.Openat(at, orDot(path), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var names []string
	buf := make([]byte, 16<<10)
	for {
		n, err := unix.ReadDirent(fd, buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n == 0 {
			slices.Sort(names)
			return names, nil
		}
		names = appendDirectories(names, buf[:n])
	}
}

// appendDirectories picks the directories out of raw directory entries.
func appendDirectories(names []string, b []byte) []string {
	const lenOff, typeOff, nameOff = 16, 18, 19 // struct linux_dirent64
	for len(b) > nameOff {
		size := int(b[lenOff]) | int(b[lenOff+1])<<8
		if size < nameOff || size > len(b) {
			break
		}
		name, _, _ := strings.Cut(string(b[nameOff:size]), "\x00")
		if b[typeOff] == unix.DT_DIR && name != "." && name != ".." {
			names = append(names, name)
		}
		b = b[size:]
	}
	return names
}

// Children lists the names of all groups directly below a path, ours or not.
func (t *Tree) Children(path string) ([]string, error) {
	names, err := subdirectories(t.rootFD, clean(path))
	if err != nil {
		return nil, fmt.Errorf("cgroup %s: %w", t.Absolute(path), err)
	}
	return names, nil
}

func orDot(path string) string {
	if path == "" {
		return "."
	}
	return path
}

func splitLast(path string) (dir, name string) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", path
	}
	return path[:i], path[i+1:]
}

func sortByDepth(list []*group) {
	depth := func(g *group) int {
		if g.path == "" {
			return -1
		}
		return strings.Count(g.path, "/")
	}
	slices.SortFunc(list, func(a, b *group) int {
		if d := depth(a) - depth(b); d != 0 {
			return d
		}
		return strings.Compare(a.path, b.path)
	})
}
