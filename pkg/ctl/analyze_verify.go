package ctl

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/muster-init/muster/pkg/loader"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// verification is one run of verify: the loader, and what was said of which file.
type verification struct {
	a      *analyze
	load   *loader.Loader
	loaded map[string]*unit.Unit
	said   []unit.Message
}

// analyzeVerify is verify: it reads unit files as the manager would, with those they pull in, and prints what is wrong.
func analyzeVerify(a *analyze, args []string) int {
	names, search, bad := a.verifySearch(args)
	if bad != "" {
		a.errorf("Failed to prepare filename %s: Invalid argument", bad)
		return exitFailure
	}
	status := 0
	v := &verification{a: a, loaded: map[string]*unit.Unit{}}
	v.load = loader.New(search, loader.Scan(search), a.host(), a.unitDefaults(), func(m unit.Message) { v.said = append(v.said, m) })
	for _, n := range names {
		if !v.check(n) {
			status = exitFailure
		}
	}
	return status
}

// unitDefaults are those of the manager that is meant, without any configuration.
func (a *analyze) unitDefaults() *unit.Defaults {
	if a.o.scope == scopeUser {
		return unit.NewDefaults(unit.DefaultManagerConfig(false))
	}
	return unit.BuiltinDefaults()
}

// verifySearch makes unit names of arguments, and the directories to search: first those the arguments are in. bad is an argument that is no unit.
func (a *analyze) verifySearch(args []string) (names, search []string, bad string) {
	for _, arg := range args {
		name, dir, ok := a.verifyName(arg)
		if !ok {
			return nil, nil, arg
		}
		names = append(names, name)
		if dir != "" && !contains(search, dir) {
			search = append(search, dir)
		}
	}
	p := a.paths()
	for _, d := range p.Search {
		search = append(search, p.Root+d)
	}
	return names, search, ""
}

// verifyName makes a unit name of an argument, and the directory to search first.
func (a *analyze) verifyName(arg string) (name, dir string, ok bool) {
	name = arg
	if strings.Contains(arg, "/") {
		full, err := filepath.Abs(arg)
		if err != nil {
			return "", "", false
		}
		dir, name = filepath.Split(full)
		dir = filepath.Clean(dir)
	} else if _, err := os.Stat(arg); err == nil {
		if dir, err = os.Getwd(); err != nil {
			return "", "", false
		}
	}
	if unit.Form(name) == unit.NameTemplate {
		name = unit.InstanceOf(name, a.instance)
	}
	return name, dir, unit.Form(name)&(unit.NamePlain|unit.NameInstance) != 0
}

// check reads a unit and what it pulls in.
func (v *verification) check(name string) bool {
	u := v.get(name)
	switch {
	case u.LoadState == unit.StateNotFound:
		v.print(name)
		v.a.errorf("Unit %s not found.", name)
		return false
	case u.LoadState == unit.StateMasked:
		v.a.errorf("Unit %s is masked.", name)
		return false
	}
	good := true
	missing := ""
	v.walk(u, func(d unit.Dep) {
		if v.a.recursiveErrors != "no" {
			if q := v.get(d.Name); q.LoadState == unit.StateNotFound && isHard(d.Type) && missing == "" {
				missing = d.Name
			}
		}
	})
	v.print(name)
	if u.LoadState != unit.StateLoaded && u.LoadError != nil {
		v.a.errorf("%s", u.LoadError.Message)
		return false
	}
	if missing != "" {
		v.a.errorf("%s: Failed to create %s/start: Unit %s not found.", name, name, missing)
		good = false
	}
	if u.Socket != nil && !v.socketService(u) {
		good = false
	}
	if !v.commands(u) {
		good = false
	}
	if v.a.man && !v.documentation(u) {
		good = false
	}
	return good
}

// get loads a unit once.
func (v *verification) get(name string) *unit.Unit {
	if u, ok := v.loaded[name]; ok {
		return u
	}
	u := v.load.Load(name)
	v.loaded[name] = u
	return u
}

// unitsMax bounds how far verify follows dependencies.
const unitsMax = 4096

// walk visits the dependencies of u, and of those that it starts.
func (v *verification) walk(u *unit.Unit, visit func(d unit.Dep)) {
	for _, d := range u.Deps {
		if !isPull(d.Type) {
			continue
		}
		_, known := v.loaded[d.Name]
		visit(d)
		if !known && v.a.recursiveErrors == "yes" && len(v.loaded) < unitsMax {
			v.walk(v.get(d.Name), func(d unit.Dep) { v.get(d.Name) })
		}
	}
}

func isHard(t unit.DepType) bool {
	switch t.String() {
	case "Requires", "Requisite", "BindsTo":
		return true
	}
	return false
}

func isPull(t unit.DepType) bool {
	return isHard(t) || t.String() == "Wants" || t.String() == "Upholds"
}

// print prints what was said since the last time: with --recursive-errors=no only of the unit itself.
func (v *verification) print(name string) {
	for _, m := range v.said {
		if m.Level > unit.LevelWarning {
			continue
		}
		if v.a.recursiveErrors == "no" && filepath.Base(m.File) != name && !strings.Contains(m.File, "/"+name+".d/") && m.File != name {
			continue
		}
		v.a.errorf("%s", m.String())
	}
	v.said = v.said[:0]
}

// socketService says whether the service of a socket is there.
func (v *verification) socketService(u *unit.Unit) bool {
	service := u.GetSocket().Service
	if service == "" {
		base := strings.TrimSuffix(u.Name, ".socket")
		service = base + ".service"
		if u.GetSocket().Accept {
			service = base + "@" + v.a.instance + ".service"
		}
	}
	if v.get(service).LoadState == unit.StateLoaded {
		return true
	}
	v.a.errorf("%s: service %s not loaded, socket cannot be started.", u.Name, service)
	return false
}

// commands says whether the programs of Exec*= are there.
func (v *verification) commands(u *unit.Unit) bool {
	good := true
	for _, row := range unit.Rows() {
		if row.In&unit.SectionsOf(u.Type) == 0 || !strings.HasPrefix(row.Name, "Exec") || row.IsDefault(u) {
			continue
		}
		for _, text := range row.Format(u) {
			commands, err := value.ParseCommand(text, nil)
			if err != nil && len(commands) == 0 {
				continue
			}
			for _, c := range commands {
				good = v.command(u, c) && good
			}
		}
	}
	return good
}

func (v *verification) command(u *unit.Unit, c value.Command) bool {
	if c.Flags&value.CommandIgnoreFailure != 0 || !strings.HasPrefix(c.Path, "/") {
		return true
	}
	st, err := os.Stat(v.a.o.root + c.Path)
	if err == nil && st.Mode()&0o111 == 0 {
		err = os.ErrPermission
	}
	if err == nil {
		return true
	}
	v.a.errorf("%s: Command %s is not executable: %s", u.Name, c.Path, errnoText(err))
	return false
}

// documentation says whether the manual pages are there.
func (v *verification) documentation(u *unit.Unit) bool {
	good := true
	for _, d := range u.Unit.Documentation {
		page, ok := strings.CutPrefix(d, "man:")
		if !ok {
			continue
		}
		args := []string{page}
		if name, section, ok := strings.Cut(strings.TrimSuffix(page, ")"), "("); ok {
			args = []string{section, name}
		}
		if err := exec.Command("man", append([]string{"-w"}, args...)...).Run(); err != nil {
			v.a.errorf("%s: Command 'man %s' failed with code %d", u.Name, page, 1)
			good = false
		}
	}
	return good
}
