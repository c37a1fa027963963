package install

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/muster-init/muster/pkg/unit"
)

// Plan is what an operation would do.
type Plan struct {
	Changes            []Change
	CarriesInstallInfo bool // any of the files has an [Install] section that says something
}

const alsoDepthMax = 64

// PlanEnable plans the links of [Install] for names (and what Also= names).
func PlanEnable(p Paths, names []string, runtime, force bool) (Plan, error) {
	plan := &Plan{}
	err := walkAlso(p, names, func(f *file) error {
		if f.masked {
			return fmt.Errorf("unit file %s is masked", f.path)
		}
		if strings.HasPrefix(f.name, "/") || !inSearch(p, f.path) {
			plan.link(p, filepath.Join(p.dir(runtime), filepath.Base(f.path)), f.path)
		}
		plan.CarriesInstallInfo = plan.CarriesInstallInfo || f.carriesInstallInfo()
		return plan.enable(p, f, runtime, force)
	}, plan)
	return *plan, err
}

func inSearch(p Paths, path string) bool {
	for _, d := range p.Search {
		if filepath.Dir(path) == d {
			return true
		}
	}
	return false
}

// walkAlso visits files and those that their Also= names, each once.
func walkAlso(p Paths, names []string, visit func(*file) error, plan *Plan) error {
	queue, seen := append([]string(nil), names...), map[string]bool{}
	for n := 0; n < len(queue) && n < alsoDepthMax+len(names); n++ {
		name := queue[n]
		if seen[name] {
			continue
		}
		seen[name] = true
		f, err := p.find(name)
		if err != nil {
			if n < len(names) {
				return err
			}
			plan.Changes = append(plan.Changes, Change{AuxiliaryFailed, name, ""})
			continue
		}
		if err := visit(f); err != nil {
			return err
		}
		if f.install != nil {
			queue = append(queue, f.install.Also...)
		}
	}
	return nil
}

// enable adds the links of one file.
func (plan *Plan) enable(p Paths, f *file, runtime, force bool) error {
	if f.install == nil {
		return nil
	}
	dir := p.dir(runtime)
	name := f.name
	if strings.HasPrefix(name, "/") {
		name = filepath.Base(name)
	}
	if unit.Form(name) == unit.NameTemplate && len(f.install.WantedBy)+len(f.install.RequiredBy)+len(f.install.UpheldBy) > 0 {
		if f.install.DefaultInstance == "" {
			if len(f.install.Alias) == 0 {
				return fmt.Errorf("unit name %s is missing the instance name", name)
			}
		} else {
			name = unit.InstanceOf(name, f.install.DefaultInstance)
		}
	}
	source := f.real()
	for _, alias := range f.install.Alias {
		alias = instanceAlias(alias, name)
		path := filepath.Join(dir, alias)
		if old, err := os.Readlink(p.abs(path)); err == nil && !force && !sameTarget(p, path, old, source) {
			return fmt.Errorf("file %s exists already and is a symlink to %s (force it to be replaced)", path, old)
		} else if _, err2 := os.Lstat(p.abs(path)); err != nil && err2 == nil {
			return fmt.Errorf("file %s exists already and is no symlink", path)
		}
		plan.link(p, path, source)
	}
	for _, l := range dependents(f.install) {
		for _, owner := range l.owners {
			plan.link(p, filepath.Join(dir, owner+l.suffix, name), source)
		}
	}
	return nil
}

// instanceAlias gives an alias that is a template the instance of the unit.
func instanceAlias(alias, name string) string {
	if unit.Form(alias) == unit.NameTemplate && unit.Form(name) == unit.NameInstance {
		return unit.InstanceOf(alias, unit.Instance(name))
	}
	return alias
}

type dependentList struct {
	suffix string
	owners []string
}

func dependents(i *unit.Install) []dependentList {
	return []dependentList{{".wants", i.WantedBy}, {".requires", i.RequiredBy}, {".upholds", i.UpheldBy}}
}

// link adds a link that isn't there yet.
func (plan *Plan) link(p Paths, path, source string) {
	if old, err := os.Readlink(p.abs(path)); err == nil {
		if sameTarget(p, path, old, source) {
			return
		}
		plan.Changes = append(plan.Changes, Change{Unlink, path, ""})
	}
	plan.Changes = append(plan.Changes, Change{Symlink, path, source})
}

func sameTarget(_ Paths, path, old, source string) bool {
	if !filepath.IsAbs(old) {
		old = filepath.Join(filepath.Dir(path), old)
	}
	return filepath.Clean(old) == filepath.Clean(source)
}

// PlanDisable plans the removal of every link by which names (and what Also= names) are enabled, wherever it was made.
func PlanDisable(p Paths, names []string, runtime bool) (Plan, error) {
	plan := &Plan{}
	gone := map[string]bool{}
	for _, name := range names {
		if strings.HasPrefix(name, "/") {
			return *plan, fmt.Errorf("%s: a unit is disabled by its name", name)
		}
	}
	err := walkAlso(p, names, func(f *file) error {
		gone[f.name] = true
		plan.CarriesInstallInfo = plan.CarriesInstallInfo || f.carriesInstallInfo()
		return nil
	}, plan)
	if err != nil {
		// A file that is gone may have left links behind: they go by name.
		for _, n := range names {
			gone[n] = true
		}
		plan.removeLinks(p, gone, runtime)
		if len(plan.Changes) == 0 {
			return *plan, err
		}
		return *plan, nil
	}
	plan.removeLinks(p, gone, runtime)
	return *plan, nil
}

// removeLinks finds the links to units: their aliases, their entries in dependency directories, and links to files outside of the search path. A
// template takes its instances with it.
func (plan *Plan) removeLinks(p Paths, names map[string]bool, runtime bool) {
	dir := p.dir(runtime)
	concerns := func(link, target string) bool {
		for _, n := range []string{link, filepath.Base(target)} {
			if names[n] || unit.Form(n) == unit.NameInstance && names[unit.TemplateOf(n)] {
				return true
			}
		}
		return false
	}
	var found []string
	scan := func(sub string) {
		entries, err := os.ReadDir(p.abs(sub))
		if err != nil {
			return
		}
		for _, e := range entries {
			target, err := os.Readlink(p.abs(filepath.Join(sub, e.Name())))
			if err == nil && target != "/dev/null" && unit.Form(e.Name()) != 0 && concerns(e.Name(), target) {
				found = append(found, filepath.Join(sub, e.Name()))
			}
		}
	}
	scan(dir)
	subdirs, _ := os.ReadDir(p.abs(dir))
	for _, s := range subdirs {
		if strings.HasSuffix(s.Name(), ".wants") || strings.HasSuffix(s.Name(), ".requires") || strings.HasSuffix(s.Name(), ".upholds") {
			scan(filepath.Join(dir, s.Name()))
		}
	}
	sort.Strings(found)
	for _, path := range found {
		plan.Changes = append(plan.Changes, Change{Unlink, path, ""})
	}
}

// PlanReenable is disable followed by enable, without touching links that stay.
func PlanReenable(p Paths, names []string, runtime, force bool) (Plan, error) {
	off, err := PlanDisable(p, names, runtime)
	if err != nil {
		return Plan{}, err
	}
	on, err := planEnableAll(p, names, runtime, true)
	if err != nil {
		return Plan{}, err
	}
	wanted := map[string]string{}
	for _, c := range on.Changes {
		if c.Type == Symlink {
			wanted[c.Path] = c.Source
		}
	}
	out := Plan{CarriesInstallInfo: on.CarriesInstallInfo}
	for _, c := range off.Changes {
		if source, stays := wanted[c.Path]; stays {
			if old, err := os.Readlink(p.abs(c.Path)); err == nil && sameTarget(p, c.Path, old, source) {
				delete(wanted, c.Path)
				continue
			}
		}
		out.Changes = append(out.Changes, c)
	}
	for _, c := range on.Changes {
		if _, want := wanted[c.Path]; want && c.Type == Symlink {
			out.Changes = append(out.Changes, c)
		}
	}
	return out, nil
}

// planEnableAll is PlanEnable as if no link were there, so that all wanted links are in the plan.
func planEnableAll(p Paths, names []string, runtime, force bool) (Plan, error) {
	plan := &Plan{}
	err := walkAlso(p, names, func(f *file) error {
		plan.CarriesInstallInfo = plan.CarriesInstallInfo || f.carriesInstallInfo()
		one := &Plan{}
		if err := one.enable(Paths{Root: "/proc/self/nonexistent", Search: p.Search, Config: p.Config, Runtime: p.Runtime}, f, runtime, force); err != nil {
			return err
		}
		plan.Changes = append(plan.Changes, one.Changes...)
		return nil
	}, plan)
	return *plan, err
}
