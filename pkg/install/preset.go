package install

import (
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"

	"github.com/muster-init/muster/pkg/unit"
)

// Preset is one line of a preset file (systemd.preset(5)).
type Preset struct {
	Enable    bool
	Ignore    bool
	Pattern   string
	Instances []string
}

// ReadPresets reads the preset files in the order in which the first match counts.
func ReadPresets(p Paths) []Preset {
	byName := map[string]string{}
	for _, dir := range p.Presets {
		entries, _ := filepath.Glob(p.abs(filepath.Join(dir, "*.preset")))
		for _, e := range entries {
			if _, ok := byName[filepath.Base(e)]; !ok {
				byName[filepath.Base(e)] = e
			}
		}
	}
	names := make([]string, 0, len(byName))
	for n := range byName {
		names = append(names, n)
	}
	sort.Strings(names)
	var out []Preset
	for _, n := range names {
		data, err := os.ReadFile(byName[n])
		if err != nil {
			continue
		}
		for _, line := range strings.Split(string(data), "\n") {
			fields := strings.Fields(line)
			if len(fields) < 2 || strings.HasPrefix(fields[0], "#") || strings.HasPrefix(fields[0], ";") {
				continue
			}
			r := Preset{Pattern: fields[1], Instances: fields[2:], Enable: fields[0] == "enable", Ignore: fields[0] == "ignore"}
			if r.Enable || r.Ignore || fields[0] == "disable" {
				out = append(out, r)
			}
		}
	}
	return out
}

// Wanted says what the presets want of a unit: enabled (instances lists those of a template), ignore, or disabled. Without a rule it is enabled.
func Wanted(rules []Preset, name string) (action string, instances []string) {
	for _, r := range rules {
		match, _ := path.Match(r.Pattern, name)
		if !match && unit.Form(name) == unit.NameInstance && r.Enable && r.Pattern == unit.TemplateOf(name) {
			for _, i := range r.Instances {
				match = match || i == unit.Instance(name)
			}
		}
		if !match {
			continue
		}
		switch {
		case r.Ignore:
			return "ignore", nil
		case r.Enable:
			return "enabled", r.Instances
		}
		return "disabled", nil
	}
	return "enabled", nil
}

// PlanPreset plans what the presets want for names. mode: full, enable-only, disable-only.
func PlanPreset(p Paths, names []string, mode string, runtime, force bool) (Plan, error) {
	rules := ReadPresets(p)
	var plan Plan
	for _, name := range names {
		if _, err := p.find(name); err != nil {
			return plan, err
		}
		action, instances := Wanted(rules, name)
		var one Plan
		var err error
		switch {
		case action == "enabled" && mode != "disable-only":
			list := []string{name}
			if len(instances) > 0 && unit.Form(name) == unit.NameTemplate {
				list = nil
				for _, i := range instances {
					list = append(list, unit.InstanceOf(name, i))
				}
			}
			one, err = PlanEnable(p, list, runtime, force)
		case action == "disabled" && mode != "enable-only":
			one, err = PlanDisable(p, []string{name}, runtime)
		}
		if err != nil {
			return plan, err
		}
		plan.Changes = append(plan.Changes, one.Changes...)
		plan.CarriesInstallInfo = plan.CarriesInstallInfo || one.CarriesInstallInfo
		if plan.Failed == nil {
			plan.Failed = one.Failed
		}
	}
	return plan, nil
}

// PlanPresetAll does so for every unit file that has an [Install] section and isn't masked.
func PlanPresetAll(p Paths, mode string, runtime, force bool) (Plan, error) {
	var names []string
	for _, e := range List(p) {
		switch e.State {
		case "enabled", "disabled", "enabled-runtime", "indirect", "linked", "linked-runtime":
			names = append(names, filepath.Base(e.Path))
		}
	}
	var plan Plan
	for _, n := range names {
		one, err := PlanPreset(p, []string{n}, mode, runtime, force)
		if err != nil {
			plan.Changes = append(plan.Changes, Change{AuxiliaryFailed, n, err.Error()})
			continue
		}
		plan.Changes = append(plan.Changes, one.Changes...)
	}
	return plan, nil
}
