package cgroup

import (
	"errors"
	"fmt"

	"github.com/muster-init/muster/pkg/kernel"
	"golang.org/x/sys/unix"
)

// fileMax bounds what is read of one file: cgroup.procs of a large group is
// the longest, 8 bytes a process.
const fileMax = 8 << 20

func (t *Tree) open(path, file string, flags int) (int, error) {
	for {
		fd, err := unix.Openat(t.rootFD, join(clean(path), file), flags|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
		if !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}

// Read reads one file of a group.
func (t *Tree) Read(path, file string) (string, error) {
	fd, err := t.open(path, file, unix.O_RDONLY)
	if err == nil {
		var b []byte
		b, err = kernel.ReadFD(fd, fileMax)
		_ = unix.Close(fd)
		if err == nil {
			return string(b), nil
		}
	}
	return "", fmt.Errorf("cgroup %s: %s: %w", t.Absolute(path), file, err)
}

// readShort is Read for the files with one number or a few lines, which are
// read all the time. The kernel makes them whole for each read(2), so one call
// is enough where the buffer is.
func (t *Tree) readShort(path, file string) (string, error) {
	fd, err := t.open(path, file, unix.O_RDONLY)
	if err != nil {
		return "", err
	}
	var b [1024]byte
	n, err := unix.Read(fd, b[:])
	_ = unix.Close(fd)
	if err != nil || n == len(b) {
		return t.Read(path, file)
	}
	return string(b[:n]), nil
}

func (t *Tree) readMask(path, file string) Mask {
	text, err := t.Read(path, file)
	if err != nil {
		return 0
	}
	return ParseMask(text)
}

// write writes content to one file of a group in one write(2).
func (t *Tree) write(path, file, content string) error {
	if content == "" {
		content = "\n" // the kernel is not told of a write of nothing
	}
	fd, err := t.open(path, file, unix.O_WRONLY)
	if err == nil {
		for {
			_, err = unix.Write(fd, []byte(content))
			if !errors.Is(err, unix.EINTR) {
				break
			}
		}
		_ = unix.Close(fd)
	}
	if err != nil {
		return fmt.Errorf("cgroup %s: %s: write %q: %w", t.Absolute(path), file, content, err)
	}
	return nil
}

// DirFD is a descriptor of the group's directory, for CLONE_INTO_CGROUP and its
// extended attributes. It
// belongs to the tree and is valid until the next call of any method.
func (t *Tree) DirFD(path string) (int, error) {
	path = clean(path)
	g := t.groups[path]
	if g == nil {
		return -1, fmt.Errorf("cgroup %s: not realized: %w", t.Absolute(path), unix.ENOENT)
	}
	g.used = true
	if g.dirFD >= 0 {
		return g.dirFD, nil
	}
	fd, err := unix.Openat(t.rootFD, orDot(path), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("cgroup %s: %w", t.Absolute(path), err)
	}
	g.dirFD = fd
	t.keep(g)
	return fd, nil
}

// keep puts g into the cache in place of one that was not used lately.
func (t *Tree) keep(g *group) {
	for range 2 * dirCacheSize {
		old := t.cache[t.hand]
		if old == nil || !old.used {
			break
		}
		old.used = false
		t.hand = (t.hand + 1) % dirCacheSize
	}
	if old := t.cache[t.hand]; old != nil {
		kernel.CloseFD(old.dirFD)
		old.dirFD = -1
	}
	t.cache[t.hand] = g
	t.hand = (t.hand + 1) % dirCacheSize
}
