package busapi

import (
	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

func managerString(name string, emits bus.Emits, get func(s *Server) string) property {
	return property{name: name, sig: "s", emits: emits, manager: func(s *Server, e *bus.Encoder) { e.String(get(s)) }}
}

func managerBool(name string, emits bus.Emits, get func(s *Server) bool) property {
	return property{name: name, sig: "b", emits: emits, manager: func(s *Server, e *bus.Encoder) { e.Bool(get(s)) }}
}

func managerUint32(name string, emits bus.Emits, get func(s *Server) uint32) property {
	return property{name: name, sig: "u", emits: emits, manager: func(s *Server, e *bus.Encoder) { e.Uint32(get(s)) }}
}

func managerUint64(name string, emits bus.Emits, get func(s *Server) uint64) property {
	return property{name: name, sig: "t", emits: emits, manager: func(s *Server, e *bus.Encoder) { e.Uint64(get(s)) }}
}

func managerTime(name string, get func(r *Runtime) machine.Instant) []property {
	at := func(s *Server) machine.Instant {
		r := s.b.Runtime()
		return get(&r)
	}
	return []property{
		managerUint64(name, bus.EmitsConst, func(s *Server) uint64 { return at(s).Realtime }),
		managerUint64(name+"Monotonic", bus.EmitsConst, func(s *Server) uint64 { return at(s).Monotonic }),
	}
}

// settable makes a property writable.
func (p property) settable(set func(k *call, d *bus.Decoder) error) property {
	p.set = set
	return p
}

func managerProperties() []property {
	list := []property{
		managerString("Version", bus.EmitsConst, func(s *Server) string { return s.b.Facts().Version }),
		managerString("Features", bus.EmitsConst, func(s *Server) string { return s.b.Facts().Features }),
		managerString("Virtualization", bus.EmitsConst, func(s *Server) string { return noneAsEmpty(s.b.Facts().Virtualization) }),
		managerString("ConfidentialVirtualization", bus.EmitsConst, func(s *Server) string { return noneAsEmpty(s.b.Facts().ConfidentialVirt) }),
		managerString("Architecture", bus.EmitsConst, func(s *Server) string { return s.b.Facts().Architecture }),
		managerString("Tainted", bus.EmitsConst, func(s *Server) string { return s.b.Facts().Tainted }),
		managerString("ControlGroup", bus.EmitsNothing, func(s *Server) string { return s.b.Facts().ControlRoot }),
		managerString("SystemState", bus.EmitsNothing, func(s *Server) string { return s.b.Runtime().State }),
		{name: "UnitPath", sig: "as", emits: bus.EmitsConst, manager: func(s *Server, e *bus.Encoder) { e.Strings(s.b.Facts().UnitPath) }},
		{name: "Environment", sig: "as", emits: bus.EmitsNothing, manager: func(s *Server, e *bus.Encoder) { e.Strings(s.b.Environment()) }},
		{name: "Progress", sig: "d", emits: bus.EmitsNothing, manager: func(s *Server, e *bus.Encoder) { e.Double(s.b.Runtime().Progress) }},
		{name: "ExitCode", sig: "y", emits: bus.EmitsNothing, manager: func(s *Server, e *bus.Encoder) { e.Byte(s.b.Runtime().ExitCode) }},
		managerUint32("NNames", bus.EmitsNothing, func(s *Server) uint32 { n, _ := s.b.Engine().Len(); return uint32(n) }),
		managerUint32("NFailedUnits", bus.EmitsChange, func(s *Server) uint32 { return uint32(s.b.Engine().FailedUnits()) }),
		managerUint32("NJobs", bus.EmitsNothing, func(s *Server) uint32 { _, n := s.b.Engine().Len(); return uint32(n) }),
		managerUint32("NInstalledJobs", bus.EmitsNothing, func(s *Server) uint32 { return s.b.Runtime().InstalledJobs }),
		managerUint32("NFailedJobs", bus.EmitsNothing, func(s *Server) uint32 { return s.b.Runtime().FailedJobs }),
		managerUint32("SoftRebootsCount", bus.EmitsConst, func(s *Server) uint32 { return s.b.Runtime().SoftRebootsCount }),
		managerBool("ShowStatus", bus.EmitsNothing, func(s *Server) bool { return s.b.Runtime().ShowStatus }),
		managerBool("ConfirmSpawn", bus.EmitsConst, func(s *Server) bool { return s.b.Runtime().ConfirmSpawn }),
		managerString("LogLevel", bus.EmitsNothing, func(s *Server) string { return value.LogLevel(s.b.Runtime().LogLevel).String() }).settable(
			func(k *call, d *bus.Decoder) error {
				level, err := value.ParseLogLevel(d.String())
				if err != nil {
					return bus.Errorf(bus.ErrInvalidArgs, "%v", err)
				}
				k.s.b.SetLogLevel(int(level))
				return nil
			}),
		managerString("LogTarget", bus.EmitsNothing, func(s *Server) string { return s.b.Runtime().LogTarget }).settable(
			func(k *call, d *bus.Decoder) error {
				k.s.b.SetLogTarget(d.String())
				return nil
			}),
		managerBool("ServiceWatchdogs", bus.EmitsNothing, func(s *Server) bool { return s.b.Runtime().ServiceWatchdogs }).settable(
			func(k *call, d *bus.Decoder) error {
				k.s.b.SetServiceWatchdogs(d.Bool())
				return nil
			}),
		managerString("WatchdogDevice", bus.EmitsConst, func(s *Server) string { return s.b.Runtime().WatchdogDevice }),
		managerString("RuntimeWatchdogPreGovernor", bus.EmitsNothing, func(s *Server) string { return s.b.Runtime().WatchdogGovernor }).settable(
			func(k *call, d *bus.Decoder) error {
				k.s.b.SetWatchdogGovernor(d.String())
				return nil
			}),
	}
	for name, get := range map[string]func(r *Runtime) uint64{
		"RuntimeWatchdogUSec": func(r *Runtime) uint64 { return r.RuntimeWatchdogUSec },
		"RebootWatchdogUSec":  func(r *Runtime) uint64 { return r.RebootWatchdogUSec },
		"KExecWatchdogUSec":   func(r *Runtime) uint64 { return r.KExecWatchdogUSec },

		"RuntimeWatchdogPreUSec": func(r *Runtime) uint64 { return r.RuntimeWatchdogPreUSec },
	} {
		list = append(list, managerUint64(name, bus.EmitsNothing, func(s *Server) uint64 {
			r := s.b.Runtime()
			return get(&r)
		}).settable(func(k *call, d *bus.Decoder) error {
			k.s.b.SetWatchdog(name, d.Uint64())
			return nil
		}))
	}
	for name, get := range map[string]func(r *Runtime) machine.Instant{
		"FirmwareTimestamp":         func(*Runtime) machine.Instant { return machine.Instant{} },
		"LoaderTimestamp":           func(*Runtime) machine.Instant { return machine.Instant{} },
		"KernelTimestamp":           func(r *Runtime) machine.Instant { return r.Kernel },
		"InitRDTimestamp":           func(r *Runtime) machine.Instant { return r.InitRD },
		"UserspaceTimestamp":        func(r *Runtime) machine.Instant { return r.Userspace },
		"FinishTimestamp":           func(r *Runtime) machine.Instant { return r.Finish },
		"ShutdownStartTimestamp":    func(r *Runtime) machine.Instant { return r.ShutdownStart },
		"SecurityStartTimestamp":    func(*Runtime) machine.Instant { return machine.Instant{} },
		"SecurityFinishTimestamp":   func(*Runtime) machine.Instant { return machine.Instant{} },
		"GeneratorsStartTimestamp":  func(r *Runtime) machine.Instant { return r.GeneratorsStart },
		"GeneratorsFinishTimestamp": func(r *Runtime) machine.Instant { return r.GeneratorsFinish },
		"UnitsLoadStartTimestamp":   func(r *Runtime) machine.Instant { return r.UnitsLoadStart },
		"UnitsLoadFinishTimestamp":  func(r *Runtime) machine.Instant { return r.UnitsLoadFinish },
		"UnitsLoadTimestamp":        func(r *Runtime) machine.Instant { return r.UnitsLoad },
		"WatchdogLastPingTimestamp": func(r *Runtime) machine.Instant { return r.WatchdogLastPing },

		"InitRDSecurityStartTimestamp":    func(*Runtime) machine.Instant { return machine.Instant{} },
		"InitRDSecurityFinishTimestamp":   func(*Runtime) machine.Instant { return machine.Instant{} },
		"InitRDGeneratorsStartTimestamp":  func(*Runtime) machine.Instant { return machine.Instant{} },
		"InitRDGeneratorsFinishTimestamp": func(*Runtime) machine.Instant { return machine.Instant{} },
		"InitRDUnitsLoadStartTimestamp":   func(*Runtime) machine.Instant { return machine.Instant{} },
		"InitRDUnitsLoadFinishTimestamp":  func(*Runtime) machine.Instant { return machine.Instant{} },
	} {
		list = append(list, managerTime(name, get)...)
	}
	return append(list, rowManagerProperties(list)...)
}

func noneAsEmpty(s string) string {
	if s == "none" {
		return ""
	}
	return s
}

// rowManagerProperties are the settings of system.conf that have a property.
func rowManagerProperties(have []property) (list []property) {
	taken := map[string]bool{}
	for _, p := range have {
		taken[p.name] = true
	}
	for _, hidden := range []bool{false, true} {
		for _, p := range unit.SectionProperties(unit.InManager, hidden) {
			if p.Sig == "" || taken[p.Name] {
				continue
			}
			taken[p.Name] = true
			list = append(list, property{name: p.Name, sig: p.Sig, emits: emitsOf(p.Emits), hidden: hidden,
				manager: func(s *Server, e *bus.Encoder) {
					w := writer{e: e}
					p.WriteManager(&w, s.b.Config())
				}})
		}
	}
	return list
}
