package busapi

import (
	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/cgroup"
	"github.com/muster-init/muster/pkg/engine"
)

// Usage is what a unit's control group uses and what it may use at most; what isn't known is Infinity.
type Usage struct {
	cgroup.Usage
	IPIngressBytes, IPIngressPackets, IPEgressBytes, IPEgressPackets uint64
	MemoryAvailable                                                  uint64 // bytes until the next limit
	EffectiveMemoryMax, EffectiveMemoryHigh, EffectiveTasksMax       uint64 // the tightest up to the root
}

// usage makes a property that is read from the cgroup when it is asked for.
func usage(name string, get func(u *Usage) uint64) property {
	return property{name: name, sig: "t", emits: bus.EmitsNothing, unit: func(s *Server, u *engine.Unit, e *bus.Encoder) {
		e.Uint64(get(s.usageOf(u)))
	}}
}

// usageMask is usage of a bit mask.
func usageMask(name string, get func(u *Usage) []byte) property {
	return property{name: name, sig: "ay", emits: bus.EmitsNothing, unit: func(s *Server, u *engine.Unit, e *bus.Encoder) {
		e.ByteArray(get(s.usageOf(u)))
	}}
}

// usageCache holds the usage of the unit that is being described, so that its files are read once for all properties of one answer.
type usageCache struct {
	unit  *engine.Unit
	usage Usage
}

func (s *Server) usageOf(u *engine.Unit) *Usage {
	if s.usage.unit != u {
		s.usage = usageCache{u, s.b.Usage(u.Name())}
	}
	return &s.usage.usage
}

// cgroupRuntime are the run-time properties of every type that has a cgroup.
func cgroupRuntime() []property {
	return []property{
		unitString("Slice", bus.EmitsNothing, func(s *Server, u *engine.Unit) string { return s.b.Engine().Slice(u) }),
		unitString("ControlGroup", bus.EmitsNothing, func(s *Server, u *engine.Unit) string { return s.b.ControlGroup(u.Name()) }),
		{name: "ControlGroupId", sig: "t", emits: bus.EmitsNothing, unit: func(s *Server, u *engine.Unit, e *bus.Encoder) {
			e.Uint64(s.b.ControlGroupID(u.Name()))
		}},
		usage("MemoryCurrent", func(u *Usage) uint64 { return u.MemoryCurrent }),
		usage("MemoryPeak", func(u *Usage) uint64 { return u.MemoryPeak }),
		usage("MemorySwapCurrent", func(u *Usage) uint64 { return u.MemorySwapCurrent }),
		usage("MemorySwapPeak", func(u *Usage) uint64 { return u.MemorySwapPeak }),
		usage("MemoryZSwapCurrent", func(u *Usage) uint64 { return u.MemoryZSwapCurrent }),
		usage("MemoryAvailable", func(u *Usage) uint64 { return u.MemoryAvailable }),
		usage("EffectiveMemoryMax", func(u *Usage) uint64 { return u.EffectiveMemoryMax }),
		usage("EffectiveMemoryHigh", func(u *Usage) uint64 { return u.EffectiveMemoryHigh }),
		usage("EffectiveTasksMax", func(u *Usage) uint64 { return u.EffectiveTasksMax }),
		usageMask("EffectiveCPUs", func(u *Usage) []byte { return u.CPUs }),
		usageMask("EffectiveMemoryNodes", func(u *Usage) []byte { return u.MemoryNodes }),
		usage("CPUUsageNSec", func(u *Usage) uint64 { return u.CPUUsageNSec }),
		usage("TasksCurrent", func(u *Usage) uint64 { return u.TasksCurrent }),
		usage("IOReadBytes", func(u *Usage) uint64 { return u.IOReadBytes }),
		usage("IOReadOperations", func(u *Usage) uint64 { return u.IOReadOperations }),
		usage("IOWriteBytes", func(u *Usage) uint64 { return u.IOWriteBytes }),
		usage("IOWriteOperations", func(u *Usage) uint64 { return u.IOWriteOperations }),
		usage("IPIngressBytes", func(u *Usage) uint64 { return u.IPIngressBytes }),
		usage("IPIngressPackets", func(u *Usage) uint64 { return u.IPIngressPackets }),
		usage("IPEgressBytes", func(u *Usage) uint64 { return u.IPEgressBytes }),
		usage("IPEgressPackets", func(u *Usage) uint64 { return u.IPEgressPackets }),
		usage("OOMKills", func(u *Usage) uint64 { return u.OOMKills }),
		usage("ManagedOOMKills", func(u *Usage) uint64 { return u.ManagedOOMKills }),
	}
}
