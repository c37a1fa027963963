package busapi

import (
	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/engine"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/engine/scope"
	"github.com/muster-init/muster/pkg/engine/service"
	"github.com/muster-init/muster/pkg/kernel"
	"github.com/muster-init/muster/pkg/unit"
)

// typeInterface is the interface of a unit type: its run-time properties, those of its cgroup, and every row of its section.
func typeInterface(t unit.Type) *iface {
	i := &iface{name: typeName(t)}
	switch t {
	case unit.TypeService:
		i.props = serviceRuntime()
		i.methods = append(i.methods, liveMethods(false)...)
		i.methods = append(i.methods, method{name: "DumpFileDescriptorStore", out: "a(suuutuusu)", args: []string{"entries"}, run: func(k *call) { k.replyStore(k.unit) }})
	case unit.TypeScope:
		i.props = scopeRuntime()
		i.methods = append(i.methods, method{name: "Abandon", run: func(k *call) {
			k.submit(func(r machine.Reply) machine.Event { return machine.Abandon{Unit: k.unit, Reply: r} })
		}})
		i.signals = append(i.signals, bus.Signal{Name: "RequestStop"})
	case unit.TypeMount:
		i.props = mountRuntime()
	case unit.TypePath:
		i.props = pathRuntime()
	case unit.TypeDevice:
		i.props = []property{unitString("SysFSPath", bus.EmitsChange, deviceSysfs)}
	case unit.TypeSwap:
		i.props = swapRuntime()
	case unit.TypeTimer:
		i.props = timerRuntime()
	case unit.TypeSocket:
		i.props = socketRuntime()
	case unit.TypeSlice, unit.TypeTarget:
	default:
		i.props = append(i.props, unitString("Result", bus.EmitsChange, func(_ *Server, u *engine.Unit) string { return u.Result() }))
	}
	if t.HasCgroup() {
		i.props = append(i.props, cgroupRuntime()...)
		i.methods = append(i.methods,
			method{name: "GetProcesses", out: "a(sus)", args: []string{"processes"}, run: func(k *call) { k.replyProcesses(k.unit) }},
			method{name: "AttachProcesses", in: "sau", args: []string{"subcgroup", "pids"}, run: func(k *call) { k.attach(k.unit) }},
		)
	}
	if t.HasExec() {
		i.props = append(i.props, callFilterProperties()...)
		i.props = append(i.props, execLeftovers(t)...)
	}
	if section := unit.SectionFromString(t.Section()); t.Section() != "" {
		i.props = append(i.props, rowProperties(section, i.props)...)
	}
	return i.finish()
}

// serviceState gives the run-time state of a service for reading.
func serviceState(u *engine.Unit) *service.State {
	if m, ok := u.Machine().(*service.Machine); ok {
		return m.State()
	}
	return &unusedService
}

// unusedService and unusedMachine are what a service shows that never did anything.
var (
	unusedService service.State
	unusedMachine = service.New()
)

func serviceField[T any](name, sig string, emits bus.Emits, get func(s *service.State) T, put func(e *bus.Encoder, v T)) property {
	return property{name: name, sig: sig, emits: emits, unit: func(_ *Server, u *engine.Unit, e *bus.Encoder) { put(e, get(serviceState(u))) }}
}

func putString(e *bus.Encoder, v string) { e.String(v) }
func putUint32(e *bus.Encoder, v uint32) { e.Uint32(v) }
func putInt32(e *bus.Encoder, v int32)   { e.Int32(v) }
func putUint64(e *bus.Encoder, v uint64) { e.Uint64(v) }

func success(r string) string {
	if r == "" {
		return "success"
	}
	return r
}

// identity is who a service with User=, Group= or DynamicUser= runs as: user and group of its main or control process, ^0 where that isn't known.
func identity(u *engine.Unit) (uid, gid uint32) {
	uid, gid = ^uint32(0), ^uint32(0)
	x, st := u.Config().GetExec(), serviceState(u)
	pid := st.MainPID
	if pid == 0 {
		pid = st.ControlPID
	}
	asUser := x.User != "" || x.DynamicUser
	if pid == 0 || !asUser && x.Group == "" {
		return uid, gid
	}
	status, err := kernel.ReadStatus(int(pid))
	if err != nil {
		return uid, gid
	}
	if asUser {
		uid = status.UID[0]
	}
	return uid, status.GID[0]
}

// serviceRuntime are the run-time properties of services.
func serviceRuntime() []property {
	list := []property{
		unitString("LiveMountResult", bus.EmitsChange, func(s *Server, u *engine.Unit) string { return s.b.LiveMountResult(u.Name()) }),
		serviceField("MainPID", "u", bus.EmitsChange, func(s *service.State) uint32 { return uint32(s.MainPID) }, putUint32),
		serviceField("ControlPID", "u", bus.EmitsChange, func(s *service.State) uint32 { return uint32(s.ControlPID) }, putUint32),
		serviceResult(),
		serviceField("ReloadResult", "s", bus.EmitsChange, func(s *service.State) string { return success(s.ReloadResult) }, putString),
		serviceField("CleanResult", "s", bus.EmitsChange, func(s *service.State) string { return success(s.CleanResult) }, putString),
		statusText(),
		serviceField("StatusErrno", "i", bus.EmitsChange, func(s *service.State) int32 { return s.StatusErrno }, putInt32),
		serviceField("StatusBusError", "s", bus.EmitsChange, func(s *service.State) string { return s.StatusBusError }, putString),
		serviceField("StatusVarlinkError", "s", bus.EmitsChange, func(s *service.State) string { return s.StatusVarlinkError }, putString),
		serviceField("NRestarts", "u", bus.EmitsChange, func(s *service.State) uint32 { return s.NRestarts }, putUint32),
		serviceField("NFileDescriptorStore", "u", bus.EmitsNothing, func(s *service.State) uint32 { return uint32(len(s.Store)) }, putUint32),
		serviceField("ExtraFileDescriptorNames", "as", bus.EmitsConst, (*service.State).ExtraNames, (*bus.Encoder).Strings),
		serviceField("WatchdogTimestamp", "t", bus.EmitsNothing, func(s *service.State) uint64 { return s.Watchdog.Realtime }, putUint64),
		serviceField("WatchdogTimestampMonotonic", "t", bus.EmitsNothing, func(s *service.State) uint64 { return s.Watchdog.Monotonic }, putUint64),
		serviceMachine("NotifyAccess", "s", func(m *service.Machine, u *engine.Unit, e *bus.Encoder) { e.String(m.NotifyAccess(u.Config())) }),
		serviceMachine("RestartUSecNext", "t", func(m *service.Machine, u *engine.Unit, e *bus.Encoder) { e.Uint64(m.RestartUSecNext(u.Config())) }),
		serviceMachine("WatchdogUSec", "t", func(m *service.Machine, u *engine.Unit, e *bus.Encoder) {
			if u.InactiveExit().Monotonic == 0 {
				e.Uint64(unit.Infinity) // it holds from the start on
				return
			}
			e.Uint64(m.WatchdogUSec(u.Config()))
		}),
		unitUint32("UID", func(_ *Server, u *engine.Unit) uint32 { uid, _ := identity(u); return uid }),
		unitUint32("GID", func(_ *Server, u *engine.Unit) uint32 { _, gid := identity(u); return gid }),
	}
	return append(append(list, execMain()...), commandProperties()...)
}

// statusText is what the service says of itself, or what the manager says of a unit in quarantine.
func statusText() property {
	return property{name: "StatusText", sig: "s", emits: bus.EmitsChange, unit: func(_ *Server, u *engine.Unit, e *bus.Encoder) {
		text := u.Quarantined()
		if text == "" {
			text = serviceState(u).StatusText
		}
		e.String(text)
	}}
}

func serviceResult() property {
	return property{name: "Result", sig: "s", emits: bus.EmitsChange, unit: func(_ *Server, u *engine.Unit, e *bus.Encoder) {
		if u.Quarantined() != "" {
			e.String(u.Result())
			return
		}
		e.String(success(serviceState(u).Result))
	}}
}

// serviceMachine makes a property that the state machine computes from its state and the configuration.
func serviceMachine(name, sig string, put func(m *service.Machine, u *engine.Unit, e *bus.Encoder)) property {
	return property{name: name, sig: sig, emits: bus.EmitsNothing, unit: func(_ *Server, u *engine.Unit, e *bus.Encoder) {
		m, ok := u.Machine().(*service.Machine)
		if !ok {
			m = unusedMachine
		}
		put(m, u, e)
	}}
}

func unitUint32(name string, get func(s *Server, u *engine.Unit) uint32) property {
	return property{name: name, sig: "u", unit: func(s *Server, u *engine.Unit, e *bus.Encoder) { e.Uint32(get(s, u)) }}
}

func scopeState(u *engine.Unit) *scope.State {
	if m, ok := u.Machine().(*scope.Machine); ok {
		return m.State()
	}
	return &scope.State{}
}

func scopeRuntime() []property {
	return []property{
		unitString("Controller", bus.EmitsNothing, func(_ *Server, u *engine.Unit) string { return scopeController(u) }),
		unitString("Result", bus.EmitsChange, func(_ *Server, u *engine.Unit) string { return success(u.Result()) }),
	}
}

// execMain are the properties of the last main process.
func execMain() (list []property) {
	moment := func(name string, get func(s *service.State) machine.Instant) {
		list = append(list,
			serviceField(name, "t", bus.EmitsChange, func(s *service.State) uint64 { return get(s).Realtime }, putUint64),
			serviceField(name+"Monotonic", "t", bus.EmitsChange, func(s *service.State) uint64 { return get(s).Monotonic }, putUint64))
	}
	moment("ExecMainStartTimestamp", func(s *service.State) machine.Instant { return s.Main.Start })
	moment("ExecMainHandoffTimestamp", func(s *service.State) machine.Instant { return s.Main.Handoff })
	moment("ExecMainExitTimestamp", func(s *service.State) machine.Instant { return s.Main.Exit })
	return append(list,
		serviceField("ExecMainPID", "u", bus.EmitsChange, func(s *service.State) uint32 { return uint32(s.Main.PID) }, putUint32),
		serviceField("ExecMainCode", "i", bus.EmitsChange, func(s *service.State) int32 { return exitCode(s.Main.Code) }, putInt32),
		serviceField("ExecMainStatus", "i", bus.EmitsChange, func(s *service.State) int32 { return s.Main.Status }, putInt32))
}

// exitCode is si_code of waitid(2).
func exitCode(code string) int32 {
	switch code {
	case machine.CodeExited:
		return 1
	case machine.CodeKilled:
		return 2
	case machine.CodeDumped:
		return 3
	}
	return 0
}
