package unit

// finish fills in what follows from several settings together, once all
// files are read, and decides the load state.
func (c *Context) finish() {
	u := c.Unit
	c.file, c.pos = u.FragmentPath, Pos{}
	u.finishPerpetual()
	switch u.Type {
	case TypeService:
		u.finishService()
	case TypeScope:
		u.finishScope()
	case TypeSocket:
		u.finishSocket()
	case TypePath:
		u.finishPath()
	case TypeMount:
		u.finishMount()
	case TypeAutomount:
		u.finishAutomount()
	case TypeSlice:
		c.finishSlice()
	}
	if u.Type.HasExec() {
		u.finishExec()
	}
	if c.badText == "" {
		for _, m := range Verify(u) {
			if m.Level <= LevelError {
				c.fail(m.Text)
			}
			c.Messages = append(c.Messages, m)
		}
	}
	if c.badText != "" {
		u.LoadState = StateBadSetting
		u.extra().LoadError = &LoadError{ErrBadSetting, "Unit " + u.Name + " has a bad unit file setting."}
	}
}

// Refinish does again what depends on several settings, after SetProperty
// changed some of them, and gives what is wrong.
func Refinish(u *Unit) []Message {
	c := &Context{Unit: u}
	u.MarkLoaded()
	c.finish()
	return c.finishMessages()
}

// finishService: an unset Type= follows from what else is set, a oneshot has
// no start timeout of its own, and what needs the notify socket gets it
// (systemd.service(5)).
func (u *Unit) finishService() {
	if u.Service == nil {
		return
	}
	s := u.Service
	if s.Type == "" {
		switch {
		case s.BusName != "":
			s.Type = "dbus"
		case len(s.ExecStart) > 0:
			s.Type = "simple"
		default:
			s.Type = "oneshot"
		}
	}
	if s.Type == "oneshot" && !s.TimeoutStartSet {
		s.TimeoutStartUSec = Infinity
	}
	if s.NotifyAccess == "none" && (s.Type == "notify" || s.Type == "notify-reload" || s.WatchdogUSec > 0 ||
		s.FileDescriptorStoreMax > 0) {
		s.NotifyAccess = "main"
	}
	if !s.OOMPolicySet && u.GetCgroup().Delegate {
		s.OOMPolicy = "continue"
	}
	u.finishStdio()
}

// finishStdio: data for standard input is meant to be used, and inheriting
// from an input that can't be written to means the default.
func (u *Unit) finishStdio() {
	e := u.Exec
	if e == nil {
		return
	}
	if e.StandardInput.Kind == "null" && len(e.StandardInputData) > 0 {
		e.StandardInput.Kind = "data"
	}
	switch e.StandardInput.Kind {
	case "tty", "tty-force", "tty-fail", "socket", "fd":
		return
	}
	def := &u.Defaults().Exec
	if e.StandardError.Kind == "inherit" && e.StandardOutput.Kind == "inherit" {
		e.StandardError = def.StandardError
	}
	if e.StandardOutput.Kind == "inherit" {
		e.StandardOutput = def.StandardOutput
	}
}

func (u *Unit) finishScope() {
	if u.GetCgroup().Delegate && !u.GetScope().OOMPolicySet {
		own(&u.extra().Scope, &u.Defaults().Scope).OOMPolicy = "continue"
	}
}

// finishSocket: a socket that accepts is triggered more often than one that
// hands itself over (systemd.socket(5)).
func (u *Unit) finishSocket() {
	if u.Socket == nil {
		return
	}
	s := u.Socket
	trigger, poll := uint32(20), uint32(15)
	if s.Accept {
		trigger, poll = 200, 150
	}
	const intervalUSec = 2 * usecPerSec
	defaultTo(&s.TriggerLimitIntervalUSec, Infinity, intervalUSec)
	defaultTo(&s.PollLimitIntervalUSec, Infinity, intervalUSec)
	defaultTo(&s.TriggerLimitBurst, unset32, trigger)
	defaultTo(&s.PollLimitBurst, unset32, poll)
	switch {
	case s.FileDescriptorName != "":
	case s.Accept:
		s.FileDescriptorName = "connection"
	default:
		s.FileDescriptorName = u.Name
	}
}

func (u *Unit) finishPath() {
	if u.Path == nil {
		return
	}
	defaultTo(&u.Path.TriggerLimitIntervalUSec, Infinity, 2*usecPerSec)
	defaultTo(&u.Path.TriggerLimitBurst, unset32, 200)
}

func defaultTo[T comparable](p *T, unset, def T) {
	if *p == unset {
		*p = def
	}
}

// finishSlice: where a slice is follows from its name alone.
func (c *Context) finishSlice() {
	u := c.Unit
	if s := u.GetCgroup().Slice; s != "" && s != SliceParent(u.Name) {
		c.say(LevelWarning, "Slice="+s+" isn't the parent "+SliceParent(u.Name)+" that the name says, ignoring.")
		u.Cgroup.Slice = ""
	}
	if path, err := NameToPath(ChangeSuffix(u.Name, ".mount")); err == nil && u.Unit.Description == "" {
		u.Unit.Description = "Slice " + path
	}
}

// finishMount: Where= follows from the name of the unit.
func (u *Unit) finishMount() {
	if u.Mount == nil {
		return
	}
	if path, err := NameToPath(u.Name); err == nil && u.Mount.Where == "" {
		u.Mount.Where = path
	}
	if u.Unit.Description == "" {
		u.Unit.Description = u.Mount.Where
	}
}

func (u *Unit) finishAutomount() {
	if u.Automount != nil && u.Automount.Where != "" {
		return
	}
	if path, err := NameToPath(u.Name); err == nil {
		own(&u.extra().Automount, &u.Defaults().Automount).Where = path
	}
}

// finishPerpetual marks the units that always exist (systemd.special(7)).
func (u *Unit) finishPerpetual() {
	switch u.Name {
	case RootSlice:
		u.Perpetual = true
		u.describe("Root Slice", "man:systemd.special(7)")
	case "system.slice":
		u.Perpetual = true
		u.describe("System Slice", "man:systemd.special(7)")
	case "init.scope":
		u.Perpetual = true
		u.Unit.DefaultDependencies = false
		u.describe("System and Service Manager", "man:init(1)")
	case "-.mount":
		u.Perpetual = true
		u.Unit.DefaultDependencies = false
		u.describe("Root Mount", "man:systemd.special(7)")
	}
}

func (u *Unit) describe(description, documentation string) {
	if u.Unit.Description == "" {
		u.Unit.Description = description
	}
	if len(u.Unit.Documentation) == 0 {
		u.Unit.Documentation = []string{documentation}
	}
}

// Description gives Description=, or the unit's name.
func (u *Unit) Description() string {
	if u.Unit.Description != "" {
		return u.Unit.Description
	}
	return u.Name
}

// Clone copies a unit, so that the copy can be changed by SetProperty.
func (u *Unit) Clone() *Unit {
	n := *u
	n.Deps = append([]Dep(nil), u.Deps...)
	n.Names = append([]string(nil), u.Names...)
	n.OwnExtra()
	n.Conditions = append([]Condition(nil), u.Conditions...)
	n.Asserts = append([]Condition(nil), u.Asserts...)
	n.RequiresMountsFor = append([]PathDep(nil), u.RequiresMountsFor...)
	n.WantsMountsFor = append([]PathDep(nil), u.WantsMountsFor...)
	n.DropInPaths = append([]string(nil), u.DropInPaths...)
	n.Install = cloneBlock(u.Install)
	if u.Service != nil {
		n.Service = u.Service.Copy()
	}
	n.Socket = cloneBlock(u.Socket)
	n.Timer = cloneBlock(u.Timer)
	n.Path = cloneBlock(u.Path)
	n.Mount = cloneBlock(u.Mount)
	n.Automount = cloneBlock(u.Automount)
	n.Swap = cloneBlock(u.Swap)
	n.Scope = cloneBlock(u.Scope)
	n.Slice = cloneBlock(u.Slice)
	n.Exec = cloneBlock(u.Exec)
	n.Kill = cloneBlock(u.Kill)
	n.Cgroup = cloneBlock(u.Cgroup)
	if d := u.Defaults(); n.Unit.UnitActions != d.Unit.UnitActions {
		n.Unit.UnitActions = cloneBlock(n.Unit.UnitActions)
	}
	if n.Exec != nil {
		n.Exec.Sandbox = cloneBlock(n.Exec.Sandbox)
	}
	return &n
}

func cloneBlock[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}
