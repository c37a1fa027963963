package depend

import (
	"strings"

	"github.com/muster-init/muster/pkg/unit"
)

// Path is a path whose mount units a unit must come after. Required also pulls them in as Requires=, otherwise as
// Wants=, where the mount has a unit file.
type Path struct {
	Path     string
	Required bool
	Origin   unit.Pos
	Cause    string
}

// Paths appends the paths that u needs to be mounted to dst: RequiresMountsFor=, WantsMountsFor=, and what follows
// from other settings (systemd.unit(5), systemd.exec(5)).
func Paths(dst []Path, u *unit.Unit, env *Env) []Path {
	if u.LoadState != unit.StateLoaded {
		return dst
	}
	for _, p := range u.RequiresMountsFor {
		dst = append(dst, Path{Path: p.Path, Required: true, Origin: p.Origin})
	}
	for _, p := range u.WantsMountsFor {
		dst = append(dst, Path{Path: p.Path, Origin: p.Origin})
	}
	add := func(path string, required bool, cause string) {
		if strings.HasPrefix(path, "/") {
			dst = append(dst, Path{Path: path, Required: required, Origin: unit.Pos{File: unit.PosImplicit}, Cause: cause})
		}
	}
	switch u.Type {
	case unit.TypeSocket:
		for _, s := range u.GetSocket().Listen {
			if s.Kind != "MessageQueue" { // names of queues only look like paths
				add(s.Address, true, "Listen"+s.Kind+"=")
			}
		}
	case unit.TypeTimer:
		if u.GetTimer().Persistent && env.System {
			add("/var/lib/systemd/timers", true, "Persistent=")
		}
	case unit.TypePath:
		for _, s := range u.GetPath().Paths {
			add(s.Path, true, s.Type+"=")
		}
	case unit.TypeAutomount:
		add(parent(u.GetAutomount().Where), true, "Where=")
	case unit.TypeMount:
		m := u.GetMount()
		add(parent(m.Where), true, "Where=")
		if isBind(m) || hasOption(m.Options, "loop") {
			add(m.What, true, "What=")
		}
	case unit.TypeSwap:
		if what := u.GetSwap().What; !isDevice(what) {
			add(what, true, "What=")
		}
	}
	if u.Type.HasExec() {
		execPaths(u, env, add)
	}
	return dst
}

func execPaths(u *unit.Unit, env *Env, add func(path string, required bool, cause string)) {
	e, sb := u.GetExec(), u.GetSandbox()
	add(e.WorkingDirectory, !e.WorkingDirectoryMissingOK, "WorkingDirectory=")
	add(e.RootDirectory, false, "RootDirectory=")
	add(sb.RootImage, false, "RootImage=")
	add(sb.RootMStack, false, "RootMStack=")
	for _, d := range []struct {
		dir       *unit.Directory
		base, def string
		cause     string
	}{
		{&e.RuntimeDirectory, env.RuntimeDir, "/run", "RuntimeDirectory="},
		{&e.StateDirectory, env.StateDir, "/var/lib", "StateDirectory="},
		{&e.CacheDirectory, env.CacheDir, "/var/cache", "CacheDirectory="},
		{&e.LogsDirectory, env.LogsDir, "/var/log", "LogsDirectory="},
		{&e.ConfigurationDirectory, env.ConfigDir, "/etc", "ConfigurationDirectory="},
	} {
		base := d.base
		if base == "" {
			base = d.def
		}
		for _, item := range d.dir.Items {
			add(base+"/"+item.Path, true, d.cause)
		}
	}
	if sb.PrivateTmp == "yes" && env.System {
		add("/tmp", false, "PrivateTmp=")
		add("/var/tmp", false, "PrivateTmp=")
	}
}

// parent is the directory above path, "" for the root.
func parent(path string) string {
	i := strings.LastIndexByte(strings.TrimRight(path, "/"), '/')
	switch {
	case i < 0 || path == "/":
		return ""
	case i == 0:
		return "/"
	}
	return path[:i]
}

// isDevice reports whether a source names a device node.
func isDevice(what string) bool {
	return strings.HasPrefix(what, "/dev/") || strings.HasPrefix(what, "/sys/")
}

// hasOption looks for an option in a comma separated list.
func hasOption(options string, names ...string) bool {
	for opt := range strings.SplitSeq(options, ",") {
		key, _, _ := strings.Cut(opt, "=")
		for _, n := range names {
			if key == n {
				return true
			}
		}
	}
	return false
}

func isBind(m *unit.Mount) bool {
	return hasOption(m.Options, "bind", "rbind") || m.Type == "bind" || m.Type == "rbind"
}

// networkTypes are file system types whose source is another machine.
var networkTypes = map[string]bool{
	"afs": true, "ceph": true, "cifs": true, "smb3": true, "smbfs": true, "sshfs": true, "ncpfs": true, "ncp": true,
	"nfs": true, "nfs4": true, "gfs": true, "gfs2": true, "glusterfs": true, "pvfs2": true, "ocfs2": true, "lustre": true,
	"davfs": true, "orangefs": true,
}

func isNetwork(m *unit.Mount) bool {
	t := strings.TrimPrefix(m.Type, "fuse.")
	return networkTypes[t] || hasOption(m.Options, "_netdev")
}

// isExtrinsicMount reports mounts that are there before the manager and stay after it.
func isExtrinsicMount(where string) bool {
	switch where {
	case "/", "/usr", "/etc", "/run/initramfs", "/run/nextroot":
		return true
	}
	for _, p := range []string{"/proc", "/sys", "/dev", "/run/initramfs", "/run/nextroot"} {
		if where == p || strings.HasPrefix(where, p+"/") {
			return true
		}
	}
	return false
}

// mount adds the implicit edges of mount units (systemd.mount(5)).
func (l *list) mount() {
	m := l.u.GetMount()
	if isDevice(m.What) && !isBind(m) && !l.env.NoDevices {
		if dev, err := unit.NameFromPath(m.What, ".device"); err == nil {
			kind := unit.DepRequires
			if hasOption(m.Options, "x-systemd.device-bound") {
				kind = unit.DepBindsTo
			}
			l.add("What=", dev, kind, unit.DepStopPropagatedFrom, unit.DepAfter)
			if esc, err := unit.PathEscape(m.What); err == nil {
				l.add("What=", "blockdev@"+esc+".target", unit.DepAfter)
			}
		}
	}
	if hasOption(m.Options, "usrquota", "grpquota", "quota", "usrjquota", "grpjquota", "prjquota") {
		if esc, err := unit.PathEscape(m.Where); err == nil {
			l.add("Options=", "systemd-quotacheck@"+esc+".service", unit.DepWants, unit.DepBefore)
			l.add("Options=", "quotaon@"+esc+".service", unit.DepWants, unit.DepBefore)
		}
	}
}

func (l *list) mountDefaults() {
	m := l.u.GetMount()
	if !l.env.System || m.Where == "/" || isExtrinsicMount(m.Where) { // a user's manager only looks on
		return
	}
	l.add("", umountTarget, unit.DepBefore, unit.DepConflicts)
	nofail := hasOption(m.Options, "nofail")
	switch {
	case l.env.Initrd && hasOption(m.Options, "x-initrd.mount"):
		if !nofail {
			l.add("x-initrd.mount", "initrd-fs.target", unit.DepBefore)
		}
		l.add("x-initrd.mount", "initrd-root-fs.target", unit.DepAfter)
	case isNetwork(m):
		l.add("", "remote-fs-pre.target", unit.DepAfter)
		l.add("", "network.target", unit.DepAfter)
		l.add("", "network-online.target", unit.DepWants, unit.DepAfter)
		if !nofail {
			l.add("", "remote-fs.target", unit.DepBefore)
		}
	default:
		l.add("", "local-fs-pre.target", unit.DepAfter)
		if !nofail {
			l.add("", "local-fs.target", unit.DepBefore)
		}
	}
	if m.Type == "tmpfs" {
		l.add("Type=tmpfs", "swap.target", unit.DepAfter)
	}
}

// swap adds the implicit edges of swap units (systemd.swap(5)).
func (l *list) swap() {
	what := l.u.GetSwap().What
	if !isDevice(what) {
		l.add("What=", "systemd-remount-fs.service", unit.DepAfter)
		return
	}
	if dev, err := unit.NameFromPath(what, ".device"); err == nil && !l.env.NoDevices {
		l.add("What=", dev, unit.DepRequires, unit.DepAfter)
	}
}

func (l *list) swapDefaults() {
	if l.env.Container {
		return
	}
	l.add("", umountTarget, unit.DepBefore, unit.DepConflicts)
	if !hasOption(l.u.GetSwap().Options, "nofail") {
		l.add("", "swap.target", unit.DepBefore)
	}
}

// MountNames lists the mount units that can lie under path, from the root down: "/var/lib" gives -.mount, var.mount,
// var-lib.mount.
func MountNames(dst []string, path string) []string {
	dst = append(dst, "-.mount")
	for i := 1; i <= len(path); i++ {
		if i < len(path) && path[i] != '/' || path[i-1] == '/' {
			continue
		}
		if name, err := unit.NameFromPath(path[:i], ".mount"); err == nil && name != dst[len(dst)-1] {
			dst = append(dst, name)
		}
	}
	return dst
}
