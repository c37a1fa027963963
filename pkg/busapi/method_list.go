package busapi

import (
	"path"
	"sort"

	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/engine"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/unit"
)

const unitListSig = "a(ssssssouso)"

// listMethods are those that list units and jobs.
func listMethods() []method {
	return []method{
		{name: "ListUnits", out: unitListSig, args: []string{"units"}, run: func(k *call) {
			k.replyUnits(func(*engine.Unit) bool { return true })
		}},
		{name: "ListUnitsFiltered", in: "as", out: unitListSig, args: []string{"states", "units"}, run: func(k *call) {
			states := k.args.Strings()
			k.replyUnits(func(u *engine.Unit) bool { return matchesStates(u, states) })
		}},
		{name: "ListUnitsByPatterns", in: "asas", out: unitListSig, args: []string{"states", "patterns", "units"}, run: func(k *call) {
			states, patterns := k.args.Strings(), k.args.Strings()
			k.replyUnits(func(u *engine.Unit) bool { return matchesStates(u, states) && matchesPatterns(u.Name(), patterns) })
		}},
		{name: "ListUnitsByNames", in: "as", out: unitListSig, args: []string{"names", "units"}, run: listUnitsByNames},
		{name: "ListJobs", out: "a(usssoo)", args: []string{"jobs"}, run: func(k *call) {
			k.reply("a(usssoo)", func(e *bus.Encoder) { writeJobs(e, k.s.b.Engine().Jobs()) })
		}},
		{name: "GetJob", in: "u", out: "o", args: []string{"id", "job"}, run: func(k *call) {
			id := k.args.Uint32()
			if k.s.b.Engine().Job(id) == nil {
				k.fail(bus.Errorf(bus.ErrNoSuchJob, "Job %d does not exist.", id))
				return
			}
			k.reply("o", func(e *bus.Encoder) { e.ObjectPath(bus.JobPath(id)) })
		}},
		{name: "GetJobAfter", in: "u", out: "a(usssoo)", args: []string{"id", "jobs"}, run: func(k *call) { k.relatedJobs(k.args.Uint32(), true) }},
		{name: "GetJobBefore", in: "u", out: "a(usssoo)", args: []string{"id", "jobs"}, run: func(k *call) { k.relatedJobs(k.args.Uint32(), false) }},
		{name: "CancelJob", in: "u", args: []string{"id"}, run: func(k *call) {
			id := k.args.Uint32()
			if k.s.b.Engine().Job(id) == nil {
				k.fail(bus.Errorf(bus.ErrNoSuchJob, "Job %d does not exist.", id))
				return
			}
			k.cancelJob(id)
		}},
		{name: "ClearJobs", run: func(k *call) { k.cancelJob(0) }},
	}
}

func matchesStates(u *engine.Unit, states []string) bool {
	if len(states) == 0 {
		return true
	}
	for _, s := range states {
		if s == string(u.Config().LoadState) || s == u.SubState() || s == string(u.ActiveState()) {
			return true
		}
	}
	return false
}

func matchesPatterns(name string, patterns []string) bool {
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

func (k *call) replyUnits(keep func(*engine.Unit) bool) {
	k.reply(unitListSig, func(e *bus.Encoder) {
		mark := e.BeginArray('(')
		for _, u := range k.s.b.Engine().Units() {
			if keep(u) {
				k.s.writeUnitInfo(e, u)
			}
		}
		e.EndArray(mark)
	})
}

// listUnitsByNames loads what isn't loaded, so that a client sees the state of any unit that it names.
func listUnitsByNames(k *call) {
	names := k.args.Strings()
	var units []*engine.Unit
	for _, name := range names {
		if unit.Form(name)&(unit.NamePlain|unit.NameInstance) == 0 {
			k.fail(bus.Errorf(bus.ErrInvalidArgs, "Invalid unit name %s", name))
			return
		}
		if u, err := k.s.loadUnit(name); err == nil {
			units = append(units, u)
		}
	}
	k.reply(unitListSig, func(e *bus.Encoder) {
		mark := e.BeginArray('(')
		for _, u := range units {
			k.s.writeUnitInfo(e, u)
		}
		e.EndArray(mark)
	})
}

// writeUnitInfo writes one entry of ListUnits.
func (s *Server) writeUnitInfo(e *bus.Encoder, u *engine.Unit) {
	cfg := u.Config()
	e.Struct()
	e.String(u.Name())
	e.String(description(cfg))
	e.String(string(cfg.LoadState))
	e.String(string(u.ActiveState()))
	e.String(u.SubState())
	e.String(u.Following())
	e.UnitPath(u.Name())
	if j := u.Job(); j != nil {
		e.Uint32(j.ID)
		e.String(string(j.Type))
		e.ObjectPath(bus.JobPath(j.ID))
		return
	}
	e.Uint32(0)
	e.String("")
	e.ObjectPath("/")
}

// description falls back to the name.
func description(u *unit.Unit) string {
	if u.Unit.Description != "" {
		return u.Unit.Description
	}
	return u.Name
}

// loadUnit gives a unit, loading it if need be.
func (s *Server) loadUnit(name string) (*engine.Unit, error) {
	if u := s.b.Engine().Unit(name); u != nil {
		return u, nil
	}
	if unit.Form(name)&(unit.NamePlain|unit.NameInstance) == 0 {
		return nil, bus.Errorf(bus.ErrInvalidArgs, "Unit name %s is not valid.", name)
	}
	var refusal *machine.Error
	s.b.Submit(machine.LoadUnit{Unit: name, Reply: s.b.Request(func(r machine.SendReply) { refusal = r.Err })})
	if refusal != nil {
		return nil, engineError(refusal)
	}
	if u := s.b.Engine().Unit(name); u != nil {
		return u, nil
	}
	return nil, bus.Errorf(bus.ErrNoSuchUnit, "Unit %s not loaded.", name)
}

// processes are listed with path, pid and command line.
func (k *call) replyProcesses(name string) {
	groups, err := k.s.b.Processes(name)
	if err != nil {
		k.reply("a(sus)", func(e *bus.Encoder) { e.EndArray(e.BeginArray('(')) })
		return
	}
	paths := make([]string, 0, len(groups))
	for p := range groups {
		paths = append(paths, p)
	}
	sort.Strings(paths)
	k.reply("a(sus)", func(e *bus.Encoder) {
		mark := e.BeginArray('(')
		for _, p := range paths {
			for _, pid := range groups[p] {
				e.Struct()
				e.String(p)
				e.Uint32(uint32(pid))
				e.String(commandLine(pid))
			}
		}
		e.EndArray(mark)
	})
}
