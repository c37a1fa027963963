package loader

import (
	"path/filepath"
	"slices"
	"sort"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/unit"
)

// resolveAliases decides for every link what it is, once all directories are listed:
//
//   - a link into the search path is an alias of the name it leads to, if the two names fit; if they don't it is not there;
//   - a link to its own name there says nothing: the file itself is found anyway;
//   - a link to anywhere else is a fragment under the link's name ("linked").
func (x *Index) resolveAliases() {
	inside := map[string]bool{}
	x.files = slices.DeleteFunc(x.files, func(f file) bool {
		if f.link == nil || f.link.target == "/dev/null" {
			return false
		}
		target := f.absoluteTarget()
		dir := filepath.Dir(target)
		in, known := inside[dir]
		if !known {
			in = x.inPath(dir)
			inside[dir] = in
		}
		if !in {
			return false
		}
		base := filepath.Base(target)
		if base == f.name() {
			return true
		}
		if !aliasFits(f.name(), base) {
			x.problems = append(x.problems, f.path+": a link from this name to "+base+" makes no alias, ignoring it")
			return true
		}
		f.link.alias = base
		return false
	})
	sort.Strings(x.problems)
	x.files.each(func(name string, list []file) {
		for i := range list {
			// What is behind an alias is masked where it stands.
			list[i].masked = list[i].masked && list[i].alias() == ""
		}
		if target := list[0].alias(); target != "" {
			x.aliases[target] = append(x.aliases[target], name)
		}
	})
	for _, names := range x.aliases {
		sort.Strings(names)
	}
}

// inPath reports whether a directory is one of the search path, under whatever name (a merged /usr).
func (x *Index) inPath(dir string) bool {
	var st unix.Stat_t
	if statPath(dir, &st) != nil {
		return false
	}
	return x.dirIDs[identity{ino: st.Ino, size: int64(st.Dev)}]
}

// aliasFits is the rule of systemd.unit(5), "Alias=": the types are equal, a template goes with a template, a plain name with a plain one, an instance
// with the same instance of another template or with that template.
func aliasFits(name, target string) bool {
	if !unit.ValidName(target, unit.NameAny) || unit.TypeOf(name) != unit.TypeOf(target) {
		return false
	}
	from, to := unit.Form(name), unit.Form(target)
	if from == unit.NameInstance && to == unit.NameInstance {
		return unit.Instance(name) == unit.Instance(target)
	}
	return from == to || from == unit.NameInstance && to == unit.NameTemplate
}

// UnitFile is one entry of the search path that counts for its name.
type UnitFile struct {
	Name   string
	Path   string
	Target string // of a link, as it is written; "" for a regular file
	Alias  string // name the link leads to, if that is in the search path
	Masked bool
}

// UnitFiles lists what list-unit-files shows, sorted by name.
func (x *Index) UnitFiles() []UnitFile {
	out := make([]UnitFile, 0, len(x.files))
	x.files.each(func(name string, list []file) {
		f := &list[0]
		out = append(out, UnitFile{Name: name, Path: f.path, Target: f.target(), Alias: f.alias(), Masked: f.masked})
	})
	return out
}

// Problems are links that make no sense, a sentence each.
func (x *Index) Problems() []string { return x.problems }
