package manager

import (
	"github.com/muster-init/muster/pkg/busapi"
	"github.com/muster-init/muster/pkg/cgroup"
	"github.com/muster-init/muster/pkg/unit"
)

// usage is what a unit uses now, and which limits hold for it.
func (c *cgroups) usage(name string) busapi.Usage {
	none := unit.Infinity
	u := busapi.Usage{Usage: unknownUsage, IPIngressBytes: none, IPIngressPackets: none, IPEgressBytes: none, IPEgressPackets: none,
		MemoryAvailable: none, EffectiveMemoryMax: none, EffectiveMemoryHigh: none, EffectiveTasksMax: none}
	p, ok := c.path(name)
	if !ok {
		return u
	}
	if c.tree != nil {
		u.Usage = c.tree.Usage(p)
	}
	if t, ok := c.traffic(name); ok {
		u.IPIngressBytes, u.IPIngressPackets, u.IPEgressBytes, u.IPEgressPackets = t.IngressBytes, t.IngressPackets, t.EgressBytes, t.EgressPackets
	}
	if loaded := c.m.eng.Config(name); loaded != nil {
		c.limits(loaded, &u)
	}
	return u
}

// limits finds the tightest of the limits of a unit and of the slices that it lies in, none above what the machine has.
func (c *cgroups) limits(u *unit.Unit, out *busapi.Usage) {
	total := c.m.totals()
	out.EffectiveMemoryMax, out.EffectiveMemoryHigh, out.EffectiveTasksMax = total.memory, total.memory, total.pids
	out.MemoryAvailable = total.memory
	for range unitDepthMax {
		r := resourcesOf(u.GetCgroup(), nil, total, c.startup())
		out.EffectiveMemoryMax = min(out.EffectiveMemoryMax, r.MemoryMax)
		out.EffectiveMemoryHigh = min(out.EffectiveMemoryHigh, r.MemoryHigh)
		out.EffectiveTasksMax = min(out.EffectiveTasksMax, r.TasksMax)
		if bound := min(r.MemoryMax, r.MemoryHigh); bound != unit.Infinity {
			out.MemoryAvailable = min(out.MemoryAvailable, bound-min(bound, c.memoryCurrent(u.Name)))
		}
		above := c.m.eng.Config(c.sliceOf(u))
		if above == nil {
			return
		}
		u = above
	}
}

// unitDepthMax bounds how deep slices nest: each level takes two characters of a name.
const unitDepthMax = unit.NameMax / 2

// memoryCurrent is the memory of a group in bytes, 0 where it isn't counted.
func (c *cgroups) memoryCurrent(name string) uint64 {
	p, ok := c.path(name)
	if !ok || c.tree == nil {
		return 0
	}
	if n := c.tree.Number(p, "memory.current"); n != unit.Infinity {
		return n
	}
	return 0
}

var unknownUsage = cgroup.Usage{
	MemoryCurrent: unit.Infinity, MemoryPeak: unit.Infinity, MemorySwapCurrent: unit.Infinity, MemorySwapPeak: unit.Infinity,
	MemoryZSwapCurrent: unit.Infinity, CPUUsageNSec: unit.Infinity, TasksCurrent: unit.Infinity, IOReadBytes: unit.Infinity,
	IOWriteBytes: unit.Infinity, IOReadOperations: unit.Infinity, IOWriteOperations: unit.Infinity, OOMKills: unit.Infinity, ManagedOOMKills: unit.Infinity,
}
