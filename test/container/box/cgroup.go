package box

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// cgroupTree is the box's part of the host's cgroup2 hierarchy:
//
//	muster-box-<owner pid>-<n>/   killed and removed as a whole
//	└── payload/                  root of the box's cgroup namespace
//	    ├── …                     what its init makes
//	    └── box/exec-<n>/         processes started by Exec
//
// The payload is a level of its own because the init may change the attributes
// of its root; the outer directory stays ours.
type cgroupTree struct {
	top     string
	payload string
}

const cgroupPrefix = "muster-box-"

// execCgroup has no unit suffix, so no manager takes it for a unit of its own.
const execCgroup = "box"

var boxNumber int

func newCgroupTree() (*cgroupTree, error) {
	mount, err := cgroup2Mount()
	if err != nil {
		return nil, err
	}
	sweepCgroups(mount)
	boxNumber++
	top := filepath.Join(mount, fmt.Sprintf("%s%d-%d", cgroupPrefix, os.Getpid(), boxNumber))
	tree := &cgroupTree{top: top, payload: filepath.Join(top, "payload")}
	if err := os.MkdirAll(tree.payload, 0o755); err != nil {
		return nil, fmt.Errorf("cgroup: %w", err)
	}
	delegateControllers(mount, top)
	return tree, nil
}

// delegateControllers passes on what the host's root already enables for its
// children; it changes nothing outside the box.
func delegateControllers(mount, top string) {
	text, err := os.ReadFile(filepath.Join(top, "cgroup.controllers"))
	if err != nil {
		return
	}
	for _, controller := range strings.Fields(string(text)) {
		// A controller may be threaded-only or busy; the box then runs without.
		_ = os.WriteFile(filepath.Join(top, "cgroup.subtree_control"), []byte("+"+controller), 0)
	}
}

// cgroup2Mount finds the unified hierarchy: /sys/fs/cgroup, or
// /sys/fs/cgroup/unified beside version 1 mounts.
func cgroup2Mount() (string, error) {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "", fmt.Errorf("cgroup: %w", err)
	}
	defer file.Close()
	lines, found := bufio.NewScanner(file), ""
	for lines.Scan() {
		before, after, ok := strings.Cut(lines.Text(), " - ")
		if !ok || !strings.HasPrefix(after, "cgroup2 ") {
			continue
		}
		// Not the one of somebody's container, which comes and goes.
		if fields := strings.Fields(before); len(fields) > 4 && (found == "" || !strings.HasPrefix(found, "/sys/fs/cgroup") && strings.HasPrefix(fields[4], "/sys/fs/cgroup")) {
			found = fields[4]
		}
	}
	if found != "" {
		return found, nil
	}
	return "", errors.New("cgroup: no cgroup2 hierarchy is mounted: mount -t cgroup2 cgroup2 /sys/fs/cgroup")
}

// sweepCgroups removes the trees of programs that died without Stop.
func sweepCgroups(mount string) {
	stale, err := filepath.Glob(filepath.Join(mount, cgroupPrefix+"*"))
	if err != nil {
		return
	}
	for _, top := range stale {
		owner, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(top), cgroupPrefix), "-")
		pid, err := strconv.Atoi(owner)
		if err != nil || syscall.Kill(pid, 0) == nil {
			continue
		}
		tree := &cgroupTree{top: top}
		if tree.kill() == nil {
			// What can't be removed now is tried again by the next box.
			_ = tree.remove()
		}
	}
}

func (t *cgroupTree) kill() error {
	err := os.WriteFile(filepath.Join(t.top, "cgroup.kill"), []byte("1"), 0)
	if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ENODEV) {
		return fmt.Errorf("cgroup: %w", err)
	}
	return nil
}

func (t *cgroupTree) remove() error { return removeCgroups(t.top, time.Minute) }

// removeCgroups removes a directory tree of cgroups, deepest first. Killed
// processes leave a moment later, so EBUSY is retried until the timeout.
func removeCgroups(top string, timeout time.Duration) error {
	deadline := time.Now().Add(timeout)
	for {
		err := removeCgroupsOnce(top)
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func removeCgroupsOnce(top string) error {
	if err := removeAt(unix.AT_FDCWD, top); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("cgroup: rmdir in %s: %w", top, err)
	}
	return nil
}

// removeAt goes from directory to directory: scenarios nest them deeper than a path can be long.
func removeAt(at int, name string) error {
	fd, err := unix.Openat(at, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	dir := os.NewFile(uintptr(fd), name)
	defer dir.Close()
	entries, err := dir.ReadDir(-1)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		if err := removeAt(fd, entry.Name()); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return unix.Unlinkat(at, name, unix.AT_REMOVEDIR)
}

// Cgroup is a cgroup of a test's own, outside of every box.
type Cgroup struct{ tree *cgroupTree }

// ScratchCgroup makes an empty one.
func ScratchCgroup() (*Cgroup, error) {
	tree, err := newCgroupTree()
	if err != nil {
		return nil, err
	}
	return &Cgroup{tree}, nil
}

// Path is its directory.
func (c *Cgroup) Path() string { return c.tree.payload }

// Remove kills what is in it and removes it with everything below.
func (c *Cgroup) Remove() error {
	if err := c.tree.kill(); err != nil {
		return err
	}
	return c.tree.remove()
}
