package sandbox

import (
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/plan"
)

// maxDepth bounds the nesting of a tree whose owner is changed.
const maxDepth = 256

// directories makes RuntimeDirectory= and its like, with their symbolic links
// (systemd.exec(5)).
func directories(r *run) *plan.Failure {
	for i := range r.p.Directories {
		d := &r.p.Directories[i]
		for _, item := range d.Items { // a directory comes before those in it
			if err := r.makeDirectory(d, item); err != nil {
				return failed(d.Kind.Status(), d.Kind.Setting(), r.p.DirectoryPath(d.Kind, item.Path), err)
			}
			if r.p.OwnRoot() {
				continue // they are made in there
			}
			if err := makeSymlinks("/", r.p, d.Kind, item); err != nil {
				return failed(d.Kind.Status(), d.Kind.Setting(), item.Path, err)
			}
		}
	}
	return nil
}

func (r *run) makeDirectory(d *plan.Directory, item plan.DirectoryItem) error {
	p := r.p
	prefix := p.Prefixes[d.Kind]
	if err := mkdirAll(prefix, 0o755); err != nil {
		return err
	}
	root, err := unix.Open(prefix, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(root)
	if !p.PrivateDirectory(d.Kind) {
		if err := leavePrivate(root, item.Path); err != nil {
			return err
		}
		return r.makeOwned(d, root, item.Path)
	}
	if err := unix.Mkdirat(root, "private", 0o700); err != nil && err != unix.EEXIST {
		return err
	}
	private, err := openDir(root, "private")
	if err != nil {
		return err
	}
	defer unix.Close(private)
	if err := unix.Fchmod(private, 0o700); err != nil {
		return err
	}
	if err := enterPrivate(root, private, item.Path); err != nil {
		return err
	}
	if err := r.makeOwned(d, private, item.Path); err != nil {
		return err
	}
	return linkPrivate(root, item.Path)
}

// leavePrivate takes back a directory that DynamicUser= once put below
// private/ and that is to be an ordinary one again.
func leavePrivate(root int, path string) error {
	if !isLink(root, path) || !isDir(root, "private/"+path) {
		return nil
	}
	if err := unix.Unlinkat(root, path, 0); err != nil {
		return err
	}
	return unix.Renameat(root, "private/"+path, root, path)
}

// enterPrivate is the other direction.
func enterPrivate(root, private int, path string) error {
	if isLink(root, path) || !isDir(root, path) || isDir(private, path) {
		return nil
	}
	if err := makeParents(private, path); err != nil {
		return err
	}
	return unix.Renameat(root, path, private, path)
}

// linkPrivate links to a directory below private/, unless it is reached by the link to one above it.
func linkPrivate(root int, path string) error {
	for i := range len(path) {
		if path[i] == '/' && isLink(root, path[:i]) && isDir(root, "private/"+path[:i]) {
			return nil
		}
	}
	if err := makeParents(root, path); err != nil {
		return err
	}
	up := strings.Repeat("../", strings.Count(path, "/"))
	return symlinkIdempotent(up+"private/"+path, root, path)
}

func isLink(dir int, path string) bool {
	var st unix.Stat_t
	return unix.Fstatat(dir, path, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK
}

func isDir(dir int, path string) bool {
	var st unix.Stat_t
	return unix.Fstatat(dir, path, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR
}

// makeOwned makes path below root and gives it mode and owner. Only the last
// component belongs to the service; what is above it belongs to root.
func (r *run) makeOwned(d *plan.Directory, root int, path string) error {
	p := r.p
	dir, name, err := openParents(root, path, true)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	err = unix.Mkdirat(dir, name, d.Mode&0o7777)
	existed := err == unix.EEXIST
	if err != nil && !existed {
		return err
	}
	fd, err := openDir(dir, name)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if d.Kind == plan.DirState || d.Kind == plan.DirCache || d.Kind == plan.DirLogs {
		if err := limitDirectory(p, d, fd, p.DirectoryPath(d.Kind, path)); err != nil {
			return err
		}
	}
	// An existing configuration directory is the administrator's.
	if existed && d.Kind == plan.DirConfiguration {
		return nil
	}
	uid, gid := directoryOwner(p, d.Kind)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if p.PrivateDirectory(d.Kind) && r.mappedOwner(fd, &st, existed) {
		uid, gid = nobody, nobody
	}
	if st.Mode&0o7777 != d.Mode&0o7777 {
		if err := unix.Fchmod(fd, d.Mode&0o7777); err != nil {
			return err
		}
	}
	if p.UserMode || (st.Uid == uid && st.Gid == gid) {
		return nil
	}
	if err := chownTree(fd, uid, gid, 0); err != nil {
		return err
	}
	// chown clears the set-id bits.
	return unix.Fchmod(fd, d.Mode&0o7777)
}

// directoryOwner is the service's user, else who the manager is: root, but for one in a container without rights.
func directoryOwner(p *plan.Plan, kind plan.DirectoryKind) (uid, gid uint32) {
	if kind == plan.DirConfiguration || p.Identity == nil || p.User == "" && p.Group == "" && !p.DynamicUser {
		return uint32(unix.Geteuid()), uint32(unix.Getegid())
	}
	return p.Identity.UID, p.Identity.GID
}

// openDir opens a directory that must not be a symbolic link.
func openDir(dir int, name string) (int, error) {
	return unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}

// openParents opens the directory that path's last component is in, making
// what is missing if asked to.
func openParents(root int, path string, create bool) (dir int, name string, err error) {
	dir, err = unix.FcntlInt(uintptr(root), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return -1, "", err
	}
	for {
		first, rest, more := strings.Cut(path, "/")
		if !more {
			return dir, first, nil
		}
		if create {
			if err := unix.Mkdirat(dir, first, 0o755); err != nil && err != unix.EEXIST {
				unix.Close(dir)
				return -1, "", err
			}
		}
		next, err := openTrusted(dir, first)
		unix.Close(dir)
		if err != nil {
			return -1, "", err
		}
		dir, path = next, rest
	}
}

// openTrusted opens a directory, following a symbolic link only where nobody
// but root can have made it.
func openTrusted(dir int, name string) (int, error) {
	fd, err := openDir(dir, name)
	if err != unix.ELOOP && err != unix.ENOTDIR {
		return fd, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(dir, &st); err != nil {
		return -1, err
	}
	if st.Uid != 0 && st.Uid != uint32(unix.Geteuid()) || st.Mode&0o022 != 0 {
		return -1, err
	}
	return unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
}

func makeParents(root int, path string) error {
	dir, _, err := openParents(root, path, true)
	if err != nil {
		return err
	}
	return unix.Close(dir)
}

// chownTree changes the owner of a directory and all that is in it. Links are
// changed themselves, never followed.
func chownTree(fd int, uid, gid uint32, depth int) error {
	if depth > maxDepth {
		return unix.ELOOP
	}
	names, err := readDirFD(fd)
	if err != nil {
		return err
	}
	for _, name := range names {
		var st unix.Stat_t
		if err := unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			if err == unix.ENOENT {
				continue
			}
			return err
		}
		if st.Mode&unix.S_IFMT != unix.S_IFDIR {
			if err := unix.Fchownat(fd, name, int(uid), int(gid), unix.AT_SYMLINK_NOFOLLOW); err != nil && err != unix.ENOENT {
				return err
			}
			continue
		}
		sub, err := openDir(fd, name)
		if err == unix.ENOENT {
			continue
		}
		if err != nil {
			return err
		}
		err = chownTree(sub, uid, gid, depth+1)
		unix.Close(sub)
		if err != nil {
			return err
		}
	}
	return unix.Fchown(fd, int(uid), int(gid))
}

// makeSymlinks makes the links of "path:link", relative to the directory of
// the kind as the program sees it.
func makeSymlinks(in string, p *plan.Plan, kind plan.DirectoryKind, item plan.DirectoryItem) error {
	if len(item.Symlinks) == 0 {
		return nil
	}
	prefix, err := resolve(in, p.Prefixes[kind])
	if err != nil {
		return err
	}
	root, err := unix.Open(prefix, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(root)
	target := item.Path
	if p.PrivateDirectory(kind) && !p.OwnRoot() {
		target = "private/" + target
	}
	for _, link := range item.Symlinks {
		if err := makeParents(root, link); err != nil {
			return err
		}
		if err := symlinkIdempotent(strings.Repeat("../", strings.Count(link, "/"))+target, root, link); err != nil {
			return err
		}
	}
	return nil
}

// symlinkIdempotent makes a link unless it is there already.
func symlinkIdempotent(target string, dir int, path string) error {
	err := unix.Symlinkat(target, dir, path)
	if err != unix.EEXIST {
		return err
	}
	buf := make([]byte, unix.PathMax)
	n, rerr := unix.Readlinkat(dir, path, buf)
	if rerr != nil || string(buf[:n]) != target {
		return err
	}
	return nil
}

// mkdirAll makes a directory and its parents.
func mkdirAll(path string, mode uint32) error {
	for i := 1; i <= len(path); i++ {
		if i < len(path) && path[i] != '/' {
			continue
		}
		err := unix.Mkdir(path[:i], mode)
		if err == nil || err == unix.EEXIST {
			continue
		}
		if i == len(path) || err != unix.EROFS && err != unix.EACCES {
			return err
		}
	}
	return nil
}
