package ctl

import (
	"fmt"
	"sort"
	"strings"

	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/unit/value"
)

// bootTimes are the points of a boot, in µs of the monotonic clock.
type bootTimes struct {
	firmware, loader, kernel, initrd, userspace, finish uint64
}

// fetchBoot reads the points of the boot. It says so when the boot isn't finished.
func (a *analyze) fetchBoot() (bootTimes, bool) {
	list, err := getAll(a.bus, bus.ManagerPath, managerIface)
	if err != nil {
		a.errorf("Failed to get timestamp properties: %s", errorText(err))
		return bootTimes{}, false
	}
	p := indexProperties(list)
	t := bootTimes{
		firmware: p.number("FirmwareTimestampMonotonic"), loader: p.number("LoaderTimestampMonotonic"), kernel: p.number("KernelTimestamp"),
		initrd: p.number("InitRDTimestampMonotonic"), userspace: p.number("UserspaceTimestampMonotonic"), finish: p.number("FinishTimestampMonotonic"),
	}
	if t.finish == 0 {
		a.errorf("Bootup is not yet finished (org.freedesktop.systemd1.Manager.FinishTimestampMonotonic=%d).\n"+
			"Please try again later.\nHint: Use 'systemctl%s list-jobs' to see active jobs", t.finish, map[bool]string{true: " --user", false: ""}[a.o.scope == scopeUser])
		return t, false
	}
	return t, true
}

func span(n uint64) string { return value.FormatSpan(value.USec(n), value.USecPerMSec) }

// offset is what times of units are counted from: the start of userspace in a container, where nothing came before.
func (t *bootTimes) offset() uint64 {
	if t.kernel == 0 {
		return t.userspace
	}
	return 0
}

// analyzeTime is time: how long the parts of the boot took.
func analyzeTime(a *analyze, _ []string) int {
	t, ok := a.fetchBoot()
	if !ok {
		return exitFailure
	}
	var parts []string
	total := uint64(0)
	add := func(name string, n uint64) {
		parts = append(parts, span(n)+" ("+name+")")
		total += n
	}
	if t.kernel != 0 && t.firmware > 0 {
		add("firmware", t.firmware-t.loader)
	}
	if t.kernel != 0 && t.loader > 0 {
		add("loader", t.loader)
	}
	switch {
	case t.kernel == 0:
	case t.initrd > 0:
		add("kernel", t.initrd)
		add("initrd", t.userspace-t.initrd)
	default:
		add("kernel", t.userspace)
	}
	add("userspace", t.finish-t.userspace)
	line := "Startup finished in " + strings.Join(parts, " + ") + " "
	if len(parts) > 1 {
		line += "= " + span(total) + " "
	}
	a.printf("%s\n", line)
	target, err := a.callString("GetDefaultTarget")
	if err != nil {
		return 0
	}
	p, err := unitProperties(a.bus, target)
	if err != nil {
		return 0
	}
	name := orDefault(p.str("Id"), target)
	switch at := p.number("ActiveEnterTimestampMonotonic"); {
	case at >= t.userspace && at != 0:
		a.printf("%s reached after %s in userspace.\n", name, span(at-t.userspace))
	case p.number("ActiveExitTimestampMonotonic") != 0:
		a.printf("%s was never reached.\n", name)
	default:
		a.printf("%s was never reached.\n", name)
	}
	return 0
}

// unitTimes are when a unit began to start and was active, in µs since the start that times are counted from.
type unitTimes struct {
	name             string
	activating, took uint64
	active           uint64
	exited, ended    uint64 // began to stop, had stopped
}

// fetchTimes reads the times of all units.
func (a *analyze) fetchTimes(t bootTimes) (map[string]unitTimes, bool) {
	list, err := a.fetchUnits(nil, nil)
	if err != nil {
		a.errorf("Failed to list units: %s", errorText(err))
		return nil, false
	}
	calls := make([]*bus.Message, len(list))
	for i, u := range list {
		calls[i] = makeCall(bus.UnitPath(u.name), propertyIface, "GetAll", unitIface)
	}
	replies, err := a.bus.CallAll(calls)
	if err != nil {
		a.errorf("Failed to get properties: %s", errorText(err))
		return nil, false
	}
	out := map[string]unitTimes{}
	for i, r := range replies {
		if r.Err != nil {
			continue
		}
		props, err := decodeProperties(r.Message)
		if err != nil {
			continue
		}
		p := indexProperties(props)
		u := unitTimes{name: list[i].name, activating: p.number("InactiveExitTimestampMonotonic"), active: p.number("ActiveEnterTimestampMonotonic"),
			exited: p.number("ActiveExitTimestampMonotonic"), ended: p.number("InactiveEnterTimestampMonotonic")}
		switch {
		case u.active >= u.activating:
			u.took = u.active - u.activating
		case u.ended >= u.activating:
			u.took = u.ended - u.activating
		}
		if u.activating != 0 {
			out[u.name] = u
		}
	}
	return out, true
}

// analyzeBlame is blame.
func analyzeBlame(a *analyze, _ []string) int {
	t, ok := a.fetchBoot()
	if !ok {
		return exitFailure
	}
	times, ok := a.fetchTimes(t)
	if !ok {
		return exitFailure
	}
	var list []unitTimes
	for _, name := range sortedKeys(times) {
		if u := times[name]; u.took > 0 {
			list = append(list, u)
		}
	}
	sort.SliceStable(list, func(i, j int) bool { return list[i].took > list[j].took })
	tbl := newTable("TIME", "UNIT")
	tbl.columns[0].right = true
	for _, u := range list {
		tbl.row(cell{text: span(u.took), json: u.took}, textCell(u.name))
	}
	a.startPager(a.o.noPager)
	tbl.print(a.Env, tableStyle{json: a.o.output})
	return 0
}

// chain walks back from a unit over those it was ordered after that were ready last.
type chain struct {
	a     *analyze
	boot  bootTimes
	times map[string]unitTimes
	seen  map[string]bool
}

// analyzeChain is critical-chain.
func analyzeChain(a *analyze, args []string) int {
	t, ok := a.fetchBoot()
	if !ok {
		return exitFailure
	}
	times, ok := a.fetchTimes(t)
	if !ok {
		return exitFailure
	}
	a.startPager(a.o.noPager)
	a.printf("The time when unit became active or started is printed after the \"@\" character.\nThe time the unit took to start is printed after the \"+\" character.\n\n")
	if len(args) == 0 {
		target, err := a.callString("GetDefaultTarget")
		if err != nil {
			a.errorf("Failed to get default target: %s", errorText(err))
			return exitFailure
		}
		args = []string{target}
	}
	for _, n := range args {
		p, err := unitProperties(a.bus, n)
		if err != nil {
			a.errorf("Failed to get ID: %s", errorText(err))
			continue
		}
		c := &chain{a, t, times, map[string]bool{}}
		name := orDefault(p.str("Id"), n)
		if _, ok := times[name]; !ok {
			continue
		}
		if u := times[name]; u.took > 0 {
			a.printf("%s %s\n", name, a.in(colorRedPlain, "+"+span(u.took)))
		} else {
			c.print(name, nil)
		}
		c.walk(name, nil)
	}
	return 0
}

func (c *chain) print(name string, branches []bool) {
	line := name
	if u, ok := c.times[name]; ok {
		at := u.activating
		if u.active >= u.activating {
			at = u.active
		}
		if u.took > 0 {
			line = fmt.Sprintf("%s @%s %s", name, c.since(u.activating), c.a.in(colorRedPlain, "+"+span(u.took)))
		} else {
			line = fmt.Sprintf("%s @%s", name, c.since(at))
		}
	}
	c.a.printf("%s%s\n", branchText(branches), line)
}

const colorRedPlain = colorBrightRed

func (c *chain) since(at uint64) string {
	if at <= c.boot.userspace {
		return span(0)
	}
	return span(at - c.boot.userspace)
}

// branchText draws the lines in front of an entry of a tree.
func branchText(branches []bool) string {
	var b strings.Builder
	for i, more := range branches {
		last := i == len(branches)-1
		switch {
		case last && more:
			b.WriteString("├─")
		case last:
			b.WriteString("└─")
		case more:
			b.WriteString("│ ")
		default:
			b.WriteString("  ")
		}
	}
	return b.String()
}

// walk goes on with the units that name was ordered after and that were ready last, with --fuzz= also those ready shortly before.
func (c *chain) walk(name string, branches []bool) {
	c.seen[name] = true
	v, err := c.a.unitProperty(name, "After")
	if err != nil {
		return
	}
	after, _ := v.([]string)
	start := c.times[name].activating
	latest := uint64(0)
	ready := func(u unitTimes) uint64 {
		if u.active >= u.activating && u.active != 0 {
			return u.active
		}
		return 0
	}
	for _, d := range after {
		if u, ok := c.times[d]; ok {
			if r := ready(u); r != 0 && r <= max(start, c.boot.finish) && r > latest && (start == 0 || r <= start) {
				latest = r
			}
		}
	}
	if latest == 0 {
		return
	}
	var next []string
	for _, d := range after {
		if u, ok := c.times[d]; ok && ready(u) <= latest && ready(u)+uint64(c.a.fuzz) >= latest && ready(u) != 0 {
			next = append(next, d)
		}
	}
	sort.SliceStable(next, func(i, j int) bool { return ready(c.times[next[i]]) > ready(c.times[next[j]]) })
	for i, d := range next {
		below := append(branches[:len(branches):len(branches)], i < len(next)-1)
		c.print(d, below)
		if c.seen[d] {
			c.a.printf("%s...\n", branchText(append(below, false)))
			continue
		}
		c.walk(d, below)
		if c.a.fuzz == 0 {
			return
		}
	}
}
