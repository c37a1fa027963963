package loader

import (
	"path/filepath"
	"sort"
	"strings"

	"github.com/muster-init/muster/pkg/unit"
)

// Resolved is what a name leads to: the canonical name, the fragment, and every name of the unit.
type Resolved struct {
	Name     string   // canonical, an instance where an instance was asked for
	Fragment string   // "" there is none
	Masked   bool     // Fragment is the mask
	Names    []string // sorted, with Name
	Err      error    // the links make no sense
}

// Resolve follows the links from a name to its fragment.
func (x *Index) Resolve(name string) Resolved {
	current := name
	for range aliasDepthMax {
		f, from, ok := x.lookup(current)
		if !ok {
			return Resolved{Name: current, Names: x.namesOf(current, name)}
		}
		if f.masked {
			return Resolved{Name: current, Fragment: f.path, Masked: true, Names: x.namesOf(current, name)}
		}
		next := x.aliasTarget(f, from, current)
		if next == "" || next == current {
			return Resolved{Name: current, Fragment: f.path, Names: x.namesOf(current, name)}
		}
		current = next
	}
	return Resolved{Name: name, Names: []string{name}, Err: errAliasLoop(name)}
}

type errAliasLoop string

func (e errAliasLoop) Error() string { return string(e) + ": the links of this name lead in a circle" }

// lookup finds the file that counts for a name: its own, or that of its template. from is the name the file has.
func (x *Index) lookup(name string) (f file, from string, ok bool) {
	if list := x.files[name]; len(list) > 0 {
		return list[0], name, true
	}
	if unit.Form(name) == unit.NameInstance {
		template := unit.TemplateOf(name)
		if list := x.files[template]; len(list) > 0 {
			return list[0], template, true
		}
	}
	return file{}, "", false
}

// aliasTarget is the name that a link makes its own name an alias of; "" if the file is the unit's own fragment (a regular file, or a link to a file of
// the same name elsewhere).
func (x *Index) aliasTarget(f file, from, name string) string {
	if f.target == "" {
		return ""
	}
	target := filepath.Base(f.absoluteTarget())
	if target == from || !unit.ValidName(target, unit.NameAny) || unit.TypeOf(target) != unit.TypeOf(name) {
		return ""
	}
	switch unit.Form(target) {
	case unit.NameTemplate:
		switch unit.Form(name) {
		case unit.NameInstance: // of a template that is an alias, or an instance that names another template
			return unit.InstanceOf(target, unit.Instance(name))
		case unit.NameTemplate:
			return target
		}
		return ""
	case unit.NameInstance:
		if unit.Form(name) == unit.NameTemplate {
			return ""
		}
	case unit.NamePlain:
		if unit.Form(from) == unit.NameTemplate {
			return ""
		}
	}
	if len(x.files[target]) == 0 && unit.Form(target) == unit.NamePlain {
		return "" // a file outside of the search path under another name: linked
	}
	return target
}

// findAliases turns the links round: which names lead to a unit.
func (x *Index) findAliases() {
	for name, list := range x.files {
		f := list[0]
		if f.masked || f.target == "" {
			continue
		}
		if target := x.aliasTarget(f, name, name); target != "" && target != name {
			x.aliases[target] = append(x.aliases[target], name)
		}
	}
	for _, names := range x.aliases {
		sort.Strings(names)
	}
}

// namesOf collects the canonical name and all that lead to it, for an instance also through its template's aliases.
func (x *Index) namesOf(canonical string, asked ...string) []string {
	set := map[string]bool{}
	var add func(name string, depth int)
	add = func(name string, depth int) {
		if set[name] || depth > aliasDepthMax {
			return
		}
		set[name] = true
		for _, a := range x.aliases[name] {
			add(a, depth+1)
		}
		if unit.Form(name) == unit.NameInstance {
			for _, a := range x.aliases[unit.TemplateOf(name)] {
				if unit.Form(a) == unit.NameTemplate {
					add(unit.InstanceOf(a, unit.Instance(name)), depth+1)
				}
			}
		}
	}
	add(canonical, 0)
	for _, a := range asked {
		set[a] = true
	}
	names := make([]string, 0, len(set))
	for n := range set {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

// DropIns lists the drop-in files of a unit with these names, in the order in which they are applied (by file name).
func (x *Index) DropIns(names []string) []string {
	return pathsByName(x.collect(x.dropins, x.dropinDirs(names)))
}

// dropinDirs lists the NAME.d that apply, the more specific first: the full names, the prefixes cut at dashes, the template, the type.
func (x *Index) dropinDirs(names []string) []string {
	var dirs []string
	seen := map[string]bool{}
	add := func(d string) {
		if !seen[d] {
			seen[d] = true
			dirs = append(dirs, d)
		}
	}
	for _, name := range names {
		for _, n := range dashPrefixes(name) {
			add(n + ".d")
		}
		if unit.Form(name) == unit.NameInstance {
			for _, n := range dashPrefixes(unit.TemplateOf(name)) {
				add(n + ".d")
			}
		}
	}
	if len(names) > 0 {
		add(unit.TypeOf(names[0]).String() + ".d")
	}
	return dirs
}

// dashPrefixes gives foo-bar-baz.service, foo-bar-.service, foo-.service. For instances only the part before the @ is cut.
func dashPrefixes(name string) []string {
	out := []string{name}
	dot := strings.LastIndexByte(name, '.')
	stem, suffix, tail := name[:dot], name[dot:], ""
	if at := strings.IndexByte(stem, '@'); at >= 0 {
		stem, tail = stem[:at], stem[at:]
	}
	for {
		stem = strings.TrimRight(stem, "-")
		i := strings.LastIndexByte(stem, '-')
		if i <= 0 {
			return out
		}
		stem = stem[:i+1]
		out = append(out, stem+tail+suffix)
	}
}

// collect takes for every file name the entry of the first directory that has it; masked ones hide the rest and are left out.
func (x *Index) collect(from map[string][]subdir, keys []string) map[string]string {
	chosen := map[string]string{}
	for _, key := range keys {
		for _, s := range from[key] {
			for _, e := range s.entries {
				name := filepath.Base(e.path)
				if _, shadowed := chosen[name]; shadowed {
					continue
				}
				chosen[name] = e.path
				if e.masked {
					chosen[name] = ""
				}
			}
		}
	}
	return chosen
}

func pathsByName(chosen map[string]string) []string {
	names := make([]string, 0, len(chosen))
	for n, p := range chosen {
		if p != "" {
			names = append(names, n)
		}
	}
	sort.Strings(names)
	paths := make([]string, len(names))
	for i, n := range names {
		paths[i] = chosen[n]
	}
	return paths
}

// Link is a dependency made by a link in NAME.wants/ and the like.
type Link struct {
	Type unit.DepType
	Name string
	Path string
}

// Links lists the dependency links of a unit with these names. A link to /dev/null takes the dependency of that name away, wherever else it stands.
func (x *Index) Links(names []string) []Link {
	var out []Link
	for _, l := range linkKinds {
		seen := map[string]bool{}
		for _, owner := range ownersOf(names) {
			for _, s := range x.links[owner] {
				if s.kind != l.kind {
					continue
				}
				for _, e := range s.entries {
					name := filepath.Base(e.path)
					if seen[name] {
						continue
					}
					seen[name] = true
					if e.target != "/dev/null" {
						out = append(out, Link{l.kind, name, e.path})
					}
				}
			}
		}
	}
	return out
}

// ownersOf adds the templates of instances: foo@.service.wants/ holds for every foo@x.service.
func ownersOf(names []string) []string {
	out := append([]string(nil), names...)
	for _, n := range names {
		if unit.Form(n) == unit.NameInstance {
			out = append(out, unit.TemplateOf(n))
		}
	}
	return out
}
