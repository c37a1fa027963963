package spawn

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

const credentialsRoot = "/run/credentials"

// maxDepth bounds the nesting of a tree that is removed.
const maxDepth = 256

// RemoveCredentials unmounts and removes the credentials directory of a unit
// that has ended. Not for the manager's loop.
func RemoveCredentials(unitName string) error {
	dir := credentialsRoot + "/" + unitName
	err := unix.Unmount(dir, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if err == unix.ENOENT {
		return nil
	}
	if err != nil && err != unix.EINVAL { // EINVAL: nothing is mounted there
		return fmt.Errorf("%s: %w", dir, err)
	}
	if err := RemoveTree(credentialsRoot, unitName); err != nil {
		return err
	}
	return nil
}

// RemovePrivateTmp removes a directory behind PrivateTmp=yes after the unit has
// ended. Not for the manager's loop.
func RemovePrivateTmp(dir string) error {
	parent, name, ok := cutLast(dir)
	if !ok || !strings.HasPrefix(name, "systemd-private-") {
		return fmt.Errorf("%s: %w", dir, unix.EINVAL)
	}
	return RemoveTree(parent, name)
}

func cutLast(path string) (dir, name string, ok bool) {
	i := strings.LastIndexByte(path, '/')
	if i <= 0 || i == len(path)-1 {
		return "", "", false
	}
	return path[:i], path[i+1:], true
}

// RemoveTree removes path, relative to prefix, and all that is in it, e.g. a
// RuntimeDirectory= after the unit ended. Links are removed, never followed,
// and other file systems mounted within are left alone. That nothing is there
// is no error. Not for the manager's loop.
func RemoveTree(prefix, path string) error {
	dir, err := unix.Open(prefix, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", prefix, err)
	}
	rest := path
	for {
		first, more, found := strings.Cut(rest, "/")
		if first == "" || first == "." || first == ".." {
			unix.Close(dir)
			return fmt.Errorf("%s/%s: %w", prefix, path, unix.EINVAL)
		}
		if !found {
			break
		}
		next, err := unix.Openat(dir, first, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		unix.Close(dir)
		if err == unix.ENOENT {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s/%s: %w", prefix, path, err)
		}
		dir, rest = next, more
	}
	defer unix.Close(dir)
	var st unix.Stat_t
	if err := unix.Fstat(dir, &st); err != nil {
		return fmt.Errorf("%s: %w", prefix, err)
	}
	if err := removeAt(dir, rest, st.Dev, 0); err != nil {
		return fmt.Errorf("%s/%s: %w", prefix, path, err)
	}
	return nil
}

func removeAt(dir int, name string, dev uint64, depth int) error {
	err := unix.Unlinkat(dir, name, 0)
	if err == nil || err == unix.ENOENT {
		return nil
	}
	if err != unix.EISDIR && err != unix.EPERM {
		return err
	}
	if depth > maxDepth {
		return unix.ELOOP
	}
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Dev != dev {
		return unix.EXDEV
	}
	var names []string
	buf := make([]byte, 8192)
	for {
		n, err := unix.ReadDirent(fd, buf)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names)
	}
	var errs []error
	for _, child := range names {
		errs = append(errs, removeAt(fd, child, dev, depth+1))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := unix.Unlinkat(dir, name, unix.AT_REMOVEDIR); err != nil && err != unix.ENOENT {
		return err
	}
	return nil
}
