package ctl

import (
	"errors"
	"path/filepath"
	"strings"

	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/install"
	"github.com/muster-init/muster/pkg/unit"
)

// fileOperation is a verb that changes the links of unit files: by the manager, or by itself where there is none.
type fileOperation struct {
	words   string // "enable unit" in messages
	method  string
	carries bool // the answer says whether there is anything in [Install]
	now     string
	args    func(s *systemctl, names []string) []any
	plan    func(s *systemctl, p install.Paths, names []string) (install.Plan, error)
}

var fileOperations = map[string]fileOperation{
	"enable": {"enable unit", "EnableUnitFiles", true, "start",
		func(s *systemctl, n []string) []any { return []any{n, s.o.runtime, s.o.force > 0} },
		func(s *systemctl, p install.Paths, n []string) (install.Plan, error) {
			return install.PlanEnable(p, n, s.o.runtime, s.o.force > 0)
		}},
	"disable": {"disable unit", "DisableUnitFilesWithFlagsAndInstallInfo", true, "stop",
		func(s *systemctl, n []string) []any { return []any{n, s.fileFlags()} },
		func(s *systemctl, p install.Paths, n []string) (install.Plan, error) {
			return install.PlanDisable(p, n, s.o.runtime)
		}},
	"reenable": {"reenable unit", "ReenableUnitFiles", true, "restart",
		func(s *systemctl, n []string) []any { return []any{n, s.o.runtime, s.o.force > 0} },
		func(s *systemctl, p install.Paths, n []string) (install.Plan, error) {
			return install.PlanReenable(p, n, s.o.runtime, s.o.force > 0)
		}},
	"link": {"link unit", "LinkUnitFiles", false, "",
		func(s *systemctl, n []string) []any { return []any{n, s.o.runtime, s.o.force > 0} },
		func(s *systemctl, p install.Paths, n []string) (install.Plan, error) {
			return install.PlanLink(p, n, s.o.runtime, s.o.force > 0)
		}},
	"preset": {"preset unit", "PresetUnitFilesWithMode", true, "",
		func(s *systemctl, n []string) []any { return []any{n, presetBusMode(s), s.o.runtime, s.o.force > 0} },
		func(s *systemctl, p install.Paths, n []string) (install.Plan, error) {
			return install.PlanPreset(p, n, s.o.presetMode, s.o.runtime, s.o.force > 0)
		}},
	"mask": {"mask unit", "MaskUnitFiles", false, "stop",
		func(s *systemctl, n []string) []any { return []any{n, s.o.runtime, s.o.force > 0} },
		func(s *systemctl, p install.Paths, n []string) (install.Plan, error) {
			return install.PlanMask(p, n, s.o.runtime, s.o.force > 0)
		}},
	"unmask": {"unmask unit", "UnmaskUnitFiles", false, "",
		func(s *systemctl, n []string) []any { return []any{n, s.o.runtime} },
		func(s *systemctl, p install.Paths, n []string) (install.Plan, error) {
			return install.PlanUnmask(p, n, s.o.runtime)
		}},
	"revert": {"revert unit", "RevertUnitFiles", false, "",
		func(s *systemctl, n []string) []any { return []any{n} },
		func(s *systemctl, p install.Paths, n []string) (install.Plan, error) { return install.PlanRevert(p, n) }},
	"preset-all": {"preset all units", "PresetAllUnitFiles", false, "",
		func(s *systemctl, _ []string) []any { return []any{presetBusMode(s), s.o.runtime, s.o.force > 0} },
		func(s *systemctl, p install.Paths, _ []string) (install.Plan, error) {
			return install.PlanPresetAll(p, s.o.presetMode, s.o.runtime, s.o.force > 0)
		}},
	"set-default": {"set default target", "SetDefaultTarget", false, "",
		func(s *systemctl, n []string) []any { return []any{n[0], true} },
		func(s *systemctl, p install.Paths, n []string) (install.Plan, error) {
			return install.PlanDefault(p, n[0], true)
		}},
	"add-wants":    dependencyOperation("Wants"),
	"add-requires": dependencyOperation("Requires"),
}

func dependencyOperation(kind string) fileOperation {
	return fileOperation{"add dependency", "AddDependencyUnitFiles", false, "",
		func(s *systemctl, n []string) []any { return []any{n[1:], n[0], kind, s.o.runtime, s.o.force > 0} },
		func(s *systemctl, p install.Paths, n []string) (install.Plan, error) {
			return install.PlanDependency(p, n[1:], n[0], kind, s.o.runtime, s.o.force > 0)
		}}
}

func presetBusMode(s *systemctl) string { return s.o.presetMode }

// fileFlags are the flags of the …WithFlags methods: 1 runtime, 2 force.
func (s *systemctl) fileFlags() uint64 {
	flags := uint64(0)
	if s.o.runtime {
		flags |= 1
	}
	if s.o.force > 0 {
		flags |= 2
	}
	return flags
}

// changeFiles is enable, disable, mask and all other verbs of fileOperations.
func changeFiles(s *systemctl, verb string, args []string) int {
	op := fileOperations[verb]
	names, ok := s.fileNames(verb, args)
	if !ok {
		return exitFailure
	}
	if len(names) == 0 && len(args) > 0 {
		return 0
	}
	plain := names
	if verb == "mask" && !s.warnMissing(names) {
		return exitFailure
	}
	carries, status := s.applyFiles(op, verb, names)
	if status != 0 {
		return status
	}
	if !carries && op.carries && !s.o.quiet && !s.o.noWarn && verb != "preset" {
		s.noteNoInstall()
	}
	if s.o.now && op.now != "" {
		return s.nowJobs(op.now, plain)
	}
	return 0
}

// applyFiles carries an operation out. carries says whether the files have an [Install] section that says something.
func (s *systemctl) applyFiles(op fileOperation, verb string, names []string) (carries bool, status int) {
	if s.installClientSide() {
		return s.applyClientSide(op, names)
	}
	if !s.online() {
		return false, exitFailure
	}
	s.bus.Timeout = longCall
	r, err := s.call(op.method, op.args(s, names)...)
	s.bus.Timeout = 0
	if err != nil {
		if hasName(err, bus.ErrUnknownMethod) && verb == "disable" {
			op.method, op.carries = "DisableUnitFiles", false
			op.args = func(s *systemctl, n []string) []any { return []any{n, s.o.runtime} }
			_, status := s.applyFiles(op, "", names)
			return true, status
		}
		s.errorf("Failed to %s: %s", op.words, installError(err))
		return false, exitFailure
	}
	d := r.Decoder()
	carries = true
	if strings.HasPrefix(r.Signature, "b") {
		carries = d.Bool()
	}
	var changes []install.Change
	for a := d.BeginArray('('); d.More(a); {
		d.Struct()
		changes = append(changes, install.Change{Type: d.String(), Path: d.String(), Source: d.String()})
	}
	s.printChanges(op.words, changes)
	if !s.o.noReload {
		return carries, s.reloadManager("daemon-reload")
	}
	return carries, 0
}

func (s *systemctl) applyClientSide(op fileOperation, names []string) (bool, int) {
	p := s.paths()
	plan, err := op.plan(s, p, names)
	var done []install.Change
	if err == nil && s.o.dryRun {
		done = plan.Changes
	} else if err == nil {
		done, err = install.Apply(p, plan)
	}
	s.printChanges(op.words, done)
	if err != nil {
		s.errorf("Failed to %s: %s", op.words, installError(err))
		return false, exitFailure
	}
	return plan.CarriesInstallInfo, 0
}

// printChanges tells what was done.
func (s *systemctl) printChanges(words string, changes []install.Change) {
	verb, _, _ := strings.Cut(words, " ")
	for _, c := range changes {
		switch {
		case c.Type == install.Symlink && !s.o.quiet:
			s.notef("Created symlink '%s' → '%s'.", c.Path, c.Source)
		case c.Type == install.Unlink && !s.o.quiet:
			s.notef("Removed '%s'.", c.Path)
		case c.Type == install.IsMasked && !s.o.quiet:
			s.notef("Unit %s is masked, ignoring.", c.Path)
		case c.Type == install.IsMaskedGen && !s.o.quiet:
			s.notef("Unit %s is masked via a generator and cannot be unmasked, skipping.", c.Path)
		case c.Type == install.IsDangling && !s.o.quiet:
			s.notef("Unit %s is an alias to a unit that is not present, ignoring.", c.Path)
		case c.Type == install.DestinationGone && !s.o.quiet:
			s.warnf("Unit %s is added as a dependency to a non-existent unit %s.", c.Source, c.Path)
		case c.Type == install.AuxiliaryFailed && !s.o.quiet:
			s.warnf("Failed to %s auxiliary unit %s, ignoring.", verb, c.Path)
		}
	}
}

// noteNoInstall explains why enable or disable did nothing.
func (s *systemctl) noteNoInstall() {
	s.notef("The unit files have no installation config (WantedBy=, RequiredBy=, UpheldBy=,\n" +
		"Also=, or Alias= settings in the [Install] section, and DefaultInstance= for\n" +
		"template units), so there are no links to make or to remove.\n\n" +
		"Such units are pulled in by other units, activated by a socket, a timer, a path,\n" +
		"the bus or a device, or are templates that need the name of an instance.")
}

// nowJobs starts or stops the units whose files were changed.
func (s *systemctl) nowJobs(verb string, names []string) int {
	if !s.online() {
		return exitFailure
	}
	var units []string
	for _, n := range names {
		n = filepath.Base(n)
		if unit.Form(n) == unit.NameTemplate {
			continue
		}
		units = append(units, n)
	}
	a := findAction(verb)
	return s.runJobs(a, s.o.jobMode, units, 0)
}

// fileNames makes unit names, or paths where the verb takes them, of arguments.
func (s *systemctl) fileNames(verb string, args []string) ([]string, bool) {
	var out []string
	for i, a := range args {
		suffix := ".service"
		if verb == "set-default" || i == 0 && (verb == "add-wants" || verb == "add-requires") {
			suffix = ".target"
		}
		switch {
		case verb == "link" && !strings.Contains(a, "/"):
			s.errorf("Link argument must contain at least one directory separator.")
			s.errorf("If you intended to link a file in the current directory, try './%s' instead.", a)
			return nil, false
		case strings.Contains(a, "/"):
			p, err := filepath.Abs(a)
			if err != nil {
				s.errorf("Failed to make path '%s' absolute: %s", a, errnoText(err))
				return nil, false
			}
			out = append(out, p)
			continue
		}
		n, changed, err := unit.Mangle(a, suffix, 0)
		if err != nil {
			s.errorf("Failed to mangle name: Invalid argument")
			return nil, false
		}
		if changed {
			if unit.IsGlob(a) {
				s.notef("Glob pattern passed to %s, but globs are not supported for this.", verb)
			}
			s.notef("Invalid unit name \"%s\" escaped as \"%s\".", a, strings.TrimSuffix(n, suffix))
		}
		out = append(out, n)
	}
	return out, true
}

// warnMissing tells of units that are masked though they don't exist.
func (s *systemctl) warnMissing(names []string) bool {
	if !s.installClientSide() {
		return s.warnNotFound(names)
	}
	links := install.ReadLinks(s.paths())
	for _, n := range names {
		if _, err := links.State(n); errors.Is(err, install.ErrNotFound) && !s.o.quiet {
			s.notef("Unit %s does not exist, proceeding anyway.", n)
		}
	}
	return true
}

func (s *systemctl) warnNotFound(names []string) bool {
	if !s.online() {
		return false
	}
	for _, n := range names {
		if unit.Form(n)&(unit.NamePlain|unit.NameInstance) == 0 && !strings.Contains(n, "/") {
			continue
		}
		load, err := s.unitString(n, "LoadState")
		if strings.Contains(n, "/") {
			err = bus.Errorf(bus.ErrInvalidArgs, "Unit name %s is neither a valid invocation ID nor unit name.", n)
		}
		if err != nil {
			s.errorf("Failed to get properties: %s", errorText(err))
			return false
		}
		if load == "not-found" && !s.o.quiet {
			s.notef("Unit %s does not exist, proceeding anyway.", n)
		}
	}
	return true
}

// installError is what is wrong with unit files, in systemctl's words.
func installError(err error) string {
	message := errorText(err)
	if rest, ok := strings.CutPrefix(message, "unit file "); ok {
		return "Unit " + rest
	}
	return message
}

// isEnabled is is-enabled.
func isEnabled(s *systemctl, _ string, args []string) int {
	names, ok := s.fileNames("is-enabled", args)
	if !ok {
		return exitFailure
	}
	local := s.installClientSide()
	if !local && !s.online() {
		return exitFailure
	}
	good, missing := false, 0
	for _, n := range names {
		state, err := s.fileState(local, n)
		if err != nil {
			if !errors.Is(err, install.ErrNotFound) && !hasName(err, bus.ErrFileNotFound, bus.ErrNoSuchUnit) {
				s.errorf("Failed to get unit file state for %s: %s", n, errorText(err))
				return exitFailure
			}
			state = "not-found"
			missing++
		}
		switch state {
		case "enabled", "enabled-runtime", "static", "alias", "indirect", "generated":
			good = true
		}
		if s.o.quiet {
			continue
		}
		s.printf("%s\n", state)
		if s.o.full && err == nil {
			s.printFileLinks(local, n)
		}
	}
	switch {
	case good:
		return 0
	case missing == len(names):
		return exitNoSuchUnit
	}
	return exitFailure
}

func (s *systemctl) fileState(local bool, name string) (string, error) {
	if local {
		return install.ReadLinks(s.paths()).State(name)
	}
	return s.callString("GetUnitFileState", name)
}

// printFileLinks lists the links by which a unit is enabled.
func (s *systemctl) printFileLinks(local bool, name string) {
	var links []string
	if local {
		plan, err := install.PlanDisable(s.paths(), []string{name}, s.o.runtime)
		if err != nil {
			return
		}
		for _, c := range plan.Changes {
			if c.Type == install.Unlink {
				links = append(links, c.Path)
			}
		}
	} else {
		r, err := s.call("GetUnitFileLinks", name, s.o.runtime)
		if err != nil {
			return
		}
		d := r.Decoder()
		links = d.Strings()
	}
	for _, l := range links {
		s.printf("  %s\n", l)
	}
}

// getDefault is get-default.
func getDefault(s *systemctl, _ string, _ []string) int {
	var name string
	var err error
	if s.installClientSide() {
		name, err = install.GetDefault(s.paths())
	} else {
		if !s.online() {
			return exitFailure
		}
		name, err = s.callString("GetDefaultTarget")
	}
	if err != nil {
		s.errorf("Failed to get default target: %s", errorText(err))
		return exitFailure
	}
	s.printf("%s\n", name)
	return 0
}
