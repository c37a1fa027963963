package loader

import (
	"fmt"
	"slices"
	"testing"

	"github.com/muster-init/muster/pkg/unit"
)

// TestAhead loads units in several orders while their files are read ahead: each must come out as it would without.
func TestAhead(t *testing.T) {
	const n = 3 * aheadMax
	root := manyUnits(t, n)
	index := Scan([]string{root})
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("u%d.service", i))
	}
	names = append(names, "missing.service")
	orders := map[string]func(i int) int{
		"the same":     func(i int) int { return i },
		"the reverse":  func(i int) int { return len(names) - 1 - i },
		"every second": func(i int) int { return i / 2 * 2 },
	}
	for order, at := range orders {
		t.Run(order, func(t *testing.T) {
			l := New([]string{root}, index, &unit.Host{}, nil, func(unit.Message) {})
			a := l.Ahead(slices.Clone(names))
			go a.Run()
			for i := range names {
				name := names[at(i)]
				u := l.Load(name)
				if want := fmt.Sprintf("Unit number %d", at(i)); u.Unit.Description != want && name != "missing.service" {
					t.Fatalf("%s: %q", name, u.Unit.Description)
				}
			}
			l.StopAhead()
			l.StopAhead()
			if l.ahead != nil {
				t.Error("it goes on")
			}
		})
	}
	l := New([]string{root}, index, &unit.Host{}, nil, func(unit.Message) {})
	a := l.Ahead(names)
	l.StopAhead()
	a.Run() // too late: nothing is to be done any more
	if len(a.texts) != 0 {
		t.Error("files were read in vain")
	}
}
