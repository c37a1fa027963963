package ctl

import (
	"sort"
	"strings"

	"github.com/muster-init/muster/pkg/bus"
)

// dependencyTree walks dependencies for list-dependencies.
type dependencyTree struct {
	s          *systemctl
	properties []string
	known      map[string]properties
	seen       map[string]bool // printed (--plain), or on the way from the root
	lines      int
}

// listDependencies is list-dependencies.
func listDependencies(s *systemctl, _ string, args []string) int {
	if !s.online() {
		return exitFailure
	}
	if len(args) == 0 {
		args = []string{"default.target"}
	}
	names, _, ok := s.expandNames(args, ".service")
	if !ok {
		return exitFailure
	}
	if len(s.o.types) > 0 || len(s.o.states) > 0 {
		s.o.plain = true
	}
	s.startPager(s.o.noPager)
	for i, n := range names {
		if i > 0 {
			s.printf("\n")
		}
		s.printf("%s\n", n)
		t := &dependencyTree{s: s, properties: s.dependencyProperties(), known: map[string]properties{}, seen: map[string]bool{}}
		t.walk(n, 0, nil)
	}
	return 0
}

// dependencyProperties are the properties that are followed.
func (s *systemctl) dependencyProperties() []string {
	switch {
	case s.o.follow == "after":
		return []string{"After"}
	case s.o.follow == "before":
		return []string{"Before"}
	case s.o.follow == "reverse":
		return []string{"RequiredBy", "RequisiteOf", "WantedBy", "PartOf", "BoundBy", "UpheldBy"}
	}
	return forwardDependencies
}

// linesMax bounds what list-dependencies prints: with --all a tree may have more lines than anybody reads.
const linesMax = 1 << 20

// props reads the dependencies and the state of a unit, once.
func (t *dependencyTree) props(name string) properties {
	if p, ok := t.known[name]; ok {
		return p
	}
	list, err := getAll(t.s.bus, bus.UnitPath(name), unitIface)
	p := properties{}
	if err == nil {
		p = indexProperties(list)
	}
	t.known[name] = p
	return p
}

func (t *dependencyTree) dependencies(name string) []string {
	p := t.props(name)
	var out []string
	have := map[string]bool{}
	for _, property := range t.properties {
		for _, d := range p.strings(property) {
			if !have[d] {
				have[d] = true
				out = append(out, d)
			}
		}
	}
	sort.Slice(out, func(i, j int) bool {
		a, b := strings.HasSuffix(out[i], ".target"), strings.HasSuffix(out[j], ".target")
		if a != b {
			return b
		}
		return strings.ToLower(out[i]) < strings.ToLower(out[j])
	})
	return out
}

// walk prints what name depends on. branches says for each level above whether more follows there.
func (t *dependencyTree) walk(name string, level int, branches []bool) {
	t.seen[name] = true
	list := t.dependencies(name)
	for i, d := range list {
		if t.lines++; t.lines > linesMax {
			return
		}
		more := i < len(list)-1
		if t.seen[d] {
			if !t.s.o.plain {
				t.s.printf("  ")
				t.line("...", append(branches, more))
			}
			continue
		}
		if !t.print(d, append(branches, more)) {
			continue
		}
		if t.s.o.all || strings.HasSuffix(d, ".target") {
			t.walk(d, level+1, append(branches[:len(branches):len(branches)], more))
		} else if t.s.o.plain {
			t.seen[d] = true
		}
	}
	if !t.s.o.plain {
		delete(t.seen, name)
	}
}

// print prints one unit, if the options let it through; what it depends on is only of interest then.
func (t *dependencyTree) print(name string, branches []bool) bool {
	s := t.s
	if !hasSuffixOf(name, s.o.types) {
		return false
	}
	p := t.props(name)
	if len(s.o.states) > 0 && !contains(s.o.states, p.str("ActiveState")) && !contains(s.o.states, p.str("SubState")) && !contains(s.o.states, p.str("LoadState")) {
		return false
	}
	if s.o.plain {
		s.printf("  %s\n", name)
		return true
	}
	state := p.str("ActiveState")
	glyph := s.glyph(state)
	if s.colors() {
		c := activeColor(state)
		if c == colorNone {
			c = colorReset
		}
		glyph = string(c) + glyph + colorReset
	}
	s.printf("%s ", glyph)
	t.line(name, branches)
	return true
}

func (t *dependencyTree) line(name string, branches []bool) {
	var b strings.Builder
	for _, more := range branches[:len(branches)-1] {
		if more {
			b.WriteString("│ ")
		} else {
			b.WriteString("  ")
		}
	}
	if branches[len(branches)-1] {
		b.WriteString("├─")
	} else {
		b.WriteString("└─")
	}
	if w := t.s.lineWidth(); w > 0 {
		name = ellipsize(name, max(w-2*len(branches), 10), 100)
	}
	t.s.printf("%s%s\n", b.String(), name)
}
