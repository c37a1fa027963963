package sandbox

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/image"
	"github.com/muster-init/muster/pkg/unit/value"
)

// refresh makes anew what a service that runs was given: its credentials, or what its extensions lay over /etc. It is done in the service's mount
// namespace, by way of trees that are complete before they take the place of the old ones.
func refresh(r *run) *plan.Failure {
	if len(r.p.FDs) == 0 {
		return namespaceFailure("RefreshOnReload", "", unix.ESRCH)
	}
	if r.p.Refresh.Credentials {
		return refreshCredentials(r)
	}
	return refreshExtensions(r.p)
}

// refreshCredentials replaces the file system with the credentials, where the host has it and where the service has it.
func refreshCredentials(r *run) *plan.Failure {
	if r.p.Credentials == nil {
		return nil // the configuration is another by now
	}
	if f := resolveIdentity(r); f != nil {
		return f
	}
	if f := credentials(r); f != nil {
		return f
	}
	dir := r.p.Credentials.Dir
	fail := func(err error) *plan.Failure { return failed(plan.ExitCredentials, "credentials", dir, err) }
	there, err := exists(dir)
	if err != nil {
		return fail(err)
	}
	if !there {
		return nil // all that there is now is nothing
	}
	tree, err := cloneTree(unix.AT_FDCWD, dir, false)
	if err != nil {
		return fail(err)
	}
	defer unix.Close(tree)
	other, err := enterNamespace(int(r.p.FDs[0]))
	if err != nil || !other {
		if err != nil {
			return fail(err)
		}
		return nil
	}
	if err := replaceMount([]image.Tree{{Path: "/", FD: tree}}, dir); err != nil {
		return fail(err)
	}
	return nil
}

// enterNamespace goes into the mount namespace of a process, and says whether it is another one.
func enterNamespace(pidfd int) (bool, error) {
	proc, err := procOf(pidfd)
	if err != nil {
		return false, err
	}
	var theirs, ours unix.Stat_t
	if err := unix.Stat(proc+"/ns/mnt", &theirs); err != nil {
		return false, err
	}
	if err := unix.Stat("/proc/self/ns/mnt", &ours); err != nil {
		return false, err
	}
	if theirs.Ino == ours.Ino {
		return false, nil
	}
	// Threads of one program share what setns(2) changes: this one no longer.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return false, err
	}
	return true, unix.Setns(pidfd, unix.CLONE_NEWNS)
}

// refreshedHierarchy is what is laid over that is laid over a second time. DEVIATION: RefreshOnReload=extensions is about /etc only, as in systemd 258, also for an
// extension that has more: programs that run would find their libraries changed.
const refreshedHierarchy = "/etc"

// source is an extension on its way into the namespace.
type source struct {
	setting, path, name string
	trees               []image.Tree
	below               string // in the service's root, "+"
}

// refreshExtensions lays ExtensionImages= and ExtensionDirectories= over /etc as they are now.
func refreshExtensions(p *plan.Plan) *plan.Failure {
	if p.Sandbox == nil {
		return nil // likewise
	}
	v := &view{root: "/"}
	p.Sandbox.RootImage, p.Sandbox.RootMStack, p.Sandbox.MountImages = nil, nil, nil
	if f := v.openImages(p); f != nil {
		return f
	}
	list, f := v.extensionSources(p.Sandbox)
	defer func() {
		for _, s := range list {
			image.CloseTrees(s.trees)
		}
	}()
	if f != nil {
		return f
	}
	fail := func(path string, err error) *plan.Failure { return namespaceFailure("RefreshOnReload", path, err) }
	pidfd := int(p.FDs[0])
	other, err := enterNamespace(pidfd)
	if err == nil && !other {
		return nil // extensions imply a namespace: it had none when it was started
	}
	if err != nil {
		return fail("", err)
	}
	tree, points, f := newHierarchy(list)
	if tree >= 0 {
		defer unix.Close(tree)
	}
	if f != nil {
		return f
	}
	if err := unix.Setns(pidfd, unix.CLONE_NEWNS); err != nil {
		return fail("", err)
	}
	if err := exchange(tree, points); err != nil {
		return fail(refreshedHierarchy, err)
	}
	return nil
}

// extensionSources makes detached trees of what is on the host.
func (v *view) extensionSources(s *plan.Sandbox) ([]source, *plan.Failure) {
	var list []source
	for i := range s.ExtensionImages {
		im := &s.ExtensionImages[i]
		trees, err := v.mountImage(im)
		if err == unix.ENOENT && im.IgnoreMissing {
			continue
		}
		if err != nil {
			return list, namespaceFailure("ExtensionImages", im.Path, err)
		}
		list = append(list, source{setting: "ExtensionImages", path: im.Path, name: extensionName(im.Path), trees: trees})
	}
	for _, dir := range s.ExtensionDirectories {
		e := source{setting: "ExtensionDirectories", path: dir.Path, name: extensionName(dir.Path)}
		if dir.RootPrefixed {
			e.below = dir.Path
			list = append(list, e)
			continue
		}
		path, err := resolve("/", dir.Path)
		if err == unix.ENOENT && dir.IgnoreMissing {
			continue
		}
		var tree int
		if err == nil {
			tree, err = cloneTree(unix.AT_FDCWD, path, true)
		}
		if err != nil {
			return list, namespaceFailure(e.setting, dir.Path, err)
		}
		e.trees = []image.Tree{{Path: "/", FD: tree}}
		list = append(list, e)
	}
	return list, nil
}

// extensionName is what its release file has to be called after.
func extensionName(path string) string {
	path = strings.TrimRight(path, "/")
	return strings.TrimSuffix(path[strings.LastIndexByte(path, '/')+1:], ".raw")
}

// newHierarchy makes the overlay in a copy of the service's namespace that nobody else sees, where the old one can be taken away. -1: nothing is
// to lie there any more. points are those of mountsOf.
func newHierarchy(list []source) (tree int, points []mountPoint, f *plan.Failure) {
	const at = refreshedHierarchy
	fail := func(path string, err error) (int, []mountPoint, *plan.Failure) {
		return -1, nil, namespaceFailure("RefreshOnReload", path, err)
	}
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fail("", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return fail("/", err)
	}
	// The service's own may be that of other processes.
	if err := mountNew("proc", "/proc"); err != nil {
		return fail("/proc", err)
	}
	points, err := mountsOf(at)
	if err != nil {
		return fail("/proc/self/mountinfo", err)
	}
	host := releaseOf("/", "/etc/os-release", "/usr/lib/os-release")
	if points[0].overlay {
		if err := unix.Unmount(at, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
			return fail(at, err)
		}
	}
	base, err := unix.Open(at, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fail(at, err)
	}
	defer unix.Close(base)
	if err := mountPlaces(at); err != nil {
		return fail(at, err)
	}
	var layers []string
	for i := range list {
		dir, err := layerOf(&list[i], at+"/"+strconv.Itoa(i), host)
		if err != nil {
			return -1, nil, namespaceFailure(list[i].setting, list[i].path, err)
		}
		if dir != "" {
			layers = append([]string{dir}, layers...)
		}
	}
	if len(layers) == 0 {
		return -1, points, nil
	}
	if tree, err = newOverlay(append(layers, procFD(base)), "", ""); err != nil {
		return fail(at, err)
	}
	return tree, points, nil
}

// layerOf mounts an extension at a place and gives its directory for the hierarchy, "" if it has none. It must fit the service's system.
func layerOf(s *source, place string, host []value.Pair) (string, error) {
	err := unix.Mkdir(place, 0o755)
	if err == nil {
		if s.below != "" {
			err = bindTree(s.below, place, true)
		} else {
			err = attachImage(s.trees, place)
		}
	}
	if err != nil {
		return "", err
	}
	if err := isFor(host, place, s.name); err != nil {
		return "", err
	}
	dir, err := resolve(place, refreshedHierarchy)
	if err == unix.ENOENT {
		return "", nil
	}
	return dir, err
}

// mountPoint is one line of mountinfo.
type mountPoint struct {
	path    string
	overlay bool // of extensions
}

// mountsOf lists what is on top of dir, then what is mounted directly within it.
func mountsOf(dir string) ([]mountPoint, error) {
	text, err := readFile("/proc/self/mountinfo", maxMountinfo)
	if err != nil {
		return nil, err
	}
	var top []mountPoint
	inner := map[string]bool{}
	var order []mountPoint
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 6 {
			continue
		}
		path := unescapeOctal(f[4])
		switch {
		case path == dir:
			// Binds of /etc on itself have another root than an overlay of its own.
			top = []mountPoint{{path, f[3] == "/" && strings.Contains(line, " - overlay overlay ")}}
			clear(inner)
			order = nil
		case within(path, dir) && !inner[path]:
			inner[path] = true
			order = append(order, mountPoint{path: path})
		}
	}
	if len(top) == 0 {
		top = []mountPoint{{path: dir}}
	}
	return append(top, order...), nil
}

// exchange puts the new overlay into the place of the old one, with what was mounted within.
func exchange(tree int, points []mountPoint) error {
	overlaid := points[0].overlay
	type kept struct {
		path string
		fd   int
	}
	var inner []kept
	defer func() {
		for _, k := range inner {
			unix.Close(k.fd)
		}
	}()
	for _, m := range points[1:] {
		if n := len(inner); n > 0 && within(m.path, inner[n-1].path) {
			continue // goes along
		}
		fd, err := cloneTree(unix.AT_FDCWD, m.path, true)
		if err == unix.ENOENT || err == unix.EINVAL {
			continue // out of reach
		}
		if err != nil {
			return fmt.Errorf("%s: %w", m.path, err)
		}
		inner = append(inner, kept{m.path, fd})
	}
	const at = refreshedHierarchy
	switch {
	case tree >= 0 && overlaid:
		if err := replaceMount([]image.Tree{{Path: "/", FD: tree}}, at); err != nil {
			return err
		}
	case tree >= 0:
		if err := attach(tree, at); err != nil {
			return err
		}
	case overlaid:
		if err := unix.Unmount(at, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
			return err
		}
	default:
		return nil
	}
	for _, k := range inner {
		// A place that is not there any more has nothing to cover.
		if err := attach(k.fd, k.path); err != nil && err != unix.ENOENT {
			return fmt.Errorf("%s: %w", k.path, err)
		}
	}
	return nil
}
