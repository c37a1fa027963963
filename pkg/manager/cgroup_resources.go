package manager

import (
	"strconv"
	"strings"

	"github.com/muster-init/muster/pkg/cgroup"
	"github.com/muster-init/muster/pkg/unit"
)

// machineTotals are what shares refer to: bytes of memory and the number of pids.
type machineTotals struct{ memory, pids uint64 }

func (m *Manager) totals() machineTotals { return machineTotals{m.memoryTotal, m.pidsTotal} }

// resourcesOf translates the settings of systemd.resource-control(5) into the values of one group. slices are the settings of those it lies in, the
// innermost first. startup: the boot or shutdown is under way, so the Startup…= settings count.
func resourcesOf(c *unit.Cgroup, slices []*unit.Cgroup, total machineTotals, startup bool) cgroup.Resources {
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
			return atStartup.Value.Resolve(total.memory)
		}
		return normal.Resolve(total.memory)
	}
	r.MemoryMin = memoryFloor(c, slices, total.memory, func(c *unit.Cgroup) unit.Opt[unit.Limit] { return c.MemoryMin },
		func(c *unit.Cgroup) unit.Opt[unit.Limit] { return c.DefaultMemoryMin })
	r.MemoryLow = memoryFloor(c, slices, total.memory, func(c *unit.Cgroup) unit.Opt[unit.Limit] {
		return atStartup(startup, c.StartupMemoryLow, c.MemoryLow)
	}, func(c *unit.Cgroup) unit.Opt[unit.Limit] {
		return atStartup(startup, c.DefaultStartupMemoryLow, c.DefaultMemoryLow)
	})
	r.MemoryHigh, r.MemoryMax = limit(c.MemoryHigh, c.StartupMemoryHigh), limit(c.MemoryMax, c.StartupMemoryMax)
	r.MemorySwapMax, r.MemoryZSwapMax = limit(c.MemorySwapMax, c.StartupMemorySwapMax), limit(c.MemoryZSwapMax, c.StartupMemoryZSwapMax)
	r.NoMemoryZSwapWriteback = !c.MemoryZSwapWriteback
	r.TasksMax = c.TasksMax.Resolve(total.pids)
	return r
}

// atStartup prefers a setting for the boot and the shutdown while one of them is under way.
func atStartup(startup bool, then, normal unit.Opt[unit.Limit]) unit.Opt[unit.Limit] {
	if startup && then.Set {
		return then
	}
	return normal
}

// memoryFloor is a protection of memory: the unit's own, else the default that the nearest slice has for what is in it.
func memoryFloor(c *unit.Cgroup, slices []*unit.Cgroup, total uint64, own, inherited func(*unit.Cgroup) unit.Opt[unit.Limit]) uint64 {
	if v := own(c); v.Set {
		return v.Value.Resolve(total)
	}
	for _, above := range slices {
		if v := inherited(above); v.Set {
			return v.Value.Resolve(total)
		}
	}
	return 0
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
