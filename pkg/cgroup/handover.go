package cgroup

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/kernel"
)

// A Kept is what the next image of the manager has to know of a group to go on
// with it without asking the kernel. Only groups of which everything is known
// are handed over: not killed, nothing enabled below.
type Kept struct {
	Path string
	Own  Mask
	WD   [2]int32 // watches of the inotify instance that goes with the groups
}

// Keep tells how to hand a group over; ok is false if the next image had
// better look for itself.
func (t *Tree) Keep(path string) (k Kept, ok bool) {
	g := t.groups[clean(path)]
	if g == nil || g.killed || g.enabled != 0 || g.wd[0] == 0 || g.parent == nil || g.disabled != g.parent.disabled {
		return Kept{}, false
	}
	return Kept{g.path, g.own, g.wd}, true
}

// KeepEvents makes the descriptor of the watches survive an execve(2), or not.
// Events that happen meanwhile wait in it.
func (t *Tree) KeepEvents(on bool) (fd int, err error) {
	if t.watch.in == nil {
		return -1, errors.New("cgroup: nothing is watched")
	}
	return t.watch.in.FD(), kernel.SetCloexec(t.watch.in.FD(), !on)
}

// TakeEvents goes on with the watches of the last image. Call it before any
// other method that watches.
func (t *Tree) TakeEvents(fd int) error {
	in, err := kernel.TakeInotify(fd)
	if err != nil {
		return fmt.Errorf("cgroup events: %w", err)
	}
	t.watch = watches{in: in, byWD: map[int32]*group{}}
	return nil
}

// Adopt takes a group over that the last image has handed over, after
// [Tree.TakeEvents]. The groups above it are looked at as by [Tree.Realize].
func (t *Tree) Adopt(k Kept) error {
	path := clean(k.Path)
	if t.groups[path] != nil || path == "" || t.watch.in == nil {
		return fmt.Errorf("cgroup %s: %w", t.Absolute(path), unix.EEXIST)
	}
	dir, _ := splitLast(path)
	parent, _, err := t.make(dir)
	if err != nil {
		return err
	}
	g := &group{path: path, parent: parent, dirFD: -1, disabled: parent.disabled, wd: k.WD}
	parent.children++
	t.groups[path] = g
	for _, wd := range k.WD {
		if wd != 0 {
			t.watch.byWD[wd] = g
		}
	}
	t.setOwn(g, k.Own)
	t.enable(parent, &Realized{})
	return nil
}
