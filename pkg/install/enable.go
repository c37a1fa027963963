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
	// Failed is the first thing that couldn't be planned. The other changes stand: Apply carries them out and gives this error then.
	Failed error
}

func (plan *Plan) fail(format string, args ...any) {
	if plan.Failed == nil {
		plan.Failed = fmt.Errorf(format, args...)
	}
}

const alsoDepthMax = 64

// PlanEnable plans the links of [Install] for names (and what Also= names).
func PlanEnable(p Paths, names []string, runtime, force bool) (Plan, error) {
	plan := &Plan{}
	asked := map[string]bool{}
	for _, n := range names {
		asked[filepath.Base(n)] = true
	}
	err := walkAlso(p, names, func(f *file) error {
		if f.masked && asked[f.name] {
			return fmt.Errorf("unit file %s is masked", f.path)
		}
		if f.masked {
			plan.Changes = append(plan.Changes, Change{IsMasked, f.name, ""})
			return nil
		}
		if !inSearch(p, f.real()) {
			plan.link(p, filepath.Join(p.dir(runtime), filepath.Base(f.path)), f.real())
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
	done, err := plan.aliasLinks(p, f, name, dir, force)
	if unit.Form(name) == unit.NameTemplate && f.install.DefaultInstance != "" {
		name = unit.InstanceOf(name, f.install.DefaultInstance)
	}
	// As in systemd, what fails after another part did something is no failure of the whole.
	for _, l := range dependents(f.install) {
		more, failed := plan.dependencyLinks(p, f, name, dir, l)
		if err == nil && !done {
			done, err = more, failed
		}
	}
	if plan.Failed == nil {
		plan.Failed = err
	}
	return nil
}

// aliasLinks adds the links of Alias=. done says whether any is new; err is the first that couldn't be.
func (plan *Plan) aliasLinks(p Paths, f *file, name, dir string, force bool) (done bool, err error) {
	fail := func(format string, args ...any) {
		if err == nil {
			err = fmt.Errorf(format, args...)
		}
	}
	for _, alias := range f.aliases(name) {
		if !aliasFits(name, alias) {
			fail("Cannot alias %s as %s", name, alias)
			continue
		}
		path := filepath.Join(dir, instanceAlias(alias, name))
		old, readErr := os.Readlink(p.abs(path))
		_, statErr := os.Lstat(p.abs(path))
		switch {
		case readErr == nil && !force && !sameTarget(p, path, old, f.aliasSource(p, dir)) && !dangling(p, path, old):
			fail("file %s exists already and is a symlink to %s (force it to be replaced)", path, old)
		case readErr != nil && statErr == nil:
			fail("file %s exists already and is no symlink", path)
		default:
			done = plan.link(p, path, f.aliasSource(p, dir)) || done
		}
	}
	return done, err
}

// dependencyLinks adds the links of WantedBy=, RequiredBy= or UpheldBy=.
func (plan *Plan) dependencyLinks(p Paths, f *file, name, dir string, l dependentList) (done bool, err error) {
	for _, owner := range l.owners {
		owner = expand(name, owner)
		if unit.Form(name) == unit.NameTemplate && unit.Form(owner) == unit.NamePlain {
			if err == nil {
				err = fmt.Errorf("Refusing to operate on template unit %s when destination unit %s is a non-template unit", name, owner)
			}
			continue
		}
		done = plan.link(p, filepath.Join(dir, owner+l.suffix, name), f.real()) || done
	}
	return done, err
}

// expand expands the specifiers of a name in [Install]. What can't be told without the machine stays as it is.
func expand(name, text string) string {
	if s, err := (&unit.SpecifierContext{}).ExpandName(text, name); err == nil {
		return s
	}
	return text
}

// aliases are the names of Alias= for a unit name. Mounts, slices and the like have one name only.
func (f *file) aliases(name string) []string {
	switch unit.TypeOf(name) {
	case unit.TypeService, unit.TypeSocket, unit.TypeTarget, unit.TypeDevice, unit.TypeTimer, unit.TypePath:
	default:
		return nil
	}
	out := make([]string, len(f.install.Alias))
	for i, a := range f.install.Alias {
		out[i] = expand(name, a)
	}
	return out
}

// aliasFits says whether a unit may have another name: of its type, and an instance for an instance, a template for a template.
func aliasFits(name, alias string) bool {
	if unit.TypeOf(name) != unit.TypeOf(alias) {
		return false
	}
	switch from, to := unit.Form(name), unit.Form(alias); {
	case from == unit.NameInstance && to == unit.NameInstance:
		return unit.Instance(name) == unit.Instance(alias)
	case from == unit.NameInstance:
		return to == unit.NameTemplate
	case from == unit.NameTemplate:
		return to == unit.NameTemplate || to == unit.NameInstance
	default:
		return from == to
	}
}

// dangling says that a link leads nowhere, so that it may be replaced.
func dangling(p Paths, path, target string) bool {
	if !filepath.IsAbs(target) {
		target = filepath.Join(filepath.Dir(path), target)
	}
	_, err := os.Stat(p.abs(target))
	return err != nil
}

// aliasSource is what an alias leads to: the file, or for one outside of the search path the link to it that is made too.
func (f *file) aliasSource(p Paths, dir string) string {
	if source := f.real(); inSearch(p, source) {
		return source
	}
	return filepath.Join(dir, filepath.Base(f.path))
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

// link adds a link, unless it is there already.
func (plan *Plan) link(p Paths, path, source string) bool {
	if old, err := os.Readlink(p.abs(path)); err == nil {
		if sameTarget(p, path, old, source) {
			return false
		}
		plan.Changes = append(plan.Changes, Change{Unlink, path, ""})
	}
	plan.Changes = append(plan.Changes, Change{Symlink, path, source})
	return true
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
	var missing error
	for _, name := range names {
		if strings.HasPrefix(name, "/") {
			return *plan, fmt.Errorf("%s: a unit is disabled by its name", name)
		}
	}
	for _, n := range names {
		err := walkAlso(p, []string{n}, func(f *file) error {
			if f.masked {
				plan.Changes = append(plan.Changes, Change{IsMasked, f.name, ""})
				return nil
			}
			gone[f.name] = true
			plan.CarriesInstallInfo = plan.CarriesInstallInfo || f.carriesInstallInfo()
			return nil
		}, plan)
		if err != nil {
			// A file that is gone may have left links behind: they go by name.
			gone[n] = true
			missing = err
		}
	}
	plan.removeLinks(p, gone, runtime)
	if len(names) == 1 && len(plan.Changes) == 0 && missing != nil {
		return *plan, missing
	}
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
	out := Plan{CarriesInstallInfo: on.CarriesInstallInfo, Failed: on.Failed}
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
		if plan.Failed == nil {
			plan.Failed = one.Failed
		}
		return nil
	}, plan)
	return *plan, err
}
