package ctl

import (
	"math"
	"sort"
	"strings"

	"github.com/muster-init/muster/pkg/unit/value"
)

// typeListing is a list of the units of one type with a column for each thing about them.
type typeListing struct {
	suffix, noun string
	table        func(s *systemctl, units []unitProps) (*table, int)
}

// unitProps is a unit with its properties.
type unitProps struct {
	name  string
	props properties
}

var typeListings = map[string]typeListing{
	"list-sockets":    {".socket", "sockets", socketTable},
	"list-timers":     {".timer", "timers", timerTable},
	"list-paths":      {".path", "paths", pathTable},
	"list-automounts": {".automount", "automounts", automountTable},
}

// listType is list-sockets, list-timers, list-paths and list-automounts.
func listType(s *systemctl, name string, args []string) int {
	l := typeListings[name]
	if !s.online() {
		return exitFailure
	}
	var patterns []string
	for _, a := range args {
		n, ok := s.mangle(a, l.suffix, true)
		if !ok {
			return exitFailure
		}
		patterns = append(patterns, n)
	}
	list, err := s.fetchUnits(s.o.states, patterns)
	if err != nil {
		s.errorf("Failed to list units: %s", errorText(err))
		return exitFailure
	}
	var units []unitProps
	for i := range list {
		if !strings.HasSuffix(list[i].name, l.suffix) || !(s.o.all || len(s.o.states) > 0 || s.shownPlain(&list[i])) {
			continue
		}
		p, err := unitProperties(s.bus, list[i].name)
		if err != nil {
			continue
		}
		units = append(units, unitProps{list[i].name, p})
	}
	t, n := l.table(s, units)
	s.startPager(s.o.noPager)
	t.print(s.Env, tableStyle{header: s.o.legend(), full: s.o.full, json: s.o.output})
	if s.o.legend() {
		c := colorBold
		if n == 0 {
			c = colorBrightRed
		}
		s.printf("\n%s\n", s.in(c, sprintf("%d %s listed.", n, l.noun)))
		if !s.o.all {
			s.printf("Pass --all to see loaded but inactive %s, too.\n", l.noun)
		}
	}
	return 0
}

// triggersCell lists what a unit activates.
func triggersCell(p properties) cell {
	c := cell{text: strings.Join(p.strings("Triggers"), ", "), empty: "-"}
	if c.text == "" {
		c.json = jsonNull{}
	}
	return c
}

func socketTable(s *systemctl, units []unitProps) (*table, int) {
	t := newTable("LISTEN", "TYPE", "UNIT", "ACTIVATES")
	t.columns[1].hidden = !s.o.showTypes
	type entry struct {
		address, kind string
		u             *unitProps
	}
	var list []entry
	for i := range units {
		listen, _ := units[i].props["Listen"].([][]any)
		for _, l := range listen {
			list = append(list, entry{text(l[1]), text(l[0]), &units[i]})
		}
	}
	sort.SliceStable(list, func(i, j int) bool {
		if list[i].address != list[j].address {
			return pathLess(list[i].address, list[j].address)
		}
		return list[i].kind < list[j].kind
	})
	for _, e := range list {
		kind := textCell(e.kind)
		if !s.o.showTypes {
			kind.json = jsonAbsent{}
		}
		t.row(textCell(e.address), kind, textCell(e.u.name), triggersCell(e.u.props))
	}
	return t, len(list)
}

func pathTable(_ *systemctl, units []unitProps) (*table, int) {
	t := newTable("PATH", "CONDITION", "UNIT", "ACTIVATES")
	type entry struct {
		path, condition string
		u               *unitProps
	}
	var list []entry
	for i := range units {
		paths, _ := units[i].props["Paths"].([][]any)
		for _, l := range paths {
			list = append(list, entry{text(l[1]), text(l[0]), &units[i]})
		}
	}
	sort.SliceStable(list, func(i, j int) bool {
		a, b := list[i], list[j]
		if a.path != b.path {
			return a.path < b.path
		}
		if a.condition != b.condition {
			return a.condition < b.condition
		}
		return a.u.name < b.u.name
	})
	for _, e := range list {
		t.row(textCell(e.path), textCell(e.condition), textCell(e.u.name), triggersCell(e.u.props))
	}
	return t, len(list)
}

func automountTable(s *systemctl, units []unitProps) (*table, int) {
	t := newTable("WHAT", "WHERE", "MOUNTED", "IDLE TIMEOUT", "UNIT")
	sort.SliceStable(units, func(i, j int) bool { return units[i].props.str("Where") < units[j].props.str("Where") })
	for _, u := range units {
		mounted := u.props.str("SubState") == "running"
		idle := cell{empty: "-", json: jsonNull{}}
		if n := u.props.number("TimeoutIdleUSec"); n != 0 && n != math.MaxUint64 {
			idle = cell{text: value.FormatSpan(value.USec(n), value.USecPerSec), json: n}
		}
		what := cell{empty: "-", json: jsonNull{}}
		if w := s.mountSource(u.props); w != "" {
			what = textCell(w)
		}
		t.row(what, textCell(u.props.str("Where")), cell{text: yesNo(mounted), json: mounted}, idle, textCell(u.name))
	}
	return t, len(units)
}

// mountSource is what the mount unit of an automount mounts.
func (s *systemctl) mountSource(p properties) string {
	for _, t := range p.strings("Triggers") {
		if q, err := unitProperties(s.bus, t); err == nil {
			return q.str("What")
		}
	}
	return ""
}

// pathLess orders paths component by component, what isn't an absolute path first.
func pathLess(a, b string) bool {
	if x, y := strings.HasPrefix(a, "/"), strings.HasPrefix(b, "/"); x != y {
		return y
	}
	for {
		x, restA, moreA := strings.Cut(a, "/")
		y, restB, moreB := strings.Cut(b, "/")
		if x != y || !moreA || !moreB {
			return x < y || x == y && !moreA && moreB
		}
		a, b = restA, restB
	}
}
