package cgroup

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// nest makes directories in each other and gives a descriptor of the deepest.
func nest(t *testing.T, tree *Tree, path, name string, depth int) int {
	t.Helper()
	fd, err := unix.Open(tree.Dir(path), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	for range depth {
		if err == nil {
			err = unix.Mkdirat(fd, name, 0o755)
		}
		var next int
		if err == nil {
			next, err = unix.Openat(fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		}
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(fd)
		fd = next
	}
	return fd
}

// TestNested: in a tree that is deeper than a path can be long, processes are found and everything is removed.
func TestNested(t *testing.T) {
	tree := newTree(t)
	realize(t, tree, "x.service", 0)
	c := spawnIn(t, tree, "x.service", "/bin/sleep", "100")
	const depth = 40
	fd := nest(t, tree, "x.service", strings.Repeat("d", 200), depth)
	procs, err := unix.Openat(fd, "cgroup.procs", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		_, err = unix.Write(procs, fmt.Append(nil, c.Pid))
		unix.Close(procs)
	}
	unix.Close(fd)
	if err != nil {
		t.Fatal(err)
	}
	found := ""
	if err := tree.ProcsRecursive("x.service", 1000, func(path string, pids []int) {
		if len(pids) == 1 && pids[0] == c.Pid {
			found = path
		}
	}); err != nil || strings.Count(found, "/") != depth {
		t.Errorf("found in %d levels, %v", strings.Count(found, "/"), err)
	}
	if err := RemoveTree(tree.Dir("x.service"), 1000); !errors.Is(err, ErrBusy) {
		t.Errorf("removed with a process in it: %v", err)
	}
	if err := tree.Kill("x.service"); err != nil {
		t.Fatal(err)
	}
	end(t, c)
	for range 100 {
		if err = tree.Release("x.service"); err == nil {
			break
		}
	}
	if err != nil || exists(tree, "x.service") {
		t.Errorf("release: %v", err)
	}
}

// TestTrim: thousands of groups are removed beside the loop, and it stops when it is told to.
func TestTrim(t *testing.T) {
	tree := newTree(t)
	realize(t, tree, "x.service", 0)
	const many = 3000
	for i := range many {
		if err := os.Mkdir(fmt.Sprintf("%s/g%d", tree.Dir("x.service"), i), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	left := func() int {
		names, err := subdirectories(tree.rootFD, "x.service")
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	if err := tree.Release("x.service"); !errors.Is(err, ErrBusy) || left() != many-trimMax+1 && left() != many-trimMax {
		t.Errorf("release of many at once: %v, %d left", err, left())
	}
	before := left()
	stop := &atomic.Bool{}
	stop.Store(true)
	if err := Trim(tree.Dir("x.service"), 1<<20, stop); !errors.Is(err, ErrBusy) || left() != before {
		t.Errorf("stopped: %v, %d left", err, left())
	}
	stop.Store(false)
	if err := Trim(tree.Dir("x.service"), 100, stop); !errors.Is(err, ErrBusy) || left() != before-100 {
		t.Errorf("a hundred: %v, %d left", err, left())
	}
	if err := Trim(tree.Dir("x.service"), 1<<20, stop); err != nil || left() != 0 || !exists(tree, "x.service") {
		t.Errorf("all: %v, %d left", err, left())
	}
	if err := tree.Release("x.service"); err != nil {
		t.Error(err)
	}
}
