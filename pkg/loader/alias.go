package loader

import (
	"path/filepath"
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
	for name, list := range x.files {
		kept := list[:0]
		for _, f := range list {
			if f.target == "" || f.target == "/dev/null" {
				kept = append(kept, f)
				continue
			}
			target := f.absoluteTarget()
			dir := filepath.Dir(target)
			in, known := inside[dir]
			if !known {
				in = x.inPath(dir)
				inside[dir] = in
			}
			if !in {
				kept = append(kept, f)
				continue
			}
			base := filepath.Base(target)
			if base == name {
				continue
			}
			if !aliasFits(name, base) {
				x.problems = append(x.problems, f.path+": a link from this name to "+base+" makes no alias, ignoring it")
				continue
			}
			f.alias, f.masked = base, false
			kept = append(kept, f)
		}
		if len(kept) == 0 {
			delete(x.files, name)
		} else {
			x.files[name] = kept
		}
	}
	sort.Strings(x.problems)
	for name, list := range x.files {
		if target := list[0].alias; target != "" {
			x.aliases[target] = append(x.aliases[target], name)
		}
	}
	for _, names := range x.aliases {
		sort.Strings(names)
	}
}

// inPath reports whether a directory is one of the search path, under whatever name (a merged /usr).
func (x *Index) inPath(dir string) bool {
	var st unix.Stat_t
	if unix.Stat(dir, &st) != nil {
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
	for name, list := range x.files {
		f := list[0]
		out = append(out, UnitFile{Name: name, Path: f.path, Target: f.target, Alias: f.alias, Masked: f.masked})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// Problems are links that make no sense, a sentence each.
func (x *Index) Problems() []string { return x.problems }
