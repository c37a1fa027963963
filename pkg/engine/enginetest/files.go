package enginetest

import (
	"slices"

	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/unit"
)

// fileNames are the paths that path units look at.
var fileNames = []string{"/f0", "/f1", "/f2", "/f3"}

// files is the part of the file system that path units look at, and who watches it.
type files struct {
	there    map[string]bool
	watching map[string][]unit.PathSpec // by unit, as the configuration was
}

func newFiles() files {
	return files{there: map[string]bool{}, watching: map[string][]unit.PathSpec{}}
}

// watchPaths answers WatchPaths: the watches are set, then it is looked.
func (w *World) watchPaths(q machine.WatchPaths) machine.Event {
	a := machine.PathsWatched{Token: q.Token}
	u := w.E.Unit(q.Unit)
	if u == nil || !w.calm && w.rnd.P(5) {
		a.Message = "no space left on device"
		return a
	}
	paths := u.Config().GetPath().Paths
	w.files.watching[q.Unit] = paths
	for _, p := range paths {
		a.Exists = append(a.Exists, w.files.there[p.Path])
	}
	return a
}

func onChange(kind string) bool { return kind == "PathChanged" || kind == "PathModified" }

// changeFiles makes, removes or writes a file, or lets the queue of a watch overflow.
func (w *World) changeFiles() error {
	name := pick(w.rnd, fileNames...)
	overflow := w.rnd.P(10)
	switch k := w.rnd.N(3); {
	case overflow:
		for _, n := range fileNames {
			w.files.there[n] = w.rnd.P(30)
		}
	case k == 0:
		w.files.there[name] = true
	case k == 1:
		w.files.there[name] = false
	}
	return w.tellFiles(func(p unit.PathSpec) bool { return overflow || p.Path == name })
}

// tellFiles reports that something has happened to the paths that f is true for to all who watch them.
func (w *World) tellFiles(f func(unit.PathSpec) bool) error {
	var units []string
	for n := range w.files.watching {
		units = append(units, n)
	}
	slices.Sort(units)
	for _, n := range units {
		index, relevant := -1, false
		for i, p := range w.files.watching[n] {
			if f(p) {
				relevant = true
				if onChange(p.Type) {
					index = i
					break
				}
			}
		}
		if !relevant {
			continue
		}
		if err := w.deliver(machine.PathTouched{Unit: n, Index: index}); err != nil {
			return err
		}
	}
	return nil
}

// readStamp answers ReadStamp; a stamp that isn't there is made.
func (w *World) readStamp(q machine.ReadStamp) machine.Event {
	a := machine.StampRead{Token: q.Token}
	if !w.calm && w.rnd.P(5) {
		a.Message = "read-only file system"
		return a
	}
	at, ok := w.stamps[q.Unit]
	if !ok {
		w.stamps[q.Unit] = w.instant().Realtime
		return a
	}
	a.RealtimeUSec = at
	return a
}
