package execplan

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// Capabilities that settings take out of the bounding set; capabilities(7).
const (
	capSysModule = uint64(1) << 16
	capSysRawIO  = uint64(1) << 17
	capSysTime   = uint64(1) << 25
	capMknod     = uint64(1) << 27
	capSyslog    = uint64(1) << 34
	capWakeAlarm = uint64(1) << 35
)

// sandbox fills in what needs namespaces, and the system call filters. "+"
// leaves all of it out but the root and the network and IPC namespaces, which a
// command needs to reach the service.
func (b *builder) sandbox() error {
	if b.privileged {
		return b.privilegedSandbox()
	}
	// DefaultRestrictSUIDSGID= confines units that have no such settings of their own.
	if b.e.Sandbox == nil && !b.s.RestrictSUIDSGID && !b.e.DynamicUser && b.p.RootDirectory == "" && b.e.LogNamespace == "" {
		return nil
	}
	s := b.effective()
	b.s = s
	b.capabilitiesOfSettings(s)
	p := &plan.Sandbox{
		PrivateTmp: s.PrivateTmp, PrivateDevices: s.PrivateDevices, PrivateNetwork: s.PrivateNetwork,
		NetStore: b.ctx.NetStore, IPCStore: b.ctx.IPCStore,
		PrivateIPC: s.PrivateIPC, PrivateUsers: s.PrivateUsers, NetworkPath: s.NetworkNamespacePath, IPCPath: s.IPCNamespacePath,
		UsersPath: s.UserNamespacePath, PrivatePIDs: isOn(s.PrivatePIDs), PrivateBPF: isOn(s.PrivateBPF),
		ProtectSystem: s.ProtectSystem, ProtectHome: s.ProtectHome, ProtectControlGroups: s.ProtectControlGroups,
		ProtectHostname: s.ProtectHostname, Hostname: s.PrivateHostname, ProtectProc: s.ProtectProc, ProcSubset: s.ProcSubset,
		ProtectKernelTunables: s.ProtectKernelTunables, ProtectKernelModules: s.ProtectKernelModules,
		ProtectKernelLogs: s.ProtectKernelLogs, MountPropagation: s.MountFlags,
		MountAPIVFS:    s.MountAPIVFS.Or(b.ownRoot()),
		BindLogSockets: s.BindLogSockets.Or(b.ownRoot()) && b.ownRoot(),
	}
	if err := delegateBPF(s, p); err != nil {
		return err
	}
	for _, l := range []struct {
		setting string
		from    []string
		to      *[]plan.PathRule
	}{
		{"ReadWritePaths", s.ReadWritePaths, &p.ReadWritePaths}, {"ReadOnlyPaths", s.ReadOnlyPaths, &p.ReadOnlyPaths},
		{"InaccessiblePaths", s.InaccessiblePaths, &p.InaccessiblePaths}, {"ExecPaths", s.ExecPaths, &p.ExecPaths},
		{"NoExecPaths", s.NoExecPaths, &p.NoExecPaths},
	} {
		for _, text := range l.from {
			rule, err := pathRule(text)
			if err != nil {
				return fmt.Errorf("%s=: %w", l.setting, err)
			}
			*l.to = append(*l.to, rule)
		}
	}
	for _, bind := range s.BindPaths {
		p.Binds = append(p.Binds, plan.Bind{
			Source: bind.Source, Destination: bind.Destination, ReadOnly: bind.ReadOnly,
			IgnoreMissing: bind.IgnoreMissing, Recursive: bind.Recursive,
		})
	}
	p.Binds = append(p.Binds, b.sockets(p)...)
	b.images(s, p)
	if err := b.restrictFileSystems(p, s.RestrictFileSystems); err != nil {
		return err
	}
	for _, t := range s.TemporaryFileSystem {
		p.Tmpfs = append(p.Tmpfs, plan.Tmpfs{Path: t.Path, Options: t.Options})
	}
	if s.PrivateTmp == "yes" {
		p.TmpDirs = b.tmpDirs()
	}
	p.PressurePath = b.pressurePath()
	if s.DelegateNamespaces != unsetBits && s.DelegateNamespaces != 0 {
		p.Delegated = s.DelegateNamespaces
		if !isOn(p.PrivateUsers) && p.UsersPath == "" {
			p.PrivateUsers = "self" // somebody must own them
		}
	}
	settings := b.mountSettings(s, p)
	p.MountNamespace, p.MountSettings = len(settings) > 0, strings.Join(settings, ", ")
	p.FailDegraded = !b.ctx.WarnDegraded
	if p.MountNamespace || p.FileSystems != nil || p.UsersPath != "" || p.PrivateNetwork || p.PrivateIPC || p.NetworkPath != "" || p.IPCPath != "" || isOn(p.PrivateUsers) || isOn(p.ProtectHostname) {
		b.p.Sandbox = p
		b.tier2(b.namespaceReason(p))
	}
	return b.filters()
}

func (b *builder) privilegedSandbox() error {
	s := b.s
	b.s = &unit.Sandbox{
		PrivateNetwork: s.PrivateNetwork, NetworkNamespacePath: s.NetworkNamespacePath,
		PrivateIPC: s.PrivateIPC, IPCNamespacePath: s.IPCNamespacePath,
		RootImage: s.RootImage, RootImageOptions: s.RootImageOptions, RootImagePolicy: s.RootImagePolicy, RootHash: s.RootHash, RootHashPath: s.RootHashPath,
		RootHashSignature: s.RootHashSignature, RootHashSignaturePath: s.RootHashSignaturePath, RootVerity: s.RootVerity, RootEphemeral: s.RootEphemeral, RootMStack: s.RootMStack,
	}
	p := &plan.Sandbox{
		PrivateNetwork: b.s.PrivateNetwork, NetworkPath: b.s.NetworkNamespacePath, NetStore: b.ctx.NetStore,
		PrivateIPC: b.s.PrivateIPC, IPCPath: b.s.IPCNamespacePath, IPCStore: b.ctx.IPCStore, MountAPIVFS: s.MountAPIVFS.Or(b.ownRoot()),
	}
	b.images(b.s, p)
	p.MountNamespace, p.MountSettings = p.RootImage != nil || p.RootMStack != nil || p.EphemeralDir != "", "RootImage="
	if p.MountNamespace || p.PrivateNetwork || p.PrivateIPC || p.NetworkPath != "" || p.IPCPath != "" {
		b.p.Sandbox = p
		b.tier2(b.namespaceReason(p))
	}
	return nil
}

// sockets are those of the journal and the manager that the program must reach
// in its view of the file system.
func (b *builder) sockets(p *plan.Sandbox) []plan.Bind {
	const journal = "/run/systemd/journal"
	var list []plan.Bind
	if ns := b.e.LogNamespace; ns != "" {
		list = append(list, plan.Bind{Source: journal + "." + ns, Destination: journal, Recursive: true})
	} else if p.BindLogSockets {
		for _, name := range []string{"/socket", "/stdout", "/dev-log"} {
			list = append(list, plan.Bind{Source: journal + name, Destination: journal + name, IgnoreMissing: true})
		}
	}
	if b.ownRoot() && !b.ctx.UserMode {
		list = append(list, plan.Bind{Source: "/etc/os-release", Destination: "/run/host/os-release", ReadOnly: true, IgnoreMissing: true})
	}
	if path := b.ctx.NotifySocket; b.ownRoot() && value.PathIsAbsolute(path) {
		list = append(list, plan.Bind{Source: path, Destination: path, IgnoreMissing: true})
	}
	return list
}

// effective are the settings with what others of them imply
// (systemd.exec(5), DynamicUser=).
func (b *builder) effective() *unit.Sandbox {
	s := *b.s
	if b.e.DynamicUser {
		if !isOn(s.ProtectSystem) || s.ProtectSystem == "yes" || s.ProtectSystem == "full" {
			s.ProtectSystem = "strict"
		}
		if !isOn(s.ProtectHome) {
			s.ProtectHome = "read-only"
		}
		if !isOn(s.PrivateTmp) {
			s.PrivateTmp = "yes"
		}
	}
	if len(s.NoExecPaths) == 0 && !b.e.DynamicUser {
		// Without it, and without directories that are mounted so, there is nothing to make an exception from.
		s.ExecPaths = nil
	}
	return &s
}

func (b *builder) capabilitiesOfSettings(s *unit.Sandbox) {
	for _, c := range []struct {
		on   bool
		drop uint64
	}{
		{s.ProtectKernelModules, capSysModule},
		{s.PrivateDevices, capMknod | capSysRawIO},
		{s.ProtectKernelLogs, capSyslog},
		{s.ProtectClock, capSysTime | capWakeAlarm},
	} {
		if c.on {
			b.p.Bounding &^= c.drop
			b.p.Ambient &^= c.drop
		}
	}
}

// mountSettings names the settings for which the unit needs a mount namespace, as messages have them; without any it needs none.
func (b *builder) mountSettings(s *unit.Sandbox, p *plan.Sandbox) []string {
	directories := b.ownRoot() && len(b.p.Directories) > 0
	for _, d := range b.p.Directories {
		directories = directories || b.p.PrivateDirectory(d.Kind)
		for _, item := range d.Items {
			directories = directories || item.ReadOnly
		}
	}
	var names []string
	for _, c := range []struct {
		name string
		on   bool
	}{
		{"PrivateTmp=", isOn(p.PrivateTmp)}, {"PrivateDevices=", p.PrivateDevices}, {"PrivateIPC=", p.PrivateIPC}, {"IPCNamespacePath=", p.IPCPath != ""},
		{"PrivatePIDs=", p.PrivatePIDs}, {"PrivateBPF=", p.PrivateBPF}, {"PrivateMounts=", s.PrivateMounts.Or(false)},
		{"ProtectSystem=", isOn(p.ProtectSystem)}, {"ProtectHome=", isOn(p.ProtectHome)}, {"ProtectControlGroups=", isOn(p.ProtectControlGroups)},
		{"ProtectKernelTunables=", p.ProtectKernelTunables}, {"ProtectKernelModules=", p.ProtectKernelModules},
		{"ProtectKernelLogs=", p.ProtectKernelLogs}, {"ProtectProc=", p.ProtectProc != "" && p.ProtectProc != "default"},
		{"ProcSubset=", p.ProcSubset == "pid"}, {"ReadWritePaths=", len(p.ReadWritePaths) > 0}, {"ReadOnlyPaths=", len(p.ReadOnlyPaths) > 0},
		{"InaccessiblePaths=", len(p.InaccessiblePaths) > 0}, {"NoExecPaths=", len(p.NoExecPaths) > 0}, {"BindPaths=", len(p.Binds) > 0},
		{"TemporaryFileSystem=", len(p.Tmpfs) > 0}, {"MountFlags=", p.MountPropagation != 0}, {"MountAPIVFS=", p.MountAPIVFS},
		{"LogNamespace=", b.e.LogNamespace != ""}, {"StateDirectory=", directories}, {"RootImage=", p.RootImage != nil}, {"RootMStack=", p.RootMStack != nil}, {"RootEphemeral=", p.EphemeralDir != ""},
		{"MountImages=", len(p.MountImages) > 0}, {"ExtensionImages=", len(p.ExtensionImages) > 0}, {"ExtensionDirectories=", len(p.ExtensionDirectories) > 0},
	} {
		if c.on {
			names = append(names, c.name)
		}
	}
	return names
}

func (b *builder) namespaceReason(p *plan.Sandbox) string {
	switch {
	case p.MountNamespace:
		return "mount namespace"
	case p.FileSystems != nil:
		return "RestrictFileSystems"
	}
	return "namespace"
}

// pathRule reads the prefixes of a path: "-" for one that may be missing, "+"
// for one below RootDirectory=.
func pathRule(text string) (plan.PathRule, error) {
	e, err := value.ParsePathEntry(text)
	if err != nil {
		return plan.PathRule{}, err
	}
	return plan.PathRule{Path: e.Path, IgnoreMissing: e.IgnoreMissing, RootPrefixed: e.RootPrefixed}, nil
}

// Sharing says what the processes of a unit have in common beyond one of them.
type Sharing struct{ Network, IPC, Tmp bool }

// Shares says which of it u asks for (systemd.unit(5), JoinsNamespaceOf=).
func Shares(u *unit.Unit) Sharing {
	if !u.Type.HasExec() || u.Exec == nil {
		return Sharing{}
	}
	e, s := u.GetExec(), u.GetSandbox()
	return Sharing{
		Network: s.PrivateNetwork && s.NetworkNamespacePath == "",
		IPC:     s.PrivateIPC && s.IPCNamespacePath == "",
		Tmp:     s.PrivateTmp == "yes" || e.DynamicUser && !isOn(s.PrivateTmp),
	}
}

// tmpDirs are the directories behind /tmp and /var/tmp for PrivateTmp=yes. All
// commands of one activation share them: their names follow from the
// invocation ID, which nobody can guess before the first of them made them.
func (b *builder) tmpDirs() [2]string {
	if b.ctx.PrivateTmpDir != [2]string{} {
		return b.ctx.PrivateTmpDir
	}
	return PrivateTmpDirs(b.u.Name, b.ctx.BootID, b.ctx.InvocationID)
}

// PrivateTmpDirs names the directories of PrivateTmp=yes of one activation.
// Each is a directory of root's alone with the service's "tmp" in it; whoever
// ends the activation removes them.
func PrivateTmpDirs(unitName string, bootID, invocationID [16]byte) [2]string {
	name := "/systemd-private-" + hex.EncodeToString(bootID[:]) + "-" + strings.ReplaceAll(unitName, "/", "-") +
		"-" + hex.EncodeToString(invocationID[:8])
	return [2]string{"/tmp" + name, "/var/tmp" + name}
}
