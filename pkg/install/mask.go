package install

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/muster-init/muster/pkg/unit"
)

// PlanMask plans links to /dev/null.
func PlanMask(p Paths, names []string, runtime, force bool) (Plan, error) {
	var plan Plan
	for _, name := range names {
		if unit.Form(name) == 0 {
			return plan, fmt.Errorf("%q is not a valid unit name", name)
		}
		path := filepath.Join(p.dir(runtime), name)
		target, err := os.Readlink(p.abs(path))
		switch {
		case err == nil && target == "/dev/null":
			continue
		case err == nil && !force:
			plan.fail("file %s exists already and is a symlink to %s", path, target)
			continue
		case err == nil:
			plan.Changes = append(plan.Changes, Change{Unlink, path, ""})
		default:
			if _, err := os.Lstat(p.abs(path)); err == nil {
				plan.fail("file %s already exists", path)
				continue
			}
		}
		plan.Changes = append(plan.Changes, Change{Symlink, path, "/dev/null"})
	}
	return plan, nil
}

// PlanUnmask plans the removal of the masks of names.
func PlanUnmask(p Paths, names []string, runtime bool) (Plan, error) {
	var plan Plan
	for _, name := range names {
		if unit.Form(name) == 0 {
			return plan, fmt.Errorf("%q is not a valid unit name", name)
		}
		path := filepath.Join(p.dir(runtime), name)
		if p.isMask(path) {
			plan.Changes = append(plan.Changes, Change{Unlink, path, ""})
		}
	}
	return plan, nil
}

func (p Paths) isMask(path string) bool {
	if target, err := os.Readlink(p.abs(path)); err == nil {
		return target == "/dev/null"
	}
	info, err := os.Lstat(p.abs(path))
	return err == nil && info.Mode().IsRegular() && info.Size() == 0
}

// PlanLink plans links to unit files outside of the search path.
func PlanLink(p Paths, files []string, runtime, force bool) (Plan, error) {
	var plan Plan
	for _, f := range files {
		if !filepath.IsAbs(f) || unit.Form(filepath.Base(f)) == 0 {
			return plan, fmt.Errorf("%s: link needs the absolute path of a unit file", f)
		}
		info, err := os.Stat(p.abs(f))
		if err != nil {
			return plan, fmt.Errorf("unit file %s %w", f, ErrNotFound)
		}
		if !info.Mode().IsRegular() {
			return plan, fmt.Errorf("unit file %s is not a regular file", f)
		}
		path := filepath.Join(p.dir(runtime), filepath.Base(f))
		if target, err := os.Readlink(p.abs(path)); err == nil && !force && !sameTarget(p, path, target, f) {
			return plan, fmt.Errorf("file %s exists already and is a symlink to %s", path, target)
		}
		plan.link(p, path, f)
	}
	return plan, nil
}

// PlanRevert plans the removal of what an admin has put over the units of packages: masks, drop-ins, and whole files where another one remains.
func PlanRevert(p Paths, names []string) (Plan, error) {
	var plan Plan
	for _, name := range names {
		if unit.Form(name) == 0 {
			return plan, fmt.Errorf("%q is not a valid unit name", name)
		}
		vendor := p.vendorFile(name)
		for _, dir := range []string{p.Config, p.Runtime, p.Config + ".control", p.Runtime + ".control"} {
			if d := filepath.Join(dir, name+".d"); isDir(p.abs(d)) {
				entries, _ := os.ReadDir(p.abs(d))
				for _, e := range entries {
					plan.Changes = append(plan.Changes, Change{Unlink, filepath.Join(d, e.Name()), ""})
				}
				plan.Changes = append(plan.Changes, Change{Unlink, d, ""})
			}
			path := filepath.Join(dir, name)
			if _, err := os.Lstat(p.abs(path)); err == nil && (vendor || p.isMask(path)) {
				plan.Changes = append(plan.Changes, Change{Unlink, path, ""})
			}
		}
	}
	return plan, nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// vendorFile reports whether a package ships the unit.
func (p Paths) vendorFile(name string) bool {
	for _, dir := range p.Search {
		if dir == p.Config || dir == p.Runtime || dir == p.Config+".control" || dir == p.Runtime+".control" {
			continue
		}
		if _, err := os.Stat(p.abs(filepath.Join(dir, name))); err == nil {
			return true
		}
	}
	return false
}

// PlanDefault plans default.target as a link to another unit.
func PlanDefault(p Paths, name string, force bool) (Plan, error) {
	f, err := p.find(name)
	if err != nil {
		return Plan{}, err
	}
	if f.masked {
		return Plan{}, fmt.Errorf("unit file %s is masked", f.path)
	}
	if unit.TypeOf(name) != unit.TypeTarget || name == "default.target" {
		return Plan{}, fmt.Errorf("%s can't be the default target", name)
	}
	var plan Plan
	path := filepath.Join(p.Config, "default.target")
	if _, err := os.Readlink(p.abs(path)); err != nil && !force {
		if _, err := os.Lstat(p.abs(path)); err == nil {
			return plan, fmt.Errorf("file %s already exists", path)
		}
	}
	plan.link(p, path, f.real())
	return plan, nil
}

// GetDefault is the name that default.target leads to.
func GetDefault(p Paths) (string, error) {
	for _, dir := range p.Search {
		path := filepath.Join(dir, "default.target")
		if target, err := os.Readlink(p.abs(path)); err == nil {
			return filepath.Base(target), nil
		}
		if _, err := os.Lstat(p.abs(path)); err == nil {
			return "default.target", nil
		}
	}
	return "", fmt.Errorf("default.target %w", ErrNotFound)
}

// PlanDependency plans links NAME.wants/ or NAME.requires/ of target for names (add-wants, add-requires).
func PlanDependency(p Paths, names []string, target, kind string, runtime, force bool) (Plan, error) {
	var plan Plan
	suffix := map[string]string{"wants": ".wants", "requires": ".requires"}[strings.ToLower(kind)]
	if suffix == "" || unit.Form(target) == 0 {
		return plan, fmt.Errorf("%s of %q can't be added", kind, target)
	}
	if _, err := p.find(target); err != nil {
		return plan, err
	}
	for _, name := range names {
		f, err := p.find(name)
		if err != nil {
			return plan, err
		}
		if f.masked {
			return plan, fmt.Errorf("unit file %s is masked", f.path)
		}
		if unit.Form(name) == unit.NameTemplate && f.install != nil && f.install.DefaultInstance != "" {
			name = unit.InstanceOf(name, f.install.DefaultInstance)
		}
		if unit.Form(name) == unit.NameTemplate && unit.Form(target) == unit.NamePlain {
			plan.fail("Refusing to operate on template unit %s when destination unit %s is a non-template unit", name, target)
			continue
		}
		plan.link(p, filepath.Join(p.dir(runtime), target+suffix, name), f.real())
	}
	return plan, nil
}
