package manager

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/kernel"
	"github.com/muster-init/muster/pkg/kernel/facts"
	"github.com/muster-init/muster/pkg/unit"
)

// pathWatch is the inotify instance of one path unit, with what its watches stand for.
type pathWatch struct {
	inotify *kernel.Inotify
	roles   map[int32][]pathRole
}

// pathRole is what one watch means for one path of the unit.
type pathRole struct {
	index int
	// own: the watch is on the path itself, and what happens to it is what PathChanged= and PathModified= wait for.
	own bool
	// next is the name of the component below that matters, "" every one.
	next string
}

const (
	// maskAbove is for the directories on the way to a path.
	maskAbove = unix.IN_MOVE_SELF | unix.IN_DELETE_SELF | unix.IN_ATTRIB | unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_DELETE | unix.IN_MOVED_FROM
	maskSelf  = unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ATTRIB
	// maskChanged is what counts for PathChanged=: writing counts once the file is closed.
	maskChanged = maskSelf | unix.IN_CLOSE_WRITE | unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO
)

// maskOf is what is asked of the path itself.
func maskOf(kind string) uint32 {
	switch kind {
	case "PathChanged":
		return maskChanged
	case "PathModified":
		return maskChanged | unix.IN_MODIFY
	case "DirectoryNotEmpty", "PathExistsGlob":
		return maskSelf | unix.IN_CREATE | unix.IN_MOVED_TO
	}
	return maskSelf
}

// watchPaths carries out machine.WatchPaths: a worker sets the watches, then looks.
func (m *Manager) watchPaths(e machine.WatchPaths) {
	m.unwatchPaths(e.Unit)
	u := m.eng.Config(e.Unit)
	if u == nil {
		m.submit(machine.PathsWatched{Token: e.Token, Message: "the unit is not loaded"})
		return
	}
	cfg := *u.GetPath()
	m.openSlow(e.Token, slowQueryUSec, machine.PathsWatched{Token: e.Token, Message: "a path gives no answer"})
	queued := m.work.add(func() func() {
		if e.Make {
			makeWatched(&cfg)
		}
		w, err := newPathWatch(cfg.Paths)
		ev := machine.PathsWatched{Token: e.Token}
		if err != nil {
			ev.Message = err.Error()
		}
		for _, p := range cfg.Paths {
			ev.Exists = append(ev.Exists, pathGood(p))
		}
		return func() { m.pathsWatched(e, w, ev) }
	})
	if !queued {
		m.answer(e.Token, machine.PathsWatched{Token: e.Token, Message: "the manager is too busy"})
	}
}

// pathsWatched takes the watches over from the worker. What has happened meanwhile waits in the instance.
func (m *Manager) pathsWatched(e machine.WatchPaths, w *pathWatch, ev machine.PathsWatched) {
	if _, open := m.queries[e.Token]; !open {
		if w != nil {
			_ = w.inotify.Close()
		}
		return
	}
	if w != nil {
		m.unwatchPaths(e.Unit)
		m.watches[e.Unit] = w
		err := m.sources.add(w.inotify.FD(), unix.EPOLLIN, prioPaths, sourceFunc(func(uint32) { m.pathEvents(e.Unit, w) }))
		if err != nil {
			ev.Message = err.Error()
		}
	}
	m.answer(e.Token, ev)
}

func (m *Manager) unwatchPaths(name string) {
	if w := m.watches[name]; w != nil {
		delete(m.watches, name)
		m.sources.remove(w.inotify.FD())
		_ = w.inotify.Close()
	}
}

// pathEvents joins all that has happened into one event for the engine.
func (m *Manager) pathEvents(name string, w *pathWatch) {
	list, err := w.inotify.Read()
	if err != nil {
		m.log.err(name, "%v", err)
	}
	u := m.eng.Config(name)
	if u == nil || m.watches[name] != w {
		return
	}
	index, relevant := w.judge(list, u.GetPath().Paths)
	if relevant {
		m.submit(machine.PathTouched{Unit: name, Index: index})
	}
}

// judge finds what events mean: the first path that was touched itself, or that something around them has changed.
func (w *pathWatch) judge(list []kernel.InotifyEvent, paths []unit.PathSpec) (index int, relevant bool) {
	for _, ev := range list {
		if ev.Mask&unix.IN_Q_OVERFLOW != 0 {
			// Events were lost: the path may have been touched.
			for i, p := range paths {
				if p.Type == "PathChanged" || p.Type == "PathModified" {
					return i, true
				}
			}
			relevant = true
			continue
		}
		for _, r := range w.roles[ev.WD] {
			if r.index >= len(paths) {
				continue
			}
			kind := paths[r.index].Type
			if r.own && (kind == "PathChanged" || kind == "PathModified") && (ev.Mask&maskOf(kind) != 0 || ev.Mask&unix.IN_IGNORED != 0) {
				return r.index, true
			}
			if r.own || r.next == "" || ev.Name == "" || ev.Name == r.next {
				relevant = true
			}
		}
	}
	return -1, relevant
}

// newPathWatch watches all paths and the directories on the way to them. It may block on any of them.
func newPathWatch(paths []unit.PathSpec) (*pathWatch, error) {
	n, err := kernel.NewInotify()
	if err != nil {
		return nil, err
	}
	w := &pathWatch{inotify: n, roles: map[int32][]pathRole{}}
	// The kernel keeps one mask per inode and instance, so the masks of all that meet at one are joined.
	for i, p := range paths {
		if err := w.add(i, p); err != nil {
			_ = n.Close()
			return nil, err
		}
	}
	return w, nil
}

// add watches every component of one path as far as they exist.
func (w *pathWatch) add(index int, p unit.PathSpec) error {
	path := filepath.Clean(p.Path)
	if p.Type == "PathExistsGlob" {
		path = globDirectory(path)
	}
	components := strings.Split(strings.Trim(path, "/"), "/")
	if path == "/" {
		components = nil
	}
	at := "/"
	for i := 0; ; i++ {
		last := i == len(components)
		role, mask := pathRole{index: index}, uint32(maskAbove)
		if last {
			role.own, mask = true, maskOf(p.Type)
		} else {
			role.next = components[i]
		}
		if err := w.watch(at, mask, role); err != nil {
			if gone(err) {
				return nil
			}
			return err
		}
		if last {
			return nil
		}
		at = filepath.Join(at, components[i])
		if st, err := os.Lstat(at); err == nil && st.Mode()&os.ModeSymlink != 0 {
			// The link itself may be replaced in a way that its directory's watch shows only by name.
			if err := w.watch(at, maskSelf|unix.IN_DONT_FOLLOW, pathRole{index: index, next: ""}); err != nil && !gone(err) {
				return err
			}
		}
	}
}

func gone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) || errors.Is(err, unix.EACCES)
}

func (w *pathWatch) watch(path string, mask uint32, role pathRole) error {
	wd, err := w.inotify.Watch(path, mask|unix.IN_MASK_ADD)
	if err != nil {
		return err
	}
	w.roles[wd] = append(w.roles[wd], role)
	return nil
}

// globDirectory is the part of a pattern before its first component with a special character; glob(7).
func globDirectory(pattern string) string {
	dir := "/"
	for _, c := range strings.Split(strings.Trim(pattern, "/"), "/") {
		if strings.ContainsAny(c, "*?[{") {
			return dir
		}
		dir = filepath.Join(dir, c)
	}
	return dir
}

// pathGood looks whether there is something.
func pathGood(p unit.PathSpec) bool {
	switch p.Type {
	case "PathExistsGlob":
		return facts.PathExistsGlob("/", p.Path)
	case "DirectoryNotEmpty":
		return facts.DirectoryNotEmpty("/", p.Path)
	}
	return facts.PathExists("/", p.Path)
}

// makeWatched makes the directories of MakeDirectory=.
func makeWatched(cfg *unit.Path) {
	for _, p := range cfg.Paths {
		if p.Type == "PathExists" || p.Type == "PathExistsGlob" {
			continue
		}
		_ = os.MkdirAll(p.Path, os.FileMode(cfg.DirectoryMode).Perm())
	}
}
