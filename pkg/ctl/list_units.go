package ctl

import (
	"github.com/muster-init/muster/pkg/bus"
)

// listUnits is list-units.
func listUnits(s *systemctl, _ string, args []string) int {
	patterns := args
	if !s.online() {
		return exitFailure
	}
	if s.o.withDependencies {
		var ok bool
		if patterns, ok = s.withDependencies(patterns); !ok {
			return exitFailure
		}
	}
	list, err := s.fetchUnits(s.o.states, patterns)
	if err != nil {
		s.errorf("Failed to list units: %s", errorText(err))
		return exitFailure
	}
	kept := list[:0]
	for i := range list {
		if s.shown(&list[i], patterns) {
			kept = append(kept, list[i])
		}
	}
	sortUnits(kept)
	s.startPager(s.o.noPager)
	s.printUnits(kept)
	return 0
}

// stateColor is the colour of a unit that isn't simply fine.
func stateColor(u *unitInfo) (dot, active color) {
	switch u.active {
	case "failed":
		return colorBrightRed, colorBrightRed
	case "reloading", "activating", "maintenance", "refreshing", "deactivating":
		return colorBold, colorBold
	case "inactive":
		return colorNone, colorGrey
	}
	return colorNone, colorNone
}

func (s *systemctl) printUnits(list []unitInfo) {
	t := newTable("", "UNIT", "LOAD", "ACTIVE", "SUB", "JOB", "DESCRIPTION")
	t.columns[0].minimum = 1
	jobs := false
	for i := range list {
		u := &list[i]
		if i > 0 && suffixOf(u.name) != suffixOf(list[i-1].name) {
			t.underlineLast()
		}
		jobs = jobs || u.job != 0
		t.row(s.unitRow(u)...)
	}
	t.columns[5].hidden = !jobs
	if s.o.plain {
		t.columns[0].hidden = true
	}
	style := tableStyle{header: s.o.legend(), full: s.o.full, json: s.o.output}
	if len(list) > 0 || style.json != "" && style.json[0] == 'j' || s.o.legend() {
		t.print(s.Env, style)
	}
	if s.o.legend() {
		s.unitsFooter(len(list), jobs)
	}
}

func (s *systemctl) unitRow(u *unitInfo) []cell {
	dotColor, activeColor := stateColor(u)
	dot, loadColor, subColor := "", colorNone, activeColor
	nameColor := activeColor
	switch {
	case u.load == "not-found" || u.load == "bad-setting" || u.load == "error" || u.load == "masked":
		loadColor = colorBrightYellow
		if u.load == "masked" {
			loadColor = colorGrey
		}
		dot, dotColor = "●", loadColor
	case u.active == "failed":
		dot = "●"
	case dotColor == colorBold:
		dot = "●"
	}
	if u.active == "active" {
		nameColor = colorNone
		if u.sub == "exited" {
			subColor = colorGrey
		}
	}
	job := cell{text: u.jobType, json: jsonAbsent{}, empty: "-"}
	if u.job != 0 {
		job.json = u.jobType
	}
	return []cell{
		{text: dot, both: dotColor, json: jsonAbsent{}, empty: " "},
		colorCell(u.name, nameColor), colorCell(u.load, loadColor), colorCell(u.active, activeColor), colorCell(u.sub, subColor),
		job, textCell(u.description),
	}
}

// glyph is the dot in front of a unit.
func (s *systemctl) glyph(active string) string {
	switch active {
	case "inactive", "maintenance":
		return "○"
	case "failed":
		return "×"
	case "reloading", "refreshing":
		return "↻"
	}
	return "●"
}

func (s *systemctl) unitsFooter(n int, jobs bool) {
	if n > 0 {
		lines := []string{
			"Legend: LOAD   → Reflects whether the unit definition was properly loaded.",
			"        ACTIVE → The high-level unit activation state, i.e. generalization of SUB.",
			"        SUB    → The low-level unit activation state, values depend on unit type.",
		}
		if jobs {
			lines = append(lines, "        JOB    → Pending job for the unit.")
		}
		s.printf("\n")
		for _, l := range lines {
			s.printf("%s\n", s.in(colorGrey, l))
		}
	}
	s.printf("\n")
	c := colorBold
	if n == 0 {
		c = colorBrightRed
	}
	count := sprintf("%d loaded units listed.", n)
	hint := s.in(colorGrey, "To show all installed unit files use 'systemctl list-unit-files'.")
	switch {
	case s.o.all:
		s.printf("%s\n%s\n", s.in(c, count), hint)
	case len(s.o.states) > 0:
		s.printf("%s\n", count)
	default:
		s.printf("%s %s\n%s\n", s.in(c, count), s.in(colorGrey, "Pass --all to see loaded but inactive units, too."), hint)
	}
}

// withDependencies adds to names what they depend on, one step far.
func (s *systemctl) withDependencies(names []string) ([]string, bool) {
	seen := map[string]bool{}
	var out []string
	add := func(n string) {
		if !seen[n] {
			seen[n] = true
			out = append(out, n)
		}
	}
	for _, n := range names {
		add(n)
	}
	for _, n := range names {
		list, err := getAll(s.bus, bus.UnitPath(n), unitIface)
		if err != nil {
			s.errorf("Failed to get properties of %s: %s", n, errorText(err))
			continue
		}
		p := indexProperties(list)
		for _, property := range forwardDependencies {
			for _, d := range p.strings(property) {
				add(d)
			}
		}
	}
	return out, true
}

// forwardDependencies are the properties list-dependencies follows.
var forwardDependencies = []string{"Requires", "Requisite", "Wants", "ConsistsOf", "BindsTo", "Upholds"}
