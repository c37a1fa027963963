package install

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/muster-init/muster/pkg/unit"
)

// Links are the links of the configuration directories, read once so that the state of many files can be told.
type Links struct {
	p  Paths
	by [2]map[string][]link // persistent and runtime; by the name of what they lead to
}

// link is one link of a configuration directory or of a dependency directory in it.
type link struct {
	name       string // its own
	dependency bool
}

// ReadLinks lists the links below the configuration directories.
func ReadLinks(p Paths) *Links {
	l := &Links{p: p}
	// What a generator has linked is enabled until the next run.
	for i, dirs := range [][]string{{p.Config}, append([]string{p.Runtime}, p.Generators...)} {
		l.by[i] = map[string][]link{}
		for _, dir := range dirs {
			entries, _ := os.ReadDir(p.abs(dir))
			for _, e := range entries {
				l.entry(i, dir, e)
			}
		}
	}
	return l
}

func (l *Links) entry(i int, dir string, e os.DirEntry) {
	name := e.Name()
	for _, suffix := range []string{".wants", ".requires", ".upholds"} {
		if strings.HasSuffix(name, suffix) {
			entries, _ := os.ReadDir(l.p.abs(filepath.Join(dir, name)))
			for _, sub := range entries {
				l.note(i, filepath.Join(dir, name), sub.Name(), true)
			}
			return
		}
	}
	l.note(i, dir, name, false)
}

func (l *Links) note(i int, dir, name string, dependency bool) {
	target, err := os.Readlink(l.p.abs(filepath.Join(dir, name)))
	if err != nil || target == "/dev/null" || unit.Form(name) == 0 {
		return
	}
	base := filepath.Base(target)
	if !dependency && base == name {
		return // linked, which is another state
	}
	entry := link{name, dependency}
	l.by[i][base] = append(l.by[i][base], entry)
	// A link may lead to another file, but counts by its own name in a dependency directory.
	if dependency && name != base {
		l.by[i][name] = append(l.by[i][name], entry)
	}
}

// enabledBy says how links enable a unit in directory i: by its name or one of its aliases (exactly), or by another name of the same file.
func (l *Links) enabledBy(i int, name string, f *file) (exactly, otherwise bool) {
	names := map[string]bool{name: true}
	if f.install != nil {
		if unit.Form(name) == unit.NameTemplate && f.install.DefaultInstance != "" {
			names[unit.InstanceOf(name, f.install.DefaultInstance)] = true
		}
		for n := range names {
			for _, a := range f.aliases(n) {
				names[instanceAlias(a, n)] = true
			}
		}
	}
	for _, e := range l.by[i][name] {
		switch {
		case names[e.name]:
			exactly = true
		case aliasFits(name, e.name):
			otherwise = true
		}
	}
	return exactly, otherwise
}

// State is the state of a unit file as `is-enabled` prints it (systemctl(1)).
func (l *Links) State(name string) (string, error) {
	f, err := l.p.find(name)
	if f == nil {
		return "not-found", err
	}
	if f.masked {
		if strings.HasPrefix(f.path, l.p.Runtime+"/") {
			return "masked-runtime", nil
		}
		return "masked", nil
	}
	if f.target != "" && filepath.Base(f.target) != filepath.Base(f.path) && unit.Form(filepath.Base(f.target)) != 0 {
		target, err := l.p.find(filepath.Base(f.target))
		switch {
		case err != nil && target == nil:
			return "bad", err
		case target.masked && strings.HasPrefix(target.path, l.p.Runtime+"/"):
			return "masked-runtime", nil
		case target.masked:
			return "masked", nil
		}
		return "alias", nil
	}
	if f.target != "" && inSearch(l.p, f.real()) {
		return "bad", fmt.Errorf("unit file %s is a link to another of the same name", f.path)
	}
	if err != nil {
		return "bad", err
	}
	dir := filepath.Dir(f.path)
	for _, g := range l.p.Generators {
		if dir == g {
			return "generated", nil
		}
	}
	if dir == l.p.Transient {
		return "transient", nil
	}
	persistent, otherwise := l.enabledBy(0, name, f)
	runtime, otherwiseRuntime := l.enabledBy(1, name, f)
	switch {
	case persistent:
		return "enabled", nil
	case f.target != "" && dir == l.p.Config && !inSearch(l.p, f.real()):
		return "linked", nil
	case runtime:
		return "enabled-runtime", nil
	case f.target != "" && dir == l.p.Runtime && !inSearch(l.p, f.real()):
		return "linked-runtime", nil
	case otherwise || otherwiseRuntime:
		return "indirect", nil
	case f.carriesInstallInfo():
		return "disabled", nil
	case f.install != nil && len(f.install.Also) > 0:
		return "indirect", nil
	}
	return "static", nil
}

// Entry is one line of list-unit-files.
type Entry struct{ Path, State string }

// List gives every unit file of the search path with its state, by name.
func List(p Paths) []Entry {
	links := ReadLinks(p)
	seen := map[string]string{}
	for _, dir := range p.Search {
		entries, _ := os.ReadDir(p.abs(dir))
		for _, e := range entries {
			if _, ok := seen[e.Name()]; !ok && unit.Form(e.Name()) != 0 && !e.IsDir() {
				seen[e.Name()] = filepath.Join(dir, e.Name())
			}
		}
	}
	out := make([]Entry, 0, len(seen))
	for name, path := range seen {
		state, err := links.State(name)
		if err != nil {
			state = "bad"
		}
		out = append(out, Entry{path, state})
	}
	sort.Slice(out, func(a, b int) bool { return filepath.Base(out[a].Path) < filepath.Base(out[b].Path) })
	return out
}
