package kernel

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// MountFS is mount(2): for the API file systems that PID 1 mounts at start-up
// and for remounts. Foreign file systems are mounted by a child.
func MountFS(source, target, fstype string, flags uintptr, data string) error {
	if err := unix.Mount(source, target, fstype, flags, data); err != nil {
		return fmt.Errorf("mount %s at %s: %w", fstype, target, err)
	}
	return nil
}

// Umount is umount2(2) with MNT_DETACH, MNT_FORCE, UMOUNT_NOFOLLOW as flags.
// Without MNT_DETACH it may block: not on the loop.
func Umount(target string, flags int) error {
	if err := unix.Unmount(target, flags); err != nil {
		return fmt.Errorf("unmount %s: %w", target, err)
	}
	return nil
}

// IsMounted tells whether a directory is where something is mounted, by the
// attribute of statx(2) (Linux 5.8).
func IsMounted(path string) (bool, error) {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, unix.AT_NO_AUTOMOUNT|unix.AT_SYMLINK_NOFOLLOW, 0, &st); err != nil {
		return false, fmt.Errorf("%s: %w", path, err)
	}
	return st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0, nil
}
