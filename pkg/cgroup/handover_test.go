package cgroup

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// TestHandover gives a watched group to another tree, as a re-execution does, and lets its last process end in between.
func TestHandover(t *testing.T) {
	old := newTree(t)
	const path = "a.slice/b.service"
	realize(t, old, path, 0)
	if _, ok := old.Keep(path); ok {
		t.Error("a group without a watch is handed over")
	}
	if err := old.Watch(path); err != nil {
		t.Fatal(err)
	}
	child := spawnIn(t, old, path, "/bin/sleep", "100")
	k, ok := old.Keep(path)
	if !ok || k.Path != path {
		t.Fatalf("Keep: %+v, %v", k, ok)
	}
	fd, err := old.KeepEvents(true)
	if err != nil {
		t.Fatal(err)
	}
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC != 0 {
		t.Errorf("the watches would end with the image: %#x, %v", flags, err)
	}
	if err := unix.Kill(child.Pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	end(t, child)

	next, err := OpenAt(old.Dir(""))
	if err != nil {
		t.Fatal(err)
	}
	if err := next.TakeEvents(old.rootFD); !errors.Is(err, unix.EINVAL) {
		t.Errorf("a descriptor of a directory was taken for watches: %v", err)
	}
	if err := next.TakeEvents(fd); err != nil {
		t.Fatal(err)
	}
	if err := next.Adopt(k); err != nil {
		t.Fatal(err)
	}
	if err := next.Adopt(k); err == nil {
		t.Error("a group was adopted twice")
	}
	eventWaiter(t, next)(path, State{})
	if err := next.Release(path); err != nil {
		t.Error(err)
	}
}
