package ctl

import (
	"path"
	"sort"
	"strings"

	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/unit"
)

// unitInfo is one entry of ListUnits.
type unitInfo struct {
	name, description, load, active, sub, following string
	path                                            bus.ObjectPath
	job                                             uint32
	jobType                                         string
}

func decodeUnits(r *bus.Message) ([]unitInfo, error) {
	d, err := r.Args("a(ssssssouso)")
	if err != nil {
		return nil, err
	}
	var out []unitInfo
	for a := d.BeginArray('('); d.More(a); {
		d.Struct()
		u := unitInfo{name: d.String(), description: d.String(), load: d.String(), active: d.String(), sub: d.String(), following: d.String(), path: d.ObjectPath()}
		u.job, u.jobType = d.Uint32(), d.String()
		d.ObjectPath()
		out = append(out, u)
	}
	return out, d.Err()
}

// fetchUnits lists the units that match, in the manager's order.
func (s *systemctl) fetchUnits(states, patterns []string) ([]unitInfo, error) {
	r, err := s.call("ListUnitsByPatterns", nonNil(states), nonNil(patterns))
	if hasName(err, bus.ErrUnknownMethod, bus.ErrAccessDenied) {
		// Managers before 230.
		if r, err = s.call("ListUnitsFiltered", nonNil(states)); err == nil {
			list, err := decodeUnits(r)
			return filterNames(list, patterns), err
		}
	}
	if err != nil {
		return nil, err
	}
	return decodeUnits(r)
}

func nonNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func filterNames(list []unitInfo, patterns []string) []unitInfo {
	var out []unitInfo
	for _, u := range list {
		if matchesAny(u.name, patterns) {
			out = append(out, u)
		}
	}
	return out
}

func matchesAny(name string, patterns []string) bool {
	if len(patterns) == 0 {
		return true
	}
	for _, p := range patterns {
		if ok, err := path.Match(p, name); ok && err == nil {
			return true
		}
	}
	return false
}

// sortUnits orders as list-units does: by type, then by name.
func sortUnits(list []unitInfo) {
	sort.SliceStable(list, func(i, j int) bool { return unitLess(list[i].name, list[j].name) })
}

func unitLess(a, b string) bool {
	ta, tb := strings.ToLower(suffixOf(a)), strings.ToLower(suffixOf(b))
	if ta != tb {
		return ta < tb
	}
	return strings.ToLower(a) < strings.ToLower(b)
}

func suffixOf(name string) string {
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		return name[i:]
	}
	return ""
}

// shown says whether list-units lists a unit, given what was asked for.
func (s *systemctl) shown(u *unitInfo, patterns []string) bool {
	if !hasSuffixOf(u.name, s.o.types) {
		return false
	}
	if s.o.all || len(s.o.states) > 0 {
		return true
	}
	// Devices that stand for the same thing are shown once.
	if u.following != "" {
		return false
	}
	if u.load != "loaded" && u.load != "" && u.active == "inactive" && u.job == 0 {
		return false
	}
	return u.active != "inactive" || u.job != 0
}

// manglePatterns makes unit names of what people typed, leaving patterns alone.
func (s *systemctl) manglePatterns(args []string) ([]string, bool) {
	var out []string
	for _, a := range args {
		n, ok := s.mangle(a, ".service", true)
		if !ok {
			return nil, false
		}
		out = append(out, n)
	}
	return out, true
}

func (s *systemctl) mangle(name, suffix string, glob bool) (string, bool) {
	flags := unit.MangleFlags(0)
	if glob {
		flags = unit.MangleGlob
	}
	n, changed, err := unit.Mangle(name, suffix, flags)
	if err != nil {
		s.errorf("Failed to mangle unit name: Invalid argument")
		return "", false
	}
	if changed && !s.o.quiet {
		s.notef("Invalid unit name \"%s\" escaped as \"%s\" (maybe you should use systemd-escape?).", name, strings.TrimSuffix(n, suffix))
	}
	return n, true
}
