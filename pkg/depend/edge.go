package depend

import (
	"strings"

	"github.com/muster-init/muster/pkg/unit"
)

// Env is what the dependency rules need to know beside the unit's configuration.
type Env struct {
	// System is true for the system manager, false for a user manager.
	System bool
	// Initrd is true while the manager runs from an initrd.
	Initrd bool
	// Container is true in a container: swap units have no default dependencies there.
	Container bool
	// NoDevices is true where there are no device units (in a container, whose /sys is read-only): nothing may wait for one.
	NoDevices bool
	// NoMemory is true where control groups can't limit memory, so that there is nothing to do for systemd-oomd.
	NoMemory bool
	// Base directories of RuntimeDirectory= and its kin, without a trailing slash; "" are those of the system manager.
	RuntimeDir, StateDir, CacheDir, LogsDir, ConfigDir string
}

// Edge is one dependency of a unit. Origin is the place in the unit's files, or one of unit.PosImplicit and
// unit.PosDefault; Cause then names the setting that it follows from ("Type=dbus").
type Edge struct {
	Type   unit.DepType
	Name   string
	Origin unit.Pos
	Cause  string
}

// Names of units that dependencies are made on.
const (
	sysinitTarget  = "sysinit.target"
	basicTarget    = "basic.target"
	shutdownTarget = "shutdown.target"
	umountTarget   = "umount.target"
	rootSlice      = "-.slice"
	rootMount      = "-.mount"
	journaldSocket = "systemd-journald.socket"
	dbusSocket     = "dbus.socket"
)

// list collects the edges of one unit.
type list struct {
	u     *unit.Unit
	env   *Env
	edges []Edge
	pos   unit.Pos
}

// add appends edges of the given types to name. A dependency of a unit on itself means nothing.
func (l *list) add(cause, name string, types ...unit.DepType) {
	if name == l.u.Name {
		return
	}
	for _, t := range types {
		l.edges = append(l.edges, Edge{Type: t, Name: name, Origin: l.pos, Cause: cause})
	}
}

// Edges appends all dependencies of u that follow from its own configuration to dst: written, implicit, default, in
// this order. Ordering of targets behind what they pull in depends on both ends and is TargetAfter; mounts are Paths.
// A unit that could not be read has none; one with a bad setting has only what is written in it.
func Edges(dst []Edge, u *unit.Unit, env *Env) []Edge {
	l := &list{u: u, env: env, edges: dst}
	if u.LoadState != unit.StateLoaded && u.LoadState != unit.StateBadSetting {
		return dst
	}
	for _, d := range u.Deps {
		if d.Name != u.Name {
			l.edges = append(l.edges, Edge{Type: d.Type, Name: d.Name, Origin: d.Origin})
		}
	}
	if u.LoadState != unit.StateLoaded {
		return l.edges
	}
	l.pos = unit.Pos{File: unit.PosImplicit}
	l.implicit()
	if u.Unit.DefaultDependencies {
		l.pos = unit.Pos{File: unit.PosDefault}
		l.defaults()
	}
	return l.edges
}

// implicit adds what follows from type and settings whatever DefaultDependencies= says.
func (l *list) implicit() {
	u := l.u
	switch u.Type {
	case unit.TypeService:
		l.service()
	case unit.TypeSocket:
		l.socket()
	case unit.TypeTimer:
		l.trigger("Unit=", u.GetTimer().Unit)
	case unit.TypePath:
		l.trigger("Unit=", u.GetPath().Unit)
	case unit.TypeAutomount:
		l.trigger("Where=", unit.ChangeSuffix(u.Name, ".mount"))
	case unit.TypeMount:
		l.mount()
	case unit.TypeSwap:
		l.swap()
	}
	if executes(u) {
		l.exec()
	}
	if s := Slice(u, l.env); s != "" {
		l.add("Slice="+s, s, unit.DepInSlice, unit.DepRequires, unit.DepAfter)
	}
	if u.Type.HasCgroup() && l.env.System && !l.env.NoMemory {
		c := u.GetCgroup()
		if c.ManagedOOMSwap == "kill" || c.ManagedOOMMemoryPressure == "kill" {
			l.add("ManagedOOM…=kill", "systemd-oomd.service", unit.DepWants, unit.DepAfter)
		}
	}
}

// executes says whether a unit may start programs: sockets without a command of their own don't, nor is the root ever mounted.
func executes(u *unit.Unit) bool {
	switch {
	case u.Type == unit.TypeSocket:
		s := u.GetSocket()
		return len(s.ExecStartPre)+len(s.ExecStartPost)+len(s.ExecStopPre)+len(s.ExecStopPost) > 0
	case u.Name == rootMount:
		return false
	}
	return u.Type.HasExec()
}

// trigger adds the edges of a unit that activates another; an empty name is the service of the same name.
func (l *list) trigger(cause, name string) {
	if name == "" {
		name = unit.ChangeSuffix(l.u.Name, ".service")
	}
	l.add(cause, name, unit.DepBefore, unit.DepTriggers)
}

func (l *list) service() {
	s := l.u.GetService()
	for _, sock := range s.Sockets {
		l.add("Sockets=", sock, unit.DepWants, unit.DepAfter, unit.DepTriggeredBy)
	}
	if s.Type == "dbus" || s.Type == "" && s.BusName != "" {
		l.add("Type=dbus", dbusSocket, unit.DepRequires, unit.DepAfter)
	}
}

func (l *list) socket() {
	s := l.u.GetSocket()
	if !s.Accept {
		l.trigger("Service=", s.Service)
	}
	if s.BindToDevice != "" && s.BindToDevice != "lo" && !l.env.NoDevices {
		if name, err := unit.NameFromPath("/sys/subsystem/net/devices/"+s.BindToDevice, ".device"); err == nil {
			l.add("BindToDevice=", name, unit.DepBindsTo, unit.DepAfter)
		}
	}
}

// exec adds what the execution settings need (systemd.exec(5), "Implicit Dependencies").
func (l *list) exec() {
	e, sb := l.u.GetExec(), l.u.GetSandbox()
	if l.env.System {
		if logs(e.StandardOutput) || logs(e.StandardError) {
			l.add("StandardOutput=", journaldSocket, unit.DepAfter)
		}
		if sb.PrivateTmp == "yes" {
			l.add("PrivateTmp=", "systemd-tmpfiles-setup.service", unit.DepAfter)
		}
		if len(e.StateDirectory.Items)+len(e.CacheDirectory.Items)+len(e.LogsDirectory.Items) > 0 {
			l.add("StateDirectory=", "systemd-remount-fs.service", unit.DepAfter)
		}
	}
	if ns := e.LogNamespace; ns != "" {
		for _, kind := range []string{"systemd-journald@", "systemd-journald-varlink@"} {
			l.add("LogNamespace=", kind+unit.Escape(ns)+".socket", unit.DepRequires, unit.DepAfter)
		}
	}
	if sb.RootImage != "" || sb.RootMStack != "" {
		l.add("RootImage=", "systemd-udevd.service", unit.DepAfter)
	}
	c := l.u.GetCgroup()
	limited := len(c.DeviceAllow) > 0 || c.DevicePolicy == "closed" || c.DevicePolicy == "strict"
	if limited && (sb.RootImage != "" || sb.RootMStack != "" || len(sb.MountImages) > 0) {
		for _, m := range []string{"loop", "dm_mod", "dm_verity"} {
			l.add("RootImage=", "modprobe@"+m+".service", unit.DepWants, unit.DepAfter)
		}
	}
}

// logs reports whether a stream goes to the journal.
func logs(s unit.Stdio) bool {
	return strings.HasPrefix(s.Kind, "journal") || strings.HasPrefix(s.Kind, "kmsg")
}

// defaults adds what DefaultDependencies=yes means for the type.
func (l *list) defaults() {
	switch l.u.Type {
	case unit.TypeService:
		if l.env.System {
			l.add("", sysinitTarget, unit.DepRequires, unit.DepAfter)
		} else {
			l.add("", basicTarget, unit.DepRequires)
		}
		l.add("", basicTarget, unit.DepAfter)
		l.shutdown()
	case unit.TypeSocket:
		l.early("sockets.target")
	case unit.TypePath:
		l.early("paths.target")
	case unit.TypeTimer:
		l.early("timers.target")
		if l.env.System && calendar(l.u) {
			l.add("OnCalendar=", "time-set.target", unit.DepAfter)
			l.add("OnCalendar=", "time-sync.target", unit.DepAfter)
		}
	case unit.TypeTarget, unit.TypeSlice, unit.TypeScope:
		l.shutdown()
	case unit.TypeMount:
		l.mountDefaults()
	case unit.TypeAutomount:
		l.add("", "local-fs-pre.target", unit.DepAfter)
		l.add("", "local-fs.target", unit.DepBefore)
		l.add("", umountTarget, unit.DepBefore, unit.DepConflicts)
	case unit.TypeSwap:
		l.swapDefaults()
	}
}

// early adds the default edges that sockets, paths and timers share.
func (l *list) early(target string) {
	l.add("", target, unit.DepBefore)
	if l.env.System {
		l.add("", sysinitTarget, unit.DepRequires, unit.DepAfter)
	}
	l.shutdown()
}

// shutdown makes the unit go down on shutdown, before shutdown.target is reached.
func (l *list) shutdown() {
	l.add("", shutdownTarget, unit.DepBefore, unit.DepConflicts)
}

func calendar(u *unit.Unit) bool {
	for _, t := range u.GetTimer().Timers {
		if t.Base == "Calendar" {
			return true
		}
	}
	return false
}

// Slice is the slice that the unit's cgroup lies in, "" for types without a cgroup and for the root slice
// (systemd.resource-control(5), Slice=).
func Slice(u *unit.Unit, env *Env) string {
	if u.Name == rootSlice || !u.Type.HasCgroup() {
		return ""
	}
	if u.Type == unit.TypeSlice {
		return unit.SliceParent(u.Name)
	}
	if s := u.GetCgroup().Slice; s != "" {
		return s
	}
	if u.Perpetual || u.Type == unit.TypeMount && (!env.System || isExtrinsicMount(u.GetMount().Where)) {
		return rootSlice
	}
	base := "app"
	if env.System {
		base = "system"
	}
	if prefix, _, _, has := unit.SplitName(u.Name); has {
		return base + "-" + unit.Escape(prefix) + ".slice"
	}
	return base + ".slice"
}

// TargetAfter reports whether DefaultDependencies= orders target behind other, given that target has one of
// TargetOrder towards it. reversed reports that target is already ordered before other.
func TargetAfter(target, other *unit.Unit, reversed bool) bool {
	return target.Type == unit.TypeTarget &&
		target.LoadState == unit.StateLoaded && other.LoadState == unit.StateLoaded &&
		target.Unit.DefaultDependencies && other.Unit.DefaultDependencies && !reversed
}
