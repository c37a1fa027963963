package loader

import (
	"strings"

	"github.com/muster-init/muster/pkg/unit"
)

// Changes says which definitions differ between two scans.
type Changes struct {
	names    map[string]bool // fragments (also templates)
	dropdirs map[string]bool // owners of NAME.d, NAME.wants and so on: a unit, a template, a prefix (foo-.service) or a type ("service")
}

// Empty reports whether nothing changed.
func (c Changes) Empty() bool { return len(c.names) == 0 && len(c.dropdirs) == 0 }

// Compare finds what differs. It costs a look at every entry, nothing is opened.
func Compare(old, now *Index) Changes {
	c := Changes{names: map[string]bool{}, dropdirs: map[string]bool{}}
	compareFiles(old.files, now.files, func(name string) { c.names[name] = true })
	compareSubdirs(old.dropins, now.dropins, func(key string) { c.dropdirs[strings.TrimSuffix(key, ".d")] = true })
	compareSubdirs(old.links, now.links, func(owner string) { c.dropdirs[owner] = true })
	return c
}

// compareFiles compares only the file that counts of each name: what stands behind it has no effect.
func compareFiles(old, now fileList, changed func(name string)) {
	for len(old) > 0 || len(now) > 0 {
		switch {
		case len(now) == 0 || len(old) > 0 && old[0].name() < now[0].name():
			changed(old[0].name())
			old = old[old.after(0):]
		case len(old) == 0 || now[0].name() < old[0].name():
			changed(now[0].name())
			now = now[now.after(0):]
		default:
			if !unchanged(&old[0], &now[0]) {
				changed(now[0].name())
			}
			old, now = old[old.after(0):], now[now.after(0):]
		}
	}
}

// unchanged reports that two entries are the same for sure: equal, and not changed too late for that to mean something.
func unchanged(a, b *file) bool { return !a.fresh && a.equal(b) }

func compareSubdirs(old, now map[string][]subdir, changed func(string)) {
	for key, list := range now {
		if !sameSubdirs(old[key], list) {
			changed(key)
		}
	}
	for key := range old {
		if len(now[key]) == 0 {
			changed(key)
		}
	}
}

func sameSubdirs(a, b []subdir) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].path != b[i].path || a[i].kind != b[i].kind || len(a[i].entries) != len(b[i].entries) {
			return false
		}
		for j := range a[i].entries {
			if !unchanged(&a[i].entries[j], &b[i].entries[j]) {
				return false
			}
		}
	}
	return true
}

// Affects reports whether a unit with these names has to be read again.
func (c Changes) Affects(names []string) bool {
	if c.Empty() {
		return false
	}
	for _, name := range names {
		if c.names[name] || unit.Form(name) == unit.NameInstance && c.names[unit.TemplateOf(name)] {
			return true
		}
	}
	if len(c.dropdirs) == 0 {
		return false
	}
	for _, owner := range ownersOf(names) {
		if c.dropdirs[owner] {
			return true
		}
	}
	return false
}
