package busapi

import (
	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/engine"
	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/engine/swap"
	"github.com/muster-init/muster/pkg/unit/value"
)

// swapState gives the run-time state of a swap for reading.
func swapState(u *engine.Unit) *swap.State {
	if m, ok := u.Machine().(*swap.Machine); ok {
		return m.State()
	}
	return &swap.State{Sub: swap.Dead}
}

// swapRuntime are the run-time properties of swaps.
func swapRuntime() []property {
	list := []property{
		{name: "Priority", sig: "i", emits: bus.EmitsChange, unit: func(_ *Server, u *engine.Unit, e *bus.Encoder) {
			if info := swapState(u).Kernel; info != nil {
				e.Int32(info.Priority)
				return
			}
			e.Int32(u.Config().GetSwap().Priority.Or(-1))
		}},
		{name: "ControlPID", sig: "u", emits: bus.EmitsChange, unit: func(_ *Server, u *engine.Unit, e *bus.Encoder) {
			e.Uint32(uint32(swapState(u).ControlPID))
		}},
		unitString("Result", bus.EmitsChange, func(_ *Server, u *engine.Unit) string { return success(u.Result()) }),
		unitString("CleanResult", bus.EmitsChange, func(_ *Server, u *engine.Unit) string { return success(swapState(u).CleanResult) }),
		unitUint32("UID", func(*Server, *engine.Unit) uint32 { return ^uint32(0) }),
		unitUint32("GID", func(*Server, *engine.Unit) uint32 { return ^uint32(0) }),
	}
	for _, phase := range []machine.Phase{machine.ExecActivate, machine.ExecDeactivate} {
		list = append(list, ranCommand(phase, func(u *engine.Unit) (control.Status, []value.Command) {
			return swapState(u).History.Get(phase, 0), swap.Commands(u.Config(), phase)
		}))
	}
	return list
}
