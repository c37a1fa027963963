package ctl

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/muster-init/muster/pkg/loader"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// analyzeSecurity is security: how exposed services are.
func analyzeSecurity(a *analyze, args []string) int {
	checks := securityChecks()
	if a.policy != "" {
		says, err := applyPolicy(checks, a.policy)
		if err != nil {
			a.errorf("%s", err)
			return exitFailure
		}
		a.says = says
	}
	switch {
	case a.offline && len(args) == 0:
		a.errorf("Option --offline= requires one or more units to perform a security review.")
		return exitFailure
	case a.offline:
		return a.securityOffline(checks, args)
	case !a.online():
		return exitFailure
	case len(args) == 0:
		return a.securityOverview(checks)
	}
	return a.securityUnits(checks, args)
}

// securityUnits looks at services of the manager; several get an overview at the end.
func (a *analyze) securityUnits(checks []securityCheck, args []string) int {
	a.startPager(a.o.noPager)
	status := 0
	overview := newOverview()
	for i, arg := range args {
		n, _, err := unit.Mangle(arg, ".service", 0)
		if err != nil {
			a.errorf("Failed to mangle unit name '%s': Invalid argument", arg)
			return exitFailure
		}
		if unit.Form(n) == unit.NameTemplate {
			n = unit.InstanceOf(n, a.instance)
		}
		if i > 0 {
			a.printf("\n")
			a.Flush()
		}
		p, err := a.securityProperties(n)
		if err != nil {
			a.errorf("%s", err)
			status = exitFailure
			continue
		}
		c := busConfinement(p)
		status = max(status, a.securityReport(n, c, checks))
		overview.add(n, c, checks)
	}
	if len(args) > 1 {
		a.printf("\n")
		overview.print(a)
	}
	return status
}

// securityProperties reads the properties of a service, or says why it can't be looked at.
func (a *analyze) securityProperties(name string) (properties, error) {
	if !strings.HasSuffix(name, ".service") {
		return nil, fmt.Errorf("Unit %s is not a service unit, refusing.", name)
	}
	p, err := unitProperties(a.bus, name)
	switch {
	case err != nil:
		return nil, fmt.Errorf("Failed to get unit properties: %s", errorText(err))
	case p.str("LoadState") == "not-found":
		return nil, fmt.Errorf("Unit %s not found, cannot analyze.", name)
	case p.str("LoadState") == "masked":
		return nil, fmt.Errorf("Unit %s is masked, cannot analyze.", name)
	}
	return p, nil
}

// securityOffline looks at unit files without a manager.
func (a *analyze) securityOffline(checks []securityCheck, args []string) int {
	v := &verification{a: a, loaded: map[string]*unit.Unit{}}
	names, search, bad := a.verifySearch(args)
	if bad != "" {
		a.errorf("Failed to prepare filename %s: Invalid argument", bad)
		return exitFailure
	}
	if a.profile != "" {
		dir, err := a.profileDropIns(names)
		if err != nil {
			a.errorf("Failed to find portable profile %s: %s", a.profile, errnoText(err))
			return exitFailure
		}
		defer os.RemoveAll(dir)
		search = append([]string{dir}, search...)
	}
	v.load = loader.New(search, loader.Scan(search), a.host(), a.unitDefaults(), func(m unit.Message) { v.said = append(v.said, m) })
	a.startPager(a.o.noPager)
	status := 0
	for _, n := range names {
		u := v.get(n)
		v.print(n)
		switch {
		case u.LoadState == unit.StateNotFound:
			a.errorf("Unit %s not found.", n)
			return exitFailure
		case u.LoadState != unit.StateLoaded:
			a.errorf("Failed to load unit %s: it is %s.", n, u.LoadState)
			return exitFailure
		}
		status = max(status, a.securityReport(n, unitConfinement(u), checks))
	}
	return status
}

// profileDropIns makes a directory in which the units have the profile as their last drop-in.
func (a *analyze) profileDropIns(units []string) (string, error) {
	text, err := a.readProfile()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "musterctl-profile-")
	if err != nil {
		return "", err
	}
	for _, u := range units {
		if err = os.Mkdir(filepath.Join(dir, u+".d"), 0o755); err == nil {
			err = os.WriteFile(filepath.Join(dir, u+".d", "zz-profile.conf"), text, 0o644)
		}
		if err != nil {
			break
		}
	}
	return dir, err
}

// readProfile reads the settings of a profile for portable services, by path or by name.
func (a *analyze) readProfile() ([]byte, error) {
	if strings.Contains(a.profile, "/") {
		return os.ReadFile(a.profile)
	}
	err := error(os.ErrNotExist)
	for _, d := range []string{"/etc", "/run", "/usr/local/lib", "/usr/lib"} {
		var b []byte
		if b, err = os.ReadFile(a.path(filepath.Join(d, "systemd/portable/profile", a.profile, "service.conf"))); err == nil {
			return b, nil
		}
	}
	return nil, err
}

// securityReport prints the table of one service. It fails when the exposure is over the threshold.
func (a *analyze) securityReport(name string, c *confinement, checks []securityCheck) int {
	found, exposure := assess(c, checks)
	total := 0
	for _, f := range found {
		if f.applies() {
			total += f.weight
		}
	}
	// DEVIATION: `analyze security` sorts its rows by exposure, worst first; systemd-analyze sorts them by the letters of its descriptions. Ours are worded differently.
	sort.SliceStable(found, func(i, j int) bool { return found[i].share(total) > found[j].share(total) })
	if strings.HasPrefix(a.o.output, "json") {
		a.securityJSON(found, total)
	} else {
		a.securityTable(name, found, exposure, total)
	}
	if exposure > a.threshold {
		return exitFailure
	}
	return 0
}

// share is a finding's part of the exposure, in tenths of a percent point, rounded up.
func (f *finding) share(total int) int {
	if !f.applies() || total == 0 {
		return -1
	}
	return roundUp(float64(f.badness) * float64(f.weight) * 100 / float64(f.worst) / float64(total))
}

func tenths(n int) string { return fmt.Sprintf("%d.%d", n/10, n%10) }

func (a *analyze) securityTable(name string, found []finding, exposure, total int) {
	t := newTable(" ", "NAME", "DESCRIPTION", "EXPOSURE")
	for i := range found {
		f := &found[i]
		mark, share := colorCell("✗", colorBrightRed), cell{right: true, text: tenths(f.share(total))}
		switch {
		case !f.applies():
			mark, share = colorCell(" ", colorGrey), cell{text: "        ", both: colorGrey}
		case f.good():
			mark, share = colorCell("✓", colorBrightGreen), cell{text: "        ", both: colorGrey}
		}
		t.row(mark, textCell(f.name), textCell(a.said(f)), share)
	}
	t.print(a.Env, tableStyle{header: a.o.legend(), full: true})
	w := wordFor(exposure)
	a.printf("\n→ %s: %s %s\n", a.in(colorBold, "Overall exposure level for "+name), a.in(w.color, tenths(exposure)+" "+w.word), w.face)
}

func (a *analyze) securityJSON(found []finding, total int) {
	list := make([]any, 0, len(found))
	for i := range found {
		f := &found[i]
		var set, share any = f.good(), nil
		if !f.applies() {
			set = nil
		} else if !f.good() {
			share = tenths(f.share(total))
		}
		list = append(list, jsonObject{{"set", set}, {"name", f.name}, {"json_field", f.field}, {"description", a.said(f)}, {"exposure", share}})
	}
	a.printf("%s\n", formatJSON(list, a.o.output == "json-pretty"))
}

// securityOverview lists the exposure of all services that run for long.
func (a *analyze) securityOverview(checks []securityCheck) int {
	list, err := a.fetchUnits(nil, nil)
	if err != nil {
		a.errorf("Failed to list units: %s", errorText(err))
		return exitFailure
	}
	var names []string
	for _, u := range list {
		if strings.HasSuffix(u.name, ".service") && u.load == "loaded" {
			names = append(names, u.name)
		}
	}
	sort.Strings(names)
	overview := newOverview()
	for _, n := range names {
		if p, err := a.securityProperties(n); err == nil && p.str("Type") != "oneshot" {
			overview.add(n, busConfinement(p), checks)
		}
	}
	a.startPager(a.o.noPager)
	overview.print(a)
	if overview.worst > a.threshold {
		return exitFailure
	}
	return 0
}

// exposureOverview is the table of several services.
type exposureOverview struct {
	*table
	worst int
}

func newOverview() *exposureOverview {
	return &exposureOverview{table: newTable("UNIT", "EXPOSURE", "PREDICATE", "HAPPY")}
}

func (o *exposureOverview) add(name string, c *confinement, checks []securityCheck) {
	_, exposure := assess(c, checks)
	w := wordFor(exposure)
	o.row(textCell(name), cell{text: tenths(exposure), right: true}, colorCell(w.word, w.color), textCell(w.face))
	o.worst = max(o.worst, exposure)
}

func (o *exposureOverview) print(a *analyze) {
	o.table.print(a.Env, tableStyle{header: a.o.legend(), full: true, json: a.o.output})
}

type exposureWord struct {
	least      int
	word, face string
	color      color
}

func wordFor(exposure int) exposureWord {
	for _, w := range exposureWords {
		if exposure >= w.least {
			return w
		}
	}
	return exposureWords[len(exposureWords)-1]
}

// applyPolicy changes weights and ranges as a policy file says (an object with an object for each check), and gives its descriptions by field.
func applyPolicy(checks []securityCheck, path string) (map[string]policyWords, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("Failed to parse '%s' at 0:0: %s", path, errnoText(err))
	}
	var policy map[string]struct {
		Weight, Range *float64
		Good          *string `json:"description_good"`
		Bad           *string `json:"description_bad"`
		NA            *string `json:"description_na"`
	}
	if err := json.Unmarshal(b, &policy); err != nil {
		var at *json.SyntaxError
		if errors.As(err, &at) {
			line := strings.Count(string(b[:at.Offset]), "\n") + 1
			return nil, fmt.Errorf("Failed to parse '%s' at line %d: %s", path, line, err)
		}
		return nil, fmt.Errorf("Failed to parse '%s': %s", path, err)
	}
	says := map[string]policyWords{}
	for i := range checks {
		k := &checks[i]
		p, ok := policy[k.field]
		if !ok {
			continue
		}
		if p.Weight != nil {
			k.weight = int(max(*p.Weight, 0))
		}
		if p.Range != nil {
			if *p.Range < 1 {
				return nil, fmt.Errorf("Range of %s in '%s' must be 1 or more.", k.field, path)
			}
			k.worst = int(*p.Range)
		}
		says[k.field] = policyWords{p.Good, p.Bad, p.NA}
	}
	return says, nil
}

// policyWords are the descriptions that a policy file has of one check; nil is ours.
type policyWords struct{ good, bad, na *string }

// said is the description of a finding.
func (a *analyze) said(f *finding) string {
	w := a.says[f.field]
	text := w.bad
	switch {
	case !f.applies():
		text = w.na
	case f.good():
		text = w.good
	}
	if text != nil {
		return *text
	}
	return f.said
}

// securityOptions are the options of security.
func (a *analyze) securityOptions() []option {
	return []option{
		{long: "offline", arg: needsArgument, name: "BOOL", doc: "security: look at unit files, not at the manager", set: func(v string) error {
			b, err := value.ParseBool(v)
			if err != nil {
				return fmt.Errorf("Failed to parse boolean argument to --offline: %s.", v)
			}
			a.offline = b
			return nil
		}},
		{long: "threshold", arg: needsArgument, name: "NUMBER", doc: "security: fail if the exposure is larger, 0 to 100", set: func(v string) error {
			n, err := value.ParseUint(v, 31)
			if err != nil || n > 100 {
				return fmt.Errorf("Failed to parse threshold: %s", v)
			}
			a.threshold = int(n)
			return nil
		}},
		{long: "security-policy", arg: needsArgument, name: "PATH", doc: "security: weights and ranges from a JSON file", set: setString(&a.policy)},
		{long: "profile", arg: needsArgument, name: "NAME|PATH", doc: "security: with the settings of a portable profile", set: setString(&a.profile)},
	}
}
