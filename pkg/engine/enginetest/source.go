package enginetest

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/muster-init/muster/pkg/unit"
)

// Source is a map of unit configurations; names that are not in it are not found.
type Source map[string]*unit.Unit

// Load gives the unit that has the name, or one that is not found.
func (s Source) Load(name string) *unit.Unit {
	if u := s[name]; u != nil {
		return u
	}
	if at := strings.IndexByte(name, '@'); at >= 0 {
		if t := s[name[:at+1]+name[strings.LastIndexByte(name, '.'):]]; t != nil {
			u := *t
			u.Name, u.Names, u.Unit.Description = name, []string{name}, name
			return &u
		}
	}
	u := unit.New(name, nil)
	u.LoadState = unit.StateNotFound
	u.Unit.Description = name
	return u
}

// Put adds a configuration under all its names.
func (s Source) Put(u *unit.Unit) {
	for _, n := range u.Names {
		s[n] = u
	}
	s[u.Name] = u
}

// ParseUnits reads unit definitions for tests: a line "NAME:" and then lines "Directive=value", which may also stand
// behind the colon. Settings of the unit type's own section are read as from a file, with "_" for blanks. Default dependencies are off unless DefaultDependencies=yes stands there, so that tests see
// only what they write. The line numbers count within text.
func ParseUnits(text string) ([]*unit.Unit, error) {
	var out []*unit.Unit
	var u *unit.Unit
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		head, rest, isHead := strings.Cut(line, ":")
		if isHead && unit.TypeOf(head) != unit.TypeInvalid && !strings.Contains(head, "=") {
			u = unit.New(head, nil)
			u.LoadState = unit.StateLoaded
			u.FragmentPath = "/etc/" + head
			u.Unit.DefaultDependencies = false
			u.Unit.Description = head
			out = append(out, u)
			line = strings.TrimSpace(rest)
		}
		if u == nil {
			return nil, fmt.Errorf("line %d: no unit", i+1)
		}
		for _, field := range strings.Fields(line) {
			key, value, _ := strings.Cut(field, "=")
			if err := set(u, key, value, uint32(i+1)); err != nil {
				return nil, fmt.Errorf("line %d: %s: %w", i+1, u.Name, err)
			}
		}
	}
	return out, nil
}

// set assigns one directive. Lists are separated by commas.
func set(u *unit.Unit, key, value string, line uint32) error {
	if t, ok := unit.DepTypeFromString(key); ok {
		for _, name := range strings.Split(value, ",") {
			u.Deps = append(u.Deps, unit.Dep{Type: t, Name: name, Origin: unit.Pos{Line: line}})
		}
		return nil
	}
	c := &u.Unit
	switch key {
	case "Description":
		c.Description = strings.ReplaceAll(value, "_", " ")
	case "Alias":
		u.Names = append(u.Names, strings.Split(value, ",")...)
	case "LoadState":
		u.LoadState = unit.LoadState(value)
	case "ConditionPathExists":
		u.Conditions = append(u.Conditions, unit.Condition{Type: key, Param: value})
	case "AssertPathExists":
		u.Asserts = append(u.Asserts, unit.Condition{Type: key, Param: value})
	case "RequiresMountsFor":
		u.RequiresMountsFor = append(u.RequiresMountsFor, unit.PathDep{Path: value, Origin: unit.Pos{Line: line}})
	case "CollectMode":
		c.CollectMode = value
	case "OnFailureJobMode":
		c.OnFailureJobMode = value
	case "FailureAction":
		c.FailureAction = value
	case "SuccessAction":
		c.SuccessAction = value
	case "StartLimitAction":
		c.StartLimitAction = value
	case "JobTimeoutAction":
		c.JobTimeoutAction = value
	case "Slice":
		g := *u.GetCgroup()
		g.Slice = value
		u.Cgroup = &g
	default:
		return setTyped(u, key, value)
	}
	return nil
}

// setTyped assigns numbers, times in seconds, and booleans.
func setTyped(u *unit.Unit, key, value string) error {
	c := &u.Unit
	bools := map[string]*bool{
		"DefaultDependencies": &c.DefaultDependencies, "AllowIsolate": &c.AllowIsolate, "IgnoreOnIsolate": &c.IgnoreOnIsolate,
		"RefuseManualStart": &c.RefuseManualStart, "RefuseManualStop": &c.RefuseManualStop, "StopWhenUnneeded": &c.StopWhenUnneeded,
	}
	times := map[string]*uint64{
		"JobTimeoutSec": &c.JobTimeoutUSec, "JobRunningTimeoutSec": &c.JobRunningTimeoutUSec,
		"StartLimitIntervalSec": &c.StartLimitIntervalUSec,
	}
	switch {
	case bools[key] != nil:
		*bools[key] = value == "yes"
	case times[key] != nil:
		n, err := strconv.ParseUint(value, 10, 32)
		if err != nil {
			return err
		}
		*times[key] = n * 1_000_000
	case key == "StartLimitBurst":
		n, err := strconv.ParseUint(value, 10, 32)
		if err != nil {
			return err
		}
		c.StartLimitBurst = uint32(n)
	default:
		return setRow(u, key, value)
	}
	return nil
}
