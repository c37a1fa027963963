package sandbox

import (
	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/image"
)

// liveMount mounts something into the mount namespace of a process that runs.
// What is mounted is made here, in the manager's view, and carried over as a
// detached tree.
func liveMount(p *plan.Plan) *plan.Failure {
	m := p.Live
	fail := func(path string, err error) *plan.Failure { return namespaceFailure("mount", path, err) }
	if len(p.FDs) == 0 {
		return fail(m.Destination, unix.ESRCH)
	}
	trees, dir, err := liveSource(m)
	if err != nil {
		return fail(m.Source, err)
	}
	defer image.CloseTrees(trees)
	// Threads of one program share what setns(2) changes: this one no longer.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fail(m.Destination, err)
	}
	if err := unix.Setns(int(p.FDs[0]), unix.CLONE_NEWNS); err != nil {
		return fail(m.Destination, err)
	}
	target, err := resolve("/", m.Destination)
	if err == unix.ENOENT && m.MakeTarget {
		if err = makePlace(m.Destination, dir); err == nil {
			target, err = resolve("/", m.Destination)
		}
	}
	if err == nil {
		err = replaceMount(trees, target)
	}
	if err != nil {
		return fail(m.Destination, err)
	}
	return nil
}

// liveSource makes the trees to attach, and says whether a directory is wanted for them.
func liveSource(m *plan.LiveMount) (trees []image.Tree, dir bool, err error) {
	if m.Image != nil {
		opened, err := openImage(m.Image, m.Image.Path, false)
		if err != nil {
			return nil, false, err
		}
		defer opened.Close()
		trees, err = opened.Mount()
		return trees, true, err
	}
	tree, err := cloneTree(unix.AT_FDCWD, m.Source, false)
	if err != nil {
		return nil, false, err
	}
	trees = []image.Tree{{Path: "/", FD: tree}}
	var st unix.Stat_t
	if err = unix.Fstat(tree, &st); err == nil && m.ReadOnly {
		err = setAttr(tree, "", unix.MOUNT_ATTR_RDONLY, 0, false)
	}
	if err != nil {
		image.CloseTrees(trees)
		return nil, false, err
	}
	return trees, st.Mode&unix.S_IFMT == unix.S_IFDIR, nil
}

// replaceMount attaches trees at target. What was mounted there is taken away only when they are in place: at no moment is nothing there.
func replaceMount(trees []image.Tree, target string) error {
	if on, err := isMountPoint(target); err == nil && on && len(trees) == 1 && target != "/" {
		const beneath = 0x200 // MOVE_MOUNT_BENEATH, Linux 6.5
		const flags = unix.MOVE_MOUNT_F_EMPTY_PATH | unix.MOVE_MOUNT_T_SYMLINKS | beneath
		if unix.MoveMount(trees[0].FD, "", unix.AT_FDCWD, target, flags) == nil {
			return unix.Unmount(target, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		}
	}
	return attachImage(trees, target)
}
