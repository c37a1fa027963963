package busapi

import (
	"encoding/hex"

	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/engine"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/unit"
)

// unitString and its kin make rows of run-time properties.
func unitString(name string, emits bus.Emits, get func(s *Server, u *engine.Unit) string) property {
	return property{name: name, sig: "s", emits: emits, unit: func(s *Server, u *engine.Unit, e *bus.Encoder) { e.String(get(s, u)) }}
}

func unitBool(name string, emits bus.Emits, get func(s *Server, u *engine.Unit) bool) property {
	return property{name: name, sig: "b", emits: emits, unit: func(s *Server, u *engine.Unit, e *bus.Encoder) { e.Bool(get(s, u)) }}
}

func unitStrings(name string, emits bus.Emits, get func(s *Server, u *engine.Unit) []string) property {
	return property{name: name, sig: "as", emits: emits, unit: func(s *Server, u *engine.Unit, e *bus.Encoder) { e.Strings(get(s, u)) }}
}

// unitTime makes the two rows of a moment: realtime and monotonic µs.
func unitTime(name string, get func(u *engine.Unit) machine.Instant) []property {
	return []property{
		{name: name, sig: "t", unit: func(_ *Server, u *engine.Unit, e *bus.Encoder) { e.Uint64(get(u).Realtime) }},
		{name: name + "Monotonic", sig: "t", unit: func(_ *Server, u *engine.Unit, e *bus.Encoder) { e.Uint64(get(u).Monotonic) }},
	}
}

// unitRuntime are the properties of org.freedesktop.systemd1.Unit that aren't settings.
func unitRuntime() []property {
	list := []property{
		unitString("Id", bus.EmitsConst, func(_ *Server, u *engine.Unit) string { return u.Name() }),
		unitStrings("Names", bus.EmitsConst, func(_ *Server, u *engine.Unit) []string { return u.Names() }),
		unitString("Following", bus.EmitsNothing, func(_ *Server, u *engine.Unit) string { return u.Following() }),
		unitString("Description", bus.EmitsConst, func(_ *Server, u *engine.Unit) string { return description(u.Config()) }),
		unitString("LoadState", bus.EmitsConst, func(_ *Server, u *engine.Unit) string { return string(u.Config().LoadState) }),
		unitString("ActiveState", bus.EmitsChange, func(s *Server, u *engine.Unit) string { return string(s.activeState(u)) }),
		unitString("FreezerState", bus.EmitsChange, func(_ *Server, u *engine.Unit) string { return u.FreezerState() }),
		unitString("SubState", bus.EmitsChange, func(s *Server, u *engine.Unit) string { return s.subState(u) }),
		unitString("FragmentPath", bus.EmitsConst, func(_ *Server, u *engine.Unit) string { return u.Config().FragmentPath }),
		unitStrings("DropInPaths", bus.EmitsConst, func(_ *Server, u *engine.Unit) []string { return u.Config().DropInPaths }),
		unitString("UnitFileState", bus.EmitsNothing, func(s *Server, u *engine.Unit) string { return s.unitFileState(u) }),
		unitString("UnitFilePreset", bus.EmitsNothing, func(s *Server, u *engine.Unit) string { return s.unitFilePreset(u) }),
		unitBool("CanStart", bus.EmitsConst, func(s *Server, u *engine.Unit) bool { return s.b.Engine().CanStart(u) }),
		unitBool("CanStop", bus.EmitsConst, func(s *Server, u *engine.Unit) bool { return s.b.Engine().CanStop(u) }),
		unitBool("CanReload", bus.EmitsConst, func(s *Server, u *engine.Unit) bool { return s.b.Engine().CanReload(u) }),
		unitBool("CanIsolate", bus.EmitsConst, func(s *Server, u *engine.Unit) bool { return s.b.Engine().CanIsolate(u) }),
		unitStrings("RequiresMountsFor", bus.EmitsConst, func(s *Server, u *engine.Unit) []string { return s.b.Engine().MountPaths(u, true) }),
		unitStrings("WantsMountsFor", bus.EmitsConst, func(s *Server, u *engine.Unit) []string { return s.b.Engine().MountPaths(u, false) }),
		unitStrings("CanClean", bus.EmitsConst, func(s *Server, u *engine.Unit) []string { return s.b.Engine().CanClean(u) }),
		unitBool("CanFreeze", bus.EmitsConst, func(s *Server, u *engine.Unit) bool { return s.b.Engine().CanFreeze(u) }),
		unitBool("CanLiveMount", bus.EmitsConst, func(s *Server, u *engine.Unit) bool { return s.b.CanLiveMount(u.Name()) }),
		{name: "Job", sig: "(uo)", unit: writeUnitJob},
		unitBool("NeedDaemonReload", bus.EmitsNothing, func(s *Server, u *engine.Unit) bool { return s.b.Loader().NeedReload(u.Config()) }),
		unitStrings("Markers", bus.EmitsNothing, func(_ *Server, u *engine.Unit) []string { return u.Markers() }),
		unitBool("ConditionResult", bus.EmitsChange, func(_ *Server, u *engine.Unit) bool { return u.ConditionResult() }),
		unitBool("AssertResult", bus.EmitsChange, func(_ *Server, u *engine.Unit) bool { return u.AssertResult() }),
		{name: "Conditions", sig: "a(sbbsi)", emits: bus.EmitsInvalidates, unit: func(_ *Server, u *engine.Unit, e *bus.Encoder) {
			writeConditions(e, u.Config().Conditions, u.Conditions())
		}},
		{name: "Asserts", sig: "a(sbbsi)", emits: bus.EmitsInvalidates, unit: func(_ *Server, u *engine.Unit, e *bus.Encoder) {
			writeConditions(e, u.Config().Asserts, u.Asserts())
		}},
		{name: "LoadError", sig: "(ss)", emits: bus.EmitsConst, unit: func(_ *Server, u *engine.Unit, e *bus.Encoder) {
			e.Struct()
			if le := u.Config().LoadError; le != nil {
				e.String(le.Name)
				e.String(le.Message)
				return
			}
			e.String("")
			e.String("")
		}},
		unitBool("Transient", bus.EmitsConst, func(_ *Server, u *engine.Unit) bool { return u.Config().Transient }),
		unitBool("Perpetual", bus.EmitsConst, func(_ *Server, u *engine.Unit) bool { return u.Perpetual() }),
		{name: "InvocationID", sig: "ay", unit: func(_ *Server, u *engine.Unit, e *bus.Encoder) {
			id, _ := hex.DecodeString(u.Invocation())
			e.ByteArray(id)
		}},
		unitStrings("Refs", bus.EmitsNothing, func(_ *Server, u *engine.Unit) []string { return u.Clients() }),
		{name: "ActivationDetails", sig: "a(ss)", unit: func(_ *Server, _ *engine.Unit, e *bus.Encoder) { e.EndArray(e.BeginArray('(')) }},
		unitBool("DebugInvocation", bus.EmitsNothing, func(_ *Server, u *engine.Unit) bool { return debugInvocation(u) }),
		unitString("AccessSELinuxContext", bus.EmitsConst, func(*Server, *engine.Unit) string { return "" }),
	}
	list = append(list, unitTime("StateChangeTimestamp", (*engine.Unit).StateChange)...)
	list = append(list, unitTime("InactiveExitTimestamp", (*engine.Unit).InactiveExit)...)
	list = append(list, unitTime("ActiveEnterTimestamp", (*engine.Unit).ActiveEnter)...)
	list = append(list, unitTime("ActiveExitTimestamp", (*engine.Unit).ActiveExit)...)
	list = append(list, unitTime("InactiveEnterTimestamp", (*engine.Unit).InactiveEnter)...)
	list = append(list, unitTime("ConditionTimestamp", (*engine.Unit).ConditionTime)...)
	list = append(list, unitTime("AssertTimestamp", (*engine.Unit).AssertTime)...)
	for t := unit.DepType(0); t < unit.DepTypeMax; t++ {
		if t == unit.DepReferences || t == unit.DepReferencedBy || t == unit.DepInSlice {
			continue
		}
		list = append(list, unitStrings(t.String(), bus.EmitsConst, func(s *Server, u *engine.Unit) []string { return s.b.Engine().Deps(u, t) }))
	}
	return list
}

func writeUnitJob(_ *Server, u *engine.Unit, e *bus.Encoder) {
	e.Struct()
	if j := u.Job(); j != nil {
		e.Uint32(j.ID)
		e.ObjectPath(bus.JobPath(j.ID))
		return
	}
	e.Uint32(0)
	e.ObjectPath("/")
}

// writeConditions shows each condition with its outcome.
func writeConditions(e *bus.Encoder, list []unit.Condition, results []int8) {
	mark := e.BeginArray('(')
	for i, c := range list {
		e.Struct()
		e.String(c.Type)
		e.Bool(c.Trigger)
		e.Bool(c.Negate)
		e.String(c.Param)
		r := int32(0)
		if i < len(results) {
			r = int32(results[i])
		}
		e.Int32(r)
	}
	e.EndArray(mark)
}

// unitInterface is org.freedesktop.systemd1.Unit: run-time properties, then every row of [Unit] and [Install] that has a property.
func unitInterface() *iface {
	i := &iface{name: ifaceUnit, props: unitRuntime()}
	i.methods = append(unitVerbs(), objectActions()...)
	i.methods = append(i.methods, method{name: "SetProperties", in: "ba(sv)", args: []string{"runtime", "properties"}, run: func(k *call) {
		k.setProperties(k.unit)
	}})
	i.props = append(i.props, rowProperties(unit.InUnit, i.props)...)
	i.props = append(i.props, ownUnitProperties()...)
	return i.finish()
}

// activeState and subState are what is being announced, or what the unit has.
func (s *Server) activeState(u *engine.Unit) machine.ActiveState {
	if s.told != nil && s.told.Unit == u.Name() {
		return s.told.Active
	}
	return u.ActiveState()
}

func (s *Server) subState(u *engine.Unit) string {
	if s.told != nil && s.told.Unit == u.Name() {
		return s.told.Sub
	}
	return u.SubState()
}
