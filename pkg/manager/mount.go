package manager

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// apiMount is a kernel file system that everything else expects (file-hierarchy(7), "Virtual kernel file systems").
type apiMount struct {
	what, where, kind, options string
	flags                      uintptr
	// container: also mounted in a container, where the outer manager normally has done it.
	container bool
	// optional: the boot goes on without it.
	optional bool
}

var apiMounts = []apiMount{
	{"proc", "/proc", "proc", "", unix.MS_NOSUID | unix.MS_NOEXEC | unix.MS_NODEV, true, false},
	{"sysfs", "/sys", "sysfs", "", unix.MS_NOSUID | unix.MS_NOEXEC | unix.MS_NODEV, true, true},
	{"devtmpfs", "/dev", "devtmpfs", "mode=0755,size=4m,nr_inodes=64k", unix.MS_NOSUID | unix.MS_STRICTATIME, false, false},
	{"securityfs", "/sys/kernel/security", "securityfs", "", unix.MS_NOSUID | unix.MS_NOEXEC | unix.MS_NODEV, false, true},
	{"tmpfs", "/dev/shm", "tmpfs", "mode=01777", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_STRICTATIME, true, true},
	{"devpts", "/dev/pts", "devpts", "mode=0620,gid=5,ptmxmode=000", unix.MS_NOSUID | unix.MS_NOEXEC, true, true},
	{"tmpfs", "/run", "tmpfs", "mode=0755,size=20%,nr_inodes=800k", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_STRICTATIME, true, false},
	{"cgroup2", "/sys/fs/cgroup", "cgroup2", "nsdelegate,memory_recursiveprot", unix.MS_NOSUID | unix.MS_NOEXEC | unix.MS_NODEV, true, true},
	{"bpf", "/sys/fs/bpf", "bpf", "mode=0700", unix.MS_NOSUID | unix.MS_NOEXEC | unix.MS_NODEV, false, true},
	{"pstore", "/sys/fs/pstore", "pstore", "", unix.MS_NOSUID | unix.MS_NOEXEC | unix.MS_NODEV, false, true},
	{"efivarfs", "/sys/firmware/efi/efivars", "efivarfs", "", unix.MS_NOSUID | unix.MS_NOEXEC | unix.MS_NODEV, false, true},
}

// mountAPI mounts what isn't mounted yet. It runs before the loop, when nothing foreign is mounted that could hang. The messages of optional
// mounts that failed are returned; an error means that the boot can't go on.
func mountAPI(container bool) (notes []string, err error) {
	for _, m := range apiMounts {
		if container && !m.container || isMountPoint(m.where) {
			continue
		}
		e := os.MkdirAll(m.where, 0o755)
		if e == nil {
			e = unix.Mount(m.what, m.where, m.kind, m.flags, m.options)
			if errors.Is(e, unix.EINVAL) && m.kind == "cgroup2" { // older kernels don't know the options
				e = unix.Mount(m.what, m.where, m.kind, m.flags, "")
			}
		}
		if e == nil {
			continue
		}
		msg := fmt.Sprintf("%s: mounting %s: %v", m.where, m.kind, e)
		if container && usable(m.where) {
			// A container without the right to mount: what the image has serves, as long as the manager can write there.
			notes = append(notes, msg+"; using the directory as it is")
			continue
		}
		if !m.optional {
			return notes, errors.New(msg)
		}
		notes = append(notes, msg)
	}
	return notes, nil
}

// usable reports whether a directory is there and can be written to.
func usable(path string) bool {
	return unix.Faccessat(unix.AT_FDCWD, path, unix.W_OK|unix.X_OK, unix.AT_EACCESS) == nil
}

// isMountPoint compares the device and the root attribute of a directory: statx(2) tells without reading the mount table.
func isMountPoint(path string) bool {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, unix.AT_NO_AUTOMOUNT|unix.AT_SYMLINK_NOFOLLOW, 0, &st)
	return err == nil && st.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT != 0 && st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
}

// runtimeDirectories are made at boot below /run (or the user manager's runtime directory).
var runtimeDirectories = []struct {
	path string
	mode os.FileMode
}{
	{"/run/systemd", 0o755},
	{"/run/systemd/system", 0o755}, // sd_booted(3)
	{"/run/systemd/transient", 0o755},
	{"/run/systemd/generator", 0o755},
	{"/run/systemd/generator.early", 0o755},
	{"/run/systemd/generator.late", 0o755},
	{"/run/systemd/inaccessible", 0o755},
	{"/run/systemd/ask-password", 0o755},
	{"/run/lock", 0o1777},
	{"/run/user", 0o755},
}

// makeRuntimeDirectories makes them below root ("" for the system manager).
func makeRuntimeDirectories(rewrite func(string) string) error {
	var errs []error
	for _, d := range runtimeDirectories {
		p := rewrite(d.path)
		if p == "" {
			continue
		}
		if err := os.MkdirAll(p, d.mode&0o777); err != nil {
			errs = append(errs, err)
			continue
		}
		if d.mode&0o1000 != 0 {
			errs = append(errs, os.Chmod(p, d.mode&0o777|os.ModeSticky))
		}
	}
	return errors.Join(errs...)
}
