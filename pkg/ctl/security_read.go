package ctl

import (
	"net/netip"
	"strings"

	"github.com/muster-init/muster/pkg/execplan/seccomp"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// busConfinement reads what the checks look at from the properties of a loaded service.
func busConfinement(p properties) *confinement {
	c := &confinement{
		defaultDependencies: p.boolean("DefaultDependencies"), typ: p.str("Type"),
		user: p.str("User"), dynamicUser: p.boolean("DynamicUser"), removeIPC: p.boolean("RemoveIPC"), groups: len(p.strings("SupplementaryGroups")),
		rootDirectory: p.str("RootDirectory"), rootImage: p.str("RootImage"),
		bounding: p.number("CapabilityBoundingSet"), ambient: p.number("AmbientCapabilities"), noNewPrivileges: p.boolean("NoNewPrivileges"),
		privateDevices: p.boolean("PrivateDevices"), privateMounts: p.boolean("PrivateMounts"), privateNetwork: p.boolean("PrivateNetwork"),
		privateTmp: p.boolean("PrivateTmp"), privateUsers: p.boolean("PrivateUsers"), protectClock: p.boolean("ProtectClock"),
		protectKernelLogs: p.boolean("ProtectKernelLogs"), protectKernelModules: p.boolean("ProtectKernelModules"), protectKernelTunables: p.boolean("ProtectKernelTunables"),
		protectControlGroups: p.boolean("ProtectControlGroups"), protectHostname: p.boolean("ProtectHostname"),
		protectHome: p.str("ProtectHome"), protectSystem: p.str("ProtectSystem"), protectProc: p.str("ProtectProc"),
		procSubset: p.str("ProcSubset"), keyringMode: p.str("KeyringMode"), notifyAccess: p.str("NotifyAccess"),
		memoryDenyWriteExecute: p.boolean("MemoryDenyWriteExecute"), restrictRealtime: p.boolean("RestrictRealtime"),
		restrictSUIDSGID: p.boolean("RestrictSUIDSGID"), lockPersonality: p.boolean("LockPersonality"), delegate: p.boolean("Delegate"),
		restrictNamespaces: p.number("RestrictNamespaces"), umask: uint32(p.number("UMask")),
		families: p.filter("RestrictAddressFamilies"), syscalls: p.filter("SystemCallFilter"), architectures: p.strings("SystemCallArchitectures"),
		devicePolicy: p.str("DevicePolicy"), devices: p.length("DeviceAllow"),
		addressDeny: p.prefixes("IPAddressDeny"), addressAllow: p.prefixes("IPAddressAllow"),
		addressFilters: len(p.strings("IPIngressFilterPath")) + len(p.strings("IPEgressFilterPath")),
	}
	// What mounts anything gets a mount namespace.
	if c.protectHome != "no" && c.protectHome != "" || c.protectSystem != "no" && c.protectSystem != "" || c.privateDevices || c.privateTmp ||
		c.protectControlGroups || c.protectKernelTunables || c.protectKernelModules {
		c.privateMounts = true
	}
	c.imply()
	return c
}

// filter reads a property of type (bas). An empty deny list is none.
func (p properties) filter(name string) nameFilter {
	v, _ := p[name].([]any)
	if len(v) != 2 {
		return nameFilter{}
	}
	allow, _ := v[0].(bool)
	names, _ := v[1].([]string)
	return newFilter(allow, names)
}

func newFilter(allow bool, names []string) nameFilter {
	f := nameFilter{set: allow || len(names) > 0, deny: !allow, names: map[string]bool{}}
	for _, n := range names {
		// A call may have its own error number.
		n, _, _ = strings.Cut(n, ":")
		f.names[n] = true
	}
	return f
}

// expandFilter replaces the groups of SystemCallFilter= by their calls; entries with ~ are taken out of the list again.
func expandFilter(l *unit.FilterList) nameFilter {
	f := newFilter(l.Set && l.Allow, nil)
	f.set = l.Set
	for _, n := range l.Names {
		n, remove := strings.CutPrefix(n, "~")
		n, _, _ = strings.Cut(n, ":")
		calls, _ := seccomp.Expand([]string{n})
		for _, call := range calls {
			f.names[call] = !remove
		}
	}
	return f
}

// length is the number of structures in a list.
func (p properties) length(name string) int {
	v, _ := p[name].([][]any)
	return len(v)
}

// prefixes reads a property of type a(iayu).
func (p properties) prefixes(name string) []netip.Prefix {
	list, _ := p[name].([][]any)
	var out []netip.Prefix
	for _, v := range list {
		if len(v) != 3 {
			continue
		}
		b, _ := v[1].([]byte)
		if a, ok := netip.AddrFromSlice(b); ok {
			out = append(out, netip.PrefixFrom(a, int(toUint(v[2]))))
		}
	}
	return out
}

// unitConfinement reads what the checks look at from a unit that was loaded here.
func unitConfinement(u *unit.Unit) *confinement {
	e, s, g, v := u.GetExec(), u.GetSandbox(), u.GetCgroup(), u.GetService()
	on := func(word string) bool { return word != "" && word != "no" }
	c := &confinement{
		defaultDependencies: u.Unit.DefaultDependencies, typ: v.Type,
		user: e.User, dynamicUser: e.DynamicUser, removeIPC: s.RemoveIPC, groups: len(e.SupplementaryGroups),
		rootDirectory: e.RootDirectory, rootImage: s.RootImage,
		bounding: e.CapabilityBoundingSet, ambient: e.AmbientCapabilities, noNewPrivileges: e.NoNewPrivileges,
		// Without a manager systemd takes a PrivateMounts= that nobody set for given, and what implies it for nothing; so do we: the figures are to agree.
		privateMounts:  s.PrivateMounts.Or(true),
		privateDevices: s.PrivateDevices, privateNetwork: s.PrivateNetwork, privateTmp: on(s.PrivateTmp), privateUsers: on(s.PrivateUsers),
		protectClock: s.ProtectClock, protectKernelLogs: s.ProtectKernelLogs, protectKernelModules: s.ProtectKernelModules, protectKernelTunables: s.ProtectKernelTunables,
		protectControlGroups: on(s.ProtectControlGroups), protectHostname: on(s.ProtectHostname),
		protectHome: s.ProtectHome, protectSystem: s.ProtectSystem, protectProc: s.ProtectProc, procSubset: s.ProcSubset,
		keyringMode: e.KeyringMode, notifyAccess: v.NotifyAccess,
		memoryDenyWriteExecute: s.MemoryDenyWriteExecute, restrictRealtime: s.RestrictRealtime, restrictSUIDSGID: s.RestrictSUIDSGID,
		lockPersonality: s.LockPersonality, delegate: g.Delegate, restrictNamespaces: s.RestrictNamespaces, umask: e.UMask,
		families:      newFilter(s.RestrictAddressFamilies.Set && s.RestrictAddressFamilies.Allow, s.RestrictAddressFamilies.Names),
		architectures: s.SystemCallArchitectures, devicePolicy: g.DevicePolicy, devices: len(g.DeviceAllow),
		addressDeny: g.IPAddressDeny, addressAllow: g.IPAddressAllow, addressFilters: len(g.IPIngressFilterPath) + len(g.IPEgressFilterPath),
	}
	c.syscalls = expandFilter(&s.SystemCallFilter)
	c.imply()
	return c
}

// imply takes away what other settings take away.
func (c *confinement) imply() {
	drop := func(names ...string) {
		for _, n := range names {
			if bit, err := value.ParseCapability("CAP_" + n); err == nil {
				c.bounding &^= 1 << bit
			}
		}
	}
	if c.protectKernelModules {
		drop("SYS_MODULE")
	}
	if c.protectKernelLogs {
		drop("SYSLOG")
	}
	if c.protectClock {
		drop("SYS_TIME", "WAKE_ALARM")
	}
	if c.privateDevices {
		drop("MKNOD", "SYS_RAWIO")
	}
}
