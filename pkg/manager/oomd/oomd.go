// Package oomd is what systemd-oomd is told of control groups: which of them it is to watch, and for what (ManagedOOMSwap=, ManagedOOMMemoryPressure= and
// OOMRules= of systemd.resource-control(5)). The system's manager answers its subscription, a user manager reports to its socket; both say the same.
//
// Invariants:
//  1. Who has just connected is told of everything that is watched, afterwards of what changes; a group that is not watched any more is "auto".
//  2. Nothing is remembered without a listener. So nothing has to survive a re-execution, which ends the connections: systemd-oomd connects again.
//  3. Rules, which came with systemd 261, are told in messages of their own, so that an older systemd-oomd loses nothing but them.
package oomd

import (
	"slices"

	"github.com/muster-init/muster/pkg/unit"
)

const (
	// Interface is served to systemd-oomd, Subscribe is its method.
	Interface = "io.systemd.ManagedOOM"
	Subscribe = Interface + ".SubscribeManagedOOMCGroups"
	Taken     = Interface + ".SubscriptionTaken"
	// Socket is where the system's manager serves it.
	Socket = "/run/systemd/" + Interface
	// Unit is who may subscribe.
	Unit = "systemd-oomd.service"
	// UserSocket is where systemd-oomd takes the reports of users' managers, by the method Report.
	UserSocket = "/run/systemd/oom/" + Interface
	Report     = "io.systemd.oom.ReportManagedOOMCGroups"
)

// Setting is what is told of one group. The zero value: it is not watched.
type Setting struct {
	Swap, Pressure bool
	Limit          uint32 // of the pressure, a fraction of 2^32-1; 0: systemd-oomd's own
	DurationUSec   uint64 // of the pressure; unit.Infinity or, in the zero value, 0: systemd-oomd's own
	Rules          []string
}

// Of gives the setting of a unit.
func Of(c *unit.Cgroup) Setting {
	s := Setting{Swap: c.ManagedOOMSwap == "kill", Pressure: c.ManagedOOMMemoryPressure == "kill", Rules: c.OOMRules}
	if s.Pressure {
		s.Limit, s.DurationUSec = c.ManagedOOMMemoryPressureLimit, c.ManagedOOMMemoryPressureDurationUSec
	}
	return s
}

// Watched reports whether there is anything to tell.
func (s Setting) Watched() bool { return s.Swap || s.Pressure || len(s.Rules) > 0 }

// group is one entry of a message.
type group struct {
	Mode     string    `json:"mode"` // auto, kill
	Path     string    `json:"path"` // below the root of the hierarchy, which itself is ""
	Property string    `json:"property"`
	Limit    *uint32   `json:"limit,omitempty"`
	Duration *uint64   `json:"duration,omitempty"` // µs
	Rules    *[]string `json:"rules,omitempty"`
}

type message struct {
	Groups []group `json:"cgroups"`
}

func mode(on bool) string {
	if on {
		return "kill"
	}
	return "auto"
}

func (s Setting) swap(path string) group {
	return group{Mode: mode(s.Swap), Path: path, Property: "ManagedOOMSwap"}
}

func (s Setting) pressure(path string) group {
	g := group{Mode: mode(s.Pressure), Path: path, Property: "ManagedOOMMemoryPressure"}
	if s.Pressure && s.Limit != 0 {
		g.Limit = &s.Limit
	}
	if s.Pressure && s.DurationUSec != unit.Infinity {
		g.Duration = &s.DurationUSec
	}
	return g
}

// rules always has the list: who doesn't know it passes over the entry.
func (s Setting) rules(path string) group {
	list := append([]string{}, s.Rules...)
	return group{Mode: mode(len(list) > 0), Path: path, Property: "OOMRules", Rules: &list}
}

// Reporter tells one listener.
type Reporter struct {
	send func(params any)
	told map[string]Setting // by path; those that are watched
}

// NewReporter makes one for a listener that has just connected. send gets the parameters of a message.
func NewReporter(send func(params any)) *Reporter { return &Reporter{send: send} }

// Begin tells of all that is watched, by path.
func (r *Reporter) Begin(watched map[string]Setting) {
	r.told = watched
	first, rules := List(watched)
	r.send(first)
	if rules != nil {
		r.send(rules)
	}
}

// List makes the messages of all that is watched. The second, of rules, is nil where there are none.
func List(watched map[string]Setting) (first, second any) {
	all, rules := message{Groups: []group{}}, message{}
	var paths []string
	for path := range watched { // order-free: sorted below
		paths = append(paths, path)
	}
	slices.Sort(paths)
	for _, path := range paths {
		s := watched[path]
		if s.Swap {
			all.Groups = append(all.Groups, s.swap(path))
		}
		if s.Pressure {
			all.Groups = append(all.Groups, s.pressure(path))
		}
		if len(s.Rules) > 0 {
			rules.Groups = append(rules.Groups, s.rules(path))
		}
	}
	if len(rules.Groups) == 0 {
		return all, nil
	}
	return all, rules
}

// Set tells what holds for a path from now on, if that is something else than what was told.
func (r *Reporter) Set(path string, s Setting) {
	old, known := r.told[path]
	switch {
	case s.Watched():
		r.told[path] = s
	case !known:
		return
	default:
		delete(r.told, path)
	}
	if !known {
		old.DurationUSec = s.DurationUSec // of no pressure
	}
	if s.Swap != old.Swap || s.Pressure != old.Pressure || s.Pressure && (s.Limit != old.Limit || s.DurationUSec != old.DurationUSec) {
		r.send(message{Groups: []group{s.swap(path), s.pressure(path)}})
	}
	if !slices.Equal(s.Rules, old.Rules) {
		r.send(message{Groups: []group{s.rules(path)}})
	}
}
