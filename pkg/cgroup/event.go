package cgroup

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/muster-init/muster/pkg/kernel"
	"golang.org/x/sys/unix"
)

// WatchMax bounds the groups that are watched; the kernel has a bound of its
// own (fs.inotify.max_user_watches).
const WatchMax = 65536

// watches is one inotify instance over cgroup.events and memory.events files.
type watches struct {
	in   *kernel.Inotify
	byWD map[int32]*group
}

// An Event is the present state of a watched group that changed.
type Event struct {
	Path string
	State
	// OOM and OOMKill are the counters of memory.events, with [Tree.WatchMemory]
	// only. OOMGroupKill counts kills of the whole group.
	OOM, OOMKill, OOMGroupKill uint64
	// HasMemory says that the counters were read.
	HasMemory bool
	// Gone: the directory was removed by somebody else.
	Gone bool
}

// EventFD is the descriptor to watch with EPOLLIN, made at the first call.
func (t *Tree) EventFD() (int, error) {
	if t.watch.in == nil {
		in, err := kernel.NewInotify()
		if err != nil {
			return -1, err
		}
		t.watch = watches{in: in, byWD: map[int32]*group{}}
	}
	return t.watch.in.FD(), nil
}

// Watch reports changes of cgroup.events (populated, frozen) of a realized
// group from now on. Ask for [Tree.State] once afterwards.
func (t *Tree) Watch(path string) error { return t.addWatch(path, 0, "cgroup.events") }

// WatchMemory reports changes of memory.events (oom, oom_kill); ENOENT without
// the memory controller.
func (t *Tree) WatchMemory(path string) error { return t.addWatch(path, 1, "memory.events") }

func (t *Tree) addWatch(path string, which int, file string) error {
	if _, err := t.EventFD(); err != nil {
		return err
	}
	path = clean(path)
	g := t.groups[path]
	if g == nil {
		return fmt.Errorf("cgroup %s: not realized: %w", t.Absolute(path), unix.ENOENT)
	}
	if g.wd[which] != 0 {
		return nil
	}
	if len(t.watch.byWD) >= WatchMax {
		return fmt.Errorf("cgroup %s: watch: %w", t.Absolute(path), unix.ENOSPC)
	}
	wd, err := t.watch.in.Watch(t.Dir(path)+"/"+file, unix.IN_MODIFY)
	if g.parent == nil && errors.Is(err, unix.ENOENT) {
		return nil // the root of the whole hierarchy has no such file, and always has processes
	}
	if err != nil {
		return fmt.Errorf("cgroup %s: %w", t.Absolute(path), err)
	}
	g.wd[which] = wd
	t.watch.byWD[wd] = g
	return nil
}

// Unwatch stops both watches of a group.
func (t *Tree) Unwatch(path string) {
	if g := t.groups[clean(path)]; g != nil {
		t.watch.drop(g)
	}
}

func (w *watches) drop(g *group) {
	for i, wd := range g.wd {
		if wd == 0 {
			continue
		}
		// EINVAL if the file is gone, and the watch with it.
		_ = w.in.Unwatch(wd)
		delete(w.byWD, wd)
		g.wd[i] = 0
	}
}

func (w *watches) close() {
	if w.in != nil {
		_ = w.in.Close()
	}
}

// Events returns every watched group that changed since the last call, once,
// with its present state, sorted by path. After an overflow of the kernel's
// queue that is all of them.
func (t *Tree) Events() ([]Event, error) {
	if t.watch.in == nil {
		return nil, nil
	}
	raw, err := t.watch.in.Read()
	if err != nil {
		return nil, err
	}
	changed := map[*group]struct{}{}
	for _, ev := range raw {
		if ev.Mask&unix.IN_Q_OVERFLOW != 0 {
			for _, g := range t.watch.byWD {
				changed[g] = struct{}{}
			}
			continue
		}
		if g := t.watch.byWD[ev.WD]; g != nil {
			changed[g] = struct{}{}
		}
	}
	var list []Event
	for g := range changed {
		list = append(list, t.event(g))
	}
	slices.SortFunc(list, func(a, b Event) int {
		if a.Path < b.Path {
			return -1
		}
		return 1
	})
	return list, nil
}

// Look is the present state of a realized group, as [Tree.Events] reports it.
func (t *Tree) Look(path string) Event {
	if g := t.groups[clean(path)]; g != nil {
		return t.event(g)
	}
	return Event{Path: path, Gone: true}
}

func (t *Tree) event(g *group) Event {
	ev := Event{Path: g.path}
	state, err := t.State(g.path)
	if err != nil {
		// The next Realize has to make it again.
		ev.Gone, g.killed = true, true
		t.watch.drop(g)
		return ev
	}
	ev.State = state
	if g.wd[1] != 0 {
		if text, err := t.Read(g.path, "memory.events"); err == nil {
			kv := parseKeyed(text)
			ev.OOM, ev.OOMKill, ev.OOMGroupKill = kv["oom"], kv["oom_kill"], kv["oom_group_kill"]
			ev.HasMemory = true
		}
	}
	return ev
}

// Watched lists the paths that are watched, sorted.
func (t *Tree) Watched() []string {
	paths := map[string]struct{}{}
	for _, g := range t.watch.byWD {
		paths[g.path] = struct{}{}
	}
	return slices.Sorted(maps.Keys(paths))
}
