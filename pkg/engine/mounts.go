package engine

import (
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/unit"
)

// Units of the kernel's tables. A mount or swap that no unit file describes is a unit all the same as long as the table has it; its
// configuration is made of the table (kernelUnit).
const sourceMountInfo, sourceSwaps = "/proc/self/mountinfo", "/proc/swaps"

// onMountTable brings the table up to date and tells the units.
func (e *Engine) onMountTable(v machine.MountTable) {
	seen := map[string]bool{}
	for i := range v.Mounts {
		info := v.Mounts[i]
		name, err := unit.NameFromPath(info.Where, ".mount")
		if err != nil {
			continue // a path that is too long for a name has no unit
		}
		seen[name] = true
		if old, ok := e.mounts[name]; ok && old == info && !v.All {
			continue
		}
		old := e.mounts[name].What
		e.mounts[name] = info
		if old != info.What {
			// The new one first: a device that is only in use would be gone for a moment, and what is bound to it would be stopped.
			e.useDevice(info.What, 1)
			e.useDevice(old, -1)
		}
		e.tellKernelUnit(name, machine.MountChanged{Info: &info})
	}
	var gone []string
	for _, where := range v.Gone {
		if name, err := unit.NameFromPath(where, ".mount"); err == nil && !seen[name] {
			gone = append(gone, name)
		}
	}
	if v.All {
		for _, u := range e.Units() {
			if u.cfg.Type == unit.TypeMount && u.machine != nil && !seen[u.Name()] {
				gone = append(gone, u.Name())
			}
		}
	}
	for _, name := range gone {
		e.useDevice(e.mounts[name].What, -1)
		delete(e.mounts, name)
		e.tellKernelUnit(name, machine.MountChanged{})
	}
}

// tellKernelUnit loads the unit, if what is said about it is that it is there, and tells it.
func (e *Engine) tellKernelUnit(name string, ev machine.Event) {
	u := e.names[name]
	gone := ev == machine.Event(machine.MountChanged{}) || ev == machine.Event(machine.SwapChanged{})
	switch {
	case u == nil && gone:
		return
	case u == nil:
		delete(e.noMount, name)
		u = e.load(name)
	case !gone && (u.cfg.LoadState == unit.StateNotFound || e.isKernelUnit(u) && e.kernelDiffers(u)):
		// Somebody has referred to it before it was there, or it is another mount now.
		e.swap(u, e.src.Load(name))
		e.drainLoading()
		u = e.names[name]
	}
	if u != nil {
		e.step(u, ev)
	}
}

// isKernelUnit reports whether a unit exists only because of a table.
func (e *Engine) isKernelUnit(u *Unit) bool {
	return u.cfg.FragmentPath == "" && (u.cfg.SourcePath == sourceMountInfo || u.cfg.SourcePath == sourceSwaps)
}

// kernelDiffers reports whether the table says something else than the configuration that was made of it.
func (e *Engine) kernelDiffers(u *Unit) bool {
	if m, ok := e.mounts[u.Name()]; ok {
		c := u.cfg.GetMount()
		return c.What != m.What || c.Type != m.Type || c.Options != m.Options
	}
	return false
}

// kernelUnit gives the configuration of a unit that is in a table and has no file; false: it is in none.
func (e *Engine) kernelUnit(name string, cfg *unit.Unit) (*unit.Unit, bool) {
	switch cfg.Type {
	case unit.TypeMount:
		info, ok := e.mounts[name]
		if !ok {
			return nil, false
		}
		c, m := *cfg, *cfg.GetMount()
		m.What, m.Where, m.Type, m.Options = info.What, info.Where, info.Type, info.Options
		c.OwnExtra().Mount = &m
		c.SourcePath = sourceMountInfo
		c.Unit.Description = info.Where
		return &c, true
	case unit.TypeSwap:
		info, ok := e.swaps[name]
		if !ok {
			return nil, false
		}
		c, s := *cfg, *cfg.GetSwap()
		s.What = info.What
		c.OwnExtra().Swap = &s
		c.SourcePath = sourceSwaps
		c.Unit.Description = info.What
		return &c, true
	}
	return nil, false
}

// onSwapTable brings the table of swap areas up to date and tells the units.
func (e *Engine) onSwapTable(v machine.SwapTable) {
	seen := map[string]bool{}
	for i := range v.Swaps {
		info := v.Swaps[i]
		name, err := unit.NameFromPath(info.What, ".swap")
		if err != nil {
			continue
		}
		seen[name] = true
		if _, ok := e.swaps[name]; !ok {
			e.useDevice(info.What, 1)
		}
		e.swaps[name] = info
		e.tellKernelUnit(name, machine.SwapChanged{Info: &info})
	}
	for _, u := range e.Units() {
		if u.cfg.Type != unit.TypeSwap || u.machine == nil || seen[u.Name()] {
			continue
		}
		if info, ok := e.swaps[u.Name()]; ok {
			e.useDevice(info.What, -1)
			delete(e.swaps, u.Name())
		}
		e.tellKernelUnit(u.Name(), machine.SwapChanged{})
	}
}
