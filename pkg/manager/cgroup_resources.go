package manager

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/busapi"
	"github.com/muster-init/muster/pkg/cgroup"
	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/kernel/nft"
	"github.com/muster-init/muster/pkg/manager/nftset"
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
	if c.CPUWeight == unit.Infinity && c.StartupCPUWeight == unit.Infinity {
		r.CPUWeight = weightOf(pick(c.CPUShares, c.StartupCPUShares), sharesDefault)
	}
	r.CPUQuotaPerSecUSec, r.CPUQuotaPeriodUSec = c.CPUQuotaPerSecUSec, c.CPUQuotaPeriodUSec
	r.AllowedCPUs = formatMask(pickMask(startup, c.AllowedCPUs, c.StartupAllowedCPUs))
	r.AllowedMemoryNodes = formatMask(pickMask(startup, c.AllowedMemoryNodes, c.StartupAllowedMemoryNodes))
	r.CPUSetPartition = c.CPUSetPartition
	r.IOWeight = pick(c.IOWeight, c.StartupIOWeight)
	if !hasIO(c) {
		r.IOWeight = weightOf(pick(c.BlockIOWeight, c.StartupBlockIOWeight), blockIODefault)
	}
	r.MemoryMin = memoryFloor(c, slices, total.memory, func(c *unit.Cgroup) unit.Opt[unit.Limit] { return c.MemoryMin },
		func(c *unit.Cgroup) unit.Opt[unit.Limit] { return c.DefaultMemoryMin })
	// DEVIATION: StartupMemoryLow= has the effect that the manual page describes; systemd 257 writes MemoryLow= during the boot, too.
	r.MemoryLow = memoryFloor(c, slices, total.memory, func(c *unit.Cgroup) unit.Opt[unit.Limit] {
		return atStartup(startup, c.StartupMemoryLow, c.MemoryLow)
	}, func(c *unit.Cgroup) unit.Opt[unit.Limit] {
		return atStartup(startup, c.DefaultStartupMemoryLow, c.DefaultMemoryLow)
	})
	r.MemoryHigh, r.MemoryMax = memoryLimits(c, total, startup)
	r.MemorySwapMax = memoryLimit(c.MemorySwapMax, c.StartupMemorySwapMax, total, startup)
	r.MemoryZSwapMax = memoryLimit(c.MemoryZSwapMax, c.StartupMemoryZSwapMax, total, startup)
	if r.MemoryMin == 0 && r.MemoryLow == 0 && !limitsMemory(c) {
		r.MemoryMax = c.MemoryLimit.Resolve(total.memory)
	}
	r.NoMemoryZSwapWriteback = !c.MemoryZSwapWriteback
	r.TasksMax = c.TasksMax.Resolve(total.pids)
	return r
}

// Defaults of the weights of cgroup v1. CPUShares=, BlockIO…= and MemoryLimit= are its settings; they are translated where the unit has none of those
// that took their place.
const (
	sharesDefault  = 1024
	blockIODefault = 500
)

// weightOf translates a weight of cgroup v1, so that its default becomes 100; Infinity stays.
func weightOf(old, byDefault uint64) uint64 {
	if old == unit.Infinity {
		return old
	}
	return min(max(old*100/byDefault, 1), 10000)
}

// hasIO reports whether a unit has IO…= settings, which let its BlockIO…= settings be without effect.
func hasIO(c *unit.Cgroup) bool {
	return c.IOAccounting.Or(false) || c.IOWeight != unit.Infinity || c.StartupIOWeight != unit.Infinity || len(c.IODeviceWeight) > 0 ||
		len(c.IODeviceLatencyTargetUSec) > 0 || len(c.IOReadBandwidthMax) > 0 || len(c.IOWriteBandwidthMax) > 0 || len(c.IOReadIOPSMax) > 0 || len(c.IOWriteIOPSMax) > 0
}

// limitsMemory reports whether a unit has limits of memory other than MemoryLimit=, which has no effect then.
func limitsMemory(c *unit.Cgroup) bool {
	for _, l := range [...]unit.Limit{c.MemoryHigh, c.MemoryMax, c.MemorySwapMax, c.MemoryZSwapMax} {
		if l.Scale != 0 || l.Value != unit.Infinity {
			return true
		}
	}
	return c.StartupMemoryHigh.Set || c.StartupMemoryMax.Set || c.StartupMemorySwapMax.Set || c.StartupMemoryZSwapMax.Set || c.StartupMemoryLow.Set
}

// memoryLimits are MemoryHigh= and MemoryMax= in bytes.
func memoryLimits(c *unit.Cgroup, total machineTotals, startup bool) (high, most uint64) {
	return memoryLimit(c.MemoryHigh, c.StartupMemoryHigh, total, startup), memoryLimit(c.MemoryMax, c.StartupMemoryMax, total, startup)
}

func memoryLimit(normal unit.Limit, then unit.Opt[unit.Limit], total machineTotals, startup bool) uint64 {
	if startup && then.Set {
		return then.Value.Resolve(total.memory)
	}
	return normal.Resolve(total.memory)
}

// diesTogether reports whether the kernel is to kill all processes of a unit when it kills one for memory: OOMPolicy=kill.
func diesTogether(u *unit.Unit) bool {
	switch u.Type {
	case unit.TypeService:
		return u.GetService().OOMPolicy == "kill"
	case unit.TypeScope:
		return u.GetScope().OOMPolicy == "kill"
	}
	return false
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
	add(c.IOAccounting.Or(false) || c.BlockIOAccounting.Or(false), "io")
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

// deviceSetting is one of the settings with a value for each device, and where its value belongs.
type deviceSetting struct {
	values []unit.DeviceValue
	set    func(d *cgroup.IODevice, v uint64)
}

// deviceSettings lists the IO…= settings of single devices, or the BlockIO…= settings of a unit that has none.
func deviceSettings(c *unit.Cgroup) [6]deviceSetting {
	rates := func(read, write []unit.DeviceValue) (r, w deviceSetting) {
		return deviceSetting{read, func(d *cgroup.IODevice, v uint64) { d.ReadBPS = v }}, deviceSetting{write, func(d *cgroup.IODevice, v uint64) { d.WriteBPS = v }}
	}
	if !hasIO(c) {
		read, write := rates(c.BlockIOReadBandwidth, c.BlockIOWriteBandwidth)
		return [6]deviceSetting{read, write,
			{c.BlockIODeviceWeight, func(d *cgroup.IODevice, v uint64) { d.Weight = weightOf(v, blockIODefault) }},
		}
	}
	read, write := rates(c.IOReadBandwidthMax, c.IOWriteBandwidthMax)
	return [6]deviceSetting{read, write,
		{c.IODeviceWeight, func(d *cgroup.IODevice, v uint64) { d.Weight = v }},
		{c.IODeviceLatencyTargetUSec, func(d *cgroup.IODevice, v uint64) { d.LatencyTargetUSec = v }},
		{c.IOReadIOPSMax, func(d *cgroup.IODevice, v uint64) { d.ReadIOPS = v }},
		{c.IOWriteIOPSMax, func(d *cgroup.IODevice, v uint64) { d.WriteIOPS = v }},
	}
}

// ioPaths lists the paths whose devices the settings of single devices are about.
func ioPaths(c *unit.Cgroup) (list []string) {
	for _, s := range deviceSettings(c) {
		for _, v := range s.values {
			if !slices.Contains(list, v.Path) {
				list = append(list, v.Path)
			}
		}
	}
	return list
}

// ioDevices translates the settings of single devices. devices are the numbers of paths, as far as they are known.
func ioDevices(c *unit.Cgroup, devices map[string]string) (list []cgroup.IODevice) {
	if len(devices) == 0 {
		return nil
	}
	for _, s := range deviceSettings(c) {
		for _, v := range s.values {
			number := devices[v.Path]
			if number == "" {
				continue
			}
			at := slices.IndexFunc(list, func(d cgroup.IODevice) bool { return d.Device == number })
			if at < 0 {
				at = len(list)
				list = append(list, cgroup.NoIODevice(number))
			}
			s.set(&list[at], v.Value)
		}
	}
	return list
}

// blockDevice gives the numbers of the disk that a path is about: a block device itself, or what the file system of any other file lies on. A partition
// stands for its disk, because only disks have limits. It may hang on foreign file systems, so it is for workers.
func blockDevice(name string) (string, error) {
	var st unix.Stat_t
	if err := unix.Stat(name, &st); err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	dev := st.Dev
	if st.Mode&unix.S_IFMT == unix.S_IFBLK {
		dev = st.Rdev
	}
	if unix.Major(dev) == 0 {
		source, err := mountedFrom(dev)
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		dev = source
	}
	sys := fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(dev), unix.Minor(dev))
	if _, err := os.Stat(sys + "/partition"); err == nil {
		if whole, err := os.ReadFile(sys + "/../dev"); err == nil {
			return strings.TrimSpace(string(whole)), nil
		}
	}
	return fmt.Sprintf("%d:%d", unix.Major(dev), unix.Minor(dev)), nil
}

// mountedFrom finds the device of a file system with numbers of its own (btrfs) by what was mounted.
func mountedFrom(dev uint64) (uint64, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return 0, err
	}
	number := fmt.Sprintf("%d:%d", unix.Major(dev), unix.Minor(dev))
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		_, tail, _ := strings.Cut(line, " - ")
		source := strings.Fields(tail)
		if len(fields) < 3 || fields[2] != number || len(source) < 2 || !strings.HasPrefix(source[1], "/dev/") {
			continue
		}
		var st unix.Stat_t
		if err := unix.Stat(source[1], &st); err == nil && st.Mode&unix.S_IFMT == unix.S_IFBLK {
			return st.Rdev, nil
		}
	}
	return 0, fmt.Errorf("not on a block device: %w", unix.ENODEV)
}

// usage is what a unit uses now, and which limits hold for it.
func (c *cgroups) usage(name string) busapi.Usage {
	none := unit.Infinity
	u := busapi.Usage{Usage: unknownUsage, IPIngressBytes: none, IPIngressPackets: none, IPEgressBytes: none, IPEgressPackets: none,
		MemoryAvailable: none, EffectiveMemoryMax: none, EffectiveMemoryHigh: none, EffectiveTasksMax: none}
	p, ok := c.path(name)
	if !ok {
		return u
	}
	// What has not been realized has no group, or one that isn't ours: nothing is looked up for the thousands of units that don't run.
	if _, realized := c.paths[name]; c.tree != nil && (realized || p == "" || p == "init.scope") {
		u.Usage = c.tree.Usage(p)
	}
	// Without a group: what the last activation used.
	now := c.sinceStart(name, accountOf(u.Usage))
	if kept, ok := c.m.used.kept[name]; ok {
		kept.Fill(&now)
	}
	u.CPUUsageNSec, u.MemoryPeak, u.MemorySwapPeak = now.CPUUsageNSec, now.MemoryPeak, now.MemorySwapPeak
	u.IOReadBytes, u.IOWriteBytes, u.IOReadOperations, u.IOWriteOperations = now.IOReadBytes, now.IOWriteBytes, now.IOReadOperations, now.IOWriteOperations
	u.IPIngressBytes, u.IPIngressPackets, u.IPEgressBytes, u.IPEgressPackets = now.IPIngressBytes, now.IPIngressPackets, now.IPEgressBytes, now.IPEgressPackets
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
		g := u.GetCgroup()
		high, most := memoryLimits(g, total, c.startup())
		out.EffectiveMemoryMax = min(out.EffectiveMemoryMax, most)
		out.EffectiveMemoryHigh = min(out.EffectiveMemoryHigh, high)
		out.EffectiveTasksMax = min(out.EffectiveTasksMax, g.TasksMax.Resolve(total.pids))
		if bound := min(most, high); bound != unit.Infinity {
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

// groupMarks are what others read from the group's directory: to whom it is delegated, what systemd-oomd is to spare, and where core dumps go
// (systemd.resource-control(5)).
type groupMarks struct{ Avoid, Omit, Coredump, Delegate bool }

func marksOf(cfg *unit.Cgroup) groupMarks {
	return groupMarks{cfg.ManagedOOMPreference == "avoid", cfg.ManagedOOMPreference == "omit", cfg.CoredumpReceive && cfg.Delegate, cfg.Delegate}
}

// mark sets the extended attributes that differ from what is known.
func (c *cgroups) mark(g *group, want groupMarks, p string) {
	flag := func(name string, had, on bool) {
		if g.marked != nil && had == on {
			return
		}
		value := ""
		if on {
			value = "1"
		}
		_ = c.tree.SetXattr(p, name, value)
	}
	had := groupMarks{}
	if g.marked != nil {
		had = *g.marked
	}
	flag(cgroup.XattrOOMPreference, had.Avoid, want.Avoid)
	flag(cgroup.XattrOOMOmit, had.Omit, want.Omit)
	flag(cgroup.XattrCoredump, had.Coredump, want.Coredump)
	if want.Delegate {
		flag("trusted.delegate", had.Delegate, true)
		flag("user.delegate", had.Delegate, true)
	}
	if g.marked == nil || had != want {
		g.marked = &want
	}
}

// resolveDevices lets a worker find out which devices the IO…= settings are about, once per group and set of paths. The limits follow as soon as they
// are known: a path may be on a file system that hangs, and no start is to wait for that.
func (c *cgroups) resolveDevices(g *group, cfg *unit.Cgroup, name string) {
	paths := ioPaths(cfg)
	if slices.Equal(paths, g.devicePaths) {
		return
	}
	g.devicePaths = paths
	if len(paths) == 0 {
		g.devices = nil
		return
	}
	queued := c.m.work.add(func() func() {
		devices, problems := map[string]string{}, []string{}
		for _, path := range paths {
			number, err := blockDevice(path)
			if err != nil {
				problems = append(problems, err.Error())
				continue
			}
			devices[path] = number
		}
		return func() {
			g := c.inner[name]
			if g == nil || !slices.Equal(g.devicePaths, paths) {
				return
			}
			for _, text := range problems {
				c.m.log.warning(name, "There is no device to limit: %s", text)
			}
			g.devices = devices
			c.realize(name)
		}
	})
	if !queued {
		g.devicePaths = nil
		c.m.log.warning(name, "The manager is too busy to find the devices of its IO limits.")
	}
}

// apply writes limits. A missing controller is no fault of the unit: it is said at debug level, as is everything that a container withholds.
func (c *cgroups) apply(name, p string, values []cgroup.Value, have cgroup.Mask) {
	for _, err := range c.tree.Apply(p, values) {
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.EROFS) {
			c.m.log.debug(name, "%v (controllers here: %s)", err, have)
			continue
		}
		c.m.log.warning(name, "%v", err)
	}
}

// fillSets puts the id of a group into the sets of nftables that NFTSet= names, and takes it out of those that it names no more.
func (c *cgroups) fillSets(name string, g *group, wanted []unit.NFTSet) {
	if len(wanted)+len(g.sets) == 0 || !c.m.system {
		return
	}
	if g.id == 0 {
		var st unix.Stat_t
		if err := unix.Stat(c.tree.Dir(c.paths[name]), &st); err != nil {
			return // it is gone already
		}
		g.id = st.Ino
	}
	had := g.sets
	g.sets = nil
	change := func(add bool, s unit.NFTSet) {
		c.sets.Put(nftset.Change{Unit: name, Add: add, Element: nft.Element{Family: uint8(s.Family), Table: s.Table, Set: s.Set, Key: nft.Key64(g.id)}})
	}
	for _, s := range wanted {
		if s.Source != plan.NFTCgroup {
			continue // the executor's, who knows the numbers
		}
		g.sets = append(g.sets, s)
		if !slices.Contains(had, s) {
			change(true, s)
		}
	}
	for _, s := range had {
		if !slices.Contains(g.sets, s) {
			change(false, s)
		}
	}
}

// setNotChanged says which set could not be changed.
func (c *cgroups) setNotChanged(ch nftset.Change, err error) {
	verb := "fill"
	if !ch.Add {
		verb = "empty"
	}
	c.m.log.warning(ch.Unit, "Failed to %s the set %s of the table %s (NFTSet=): %v", verb, ch.Element.Set, ch.Element.Table, err)
}
