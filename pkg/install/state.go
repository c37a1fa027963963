package install

import (
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/muster-init/muster/pkg/unit"
)

// Links are the links of the configuration directories, read once so that the state of many files can be told.
type Links struct {
	p       Paths
	enabled [2]map[string]bool // persistent and runtime: names that a link enables
}

// ReadLinks lists the links below the configuration directories.
func ReadLinks(p Paths) *Links {
	l := &Links{p: p}
	for i, dir := range []string{p.Config, p.Runtime} {
		l.enabled[i] = map[string]bool{}
		entries, _ := os.ReadDir(p.abs(dir))
		for _, e := range entries {
			l.entry(i, dir, e)
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

// note takes one link as what it enables: in a dependency directory the name (and its template), elsewhere what an alias leads to.
func (l *Links) note(i int, dir, name string, dependency bool) {
	target, err := os.Readlink(l.p.abs(filepath.Join(dir, name)))
	if err != nil || target == "/dev/null" || unit.Form(name) == 0 {
		return
	}
	base := filepath.Base(target)
	if !dependency && base == name {
		return // linked, which is another state
	}
	for _, n := range []string{base, name} {
		if !dependency && n == name {
			continue
		}
		l.enabled[i][n] = true
		if unit.Form(n) == unit.NameInstance {
			l.enabled[i][unit.TemplateOf(n)] = true
		}
	}
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
	if f.target != "" && filepath.Base(f.target) != filepath.Base(f.path) && unit.Form(filepath.Base(f.target)) != 0 {
		return "alias", nil
	}
	switch {
	case l.enabled[0][name]:
		return "enabled", nil
	case l.enabled[1][name]:
		return "enabled-runtime", nil
	case f.target != "" && dir == l.p.Config && !inSearch(l.p, f.real()):
		return "linked", nil
	case f.target != "" && dir == l.p.Runtime && !inSearch(l.p, f.real()):
		return "linked-runtime", nil
	case f.carriesInstallInfo():
		if unit.Form(name) == unit.NameTemplate && f.install.DefaultInstance != "" && l.enabled[0][unit.InstanceOf(name, f.install.DefaultInstance)] {
			return "enabled", nil
		}
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
