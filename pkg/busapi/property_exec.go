package busapi

import (
	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/engine"
	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/engine/service"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// commandLists are the Exec…= lists of a service. Each is shown twice: in the old form, and as …Ex with all flags.
var commandLists = []struct {
	phase machine.Phase
	get   func(s *unit.Service) []value.Command
}{
	{machine.ExecCondition, func(s *unit.Service) []value.Command { return s.ExecCondition }},
	{machine.ExecStartPre, func(s *unit.Service) []value.Command { return s.ExecStartPre }},
	{machine.ExecStart, func(s *unit.Service) []value.Command { return s.ExecStart }},
	{machine.ExecStartPost, func(s *unit.Service) []value.Command { return s.ExecStartPost }},
	{machine.ExecReload, func(s *unit.Service) []value.Command { return s.ExecReload }},
	{machine.ExecReloadPost, func(s *unit.Service) []value.Command { return s.ExecReloadPost }},
	{machine.ExecStop, func(s *unit.Service) []value.Command { return s.ExecStop }},
	{machine.ExecStopPost, func(s *unit.Service) []value.Command { return s.ExecStopPost }},
}

// commandProperties shows each command with how it last ran.
func commandProperties() (list []property) {
	for _, l := range commandLists {
		for _, ex := range []bool{false, true} {
			name, sig := string(l.phase), "a(sasbttttuii)"
			if ex {
				name, sig = name+"Ex", "a(sasasttttuii)"
			}
			list = append(list, property{name: name, sig: sig, emits: bus.EmitsInvalidates, unit: func(_ *Server, u *engine.Unit, e *bus.Encoder) {
				st := serviceState(u)
				mark := e.BeginArray('(')
				for i, c := range l.get(u.Config().GetService()) {
					e.Struct()
					unit.WriteCommandHead(&writer{e: e}, c, ex)
					writeStatus(e, commandStatus(st, l.phase, i))
				}
				e.EndArray(mark)
			}})
		}
	}
	return list
}

// commandStatus finds how a command last ran: the main process keeps its own status.
func commandStatus(s *service.State, phase machine.Phase, index int) control.Status {
	if phase == machine.ExecStart && s.MainIndex == index+1 {
		return s.Main
	}
	return s.History.Get(phase, index)
}

func writeStatus(e *bus.Encoder, s control.Status) {
	e.Uint64(s.Start.Realtime)
	e.Uint64(s.Start.Monotonic)
	e.Uint64(s.Exit.Realtime)
	e.Uint64(s.Exit.Monotonic)
	e.Uint32(uint32(s.PID))
	e.Int32(exitCode(s.Code))
	e.Int32(s.Status)
}

// debugInvocation is RestartMode=debug after a failure.
func debugInvocation(u *engine.Unit) bool {
	return u.Config().Type == unit.TypeService && serviceState(u).DebugNext
}

// scopeController is the bus name that controls a scope.
func scopeController(u *engine.Unit) string { return u.Config().GetScope().Controller }
