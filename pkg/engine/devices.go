package engine

import (
	"slices"

	"github.com/muster-init/muster/pkg/depend"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit"
)

// devices is what is known of the machine's devices: by path in /sys, and who lays claim to the name of each unit. Several devices may
// have the same symbolic link; the one that said so last has it.
type devices struct {
	bySysfs map[string]machine.DeviceInfo
	claims  map[string][]string // unit name → Sysfs
	inUse   map[string]int      // unit name → mounts and swaps of it
	actions struct{ of, device *unit.UnitActions }
}

func newDevices() devices {
	return devices{bySysfs: map[string]machine.DeviceInfo{}, claims: map[string][]string{}, inUse: map[string]int{}}
}

// deviceNames lists the units of a device, the one of its path in /sys first.
func deviceNames(d machine.DeviceInfo) []string {
	var out []string
	for _, p := range append([]string{d.Sysfs, d.Node}, d.Links...) {
		if name, err := unit.NameFromPath(p, ".device"); p != "" && err == nil && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// onDevices brings the devices up to date and tells the units.
func (e *Engine) onDevices(v machine.Devices) {
	gone := slices.Clone(v.Gone)
	if v.All {
		seen := map[string]bool{}
		for _, d := range v.Changed {
			seen[d.Sysfs] = true
		}
		for sysfs := range e.devices.bySysfs {
			if !seen[sysfs] {
				gone = append(gone, sysfs)
			}
		}
		slices.Sort(gone)
	}
	var touched []string
	for _, sysfs := range gone {
		touched = append(touched, e.dropDevice(sysfs)...)
	}
	for _, d := range v.Changed {
		touched = append(touched, e.dropDevice(d.Sysfs)...)
		names := deviceNames(d)
		e.devices.bySysfs[d.Sysfs] = d
		if d.Ready {
			for _, name := range names {
				e.devices.claims[name] = append(e.devices.claims[name], d.Sysfs)
			}
		}
		touched = append(touched, names...)
	}
	if v.All {
		// Units of an earlier image whose device has gone while nobody looked.
		for _, u := range e.Units() {
			if u.cfg.Type == unit.TypeDevice && u.machine != nil {
				touched = append(touched, u.Name())
			}
		}
	}
	done := map[string]bool{}
	for _, name := range touched {
		if !done[name] {
			done[name] = true
			e.tellDevice(name, !v.All)
		}
	}
}

// dropDevice forgets a device and gives the units that it was known by.
func (e *Engine) dropDevice(sysfs string) []string {
	d, ok := e.devices.bySysfs[sysfs]
	if !ok {
		return nil
	}
	delete(e.devices.bySysfs, sysfs)
	names := deviceNames(d)
	for _, name := range names {
		if rest := without(e.devices.claims[name], sysfs); len(rest) > 0 {
			e.devices.claims[name] = rest
		} else {
			delete(e.devices.claims, name)
		}
	}
	return names
}

// deviceOf is the device that has the name of a unit now.
func (e *Engine) deviceOf(name string) (machine.DeviceInfo, bool) {
	claims := e.devices.claims[name]
	if len(claims) == 0 {
		return machine.DeviceInfo{}, false
	}
	d, ok := e.devices.bySysfs[claims[len(claims)-1]]
	return d, ok
}

// tellDevice tells a unit whether its device is there, loading it if so. What the device wants is started when it comes, also by a start
// job that waited and knew nothing of it. changes: so is what a device that is there wants more than before.
func (e *Engine) tellDevice(name string, changes bool) {
	d, found := e.deviceOf(name)
	u := e.names[name]
	var before []string
	switch {
	case u == nil && !found:
		return
	case u == nil:
		u = e.load(name)
	case found && e.deviceDiffers(u, d):
		before = e.Deps(u, unit.DepWants)
		e.swap(u, e.src.Load(name))
		e.drainLoading()
		if u = e.names[name]; u == nil {
			return
		}
	default:
		before = e.Deps(u, unit.DepWants)
	}
	was := u.ActiveState()
	ev := machine.DeviceFound{InUse: e.devices.inUse[name] > 0}
	if found {
		ev.Sysfs = d.Sysfs
	}
	e.step(u, ev)
	came := found && !was.IsActiveOrReloading()
	e.forPeers(u, depend.Of(unit.DepWants), func(p *Unit, t depend.Mask) {
		if came || found && changes && !slices.Contains(before, p.Name()) {
			e.requests = append(e.requests, startRequest{kind: wantedStart, u: p, mode: job.Fail, from: u, via: t, cause: machine.CauseTrigger})
		}
	})
}

// deviceDiffers reports whether a unit was made of something else than d.
func (e *Engine) deviceDiffers(u *Unit, d machine.DeviceInfo) bool {
	c, _ := e.deviceUnit(u.Name(), u.cfg)
	if c.Unit.Description != u.cfg.Unit.Description {
		return true
	}
	for _, w := range d.Wants {
		if !slices.Contains(e.Deps(u, unit.DepWants), w) && name0(d) == u.Name() {
			return true
		}
	}
	return false
}

// name0 is the name of the unit that stands for the device itself.
func name0(d machine.DeviceInfo) string {
	name, _ := unit.NameFromPath(d.Sysfs, ".device")
	return name
}

// deviceUnit is the configuration of a device unit: devices have no file, or one that only says how long to wait.
func (e *Engine) deviceUnit(name string, cfg *unit.Unit) (*unit.Unit, bool) {
	if cfg.Type != unit.TypeDevice || cfg.FragmentPath != "" || cfg.LoadState != unit.StateLoaded && cfg.LoadState != unit.StateNotFound {
		return cfg, false
	}
	c := *cfg
	c.MarkLoaded()
	if path, err := unit.NameToPath(name); err == nil {
		c.Unit.Description = path
	}
	if !c.Unit.JobRunningTimeoutSet && e.opt.DeviceTimeoutUSec != 0 {
		c.Unit.UnitActions = e.deviceActions(cfg)
	}
	d, ok := e.deviceOf(name)
	if !ok {
		return &c, true
	}
	if d.Description != "" {
		c.Unit.Description = d.Description
	}
	if name0(d) == name {
		c.Deps = slices.Clone(c.Deps)
		for _, w := range d.Wants {
			c.Deps = append(c.Deps, unit.Dep{Type: unit.DepWants, Name: w, Origin: unit.Pos{File: unit.PosImplicit}})
		}
	}
	return &c, true
}

// deviceActions are those of a device that is waited for no longer than others. Devices that set nothing else share them, as they share the defaults.
func (e *Engine) deviceActions(cfg *unit.Unit) *unit.UnitActions {
	shared := cfg.Unit.UnitActions == cfg.Defaults().Unit.UnitActions
	if shared && e.devices.actions.of == cfg.Unit.UnitActions {
		return e.devices.actions.device
	}
	a := *cfg.Unit.UnitActions
	a.JobRunningTimeoutUSec = e.opt.DeviceTimeoutUSec
	if shared {
		e.devices.actions.of, e.devices.actions.device = cfg.Unit.UnitActions, &a
	}
	return &a
}

// useDevice counts the mounts and swaps of a device node, so that a device that udev has not seen yet is at least tentative.
func (e *Engine) useDevice(what string, by int) {
	if len(what) < 6 || what[:5] != "/dev/" || e.opt.Depend.NoDevices {
		return
	}
	name, err := unit.NameFromPath(what, ".device")
	if err != nil {
		return
	}
	if e.devices.inUse[name] += by; e.devices.inUse[name] <= 0 {
		delete(e.devices.inUse, name)
	}
	if e.names[name] != nil {
		e.tellDevice(name, false)
	}
}

// Following is the unit that this one is only another name of, "" if it stands for itself.
func (u *Unit) Following() string {
	if f, ok := u.machine.(machine.Follower); ok {
		if name := f.Following(); name != u.Name() {
			return name
		}
	}
	return ""
}
