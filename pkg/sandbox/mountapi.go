package sandbox

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// procFD is the path of an open descriptor.
func procFD(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// cloneTree makes a detached copy of the mount at path, with what is mounted
// below it if recursive: the source of a bind mount that stays valid whatever
// is mounted over path afterwards.
func cloneTree(dir int, path string, recursive bool) (int, error) {
	flags := uint(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC)
	if path == "" {
		flags |= unix.AT_EMPTY_PATH
	}
	if recursive {
		flags |= unix.AT_RECURSIVE
	}
	return unix.OpenTree(dir, path, flags)
}

// attach mounts a detached tree on path, following links in it.
func attach(tree int, path string) error {
	return unix.MoveMount(tree, "", unix.AT_FDCWD, path, unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_SYMLINKS)
}

// newFS makes a detached mount of a new file system. Options are key=value or
// flags.
func newFS(fstype string, attrs int, options ...string) (int, error) {
	fs, err := unix.Fsopen(fstype, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, err
	}
	defer unix.Close(fs)
	for _, o := range options {
		if err := setOption(fs, o); err != nil {
			return -1, err
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, err
	}
	return unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, attrs)
}

func setOption(fs int, option string) error {
	for i := range len(option) {
		if option[i] == '=' {
			return unix.FsconfigSetString(fs, option[:i], option[i+1:])
		}
	}
	return unix.FsconfigSetFlag(fs, option)
}

// setAttr sets attributes of the mount at path.
func setAttr(dir int, path string, set, clear uint64, recursive bool) error {
	flags := uint(unix.AT_SYMLINK_NOFOLLOW | unix.AT_NO_AUTOMOUNT) // nobody can mount for this namespace
	if path == "" {
		flags = unix.AT_EMPTY_PATH
	}
	if recursive {
		flags |= unix.AT_RECURSIVE
	}
	return unix.MountSetattr(dir, path, flags, &unix.MountAttr{Attr_set: set, Attr_clr: clear})
}

// isMountPoint says whether something is mounted on path.
func isMountPoint(path string) (bool, error) {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, 0, &st); err != nil {
		return false, err
	}
	return st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0, nil
}

// resolve gives the path without symbolic links of what path names, seen from
// root if that isn't "/".
func resolve(root, path string) (string, error) {
	dir, how := unix.AT_FDCWD, unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC}
	if root != "/" {
		var err error
		if dir, err = unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
			return "", err
		}
		defer unix.Close(dir)
		how.Resolve = unix.RESOLVE_IN_ROOT
	}
	fd, err := unix.Openat2(dir, path, &how)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlink(procFD(fd), buf)
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}
