package engine

import (
	"slices"

	"github.com/muster-init/muster/pkg/depend"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/unit"
)

// load gives the unit that goes by name, loading it and everything that it refers to. The name must be valid.
func (e *Engine) load(name string) *Unit {
	if u := e.names[name]; u != nil {
		return u
	}
	u := e.adopt(name, e.src.Load(name))
	e.drainLoading()
	return u
}

// reference is load for names inside a configuration: edges of what it loads are made later, without recursion.
func (e *Engine) reference(name string) *Unit {
	if u := e.names[name]; u != nil {
		return u
	}
	return e.adopt(name, e.src.Load(name))
}

// adopt makes a unit of a configuration that was loaded under name, or finds the one that it is another name of.
func (e *Engine) adopt(name string, cfg *unit.Unit) *Unit {
	cfg = e.complete(name, cfg)
	if u := e.names[cfg.Name]; u != nil && cfg.Name != name {
		e.names[name] = u
		e.aliases[u] = append(e.aliases[u], name)
		return u
	}
	u := &Unit{cfg: cfg}
	e.sorted = nil
	if n := len(e.free); n > 0 {
		u.id = e.free[n-1]
		e.free = e.free[:n-1]
		e.units[u.id] = u
	} else {
		u.id = uid(len(e.units))
		e.units = append(e.units, u)
	}
	e.names[name] = u
	if name != cfg.Name && !slices.Contains(cfg.Names, name) {
		e.aliases[u] = append(e.aliases[u], name)
	}
	e.claimNames(u)
	if cfg.Perpetual {
		u.flags |= perpetual
		if p, ok := e.with(u).(machine.Perpetual); ok {
			p.Perpetual()
		}
	}
	u.flags |= inLoading
	e.loading = append(e.loading, u)
	e.queueCollect(u)
	e.emit(machine.UnitNew{Unit: u.Name()})
	return u
}

// claimNames makes the names of the configuration lead to u. A name that so far led to a unit that was nothing but a
// name (not found, no state) is taken over with the edges that others have to it.
func (e *Engine) claimNames(u *Unit) {
	for _, n := range append([]string{u.cfg.Name}, u.cfg.Names...) {
		old := e.names[n]
		switch {
		case old == nil:
			e.names[n] = u
		case old != u && old.Name() != u.Name() && old.blank():
			e.absorb(u, old)
		}
	}
}

// blank reports whether nothing would be lost with the unit but a name.
func (u *Unit) blank() bool {
	return u.machine == nil && u.job == nil && u.nop == nil && u.flags&perpetual == 0 && len(u.get().Clients) == 0
}

// absorb merges old into u: it turned out to be another name of it.
func (e *Engine) absorb(u, old *Unit) {
	e.unlink(old)
	for c := range classMax {
		for _, x := range slices.Clone(old.deps.list(c)) {
			p := e.units[x.id]
			for _, t := range (x.peer &^ targetOrder).Types() {
				if p != u {
					e.link(p, u, t.Inverse())
				}
			}
			for _, k := range inverseClass(c, x.peer) {
				p.deps.clear(k, old.id, ^depend.Mask(0), ^depend.Mask(0))
			}
		}
	}
	old.deps = edges{}
	for _, n := range append(append([]string{old.cfg.Name}, old.cfg.Names...), e.aliases[old]...) {
		if e.names[n] == old {
			e.names[n] = u
			e.aliases[u] = append(e.aliases[u], n)
		}
	}
	delete(e.aliases, old)
	e.forget(old)
}

// complete fills in what is known about units without any file.
func (e *Engine) complete(name string, cfg *unit.Unit) *unit.Unit {
	if cfg == nil {
		cfg = unit.New(name, nil)
		cfg.LoadState = unit.StateNotFound
	}
	if c, ok := e.deviceUnit(name, cfg); ok {
		return c
	}
	always := slices.Contains(e.perpetualNames(), cfg.Name)
	missing := cfg.LoadState == unit.StateNotFound
	if missing {
		if c, ok := e.kernelUnit(cfg.Name, cfg); ok {
			c.MarkLoaded()
			if !always {
				return c
			}
			cfg = c
		}
	}
	if !always && !(missing && cfg.Type == unit.TypeSlice) {
		return cfg
	}
	c := *cfg
	c.Perpetual = c.Perpetual || always
	if missing {
		c.MarkLoaded()
		switch c.Name {
		case "-.slice":
			c.Unit.Description = "Root Slice"
		case "-.mount":
			c.Unit.Description = "Root Mount"
		case "system.slice":
			c.Unit.Description = "System Slice"
		case "init.scope":
			c.Unit.Description = "System and Service Manager"
		default:
			if c.Unit.Description == "" || c.Unit.Description == c.Name {
				if p, err := unit.NameToPath(unit.ChangeSuffix(c.Name, ".mount")); err == nil && c.Type == unit.TypeSlice {
					c.Unit.Description = "Slice " + p
				}
			}
		}
	}
	if always {
		if c.Name != "system.slice" {
			c.Unit.DefaultDependencies = false
		}
		if c.Name == "init.scope" && (c.Cgroup == nil || c.Cgroup.Slice == "") {
			g := *c.GetCgroup()
			g.Slice = unit.RootSlice
			c.Cgroup = &g
		}
	}
	return &c
}

// drainLoading makes the edges of all units that were loaded, loading what they name.
func (e *Engine) drainLoading() {
	if e.draining {
		return
	}
	e.draining = true
	for len(e.loading) > 0 || len(e.connected) > 0 {
		for i := 0; i < len(e.loading); i++ {
			u := e.loading[i]
			if u.flags&removed != 0 {
				continue
			}
			u.flags &^= inLoading
			e.connect(u)
			e.connected = append(e.connected, u)
		}
		e.loading = e.loading[:0]
		done := e.connected
		e.connected = nil
		for _, u := range done {
			if u.flags&removed == 0 {
				e.orderTargets(u)
				if u.machine != nil {
					e.queueDependents(u) // what it is bound to or upholds may be another since
				}
				if u.cfg.Type == unit.TypeDevice && u.machine == nil && e.devices.inUse[u.Name()] > 0 {
					e.requests = append(e.requests, startRequest{kind: tellInUse, u: u})
				}
			}
		}
	}
	e.loading, e.draining = nil, false
}

// connect makes the edges that the configuration of u asks for.
func (e *Engine) connect(u *Unit) {
	e.scratchEdges = depend.Edges(e.scratchEdges[:0], u.cfg, &e.opt.Depend)
	for _, x := range e.scratchEdges {
		if p := e.reference(x.Name); p != nil && u.flags&removed == 0 {
			e.link(u, p, x.Type)
		}
	}
	e.scratchPaths = depend.Paths(e.scratchPaths[:0], u.cfg, &e.opt.Depend)
	for _, p := range e.scratchPaths {
		e.scratchNames = depend.MountNames(e.scratchNames[:0], p.Path)
		for _, name := range e.scratchNames {
			if !slices.Contains(e.mountUser[name], u.id) {
				e.mountUser[name] = append(e.mountUser[name], u.id)
			}
			e.linkMount(u, e.mount(name), p.Required)
		}
	}
	if u.cfg.Type == unit.TypeMount {
		e.connectMountUsers(u)
	}
	e.linkAutomount(u)
	e.linkSocket(u)
	if cap(e.scratchEdges) > scratchMax {
		e.scratchEdges = nil // a target of thousands
	}
}

// scratchMax is how many edges a buffer that is used again has room for.
const scratchMax = 1024

// linkAutomount keeps the edge of an automount to its mount when its file is gone: the point is there, and who sleeps at it has to hear of the mount.
func (e *Engine) linkAutomount(u *Unit) {
	if u.cfg.Type != unit.TypeAutomount || u.cfg.LoadState == unit.StateLoaded || u.machine == nil {
		return
	}
	if p := e.reference(unit.ChangeSuffix(u.Name(), ".mount")); p != nil && u.flags&removed == 0 {
		e.link(u, p, unit.DepTriggers)
	}
}

// mount gives the mount unit of this name if there is one, and remembers names that there is none for.
func (e *Engine) mount(name string) *Unit {
	if u := e.names[name]; u != nil {
		return u
	}
	if e.noMount[name] {
		return nil
	}
	cfg := e.src.Load(name)
	if cfg == nil || cfg.LoadState != unit.StateLoaded {
		e.noMount[name] = true
		return nil
	}
	return e.adopt(name, cfg)
}

// linkMount puts u behind a mount unit, and pulls it in if somebody wrote the mount down.
func (e *Engine) linkMount(u, m *Unit, required bool) {
	if m == nil || m == u || m.cfg.LoadState != unit.StateLoaded {
		return
	}
	e.link(u, m, unit.DepAfter)
	switch {
	case m.cfg.FragmentPath == "":
	case required:
		e.link(u, m, unit.DepRequires)
	default:
		e.link(u, m, unit.DepWants)
	}
}

// connectMountUsers joins a mount unit that is new with the units that need paths below it.
func (e *Engine) connectMountUsers(m *Unit) {
	delete(e.noMount, m.Name())
	for _, id := range e.mountUser[m.Name()] {
		u := e.units[id]
		if u == nil || u == m {
			continue
		}
		for _, p := range depend.Paths(nil, u.cfg, &e.opt.Depend) {
			if slices.Contains(depend.MountNames(nil, p.Path), m.Name()) {
				e.linkMount(u, m, p.Required)
			}
		}
	}
}

// disconnect takes back the edges of connect.
func (e *Engine) disconnect(u *Unit) {
	e.unlink(u)
	for _, p := range depend.Paths(nil, u.cfg, &e.opt.Depend) {
		for _, name := range depend.MountNames(nil, p.Path) {
			if users, i := e.mountUser[name], slices.Index(e.mountUser[name], u.id); i >= 0 {
				if users = slices.Delete(users, i, i+1); len(users) == 0 {
					delete(e.mountUser, name)
				} else {
					e.mountUser[name] = users
				}
			}
		}
	}
}

// orderTargets makes the default order of targets behind what they pull in, for all pairs that u is part of.
func (e *Engine) orderTargets(u *Unit) {
	if !u.cfg.Unit.DefaultDependencies {
		return
	}
	pair := func(target, other *Unit) {
		if depend.TargetAfter(target.cfg, other.cfg, isBefore(target, other)) {
			e.linkTarget(target, other)
		}
	}
	if u.cfg.Type == unit.TypeTarget {
		var all []*Unit
		e.peers(u, depend.TargetOrder, func(p *Unit, _ depend.Mask) bool {
			all = append(all, p)
			return true
		})
		for _, p := range all {
			pair(u, p)
		}
	}
	var targets []*Unit
	e.peers(u, depend.TargetOrder.Inverse(), func(p *Unit, _ depend.Mask) bool {
		if p.cfg.Type == unit.TypeTarget {
			targets = append(targets, p)
		}
		return true
	})
	for _, p := range targets {
		pair(p, u)
	}
}

// isBefore reports whether target is before other already: somebody wrote it, or it is the default for two targets that want
// each other.
func isBefore(target, other *Unit) bool {
	_, ok := find(target.deps.list(classBefore), other.id)
	return ok
}

// forget removes a unit from all indexes but the names.
func (e *Engine) forget(u *Unit) {
	if u.flags&removed != 0 {
		return
	}
	u.flags |= removed
	e.sorted = nil
	e.units[u.id] = nil
	e.free = append(e.free, u.id)
	if u.state != nil {
		e.timers.remove(&u.state.timer)
		e.dropClocks(u)
		for _, pid := range u.state.PIDs {
			delete(e.pids, pid)
		}
	}
	if u.flags&recorded != 0 {
		e.dirty = append(e.dirty, "unit/"+u.Name())
		u.flags &^= recorded | inDirty
	}
	e.emit(machine.UnitRemoved{Unit: u.Name()})
}
