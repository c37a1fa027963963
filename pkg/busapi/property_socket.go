package busapi

import (
	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/engine"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/engine/socket"
	"github.com/muster-init/muster/pkg/unit"
)

// socketState gives the run-time state of a socket for reading.
func socketState(u *engine.Unit) *socket.State {
	if m, ok := u.Machine().(*socket.Machine); ok {
		return m.State()
	}
	return &socket.State{}
}

func socketField[T any](name, sig string, emits bus.Emits, get func(s *socket.State) T, put func(e *bus.Encoder, v T)) property {
	return property{name: name, sig: sig, emits: emits, unit: func(_ *Server, u *engine.Unit, e *bus.Encoder) { put(e, get(socketState(u))) }}
}

// socketRuntime are the run-time properties of sockets.
func socketRuntime() []property {
	list := []property{
		socketField("ControlPID", "u", bus.EmitsChange, func(s *socket.State) uint32 { return uint32(s.ControlPID) }, putUint32),
		socketField("Result", "s", bus.EmitsChange, func(s *socket.State) string { return s.ResultName() }, putString),
		socketField("NConnections", "u", bus.EmitsNothing, func(s *socket.State) uint32 { return s.NConnections() }, putUint32),
		socketField("NAccepted", "u", bus.EmitsNothing, func(s *socket.State) uint32 { return s.NAccepted }, putUint32),
		socketField("NRefused", "u", bus.EmitsNothing, func(s *socket.State) uint32 { return s.NRefused }, putUint32),
		unitUint32("UID", func(s *Server, u *engine.Unit) uint32 { return ^uint32(0) }),
		unitUint32("GID", func(s *Server, u *engine.Unit) uint32 { return ^uint32(0) }),
	}
	for _, phase := range []machine.Phase{machine.ExecStartPre, machine.ExecStartPost, machine.ExecStopPre, machine.ExecStopPost} {
		list = append(list, property{name: string(phase), sig: "a(sasbttttuii)", emits: bus.EmitsInvalidates,
			unit: func(_ *Server, u *engine.Unit, e *bus.Encoder) {
				st := socketState(u)
				mark := e.BeginArray('(')
				for i, c := range socket.Commands(u.Config().GetSocket(), phase) {
					e.Struct()
					unit.WriteCommandHead(&writer{e: e}, c, false)
					writeStatus(e, st.History.Get(phase, i))
				}
				e.EndArray(mark)
			}})
	}
	return list
}
