package engine

import (
	"slices"
	"strings"

	"github.com/muster-init/muster/pkg/depend"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/unit"
)

// Unit is one loaded unit. To callers it is a view to read from between two Steps; it stays valid until the unit is unloaded
// (machine.UnitRemoved).
type Unit struct {
	cfg     *unit.Unit
	machine machine.Machine // nil: the initial state of the type
	job     *Job
	nop     *Job
	state   *state // nil: nothing has happened to the unit yet
	deps    edges
	id      uid
	flags   flag
}

// flag is a bit set of a unit: membership in queues, and what is known about it.
type flag uint16

const (
	inCollect flag = 1 << iota
	inUpheld
	inBound
	inUnneeded
	inTouched
	inDirty
	inLoading
	perpetual // never stopped, never unloaded
	removed
	recorded // has a record outside
)

// state is what happened to a unit beside what its machine knows.
type state struct {
	StateChange   machine.Instant  `json:"change,omitzero"`
	InactiveExit  machine.Instant  `json:"inactive_exit,omitzero"`
	ActiveEnter   machine.Instant  `json:"active_enter,omitzero"`
	ActiveExit    machine.Instant  `json:"active_exit,omitzero"`
	InactiveEnter machine.Instant  `json:"inactive_enter,omitzero"`
	ConditionAt   machine.Instant  `json:"condition_at,omitzero"`
	AssertAt      machine.Instant  `json:"assert_at,omitzero"`
	ConditionsMet bool             `json:"condition,omitempty"`
	AssertsMet    bool             `json:"assert,omitempty"`
	Conditions    []int8           `json:"conditions,omitempty"`
	Asserts       []int8           `json:"asserts,omitempty"`
	Invocation    string           `json:"invocation,omitempty"`
	StartLimit    rate             `json:"start_limit,omitzero"`
	LimitHit      bool             `json:"limit_hit,omitempty"` // the last start was refused by StartLimitBurst=
	AutoLimit     rate             `json:"auto_limit,omitzero"`
	Clients       []string         `json:"clients,omitempty"` // sorted; a client may stand more than once
	Monitor       string           `json:"monitor,omitempty"` // the unit whose OnFailure= or OnSuccess= started this one last
	Markers       []string         `json:"markers,omitempty"` // sorted; needs-reload, needs-restart
	Freezer       string           `json:"freezer,omitempty"` // "" running, freezing, frozen, thawing
	PIDs          []int32          `json:"pids,omitempty"`    // sorted
	BusNames      []string         `json:"bus_names,omitempty"`
	Handles       []machine.Handle `json:"handles,omitempty"`
	Socket        string           `json:"socket,omitempty"` // the socket unit that accepted the connection it serves
	Quarantine    *Quarantine      `json:"quarantine,omitempty"`
	// Spawned: something has run in the unit's cgroup since it was last seen empty; Populated: something runs there although the unit is down.
	Spawned   bool `json:"spawned,omitempty"`
	Populated bool `json:"populated,omitempty"`
	timer     timer
	retry     timer
	wake      *wakeTimers
	queries   []machine.Token
	looking   machine.Token // open CheckCgroup before the unit is unloaded
}

// st gives the unit's state for writing.
func (u *Unit) st() *state {
	if u.state == nil {
		u.state = &state{}
	}
	return u.state
}

var noState state

// get gives the unit's state for reading.
func (u *Unit) get() *state {
	if u.state == nil {
		return &noState
	}
	return u.state
}

// Name is the unit's primary name.
func (u *Unit) Name() string { return u.cfg.Name }

// Config is the unit's configuration; it must not be written to.
func (u *Unit) Config() *unit.Unit { return u.cfg }

// Machine is the state of the unit's type, nil as long as it is the initial one.
func (u *Unit) Machine() machine.Machine {
	if m, ok := u.machine.(*quarantined); ok {
		return m.inner
	}
	return u.machine
}

// ActiveState is the coarse state.
func (u *Unit) ActiveState() machine.ActiveState {
	if u.machine == nil {
		return machine.Inactive
	}
	return u.machine.ActiveState(u.cfg)
}

// SubState is the state in the words of the unit type.
func (u *Unit) SubState() string {
	if u.machine == nil {
		return "dead"
	}
	return u.machine.SubState()
}

// Result is the Result property, "" for types that have none and "success" as long as nothing failed.
func (u *Unit) Result() string {
	if u.machine == nil {
		return "success"
	}
	return u.machine.Result()
}

// Job is the installed job, nil if there is none.
func (u *Unit) Job() *Job { return u.job }

// Perpetual reports whether the unit can never be stopped.
func (u *Unit) Perpetual() bool { return u.flags&perpetual != 0 }

// The moments at which the unit last changed its state, became neither inactive nor failed, became active, left active, and became
// inactive or failed.
func (u *Unit) StateChange() machine.Instant   { return u.get().StateChange }
func (u *Unit) InactiveExit() machine.Instant  { return u.get().InactiveExit }
func (u *Unit) ActiveEnter() machine.Instant   { return u.get().ActiveEnter }
func (u *Unit) ActiveExit() machine.Instant    { return u.get().ActiveExit }
func (u *Unit) InactiveEnter() machine.Instant { return u.get().InactiveEnter }

// ConditionResult says whether the conditions held when they were last tested, at ConditionTime, and what each of them gave:
// 1 met, 0 not tested, -1 not met. Assert… are the same for asserts.
func (u *Unit) ConditionResult() bool          { return u.get().ConditionsMet }
func (u *Unit) ConditionTime() machine.Instant { return u.get().ConditionAt }
func (u *Unit) Conditions() []int8             { return u.get().Conditions }
func (u *Unit) AssertResult() bool             { return u.get().AssertsMet }
func (u *Unit) AssertTime() machine.Instant    { return u.get().AssertAt }
func (u *Unit) Asserts() []int8                { return u.get().Asserts }

// Invocation is the 32-digit invocation ID of the current or last activation, "" if there was none.
func (u *Unit) Invocation() string { return u.get().Invocation }

// FreezerState is running, freezing, frozen or thawing.
func (u *Unit) FreezerState() string {
	if f := u.get().Freezer; f != "" {
		return f
	}
	return "running"
}

// Clients lists the clients that hold a reference, sorted.
func (u *Unit) Clients() []string { return slices.Compact(slices.Clone(u.get().Clients)) }

// PIDs are the main and the control process, 0 for none.
func (u *Unit) PIDs() (main, control int32) {
	if u.machine == nil {
		return 0, 0
	}
	return u.machine.PIDs()
}

// Names lists the unit's names, sorted.
func (u *Unit) Names() []string {
	out := slices.Clone(u.cfg.Names)
	if !slices.Contains(out, u.cfg.Name) {
		out = append(out, u.cfg.Name)
	}
	slices.Sort(out)
	return out
}

// Deps lists the names of the units that u has the given type towards, whoever said so, sorted.
func (e *Engine) Deps(u *Unit, t unit.DepType) []string {
	var out []string
	m := depend.Of(t)
	if t == unit.DepAfter || t == unit.DepBefore {
		m |= targetOrder
	}
	c := classOf[t]
	for _, x := range u.deps.list(c) {
		if x.types()&m != 0 {
			out = append(out, e.units[x.id].Name())
		}
	}
	slices.Sort(out)
	return out
}

// Origin says where "u t peer" comes from: the unit whose configuration says it, the directive and the place. ok is false if
// there is no such dependency.
func (e *Engine) Origin(u *Unit, t unit.DepType, peer *Unit) (owner, directive, where string, ok bool) {
	if d, w, found := e.origin(u, t, peer); found {
		return u.Name(), d, w, true
	}
	if d, w, found := e.origin(peer, t.Inverse(), u); found {
		return peer.Name(), d, w, true
	}
	m := depend.Of(t)
	if t == unit.DepAfter || t == unit.DepBefore {
		m |= targetOrder
	}
	if !u.has(m, peer) {
		return "", "", "", false
	}
	target := u
	if t == unit.DepBefore {
		target = peer
	}
	return target.Name(), "DefaultDependencies=", target.cfg.Where(unit.Pos{File: unit.PosDefault}), true
}

// origin looks only at what the configuration of u says.
func (e *Engine) origin(u *Unit, t unit.DepType, peer *Unit) (directive, where string, ok bool) {
	for _, x := range depend.Edges(nil, u.cfg, &e.opt.Depend) {
		if x.Type == t && e.names[x.Name] == peer {
			directive = x.Cause
			if directive == "" {
				directive = t.String() + "="
				if x.Origin.File == unit.PosDefault {
					directive = "DefaultDependencies="
				}
			}
			return directive, u.cfg.Where(x.Origin), true
		}
	}
	for _, p := range depend.Paths(nil, u.cfg, &e.opt.Depend) {
		if peer.cfg.Type != unit.TypeMount || !slices.Contains(depend.MountNames(nil, p.Path), peer.Name()) {
			continue
		}
		directive = p.Cause
		switch {
		case directive != "":
		case p.Required:
			directive = "RequiresMountsFor="
		default:
			directive = "WantsMountsFor="
		}
		return directive, u.cfg.Where(p.Origin), true
	}
	return "", "", false
}

// sameName reports whether name is one of the unit's names.
func (e *Engine) sameName(u *Unit, name string) bool { return e.names[name] == u }

// describe is the unit in messages for people, by Options.StatusUnitFormat.
func (e *Engine) describe(u *Unit) string {
	d := u.cfg.Unit.Description
	switch {
	case e.opt.StatusUnitFormat == "name" || d == "" || d == u.Name():
		return u.Name()
	case e.opt.StatusUnitFormat == "description":
		return d
	}
	return u.Name() + " - " + d
}

// escapeReason shortens a free text for a message: one line, at most 512 bytes.
func escapeReason(s string) string {
	s = strings.ReplaceAll(s, "\n", " ")
	if len(s) > 512 {
		s = s[:512]
	}
	return s
}
