package manager

import (
	"strconv"
	"strings"

	"github.com/muster-init/muster/pkg/cgroup"
	"github.com/muster-init/muster/pkg/unit"
)

// resourcesOf translates the settings of systemd.resource-control(5) into the values of one group. startup: the boot or shutdown is under way, so the
// Startup…= settings count.
func resourcesOf(c *unit.Cgroup, memoryTotal, pidsTotal uint64, startup bool) cgroup.Resources {
	r := cgroup.NoResources()
	pick := func(normal, atStartup uint64) uint64 {
		if startup && atStartup != unit.Infinity {
			return atStartup
		}
		return normal
	}
	r.CPUWeight = pick(c.CPUWeight, c.StartupCPUWeight)
	r.CPUQuotaPerSecUSec, r.CPUQuotaPeriodUSec = c.CPUQuotaPerSecUSec, c.CPUQuotaPeriodUSec
	r.AllowedCPUs = formatMask(pickMask(startup, c.AllowedCPUs, c.StartupAllowedCPUs))
	r.AllowedMemoryNodes = formatMask(pickMask(startup, c.AllowedMemoryNodes, c.StartupAllowedMemoryNodes))
	r.CPUSetPartition = c.CPUSetPartition
	r.IOWeight = pick(c.IOWeight, c.StartupIOWeight)
	limit := func(normal unit.Limit, atStartup unit.Opt[unit.Limit]) uint64 {
		if startup && atStartup.Set {
			return atStartup.Value.Resolve(memoryTotal)
		}
		return normal.Resolve(memoryTotal)
	}
	floor := func(normal, atStartup unit.Opt[unit.Limit]) uint64 {
		if startup && atStartup.Set {
			normal = atStartup
		}
		if !normal.Set {
			return 0
		}
		return normal.Value.Resolve(memoryTotal)
	}
	none := unit.Opt[unit.Limit]{}
	r.MemoryMin, r.MemoryLow = floor(c.MemoryMin, none), floor(c.MemoryLow, c.StartupMemoryLow)
	r.MemoryHigh, r.MemoryMax = limit(c.MemoryHigh, c.StartupMemoryHigh), limit(c.MemoryMax, c.StartupMemoryMax)
	r.MemorySwapMax, r.MemoryZSwapMax = limit(c.MemorySwapMax, c.StartupMemorySwapMax), limit(c.MemoryZSwapMax, c.StartupMemoryZSwapMax)
	r.NoMemoryZSwapWriteback = !c.MemoryZSwapWriteback
	r.TasksMax = c.TasksMax.Resolve(pidsTotal)
	return r
}

func pickMask(startup bool, normal, atStartup []byte) []byte {
	if startup && len(atStartup) > 0 {
		return atStartup
	}
	return normal
}

// controllersFor lists the controllers that a unit needs beyond those of its limits: for accounting, and for what is delegated.
func controllersFor(u *unit.Unit, c *unit.Cgroup, available cgroup.Mask) cgroup.Mask {
	var mask cgroup.Mask
	add := func(on bool, names string) {
		if on {
			mask |= cgroup.ParseMask(names)
		}
	}
	add(c.MemoryAccounting.Or(false), "memory")
	add(c.TasksAccounting.Or(false), "pids")
	add(c.IOAccounting.Or(false), "io")
	if c.Delegate {
		if c.DelegateAll || len(c.DelegateControllers) == 0 {
			mask |= available
		}
		add(true, strings.Join(c.DelegateControllers, " "))
	}
	return mask
}

// formatMask writes a bit mask of CPUs or memory nodes as a list, "0-3,8".
func formatMask(mask []byte) string {
	var b strings.Builder
	for n := 0; n < 8*len(mask); n++ {
		if mask[n/8]>>(n%8)&1 == 0 {
			continue
		}
		last := n
		for last+1 < 8*len(mask) && mask[(last+1)/8]>>((last+1)%8)&1 == 1 {
			last++
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(n))
		if last > n {
			b.WriteByte('-')
			b.WriteString(strconv.Itoa(last))
		}
		n = last
	}
	return b.String()
}
