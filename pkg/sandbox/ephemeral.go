package sandbox

import (
	"path"

	"golang.org/x/sys/unix"
)

// ephemeral gives the copy of a root, a directory or an image, that the
// processes of one activation share (RootEphemeral=). Whoever ends the
// activation removes dir.
//
// DEVIATION: all commands of an activation run in the copy. systemd 257 runs only the first of them there, and those behind it in the original.
func ephemeral(dir, source string) (string, error) {
	if err := makeEphemeral(dir); err != nil {
		return "", err
	}
	fd, err := openDir(unix.AT_FDCWD, dir)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	// Who comes second waits until the copy is complete.
	if err := unix.Flock(fd, unix.LOCK_EX); err != nil {
		return "", err
	}
	const name = "root"
	if there, err := exists(dir + "/" + name); err != nil || there {
		return dir + "/" + name, err
	}
	path, err := resolve("/", source)
	if err != nil {
		return "", err
	}
	from, err := unix.Open(path, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(from)
	// What a start that was killed has left is no copy.
	part := name + ".part"
	for n := byte('0'); ; n++ {
		if there, err := exists(dir + "/" + part + string(n)); err == nil && !there {
			part += string(n)
			break
		}
		if n == '9' {
			return "", unix.EEXIST
		}
	}
	c := copier{links: map[[2]uint64]string{}, base: fd}
	if err := c.copy(from, fd, part, part); err != nil {
		return "", err
	}
	return dir + "/" + name, unix.Renameat(fd, part, fd, name)
}

// makeEphemeral makes dir, which only root may look into, and what is to be in it.
func makeEphemeral(dir string, within ...string) error {
	trees := path.Dir(dir)
	if err := mkdirAll(path.Dir(trees), 0o755); err != nil {
		return err
	}
	for _, made := range append([]string{trees, dir}, within...) {
		if err := unix.Mkdir(made, 0o700); err != nil && err != unix.EEXIST {
			return err
		}
	}
	return nil
}

// copier copies a tree with owners, modes, times, attributes and hard links. It stays on one file system.
type copier struct {
	base  int // directory that links are relative to
	links map[[2]uint64]string
	dev   uint64
}

// copy copies what from is to name in the directory to. path is that name seen from base.
func (c *copier) copy(from, to int, name, path string) error {
	var st unix.Stat_t
	if err := unix.Fstat(from, &st); err != nil {
		return err
	}
	if c.dev == 0 {
		c.dev = st.Dev
	}
	key := [2]uint64{st.Dev, st.Ino}
	if st.Nlink > 1 && st.Mode&unix.S_IFMT != unix.S_IFDIR {
		if first, ok := c.links[key]; ok {
			return unix.Linkat(c.base, first, to, name, 0)
		}
		c.links[key] = path
	}
	var err error
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return c.directory(from, to, name, path, &st)
	case unix.S_IFREG:
		return c.file(from, to, name, &st)
	case unix.S_IFLNK:
		buf := make([]byte, unix.PathMax)
		var n int
		if n, err = unix.Readlinkat(from, "", buf); err == nil {
			err = unix.Symlinkat(string(buf[:n]), to, name)
		}
	default:
		err = unix.Mknodat(to, name, st.Mode, int(st.Rdev))
	}
	if err != nil {
		return err
	}
	if err := unix.Fchownat(to, name, int(st.Uid), int(st.Gid), unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFLNK {
		if err := unix.Fchmodat(to, name, st.Mode&0o7777, 0); err != nil {
			return err
		}
	}
	return unix.UtimesNanoAt(to, name, []unix.Timespec{st.Atim, st.Mtim}, unix.AT_SYMLINK_NOFOLLOW)
}

func (c *copier) directory(from, to int, name, path string, st *unix.Stat_t) error {
	if err := unix.Mkdirat(to, name, 0o700); err != nil {
		return err
	}
	made, err := openDir(to, name)
	if err != nil {
		return err
	}
	defer unix.Close(made)
	names, err := readDirFD(from)
	if err != nil {
		return err
	}
	if st.Dev != c.dev {
		names = nil // a mount point; what is mounted there is another's
	}
	for _, entry := range names {
		fd, err := openEntry(from, entry)
		if err == unix.ENOENT {
			continue // gone meanwhile
		}
		if err != nil {
			return err
		}
		err = c.copy(fd, made, entry, path+"/"+entry)
		unix.Close(fd)
		if err != nil {
			return err
		}
	}
	return settle(from, made, st)
}

// openEntry opens what can be read for reading, anything else by its place only.
func openEntry(dir int, name string) (int, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return -1, err
	}
	flags := unix.O_PATH
	if kind := st.Mode & unix.S_IFMT; kind == unix.S_IFDIR || kind == unix.S_IFREG {
		flags = unix.O_RDONLY | unix.O_NONBLOCK
	}
	return unix.Openat(dir, name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}

func (c *copier) file(from, to int, name string, st *unix.Stat_t) error {
	fd, err := unix.Openat(to, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if unix.IoctlFileClone(fd, from) != nil {
		if err := copyData(from, fd, st.Size); err != nil {
			return err
		}
	}
	return settle(from, fd, st)
}

// copyData copies what isn't a hole.
func copyData(from, to int, size int64) error {
	if err := unix.Ftruncate(to, size); err != nil {
		return err
	}
	buf := make([]byte, 256<<10)
	for at := int64(0); at < size; {
		data, err := unix.Seek(from, at, unix.SEEK_DATA)
		if err == unix.ENXIO {
			return nil // only a hole is left
		}
		if err == nil {
			at = data
		}
		n, err := unix.Pread(from, buf, at)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return err
		}
		for done := 0; done < n; {
			m, err := unix.Pwrite(to, buf[done:n], at+int64(done))
			if err != nil {
				return err
			}
			done += m
		}
		at += int64(n)
	}
	return nil
}

// settle gives a copy the owner, attributes, mode and times of what it is a copy of.
func settle(from, to int, st *unix.Stat_t) error {
	if err := unix.Fchown(to, int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	if err := copyAttributes(from, to); err != nil {
		return err
	}
	if err := unix.Fchmod(to, st.Mode&0o7777); err != nil {
		return err
	}
	return unix.UtimesNanoAt(unix.AT_FDCWD, procFD(to), []unix.Timespec{st.Atim, st.Mtim}, 0)
}

func copyAttributes(from, to int) error {
	list := make([]byte, 64<<10)
	n, err := unix.Flistxattr(from, list)
	if err == unix.EOPNOTSUPP {
		return nil
	}
	if err != nil {
		return err
	}
	data := make([]byte, 64<<10)
	for begin, i := 0, 0; i < n; i++ {
		if list[i] != 0 {
			continue
		}
		name := string(list[begin:i])
		begin = i + 1
		m, err := unix.Fgetxattr(from, name, data)
		if err != nil {
			continue // not ours to read
		}
		if err := unix.Fsetxattr(to, name, data[:m], 0); err != nil && err != unix.EOPNOTSUPP && err != unix.EPERM {
			return err
		}
	}
	return nil
}
