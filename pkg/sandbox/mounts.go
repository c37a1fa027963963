package sandbox

import (
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/image"
	"github.com/muster-init/muster/pkg/unit/value"
)

// kind is what is done at a path of the service's view of the file system. On
// the same path the first in this order wins.
type kind uint8

const (
	inaccessible kind = iota
	bind
	privateDev
	procFS
	cgroupFS
	bpfFS
	tmpFS
	readOnly
	readWrite
	noExec
	exec
	untouched // where the rule of a directory above ends
)

// entry is one rule about a path.
type entry struct {
	setting string
	kind    kind
	path    string // seen by the service
	ignore  bool   // may be missing
	source  string // of bind
	ro      bool   // of bind, tmpFS
	rec     bool   // of bind
	mapped  bool   // of bind: a directory that may be nobody's on disk
	options []string

	image *plan.Image // bind of a disk image rather than of source

	target string       // in our view, without links; set by locate
	tree   int          // detached source of bind
	trees  []image.Tree // of an image
}

// entries lists the rules of a plan (systemd.exec(5), Sandboxing).
func entries(p *plan.Plan) ([]entry, *plan.Failure) {
	s := p.Sandbox
	l := &ruleList{}
	l.rules("ReadWritePaths", readWrite, s.ReadWritePaths)
	l.rules("ReadOnlyPaths", readOnly, s.ReadOnlyPaths)
	l.rules("InaccessiblePaths", inaccessible, s.InaccessiblePaths)
	l.rules("ExecPaths", exec, s.ExecPaths)
	l.rules("NoExecPaths", noExec, s.NoExecPaths)
	for _, b := range s.Binds {
		setting := "BindPaths"
		if b.ReadOnly {
			setting = "BindReadOnlyPaths"
		}
		l.add(entry{setting: setting, kind: bind, path: b.Destination, source: b.Source, ro: b.ReadOnly, rec: b.Recursive, ignore: b.IgnoreMissing})
	}
	for i := range s.MountImages {
		m := &s.MountImages[i]
		l.add(entry{setting: "MountImages", kind: bind, path: m.Destination, source: m.Path, ignore: m.IgnoreMissing, image: m})
	}
	for _, t := range s.Tmpfs {
		l.add(tmpfsEntry("TemporaryFileSystem", t.Path, t.Options))
	}
	l.protect(s)
	l.private(s)
	l.directories(p)
	if err := l.credentials(p); err != nil {
		return nil, failed(plan.ExitNamespace, "credentials", p.Credentials.Dir, err)
	}
	if (s.ProtectProc != "" && s.ProtectProc != "default") || s.ProcSubset == "pid" || s.PrivatePIDs {
		e := entry{setting: "ProtectProc", kind: procFS, path: "/proc"}
		if s.ProtectProc != "" && s.ProtectProc != "default" {
			e.options = append(e.options, "hidepid="+s.ProtectProc)
		}
		if s.ProcSubset == "pid" {
			e.options = append(e.options, "subset=pid")
		}
		l.add(e)
	}
	return l.list, nil
}

type ruleList struct{ list []entry }

func (l *ruleList) add(e entry) {
	e.tree = -1
	l.list = append(l.list, e)
}

func (l *ruleList) rules(setting string, k kind, from []plan.PathRule) {
	for _, r := range from {
		l.add(entry{setting: setting, kind: k, path: r.Path, ignore: r.IgnoreMissing})
	}
}

func (l *ruleList) table(setting string, k kind, paths ...string) {
	for _, path := range paths {
		l.add(entry{setting: setting, kind: k, path: path, ignore: true})
	}
}

// protect are the settings that take rights away from well-known places.
func (l *ruleList) protect(s *plan.Sandbox) {
	switch s.ProtectSystem {
	case "strict":
		l.add(entry{setting: "ProtectSystem", kind: readOnly, path: "/"})
		l.table("ProtectSystem", untouched, "/proc", "/sys", "/dev", "/home", "/root", "/run/user")
	case "full":
		l.table("ProtectSystem", readOnly, "/usr", "/boot", "/efi", "/etc")
	case "yes":
		l.table("ProtectSystem", readOnly, "/usr", "/boot", "/efi")
	}
	homes := []string{"/home", "/root", "/run/user"}
	switch s.ProtectHome {
	case "yes":
		l.table("ProtectHome", inaccessible, homes...)
	case "read-only":
		l.table("ProtectHome", readOnly, homes...)
	case "tmpfs":
		for _, path := range homes {
			e := tmpfsEntry("ProtectHome", path, "mode=0755,ro")
			e.ignore = true
			l.add(e)
		}
	}
	if s.ProtectKernelTunables {
		l.table("ProtectKernelTunables", readOnly,
			"/proc/acpi", "/proc/apm", "/proc/asound", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/latency_stats", "/proc/mtrr",
			"/proc/scsi", "/proc/sys", "/proc/sysrq-trigger", "/proc/timer_stats", "/sys")
		l.table("ProtectKernelTunables", untouched, "/sys/fs/cgroup", "/sys/fs/selinux")
		l.table("ProtectKernelTunables", inaccessible, "/proc/kallsyms", "/proc/kcore")
	}
	if s.ProtectKernelModules {
		l.table("ProtectKernelModules", inaccessible, "/usr/lib/modules", "/lib/modules")
	}
	if s.ProtectKernelLogs {
		l.table("ProtectKernelLogs", inaccessible, "/proc/kmsg", "/dev/kmsg")
	}
	if ownCgroups(s) {
		l.add(entry{setting: "ProtectControlGroups", kind: cgroupFS, path: "/sys/fs/cgroup", ro: s.ProtectControlGroups == "strict"})
	}
	if s.ProtectControlGroups == "yes" || s.ProtectControlGroups == "strict" {
		if !ownCgroups(s) {
			l.table("ProtectControlGroups", readOnly, "/sys/fs/cgroup")
		}
		if s.PressurePath != "" {
			l.table("MemoryPressureWatch", readWrite, s.PressurePath)
		}
	}
	if s.PrivateBPF {
		options := []string{"mode=0700"}
		if !delegatesBPF(s) {
			for _, o := range s.BPFOptions {
				options = append(options, o.Name+"="+o.Value)
			}
		}
		l.add(entry{setting: "PrivateBPF", kind: bpfFS, path: bpfDir, options: options})
	}
}

// private are the settings that give the service something of its own.
func (l *ruleList) private(s *plan.Sandbox) {
	switch s.PrivateTmp {
	case "yes":
		for i, path := range []string{"/tmp", "/var/tmp"} {
			l.add(entry{setting: "PrivateTmp", kind: bind, path: path, source: s.TmpDirs[i] + "/tmp"})
		}
	case "disconnected":
		for _, path := range []string{"/tmp", "/var/tmp"} {
			l.add(tmpfsEntry("PrivateTmp", path, "mode=1777,nosuid,nodev"))
		}
	}
	if s.PrivateDevices {
		l.add(entry{setting: "PrivateDevices", kind: privateDev, path: "/dev"})
	}
}

// directories keeps the service's own directories writable, and makes those
// below private/ reachable for it alone.
func (l *ruleList) directories(p *plan.Plan) {
	for _, d := range p.Directories {
		if p.PrivateDirectory(d.Kind) && !p.OwnRoot() {
			e := tmpfsEntry(d.Kind.Setting(), p.Prefixes[d.Kind]+"/private", "mode=0755,ro,nosuid,nodev,noexec")
			l.add(e)
		}
		for _, item := range d.Items {
			path := p.MountedPath(d.Kind, item.Path)
			e := entry{setting: d.Kind.Setting(), kind: untouched, path: path}
			if d.Kind == plan.DirConfiguration {
				e.ignore = true
			}
			if item.ReadOnly {
				e.kind = readOnly
			}
			if p.PrivateDirectory(d.Kind) || p.OwnRoot() {
				e = entry{setting: e.setting, kind: bind, path: path, source: p.DirectoryPath(d.Kind, item.Path), ro: item.ReadOnly, rec: true, mapped: p.PrivateDirectory(d.Kind)}
			} else if d.Kind == plan.DirConfiguration && !item.ReadOnly {
				continue
			}
			l.add(e)
		}
	}
}

// credentials hides those of other units.
func (l *ruleList) credentials(p *plan.Plan) error {
	const all = "/run/credentials"
	c := p.Credentials
	there := false
	if c != nil {
		var err error
		if there, err = exists(c.Dir); err != nil {
			return err
		}
	}
	if !there || !within(c.Dir, all) {
		l.table("credentials", inaccessible, all)
		return nil
	}
	l.add(tmpfsEntry("credentials", all, "mode=0755,ro"))
	l.add(entry{setting: "credentials", kind: bind, path: c.Dir, source: c.Dir, ro: true})
	return nil
}

// tmpfsEntry reads mount options: ro, nosuid, nodev and noexec are of the
// mount, the others of the file system.
func tmpfsEntry(setting, path, options string) entry {
	e := entry{setting: setting, kind: tmpFS, path: path}
	for o := range strings.SplitSeq(options, ",") {
		if o != "" {
			e.options = append(e.options, o)
		}
	}
	return e
}

// view builds the service's view of the file system below root.
type view struct {
	root     string // "/" or RootDirectory=
	entries  []entry
	images   map[*plan.Image]*image.Image
	stack    *stack // RootMStack=
	idMap    *idMap
	identity *plan.Identity // of the service
}

// locate finds where each rule applies, drops what is not there or out of
// reach, and puts parents before children.
func (v *view) locate() *plan.Failure {
	kept := v.entries[:0]
	for _, e := range v.entries {
		target, err := resolve(v.root, e.path)
		source := false
		if err == unix.ENOENT && e.kind == bind {
			var serr error
			if source, serr = exists(e.source); serr != nil {
				return failed(plan.ExitNamespace, e.setting, e.source, serr)
			}
		}
		switch {
		case err == unix.ENOENT && (e.kind == bind || e.kind == tmpFS) && !e.ignore:
			if e.kind == bind && !source {
				return failed(plan.ExitNamespace, e.setting, e.source, err)
			}
			if target, err = makeTarget(v.root, e); err != nil {
				return failed(plan.ExitNamespace, e.setting, e.path, err)
			}
		case err != nil && (e.ignore || e.kind == untouched) && (err == unix.ENOENT || err == unix.EACCES || err == unix.ENOTDIR):
			if !source {
				continue
			}
			target, err = makeTarget(v.root, e)
			if err == unix.EROFS || err == unix.EACCES || err == unix.ENOENT || err == unix.ENOTDIR || err == unix.ELOOP {
				continue // a root that has no place for it
			}
			if err != nil {
				return failed(plan.ExitNamespace, e.setting, e.path, err)
			}
		case err != nil:
			return failed(plan.ExitNamespace, e.setting, e.path, err)
		}
		e.target = target
		kept = append(kept, e)
	}
	slices.SortStableFunc(kept, func(a, b entry) int {
		if c := value.ComparePaths(a.target, b.target); c != 0 {
			return c
		}
		return int(a.kind) - int(b.kind)
	})
	v.entries = reachable(kept)
	return nil
}

// reachable drops rules below an inaccessible path, and all but the first
// mount on one path. Rules about writing and executing are of two kinds and
// stand beside each other.
func reachable(list []entry) []entry {
	var out []entry
	hidden := ""
	for _, e := range list {
		if hidden != "" && within(e.target, hidden) {
			continue
		}
		if e.kind == inaccessible {
			hidden = e.target
		}
		if n := len(out); n > 0 && out[n-1].target == e.target && e.kind <= tmpFS && out[n-1].kind <= tmpFS {
			continue
		}
		out = append(out, e)
	}
	return out
}

// within says whether path is dir or below it.
func within(path, dir string) bool {
	return dir == "/" || path == dir || strings.HasPrefix(path, dir) && path[len(dir)] == '/'
}

// makeTarget makes a place to mount on.
func makeTarget(root string, e entry) (string, error) {
	path := e.path
	if root != "/" {
		path = root + path
	}
	var st unix.Stat_t
	if e.kind == bind && e.image == nil {
		if err := unix.Stat(e.source, &st); err != nil {
			return "", err
		}
	}
	if err := makePlace(path, e.kind != bind || e.image != nil || st.Mode&unix.S_IFMT == unix.S_IFDIR); err != nil {
		return "", err
	}
	return resolve(root, e.path)
}

// makePlace makes an empty directory, or file, to mount on.
func makePlace(path string, dir bool) error {
	if dir {
		return mkdirAll(path, 0o755)
	}
	if err := mkdirAll(path[:strings.LastIndexByte(path, '/')], 0o755); err != nil {
		return err
	}
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CREAT|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o644)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}
