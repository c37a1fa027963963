package spawn

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/plan"
)

const credentialsRoot = "/run/credentials"

// maxDepth bounds the nesting of a tree that is removed.
const maxDepth = 256

// RemoveCredentials unmounts and removes the credentials directory of a unit
// that has ended. Not for the manager's loop, unless it is on a tmpfs.
func RemoveCredentials(dir string) error {
	parent, name, ok := cutLast(dir)
	if !ok {
		return fmt.Errorf("%s: %w", dir, unix.EINVAL)
	}
	err := unix.Unmount(dir, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if err == unix.ENOENT {
		return nil
	}
	if err != nil && err != unix.EINVAL && err != unix.EPERM { // nothing is mounted there, or a user's manager could not
		return fmt.Errorf("%s: %w", dir, err)
	}
	if fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0); err == nil {
		// Its owner, who isn't root, can't write to it; if this fails, so does what follows.
		_ = unix.Fchmod(fd, 0o700)
		unix.Close(fd)
	}
	return RemoveTree(parent, name)
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
// StateDirectory= that is cleaned. Links are removed, never followed, and other
// file systems mounted within are left alone. That nothing is there is no
// error. Not for the manager's loop.
func RemoveTree(prefix, path string) error {
	r := remover{budget: -1}
	return r.tree(prefix, path)
}

// quickEntries bounds what one cleanup removes on the manager's loop.
const quickEntries = 256

// CleanNow does the part of a cleanup that cannot hold up the loop, and takes
// it out of c: runtime directories on the manager's own tmpfs as far as they
// are small, and the credentials mount. It says whether the executor has
// anything left to do. So a stopped unit's runtime directory is gone before
// anybody hears that the unit has stopped.
func CleanNow(c *plan.Cleanup) (left bool) {
	r := remover{budget: quickEntries}
	kept := c.Directories[:0:0]
	for _, d := range c.Directories {
		if d.Private || !onTmpfs(d.Prefix) || r.directory(d) != nil {
			kept = append(kept, d)
		}
	}
	c.Directories = kept
	if parent, _, ok := cutLast(c.Credentials); ok && (parent == credentialsRoot || onTmpfs(parent)) && RemoveCredentials(c.Credentials) == nil {
		c.Credentials = ""
	}
	return len(c.Directories)+len(c.TmpDirs) > 0 || c.Ephemeral != "" || c.Credentials != "" || c.DynamicUser != "" || c.DynamicGroup != "" || c.RemoveIPC || c.NFT != nil || c.Dead != nil
}

func onTmpfs(path string) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && st.Type == unix.TMPFS_MAGIC
}

// remover removes trees. Each entry costs one of budget, if that isn't
// negative.
type remover struct{ budget int }

func (r *remover) directory(d plan.CleanupDirectory) error {
	for _, link := range d.Symlinks {
		if err := r.link(d.Prefix, link); err != nil {
			return err
		}
	}
	return r.tree(d.Prefix, d.Path)
}

// link removes a symbolic link, and nothing else.
func (r *remover) link(prefix, path string) error {
	dir, name, err := openBelow(prefix, path)
	if err != nil {
		return ignoreMissing(err)
	}
	defer unix.Close(dir)
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return ignoreMissing(err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFLNK {
		return nil
	}
	return ignoreMissing(unix.Unlinkat(dir, name, 0))
}

func (r *remover) tree(prefix, path string) error {
	dir, name, err := openBelow(prefix, path)
	if err == nil {
		err = r.at(dir, name, 0)
		unix.Close(dir)
	}
	if err = ignoreMissing(err); err != nil {
		return fmt.Errorf("%s/%s: %w", prefix, path, err)
	}
	return nil
}

func ignoreMissing(err error) error {
	if err == unix.ENOENT {
		return nil
	}
	return err
}

// openBelow opens the directory that path's last component is in, with no
// link and no other file system on the way.
func openBelow(prefix, path string) (dir int, name string, err error) {
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || part == "." || part == ".." {
			return -1, "", unix.EINVAL
		}
	}
	if dir, err = unix.Open(prefix, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return -1, "", err
	}
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return dir, path, nil
	}
	below, err := openInside(dir, path[:i])
	unix.Close(dir)
	return below, path[i+1:], err
}

// openInside opens a directory without leaving the file system of dir: what
// is mounted there is not even touched.
func openInside(dir int, path string) (int, error) {
	return unix.Openat2(dir, path, &unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_BENEATH,
	})
}

func (r *remover) at(dir int, name string, depth int) error {
	if r.budget == 0 {
		return unix.E2BIG
	}
	r.budget--
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
	fd, err := openInside(dir, name)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var errs []error
	buf := make([]byte, 8192)
	for {
		n, err := unix.ReadDirent(fd, buf)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		_, _, names := unix.ParseDirent(buf[:n], -1, nil)
		for _, child := range names {
			if err := r.at(fd, child, depth+1); err != nil {
				errs = append(errs, err)
			}
		}
		if r.budget == 0 {
			return unix.E2BIG
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := unix.Unlinkat(dir, name, unix.AT_REMOVEDIR); err != nil && err != unix.ENOENT {
		return err
	}
	return nil
}
