package loader

import (
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
		f, ok := x.lookup(current)
		if !ok { // a name, or a link to one, that nothing stands behind
			return Resolved{Name: name, Names: []string{name}}
		}
		if f.masked {
			return Resolved{Name: current, Fragment: f.path, Masked: true, Names: x.namesOf(current, name)}
		}
		next := aliasOf(f, current)
		if next == "" || next == current {
			return Resolved{Name: current, Fragment: f.path, Names: x.namesOf(current, name)}
		}
		current = next
	}
	return Resolved{Name: name, Names: []string{name}, Err: errAliasLoop(name)}
}

type errAliasLoop string

func (e errAliasLoop) Error() string { return string(e) + ": the links of this name lead in a circle" }

// lookup finds the file that counts for a name: its own, or that of its template.
func (x *Index) lookup(name string) (f file, ok bool) {
	if list := x.files.of(name); len(list) > 0 {
		return list[0], true
	}
	if unit.Form(name) == unit.NameInstance {
		if list := x.files.of(unit.TemplateOf(name)); len(list) > 0 {
			return list[0], true
		}
	}
	return file{}, false
}

// aliasOf is the name that a file makes a unit's name an alias of; "" if the file is the unit's own fragment.
func aliasOf(f file, name string) string {
	if unit.Form(f.alias()) == unit.NameTemplate && unit.Form(name) == unit.NameInstance {
		return unit.InstanceOf(f.alias(), unit.Instance(name))
	}
	return f.alias()
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

// dropinDirs lists the NAME.d that apply, the more specific first, the type's last.
func (x *Index) dropinDirs(names []string) []string {
	keys := ownersOf(names)
	for i := range keys {
		keys[i] += ".d"
	}
	return keys
}

// ownersOf lists the names whose NAME.d and NAME.wants a unit has, in the order systemd looks at them: for every name itself, then for an instance
// its template, then both with the prefix cut at each dash; the type stands for all.
func ownersOf(names []string) []string {
	var out []string
	seen := map[string]bool{}
	var add func(name string)
	add = func(name string) {
		if name == "" || seen[name] {
			return
		}
		seen[name] = true
		out = append(out, name)
		if unit.Form(name) == unit.NameInstance {
			add(unit.TemplateOf(name))
		}
		add(cutDash(name))
	}
	for _, name := range names {
		add(name)
	}
	if len(names) > 0 {
		out = append(out, unit.TypeOf(names[0]).String())
	}
	return out
}

// cutDash gives foo-bar-.service for foo-bar-baz.service, then foo-.service; "" at the end. Of instances the part before the @ is cut; what is cut of a
// template is a plain name, as observed on systemd 257.
func cutDash(name string) string {
	dot := strings.LastIndexByte(name, '.')
	stem, tail := name[:dot], name[dot:]
	if at := strings.IndexByte(stem, '@'); at >= 0 {
		if at < dot-1 {
			tail = name[at:]
		}
		stem = stem[:at]
	}
	stem = strings.TrimSuffix(stem, "-")
	i := strings.LastIndexByte(stem, '-')
	if i <= 0 {
		return ""
	}
	return stem[:i+1] + tail
}

// collect takes for every file name the entry of the first directory that has it; masked ones hide the rest.
func (x *Index) collect(from map[string][]subdir, keys []string) map[string]string {
	var chosen map[string]string
	for _, key := range keys {
		for _, s := range from[key] {
			for _, e := range s.entries {
				name := e.path[len(s.path)+1:]
				if _, shadowed := chosen[name]; shadowed {
					continue
				}
				if chosen == nil {
					chosen = map[string]string{}
				}
				chosen[name] = e.path
			}
		}
	}
	return chosen
}

func pathsByName(chosen map[string]string) []string {
	if len(chosen) == 0 {
		return nil
	}
	names := make([]string, 0, len(chosen))
	for n := range chosen {
		names = append(names, n)
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
	owners := ownersOf(names)
	for _, l := range linkKinds {
		var seen map[string]bool
		for _, owner := range owners {
			for _, s := range x.links[owner] {
				if s.kind != l.kind {
					continue
				}
				for _, e := range s.entries {
					name := e.path[len(s.path)+1:]
					if seen[name] {
						continue
					}
					if seen == nil {
						seen = map[string]bool{}
					}
					seen[name] = true
					if !e.masked {
						out = append(out, Link{l.kind, name, e.path})
					}
				}
			}
		}
	}
	return out
}
