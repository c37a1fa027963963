package sandbox

import (
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/image"
)

func namespaceFailure(setting, path string, err error) *plan.Failure {
	return failed(plan.ExitNamespace, setting, path, err)
}

// mounts gives the service its own view of the file system.
func mounts(r *run) *plan.Failure {
	p := r.p
	v := &view{root: "/", idMap: &r.idMap, identity: p.Identity}
	if f := v.openImages(p); f != nil {
		return f
	}
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		f := namespaceFailure("mount namespace", p.Sandbox.MountSettings, err)
		if forbidden(err) && !insist(p) {
			return without(p, f)
		}
		return f
	}
	// Mounts of the host still arrive, ours stay here.
	if err := unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		return namespaceFailure("mount namespace", "/", err)
	}
	rules, f := entries(p)
	if f != nil {
		return f
	}
	v.entries = rules
	if p.Sandbox.PrivateTmp == "yes" {
		for _, dir := range p.Sandbox.TmpDirs {
			if err := makeTmp(dir); err != nil {
				return namespaceFailure("PrivateTmp", dir, err)
			}
		}
	}
	if f := v.sources(); f != nil {
		return f
	}
	if p.OwnRoot() {
		if f := v.enterRoot(p); f != nil {
			return f
		}
	}
	if f := v.extend(p); f != nil {
		return f
	}
	if f := v.locate(); f != nil {
		return f
	}
	if f := v.build(); f != nil {
		return f
	}
	if f := v.directoryLinks(p); f != nil {
		return f
	}
	if f := v.restrict(); f != nil {
		return f
	}
	return v.finish(p)
}

// directoryLinks makes the links to StateDirectory= and its like in a root of the service's own.
func (v *view) directoryLinks(p *plan.Plan) *plan.Failure {
	if !p.OwnRoot() {
		return nil
	}
	for _, d := range p.Directories {
		for _, item := range d.Items {
			if err := makeSymlinks(v.root, p, d.Kind, item); err != nil {
				return failed(d.Kind.Status(), d.Kind.Setting(), item.Path, err)
			}
		}
	}
	return nil
}

// insist says whether the service would see other files without its mount
// namespace, rather than only have more rights. Then it must not run.
func insist(p *plan.Plan) bool {
	s := p.Sandbox
	if p.OwnRoot() || len(s.Binds)+len(s.Tmpfs)+len(s.MountImages)+len(s.ExtensionImages)+len(s.ExtensionDirectories) > 0 || s.PrivateTmp == "disconnected" || p.Credentials != nil {
		return true
	}
	for _, d := range p.Directories {
		if p.PrivateDirectory(d.Kind) {
			return true
		}
	}
	return false
}

// sources takes copies of what is bind mounted before anything covers it.
func (v *view) sources() *plan.Failure {
	kept := v.entries[:0]
	for _, e := range v.entries {
		if e.image != nil {
			var err error
			if e.trees, err = v.mountImage(e.image); err == unix.ENOENT && e.ignore {
				continue
			}
			if err != nil {
				return namespaceFailure(e.setting, e.source, err)
			}
		} else if e.kind == bind {
			tree, err := cloneTree(unix.AT_FDCWD, e.source, e.rec)
			if err == unix.ENOENT && e.ignore {
				continue
			}
			if err != nil {
				return namespaceFailure(e.setting, e.source, err)
			}
			e.tree = tree
			if e.mapped {
				if err := v.mapSource(&e); err != nil {
					return namespaceFailure(e.setting, e.source, err)
				}
			}
		}
		kept = append(kept, e)
	}
	v.entries = kept
	return nil
}

// makeTmp makes the directories behind PrivateTmp=. /tmp belongs to everybody,
// so what is there must be root's own.
func makeTmp(dir string) error {
	if err := unix.Mkdir(dir, 0o700); err != nil && err != unix.EEXIST {
		return err
	}
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Uid != uint32(unix.Geteuid()) || st.Mode&0o077 != 0 {
		return unix.EPERM
	}
	const sticky = 0o1777
	if err := unix.Mkdirat(fd, "tmp", sticky); err != nil && err != unix.EEXIST {
		return err
	}
	tmp, err := openDir(fd, "tmp")
	if err != nil {
		return err
	}
	defer unix.Close(tmp)
	return unix.Fchmod(tmp, sticky)
}

// enterRoot makes RootDirectory= or RootImage= a mount of its own, with the
// kernel's file systems in it.
func (v *view) enterRoot(p *plan.Plan) *plan.Failure {
	var root string
	var f *plan.Failure
	switch {
	case p.Sandbox.RootImage != nil:
		root, f = v.imageRoot(p)
	case p.Sandbox.RootMStack != nil:
		root, f = v.stackRoot(p)
	default:
		root, f = v.directoryRoot(p)
	}
	if f != nil {
		return f
	}
	v.root = root
	if !p.Sandbox.MountAPIVFS {
		return nil
	}
	return v.mountAPI()
}

func (v *view) directoryRoot(p *plan.Plan) (string, *plan.Failure) {
	fail := func(err error) (string, *plan.Failure) {
		return "", namespaceFailure("RootDirectory", p.RootDirectory, err)
	}
	root, err := resolve("/", p.RootDirectory)
	if err == unix.ENOENT {
		return "", failed(plan.ExitChroot, "RootDirectory", p.RootDirectory, err)
	}
	if err != nil {
		return fail(err)
	}
	if dir := p.Sandbox.EphemeralDir; dir != "" {
		if root, err = ephemeral(dir, root); err != nil {
			return "", namespaceFailure("RootEphemeral", p.RootDirectory, err)
		}
	}
	tree, err := cloneTree(unix.AT_FDCWD, root, true)
	if err != nil {
		return fail(err)
	}
	defer unix.Close(tree)
	if err := attach(tree, root); err != nil {
		return fail(err)
	}
	return root, nil
}

// mountAPI mounts the kernel's file systems in the root (MountAPIVFS=).
func (v *view) mountAPI() *plan.Failure {
	root := v.root
	for _, fs := range []struct {
		path, fstype string
		attrs        int
		options      []string
	}{
		{"/proc", "proc", unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC, nil},
		{"/sys", "", 0, nil},
		{"/dev", "", 0, nil},
		{"/run", "tmpfs", unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV, []string{"mode=0755"}},
	} {
		target, err := resolve(root, fs.path)
		if err == unix.ENOENT {
			target = root + fs.path
			err = mkdirAll(target, 0o755)
		}
		if err != nil {
			return namespaceFailure("MountAPIVFS", fs.path, err)
		}
		if on, err := isMountPoint(target); err == nil && on {
			continue
		}
		var tree int
		if fs.fstype == "" {
			tree, err = cloneTree(unix.AT_FDCWD, fs.path, true)
		} else {
			tree, err = newFS(fs.fstype, fs.attrs, fs.options...)
		}
		if err != nil {
			return namespaceFailure("MountAPIVFS", fs.path, err)
		}
		err = attach(tree, target)
		unix.Close(tree)
		if err != nil {
			return namespaceFailure("MountAPIVFS", fs.path, err)
		}
	}
	return nil
}

// build mounts what the rules put in place.
func (v *view) build() *plan.Failure {
	nothing := &emptiness{tmpfs: -1}
	failure := v.place(nothing)
	if err := nothing.close(); err != nil && failure == nil {
		failure = namespaceFailure("mount namespace", "/", err)
	}
	return failure
}

func (v *view) place(nothing *emptiness) *plan.Failure {
	for i := range v.entries {
		e := &v.entries[i]
		var err error
		switch e.kind {
		case inaccessible:
			err = nothing.cover(e.target)
		case bind:
			err = e.makeCovered()
			if err == nil && e.image != nil {
				err = attachImage(e.trees, e.target)
			} else if err == nil {
				err = attach(e.tree, e.target)
			}
			image.CloseTrees(e.trees)
			if e.tree >= 0 {
				unix.Close(e.tree)
			}
		case privateDev:
			err = mountDevices(e.target)
		case procFS:
			err = mountProc(e)
		case cgroupFS:
			err = mountCgroups(e.target)
		case bpfFS:
			err = mountNew("bpf", e.target, e.options...)
		case tmpFS:
			if err = e.makeCovered(); err == nil {
				err = mountTmpfs(e)
			}
		case readOnly, readWrite, noExec, exec, untouched:
			if v.matters(e) {
				err = ensureMountPoint(e.target)
			}
		}
		if err != nil && !(err == unix.ENOENT && (e.ignore || e.kind == untouched)) {
			return namespaceFailure(e.setting, e.path, err)
		}
	}
	return nil
}

// matters says whether a rule needs a mount of its own: exceptions do only
// where there is something to make an exception from.
func (v *view) matters(e *entry) bool {
	if e.kind == readOnly || e.kind == noExec {
		return true
	}
	for _, above := range v.entries {
		if !within(e.target, above.target) {
			continue
		}
		if e.kind == exec && above.kind == noExec || e.kind != exec && (above.kind == readOnly || above.ro) {
			return true
		}
	}
	return false
}

// makeCovered makes the place to mount on again where an earlier rule has put
// an empty file system over it.
func (e *entry) makeCovered() error {
	if there, err := exists(e.target); err != nil || there {
		return err
	}
	dir := true
	if e.kind == bind && e.image == nil {
		var st unix.Stat_t
		if err := unix.Fstat(e.tree, &st); err != nil {
			return err
		}
		dir = st.Mode&unix.S_IFMT == unix.S_IFDIR
	}
	return makePlace(e.target, dir)
}

// ensureMountPoint mounts a path on itself, so that it has attributes.
func ensureMountPoint(path string) error {
	on, err := isMountPoint(path)
	if err != nil || on {
		return err
	}
	tree, err := cloneTree(unix.AT_FDCWD, path, true)
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	return attach(tree, path)
}

func mountProc(e *entry) error { return mountNew("proc", e.target, e.options...) }

// mountNew mounts a file system of the kernel that nothing is executed from.
func mountNew(fstype, target string, options ...string) error {
	const attrs = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC
	tree, err := newFS(fstype, attrs, options...)
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	return attach(tree, target)
}

func mountTmpfs(e *entry) error {
	attrs := unix.MOUNT_ATTR_STRICTATIME
	var options []string
	for _, o := range e.options {
		switch o {
		case "ro":
			e.ro = true
		case "rw":
			e.ro = false
		case "nosuid":
			attrs |= unix.MOUNT_ATTR_NOSUID
		case "nodev":
			attrs |= unix.MOUNT_ATTR_NODEV
		case "noexec":
			attrs |= unix.MOUNT_ATTR_NOEXEC
		case "suid", "dev", "exec", "strictatime":
		case "noatime":
			attrs = attrs&^unix.MOUNT_ATTR_STRICTATIME | unix.MOUNT_ATTR_NOATIME
		case "relatime":
			attrs &^= unix.MOUNT_ATTR_STRICTATIME
		default:
			options = append(options, o)
		}
	}
	tree, err := newFS("tmpfs", attrs, options...)
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	return attach(tree, e.target)
}

// emptiness is what inaccessible paths are covered with: an empty directory
// and an empty file that nobody may open. Before Linux 6.15 a part of a mount
// can be copied only while that mount is attached somewhere in the namespace.
// It is attached to the root, over which nobody who has the root already sees it.
type emptiness struct {
	tmpfs int
}

func (n *emptiness) cover(path string) error {
	if n.tmpfs < 0 {
		const attrs = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC
		tmpfs, err := newFS("tmpfs", attrs, "mode=0755", "nr_inodes=8", "size=4k")
		if err != nil {
			return err
		}
		if err := attach(tmpfs, "/"); err != nil {
			unix.Close(tmpfs)
			return err
		}
		n.tmpfs = tmpfs
		if err := unix.Mkdirat(tmpfs, "dir", 0); err != nil {
			return err
		}
		if err := unix.Mknodat(tmpfs, "file", unix.S_IFREG, 0); err != nil {
			return err
		}
	}
	var st unix.Stat_t
	if err := unix.Fstatat(unix.AT_FDCWD, path, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	name := "file"
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		name = "dir"
	}
	tree, err := cloneTree(n.tmpfs, name, false)
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	if err := setAttr(tree, "", unix.MOUNT_ATTR_RDONLY, 0, false); err != nil {
		return err
	}
	return attach(tree, path)
}

// close takes it away. By way of the working directory: /proc may be covered.
func (n *emptiness) close() error {
	if n.tmpfs < 0 {
		return nil
	}
	defer unix.Close(n.tmpfs)
	back, err := unix.Open(".", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(back)
	if err := unix.Fchdir(n.tmpfs); err != nil {
		return err
	}
	err = unix.Unmount(".", unix.MNT_DETACH)
	if backErr := unix.Fchdir(back); err == nil {
		err = backErr
	}
	return err
}

// restrict makes mounts read-only and not executable: each by the rule of the
// deepest path above it. Nothing is made writable that was not.
func (v *view) restrict() *plan.Failure {
	wanted := false
	for _, e := range v.entries {
		wanted = wanted || e.kind == readOnly || e.kind == noExec || e.ro
	}
	if !wanted {
		return nil
	}
	points, err := mountPoints()
	if err != nil {
		return namespaceFailure("mount namespace", "/proc/self/mountinfo", err)
	}
	for _, point := range points {
		if !within(point, v.root) {
			continue
		}
		set, setting := v.attributes(point)
		if set == 0 {
			continue
		}
		err := setAttr(unix.AT_FDCWD, point, set, 0, false)
		// A mount that is covered by another, or out of reach, is nobody's way.
		if err != nil && err != unix.EINVAL && err != unix.ENOENT && err != unix.EACCES && err != unix.ENOTDIR {
			return namespaceFailure(setting, point, err)
		}
	}
	return nil
}

// attributes are what the rules say about the mount at point.
func (v *view) attributes(point string) (set uint64, setting string) {
	write, execute := -1, -1
	for i, e := range v.entries {
		if !within(point, e.target) {
			continue
		}
		switch e.kind {
		case noExec, exec:
			if execute < 0 || v.entries[execute].target != e.target {
				execute = i
			}
		default:
			// Of rules on one path the first has precedence.
			if write < 0 || v.entries[write].target != e.target {
				write = i
			}
		}
	}
	if write >= 0 && (v.entries[write].kind == readOnly || v.entries[write].ro) {
		set, setting = unix.MOUNT_ATTR_RDONLY, v.entries[write].setting
	}
	if execute >= 0 && v.entries[execute].kind == noExec {
		set |= unix.MOUNT_ATTR_NOEXEC
		setting = v.entries[execute].setting
	}
	return set, setting
}

const maxMountinfo = 64 << 20

// mountPoints lists the mount points of this namespace, in order of mounting.
func mountPoints() ([]string, error) {
	text, err := readFile("/proc/self/mountinfo", maxMountinfo)
	if err != nil {
		return nil, err
	}
	var points []string
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 5 {
			points = append(points, unescapeOctal(f[4]))
		}
	}
	return points, nil
}

// unescapeOctal undoes the \040 of mountinfo.
func unescapeOctal(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			b.WriteByte((s[i+1]-'0')<<6 | (s[i+2]-'0')<<3 | (s[i+3] - '0'))
			i += 3
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// finish makes the root directory the root and sets how mounts propagate from
// here on.
func (v *view) finish(p *plan.Plan) *plan.Failure {
	if v.root != "/" {
		if err := unix.Chdir(v.root); err != nil {
			return failed(plan.ExitChroot, "RootDirectory", p.RootDirectory, err)
		}
		if err := unix.PivotRoot(".", "."); err != nil {
			return failed(plan.ExitChroot, "RootDirectory", p.RootDirectory, err)
		}
		if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
			return failed(plan.ExitChroot, "RootDirectory", p.RootDirectory, err)
		}
	}
	if err := unix.Chdir("/"); err != nil {
		return failed(plan.ExitChdir, "RootDirectory", "/", err)
	}
	propagation := uintptr(unix.MS_SHARED)
	if p.Sandbox.MountPropagation != 0 {
		propagation = uintptr(p.Sandbox.MountPropagation)
	}
	if err := unix.Mount("", "/", "", propagation|unix.MS_REC, ""); err != nil {
		return namespaceFailure("MountFlags", "/", err)
	}
	return nil
}
