package unit

// New makes an empty unit of the type its name says, with load state stub
// and nothing set. d nil means BuiltinDefaults.
func New(name string, d *Defaults) *Unit {
	if d == nil {
		d = builtinDefaults
	}
	u := newShared(name, d)
	u.Unit.UnitActions = cloneBlock(u.Unit.UnitActions)
	u.OwnExtra()
	return u
}

// OwnExtra gives u a block of its own, which can be written to.
func (u *Unit) OwnExtra() *UnitExtra {
	u.UnitExtra = cloneBlock(u.UnitExtra)
	return u.UnitExtra
}

// extra is the block for writing while u is made, allocated on first use.
func (u *Unit) extra() *UnitExtra {
	if u.UnitExtra == noExtra {
		u.UnitExtra = &UnitExtra{}
	}
	return u.UnitExtra
}

// MarkLoaded takes back that u is not found, or another fault.
func (u *Unit) MarkLoaded() {
	u.LoadState = StateLoaded
	if u.LoadError != nil {
		u.OwnExtra().LoadError = nil
	}
}

// newShared is New with rarely used settings shared with the defaults, for
// units that are only changed through the directive table.
func newShared(name string, d *Defaults) *Unit {
	u := &Unit{
		Name:      name,
		Type:      TypeOf(name),
		Names:     []string{name},
		LoadState: StateStub,
		Unit:      d.Unit,
		UnitExtra: noExtra,
		defaults:  d,
	}
	switch u.Type {
	case TypeSlice, TypeScope, TypeDevice, TypeSwap, TypeMount, TypeAutomount:
		u.Unit.IgnoreOnIsolate = true // parts of the machine and its cgroup tree (systemd.unit(5))
	}
	return u
}

// Defaults gives the defaults the unit was loaded with.
func (u *Unit) Defaults() *Defaults {
	if u.defaults == nil {
		return builtinDefaults
	}
	return u.defaults
}

func orDefault[T any](p, def *T) *T {
	if p != nil {
		return p
	}
	return def
}

// own gives the block for writing, allocating it on first use.
func own[T any](p **T, def *T) *T {
	if *p == nil {
		v := *def
		*p = &v
	}
	return *p
}

// ownExec gives the exec settings for writing. Output of a service starts out
// as inherit: what that means depends on StandardInput=, see finishStdio.
func (u *Unit) ownExec() *Exec {
	if u.Exec == nil {
		own(&u.Exec, u.Defaults().execOf(u.Type))
		if u.Type == TypeService {
			u.Exec.StandardOutput, u.Exec.StandardError = Stdio{Kind: "inherit"}, Stdio{Kind: "inherit"}
		}
	}
	return u.Exec
}

// GetService gives the [Service] settings, a copy of the defaults if none is
// set.
func (u *Unit) GetService() *Service {
	if u.Service != nil {
		return u.Service
	}
	return u.Defaults().Service.Copy()
}

// Copy gives a block whose settings can be written to; lists stay shared.
func (b *Service) Copy() *Service {
	return &Service{b.ExecStart, cloneBlock(b.ServiceCommands), cloneBlock(b.ServiceSettings), cloneBlock(b.ServiceExtra)}
}

// ownService gives the [Service] settings for writing; those that few services
// have stay shared with the defaults.
func (u *Unit) ownService() *Service {
	if own(&u.Service, &u.Defaults().Service).ServiceSettings == u.Defaults().Service.ServiceSettings {
		u.Service.ServiceSettings = cloneBlock(u.Service.ServiceSettings)
	}
	return u.Service
}

// GetSocket gives the [Socket] settings, defaults if none is set.
func (u *Unit) GetSocket() *Socket { return orDefault(u.Socket, &u.Defaults().Socket) }

// GetTimer gives the [Timer] settings, defaults if none is set.
func (u *Unit) GetTimer() *Timer { return orDefault(u.Timer, &u.Defaults().Timer) }

// GetPath gives the [Path] settings, defaults if none is set.
func (u *Unit) GetPath() *Path { return orDefault(u.Path, &u.Defaults().Path) }

// GetMount gives the [Mount] settings, defaults if none is set.
func (u *Unit) GetMount() *Mount { return orDefault(u.Mount, &u.Defaults().Mount) }

// GetAutomount gives the [Automount] settings, defaults if none is set.
func (u *Unit) GetAutomount() *Automount { return orDefault(u.Automount, &u.Defaults().Automount) }

// GetSwap gives the [Swap] settings, defaults if none is set.
func (u *Unit) GetSwap() *Swap { return orDefault(u.Swap, &u.Defaults().Swap) }

// GetScope gives the [Scope] settings, defaults if none is set.
func (u *Unit) GetScope() *Scope { return orDefault(u.Scope, &u.Defaults().Scope) }

// GetSlice gives the [Slice] settings, defaults if none is set.
func (u *Unit) GetSlice() *Slice { return orDefault(u.Slice, &u.Defaults().Slice) }

// GetExec gives the exec settings, defaults if none is set.
func (u *Unit) GetExec() *Exec { return orDefault(u.Exec, u.Defaults().execOf(u.Type)) }

// GetSandbox gives the confining exec settings, defaults if none is set.
func (u *Unit) GetSandbox() *Sandbox {
	if u.Exec == nil {
		return &u.Defaults().Sandbox
	}
	return orDefault(u.Exec.Sandbox, &u.Defaults().Sandbox)
}

// GetKill gives the kill settings, defaults if none is set.
func (u *Unit) GetKill() *Kill { return orDefault(u.Kill, &u.Defaults().Kill) }

// GetCgroup gives the resource control settings, defaults if none is set.
func (u *Unit) GetCgroup() *Cgroup { return orDefault(u.Cgroup, u.Defaults().cgroupOf(u.Type)) }

// GetInstall gives the [Install] section, empty if there is none.
func (u *Unit) GetInstall() *Install { return orDefault(u.Install, &u.Defaults().Install) }

// HasExec says whether units of the type run processes with exec settings.
func (t Type) HasExec() bool {
	return t == TypeService || t == TypeSocket || t == TypeMount || t == TypeSwap
}

// HasKill says whether units of the type have kill settings.
func (t Type) HasKill() bool { return t.HasExec() || t == TypeScope }

// HasCgroup says whether units of the type have a control group.
func (t Type) HasCgroup() bool { return t.HasExec() || t == TypeScope || t == TypeSlice }
