package ctl

import (
	"sort"
	"strings"

	"github.com/muster-init/muster/pkg/install"
)

// unitFile is one line of list-unit-files.
type unitFile struct{ path, state string }

func (f *unitFile) name() string { return f.path[strings.LastIndexByte(f.path, '/')+1:] }

// listUnitFiles is list-unit-files.
func listUnitFiles(s *systemctl, _ string, args []string) int {
	var list []unitFile
	if s.installClientSide() {
		for _, e := range install.List(s.paths()) {
			f := unitFile{e.Path, e.State}
			if matchesAny(f.name(), args) && (len(s.o.states) == 0 || contains(s.o.states, f.state)) {
				list = append(list, f)
			}
		}
	} else {
		if !s.online() {
			return exitFailure
		}
		r, err := s.call("ListUnitFilesByPatterns", nonNil(s.o.states), nonNil(args))
		if err != nil {
			s.errorf("Failed to list unit files: %s", errorText(err))
			return exitFailure
		}
		d, err := r.Args("a(ss)")
		if err != nil {
			s.errorf("Failed to list unit files: %s", errorText(err))
			return exitFailure
		}
		for a := d.BeginArray('('); d.More(a); {
			d.Struct()
			list = append(list, unitFile{d.String(), d.String()})
		}
	}
	kept := list[:0]
	for _, f := range list {
		if hasSuffixOf(f.name(), s.o.types) {
			kept = append(kept, f)
		}
	}
	sort.SliceStable(kept, func(i, j int) bool { return unitLess(kept[i].name(), kept[j].name()) })
	s.startPager(s.o.noPager)
	s.printUnitFiles(kept)
	if len(kept) == 0 {
		return exitFailure
	}
	return 0
}

// fileStateColor is the colour of a unit file's state.
func fileStateColor(state string) color {
	switch {
	case state == "enabled", state == "alias":
		return colorBrightGreen
	case state == "masked", state == "masked-runtime", state == "disabled", state == "bad":
		return colorBrightRed
	}
	return colorNone
}

func (s *systemctl) printUnitFiles(list []unitFile) {
	t := newTable("UNIT FILE", "STATE", "PRESET")
	t.lineColor = colorLine
	presets := install.ReadPresets(s.paths())
	for i := range list {
		f := &list[i]
		if i > 0 && suffixOf(f.name()) != suffixOf(list[i-1].name()) {
			t.underlineLast()
		}
		c := fileStateColor(f.state)
		t.row(textCell(f.name()), gapCell(f.state, c), presetCell(presets, f))
	}
	t.print(s.Env, tableStyle{header: s.o.legend(), full: s.o.full, json: s.o.output})
	if s.o.legend() {
		s.printf("\n%d unit files listed.\n", len(list))
	}
}

// presetCell shows what the presets say of a file whose state they are about.
func presetCell(presets []install.Preset, f *unitFile) cell {
	switch f.state {
	case "alias", "static", "generated", "transient":
		return cell{text: "", empty: "-", both: colorGrey, json: jsonNull{}}
	}
	want := presetOf(presets, f.name())
	c := colorNone
	switch want {
	case "enabled":
		c = colorBrightGreen
	case "disabled":
		c = colorBrightRed
	}
	return gapCell(want, c)
}

// presetOf is what the presets want of a unit file: enabled, disabled or ignored.
func presetOf(presets []install.Preset, name string) string {
	action, _ := install.Wanted(presets, name)
	if action == "ignore" {
		return "ignored"
	}
	return action
}
