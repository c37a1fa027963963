package enginetest

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/muster-init/muster/pkg/depend"
	"github.com/muster-init/muster/pkg/engine"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
)

// Script is a running script: an engine, its units, and the clock.
type Script struct {
	Source  Source
	Engine  *engine.Engine
	now     uint64
	replies machine.Reply
	options engine.Options
	verbose bool // show UnitNew, UnitRemoved and property changes
	open    []machine.Effect
	// realtime is how far the realtime clock was moved, in µs.
	realtime int64
}

// NewScript begins with an empty engine of a user manager, which has the fewest units of its own.
func NewScript(types ...machine.Descriptor) *Script {
	s := &Script{Source: Source{}, now: 1_000_000}
	if len(types) == 0 {
		types = []machine.Descriptor{Puppets()}
	}
	s.options = engine.Options{Depend: depend.Env{}, Types: types, Seed: [2]uint64{1, 2}, StatusUnitFormat: "name",
		Startup: machine.Instant{Monotonic: 500_000, Realtime: scriptEpoch + 500_000, Boottime: 500_000}, CalendarNext: calendarNext}
	return s
}

// Run runs all blocks of a script and gives the script with what came of them.
func (s *Script) Run(text string) (string, error) {
	var out strings.Builder
	for i, block := range blocks(text) {
		if block.command == "" {
			out.WriteString(block.comment)
			continue
		}
		result, err := s.command(block.command, block.input)
		if err != nil {
			return "", fmt.Errorf("block %d (%s): %w", i+1, block.command, err)
		}
		fmt.Fprintf(&out, "%s%s\n%s----\n%s\n", block.comment, block.command, block.input, result)
	}
	return strings.TrimRight(out.String(), "\n") + "\n", nil
}

type block struct{ comment, command, input string }

// blocks cuts a script up. What stands behind ---- is left out.
func blocks(text string) []block {
	var out []block
	var b block
	state := 0 // 0 before the command, 1 input, 2 result
	for _, line := range strings.Split(text, "\n") {
		switch {
		case state == 0 && (line == "" || line[0] == '#'):
			if line != "" {
				b.comment += line + "\n"
			} else if b.comment != "" {
				b.comment += "\n"
			}
		case state == 0:
			b.command, state = line, 1
		case state == 1 && line == "----":
			state = 2
		case state == 1:
			b.input += line + "\n"
		case line == "":
			out = append(out, b)
			b, state = block{}, 0
		}
	}
	if b.command != "" || b.comment != "" {
		out = append(out, b)
	}
	return out
}

// command runs one command:
//
//	units                     the input defines or replaces units
//	start a.service [MODE]    also stop, restart, reload, try-restart, verify-active, reload-or-start, nop, reload-or-restart
//	idle                      one Idle
//	run                       Idle while the engine is runnable
//	set a.service running     the process of the unit gets there; also dead, failed, restart, reload-failed, …
//	condition met|unmet|assert   answers the oldest open condition query
//	wait 5                    the clock moves by seconds, with a Tick
//	cancel 3                  cancels job 3
//	load a.service, ref a.service :1.5, unref a.service :1.5, gone :1.5, reset-failed [a.service]
//	reload-units a.service|all   definitions were read again
//	plan a.service start replace
//	show a.service After      a dependency list; or "show" for all units
//	explain 3                 the cause of job 3
//	event NAME JSON           an event; answer NAME JSON answers the oldest open query
//	clock +3600               the realtime clock is set, by seconds
//	restore                   snapshot, restore, compare
//	verbose                   also show loading, unloading and property changes from here on
func (s *Script) command(line, input string) (string, error) {
	f := strings.Fields(line)
	if f[0] == "units" {
		return s.units(input)
	}
	if s.Engine == nil {
		s.Engine = engine.New(s.Source, s.options)
		s.Engine.Step(s.instant(), machine.Idle{})
	}
	arg := func(i int) string {
		if i < len(f) {
			return f[i]
		}
		return ""
	}
	switch f[0] {
	case "idle":
		return s.step(machine.Idle{}), nil
	case "run":
		var out string
		for range 10000 {
			if !s.Engine.Runnable() {
				break
			}
			out += s.step(machine.Idle{})
		}
		return out, nil
	case "set":
		status := arg(2)
		return s.step(machine.Notify{Unit: arg(1), Msg: machine.NotifyMessage{Status: &status}}), nil
	case "condition":
		return s.condition(arg(1))
	case "wait":
		n, err := strconv.ParseUint(arg(1), 10, 32)
		s.now += n * 1_000_000
		return s.step(machine.Tick{}), err
	case "plan":
		return s.plan(arg(1), job.Type(arg(2)), job.Mode(arg(3))), nil
	case "show":
		return s.show(arg(1), arg(2)), nil
	case "explain":
		n, err := strconv.ParseUint(arg(1), 10, 32)
		j := s.Engine.Job(job.ID(n))
		if err != nil || j == nil {
			return "", fmt.Errorf("no job %q", arg(1))
		}
		return causeText(s.Engine.Explain(j)) + "\n", nil
	case "restore":
		return s.restore()
	case "event", "answer":
		return s.event(line)
	case "clock":
		return s.setClock(arg(1))
	case "verbose":
		s.verbose = true
		return "", nil
	}
	ev, err := s.request(f, arg)
	if err != nil {
		return "", err
	}
	return s.step(ev), nil
}

// request makes the event of a client's request.
func (s *Script) request(f []string, arg func(int) string) (machine.Event, error) {
	s.replies++
	r := s.replies
	switch f[0] {
	case "cancel":
		n, err := strconv.ParseUint(arg(1), 10, 32)
		return machine.CancelJob{ID: job.ID(n), Reply: r}, err
	case "load":
		return machine.LoadUnit{Unit: arg(1), Reply: r}, nil
	case "ref":
		return machine.Ref{Unit: arg(1), Client: arg(2), Reply: r}, nil
	case "unref":
		return machine.Unref{Unit: arg(1), Client: arg(2), Reply: r}, nil
	case "gone":
		return machine.ClientGone{Client: arg(1)}, nil
	case "reset-failed":
		return machine.ResetFailed{Unit: arg(1), Reply: r}, nil
	case "reload-units":
		if arg(1) == "all" {
			return machine.Reload{All: true, Reply: r}, nil
		}
		return machine.Reload{Changed: f[1:], Reply: r}, nil
	case "freeze", "thaw":
		return machine.Freeze{Unit: arg(1), Thaw: f[0] == "thaw", Reply: r}, nil
	case "frozen":
		return machine.CgroupFrozen{Unit: arg(1), Frozen: arg(2) == "yes"}, nil
	}
	mode := job.Mode(arg(2))
	if mode == "" {
		mode = job.Replace
	}
	ev := machine.Enqueue{Unit: arg(1), Type: job.Type(f[0]), Mode: mode, Reply: r, Details: arg(3) == "details"}
	switch f[0] {
	case "reload-or-restart":
		ev.Type, ev.ReloadIfPossible = job.Restart, true
	case "reload-or-try-restart":
		ev.Type, ev.ReloadIfPossible = job.TryRestart, true
	}
	if !job.Valid(ev.Type) {
		return nil, fmt.Errorf("unknown command")
	}
	return ev, nil
}

func (s *Script) instant() machine.Instant {
	return machine.Instant{Monotonic: s.now, Realtime: uint64(scriptEpoch + s.realtime + int64(s.now)), Boottime: s.now}
}

func (s *Script) units(input string) (string, error) {
	list, err := ParseUnits(input)
	for _, u := range list {
		if u.LoadState == "not-found" {
			delete(s.Source, u.Name)
			continue
		}
		s.Source.Put(u)
	}
	return "", err
}

// step runs one Step and prints its effects.
func (s *Script) step(ev machine.Event) string {
	var b strings.Builder
	for _, f := range s.Engine.Step(s.instant(), ev) {
		s.watch(f)
		if text := EffectText(f, s.verbose); text != "" {
			b.WriteString(text + "\n")
		}
	}
	return b.String()
}

func (s *Script) watch(f machine.Effect) {
	switch q := f.(type) {
	case machine.TestConditions, machine.ReadStamp, machine.Spawn, machine.Kill, machine.CheckCgroup, machine.PrepareMount, machine.RemoveDirectories,
		machine.WatchPaths, machine.OpenSockets, machine.ChownSockets, machine.CloseSockets,
		machine.OpenAutomount:
		s.open = append(s.open, q)
	case machine.CancelQuery:
		s.open = slices.DeleteFunc(s.open, func(f machine.Effect) bool { return machine.QueryToken(f) == q.Token })
	}
}

func (s *Script) condition(what string) (string, error) {
	if len(s.open) == 0 {
		return "", fmt.Errorf("no condition is being tested")
	}
	q, ok := s.open[0].(machine.TestConditions)
	if !ok {
		return "", fmt.Errorf("the oldest query is %T", s.open[0])
	}
	s.open = s.open[1:]
	a := machine.ConditionsTested{Token: q.Token, ConditionsMet: what != "unmet", AssertsMet: what == "met"}
	cfg := s.Engine.Unit(q.Unit).Config()
	switch {
	case what == "unmet":
		a.Failed = cfg.Conditions[0].Type + "=" + cfg.Conditions[0].Param
	case what == "assert":
		a.Failed = cfg.Asserts[0].Type + "=" + cfg.Asserts[0].Param
	}
	return s.step(a), nil
}

func (s *Script) plan(name string, typ job.Type, mode job.Mode) string {
	var b strings.Builder
	before := s.Engine.Snapshot()
	p := s.Engine.Plan(name, typ, mode)
	if !bytes.Equal(before, s.Engine.Snapshot()) {
		b.WriteString("the plan changed the state\n")
	}
	if p.Err != nil {
		fmt.Fprintf(&b, "error %s\n", errorText(p.Err))
	}
	for _, k := range p.Jobs {
		fmt.Fprintf(&b, "%s/%s because of %s", k.Unit, k.Type, causeText(k.Cause))
		if k.Replaces != "" {
			fmt.Fprintf(&b, ", over %s", k.Replaces)
		}
		b.WriteString("\n")
	}
	for _, d := range p.Dropped {
		fmt.Fprintf(&b, "dropped %s/%s: %s\n", d.Unit, d.Type, d.Reason)
	}
	return b.String()
}

func (s *Script) show(name, what string) string {
	if name == "" {
		var b strings.Builder
		for _, u := range s.Engine.Units() {
			fmt.Fprintf(&b, "%s %s %s\n", u.Name(), u.Config().LoadState, u.ActiveState())
		}
		return b.String()
	}
	u := s.Engine.Unit(name)
	if u == nil {
		return name + " is not loaded\n"
	}
	if t, ok := depType(what); ok {
		return strings.Join(s.Engine.Deps(u, t), " ") + "\n"
	}
	return fmt.Sprintf("%s %s (%s), condition %v, assert %v\n", u.Config().LoadState, u.ActiveState(), u.SubState(),
		u.ConditionResult(), u.AssertResult())
}

// restore replaces the engine by one restored from its snapshot.
func (s *Script) restore() (string, error) {
	before := s.Engine.Snapshot()
	e, err := engine.Restore(before, s.Source, s.options)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	if after := e.Snapshot(); !bytes.Equal(before, after) {
		fmt.Fprintf(&b, "snapshots differ:\n%s\n%s\n", before, after)
	}
	s.Engine = e
	s.open = nil
	for _, f := range e.CatchUp(s.instant()) {
		s.watch(f)
		if text := EffectText(f, s.verbose); text != "" {
			b.WriteString(text + "\n")
		}
	}
	return b.String(), nil
}
