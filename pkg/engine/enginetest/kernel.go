package enginetest

import (
	"fmt"
	"slices"

	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/unit"
)

// kernel is what the kernel of a world has: mounts, swap areas and devices, and what the engine was told of them.
type kernel struct {
	mounts  map[string][]machine.MountInfo // by mount point, the topmost last
	told    map[string]machine.MountInfo
	swaps   map[string]machine.SwapInfo // by path
	toldSw  map[string]machine.SwapInfo
	devices map[string]machine.DeviceInfo // by path in /sys
}

func newKernel() kernel {
	return kernel{mounts: map[string][]machine.MountInfo{}, told: map[string]machine.MountInfo{}, swaps: map[string]machine.SwapInfo{},
		toldSw: map[string]machine.SwapInfo{}, devices: map[string]machine.DeviceInfo{}}
}

// kernelEffect is what a helper process does to the kernel's tables when it ends, or before.
type kernelEffect struct {
	phase machine.Phase
	key   string // mount point or swap area
	what  string
	kind  string
	done  bool
	fails bool // it ends without having done anything
	lies  bool // its exit status says the contrary of what it did
}

// devicesMax is how many devices a world can have.
const devicesMax = 3

func deviceNode(i int) string  { return fmt.Sprintf("/dev/d%d", i) }
func deviceSysfs(i int) string { return fmt.Sprintf("/sys/devices/d%d", i) }
func deviceName(i int) string  { return nodeName(deviceNode(i)) }

// helper makes the process of a mount or swap unit.
func (w *World) helper(p *process, q machine.Spawn) {
	e := kernelEffect{phase: q.Phase}
	cfg := w.E.Unit(q.Unit).Config()
	switch q.Phase {
	case machine.ExecMount, machine.ExecUnmount, machine.ExecRemount:
		e.key, e.what, e.kind = cfg.GetMount().Where, cfg.GetMount().What, cfg.GetMount().Type
		if e.key == "" {
			e.key = pathOf(q.Unit)
		}
	case machine.ExecActivate, machine.ExecDeactivate:
		e.key = cfg.GetSwap().What
	default:
		return
	}
	p.due = w.now + 1 + uint64(w.rnd.N(2_000_000))
	p.exit = machine.Exit{Code: machine.CodeExited}
	if !w.calm {
		e.fails, e.lies = w.rnd.P(20), w.rnd.P(10)
		if w.rnd.P(10) {
			p.due = 0 // hangs
			p.undying = w.rnd.P(30)
		}
		if q.Phase == machine.ExecActivate {
			e.lies = false // swapon(8) is believed: /proc/swaps is read later
		}
		if e.fails != e.lies {
			p.exit.Status = 32
		}
	}
	p.effect = e
}

// take lets a helper process do its work.
func (k *kernel) take(e *kernelEffect) {
	if e.done || e.fails {
		return
	}
	e.done = true
	switch e.phase {
	case machine.ExecMount:
		k.mount(machine.MountInfo{Where: e.key, What: e.what, Type: e.kind, Options: "rw"})
	case machine.ExecRemount:
		if n := len(k.mounts[e.key]); n > 0 {
			k.mounts[e.key][n-1].Options = "rw,relatime"
		}
	case machine.ExecUnmount:
		k.unmount(e.key)
	case machine.ExecActivate:
		k.swaps[e.key] = machine.SwapInfo{What: e.key, Priority: -2}
	case machine.ExecDeactivate:
		delete(k.swaps, e.key)
	}
}

func (k *kernel) mount(info machine.MountInfo) {
	k.mounts[info.Where] = append(k.mounts[info.Where], info)
}

func (k *kernel) unmount(where string) {
	if list := k.mounts[where]; len(list) > 1 {
		k.mounts[where] = list[:len(list)-1]
	} else {
		delete(k.mounts, where)
	}
}

// tellTables lets the engine see the tables as they are, as the shell does before it delivers the exit of a helper.
func (w *World) tellTables() error {
	ev := machine.MountTable{}
	for where, list := range w.kernel.mounts {
		if top := list[len(list)-1]; w.kernel.told[where] != top {
			w.kernel.told[where] = top
			ev.Mounts = append(ev.Mounts, top)
		}
	}
	for where := range w.kernel.told {
		if len(w.kernel.mounts[where]) == 0 {
			delete(w.kernel.told, where)
			ev.Gone = append(ev.Gone, where)
		}
	}
	slices.SortFunc(ev.Mounts, func(a, b machine.MountInfo) int { return compare(a.Where, b.Where) })
	slices.Sort(ev.Gone)
	if len(ev.Mounts)+len(ev.Gone) > 0 {
		if err := w.step(ev); err != nil {
			return err
		}
	}
	same := len(w.kernel.swaps) == len(w.kernel.toldSw)
	for what, info := range w.kernel.swaps {
		same = same && w.kernel.toldSw[what] == info
	}
	if same {
		return nil
	}
	return w.step(w.swapTable())
}

func (w *World) swapTable() machine.SwapTable {
	ev := machine.SwapTable{}
	w.kernel.toldSw = map[string]machine.SwapInfo{}
	for what, info := range w.kernel.swaps {
		w.kernel.toldSw[what] = info
		ev.Swaps = append(ev.Swaps, info)
	}
	slices.SortFunc(ev.Swaps, func(a, b machine.SwapInfo) int { return compare(a.What, b.What) })
	return ev
}

func compare(a, b string) int {
	if a < b {
		return -1
	}
	if a > b {
		return 1
	}
	return 0
}

// tellAll is what the shell says after it has begun: whole tables, all devices.
func (w *World) tellAll() error {
	ev := machine.MountTable{All: true}
	w.kernel.told = map[string]machine.MountInfo{}
	for where, list := range w.kernel.mounts {
		w.kernel.told[where] = list[len(list)-1]
		ev.Mounts = append(ev.Mounts, list[len(list)-1])
	}
	slices.SortFunc(ev.Mounts, func(a, b machine.MountInfo) int { return compare(a.Where, b.Where) })
	if err := w.deliver(ev); err != nil {
		return err
	}
	if err := w.deliver(w.swapTable()); err != nil {
		return err
	}
	return w.tellDevices()
}

// tellDevices lists all devices.
func (w *World) tellDevices() error {
	ev := machine.Devices{All: true}
	for _, d := range w.kernel.devices {
		ev.Changed = append(ev.Changed, d)
	}
	slices.SortFunc(ev.Changed, func(a, b machine.DeviceInfo) int { return compare(a.Sysfs, b.Sysfs) })
	return w.deliver(ev)
}

// points lists the mount points that units are about.
func (w *World) points() []string {
	var out []string
	for _, n := range w.names {
		if unit.TypeOf(n) == unit.TypeMount {
			out = append(out, pathOf(n))
		}
	}
	return append(out, "/foreign")
}

// changeTables lets somebody mount, unmount or swap by hand, and helpers do their work before they end.
func (w *World) changeTables() error {
	switch k := w.rnd.N(100); {
	case k < 40:
		for _, pid := range w.pids() {
			if p := w.procs[pid]; p.effect.phase != "" && w.rnd.P(60) {
				w.kernel.take(&p.effect)
			}
		}
	case k < 60:
		where := pick(w.rnd, w.points()...)
		what := pick(w.rnd, "tmpfs", deviceNode(w.rnd.N(devicesMax)))
		w.kernel.mount(machine.MountInfo{Where: where, What: what, Type: "ext4", Options: "rw"})
	case k < 85:
		w.kernel.unmount(pick(w.rnd, w.points()...))
	case k < 93:
		var areas []string
		for _, n := range w.names {
			if unit.TypeOf(n) == unit.TypeSwap {
				areas = append(areas, pathOf(n))
			}
		}
		area := pick(w.rnd, append(areas, "/foreign-swap", deviceNode(0))...)
		if _, on := w.kernel.swaps[area]; on {
			delete(w.kernel.swaps, area)
		} else {
			w.kernel.swaps[area] = machine.SwapInfo{What: area, Priority: int32(w.rnd.N(3))}
		}
	}
	if w.rnd.P(15) {
		return nil // it is noticed later
	}
	if err := w.tellTables(); err != nil {
		return err
	}
	return w.flush()
}

// changeDevices plugs a device in or out, or lets udev say something else about it.
func (w *World) changeDevices() error {
	i := w.rnd.N(devicesMax)
	sysfs := deviceSysfs(i)
	d, there := w.kernel.devices[sysfs]
	switch {
	case there && w.rnd.P(50):
		delete(w.kernel.devices, sysfs)
		return w.deliver(machine.Devices{Gone: []string{sysfs}})
	case there && w.rnd.P(40):
		d.Ready = !d.Ready
	default:
		d = machine.DeviceInfo{Sysfs: sysfs, Node: deviceNode(i), Ready: w.rnd.P(80), Description: pick(w.rnd, "disk", "other disk")}
		if w.rnd.P(50) {
			d.Links = []string{"/dev/disk/by-label/shared"}
		}
		if w.rnd.P(30) {
			d.Wants = []string{pick(w.rnd, w.names...)}
			if w.src[d.Wants[0]] == nil || !unit.ValidName(d.Wants[0], unit.NamePlain|unit.NameInstance) {
				d.Wants = nil
			}
		}
	}
	w.kernel.devices[sysfs] = d
	return w.deliver(machine.Devices{Changed: []machine.DeviceInfo{d}})
}
