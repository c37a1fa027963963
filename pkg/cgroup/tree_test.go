package cgroup

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/muster-init/muster/pkg/kernel"
	"golang.org/x/sys/unix"
)

var serial atomic.Int32

// The main thread is kept for itself: TestReadOnlyTree changes the mount
// namespace of a thread and lets it end, which the main thread cannot.
func init() { runtime.LockOSThread() }

// newTree makes a directory of its own in the real cgroup2 hierarchy.
func newTree(t testing.TB) *Tree {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root to make control groups")
	}
	s := Detect()
	if s.Mode == ModeNone {
		t.Skip("no cgroup2 on this machine: " + s.Reason)
	}
	dir := fmt.Sprintf("%s/%s/muster-test-%d-%d", s.Mount, s.Base, os.Getpid(), serial.Add(1))
	// Whatever controllers there are, to be switched on and off below; given back
	// at the end, unless somebody else has come to use them.
	control := s.Mount + "/" + s.Base + "/cgroup.subtree_control"
	before, _ := kernel.ReadKernelFile(control, 4096)
	if add := s.Controllers &^ ParseMask(string(before)); add != 0 {
		_ = kernel.WriteKernelFile(control, add.toggles("+"))
		t.Cleanup(func() { _ = kernel.WriteKernelFile(control, add.toggles("-")) })
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	tree, err := OpenAt(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		tree.Close()
		_ = kernel.WriteKernelFile(dir+"/cgroup.kill", "1")
		for range 6000 { // who was killed goes when the kernel has time for it
			if err = RemoveTree(dir, 10000); err == nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Error(err)
	})
	return tree
}

// spawnIn starts a command in a group and returns the child.
func spawnIn(t testing.TB, tree *Tree, path string, argv ...string) *kernel.Child {
	t.Helper()
	fd, err := tree.DirFD(path)
	if err != nil {
		t.Fatal(err)
	}
	var l kernel.OpList
	l.Setsid(220)
	l.Exec(203, argv[0], argv, []string{"PATH=/usr/bin:/bin"})
	c, err := kernel.Spawn(&l, kernel.SpawnOptions{CgroupFD: fd})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// end waits for a child.
func end(t testing.TB, c *kernel.Child) unix.WaitStatus {
	t.Helper()
	var ws unix.WaitStatus
	for {
		_, err := unix.Wait4(c.Pid, &ws, 0, nil)
		if err == nil {
			break
		}
		if err != unix.EINTR {
			t.Fatal(err)
		}
	}
	kernel.CloseFD(c.PidFD)
	c.Release()
	return ws
}

func exists(tree *Tree, path string) bool {
	_, err := os.Stat(tree.Dir(path))
	return err == nil
}

func realize(t testing.TB, tree *Tree, path string, mask Mask) Realized {
	t.Helper()
	r, err := tree.Realize(path, mask)
	if err != nil || len(r.Errors) != 0 {
		t.Fatalf("Realize(%q): %v %v", path, err, r.Errors)
	}
	return r
}

func TestRealizeAndRelease(t *testing.T) {
	tree := newTree(t)
	const unit = "a.slice/a-b.slice/x.service"
	if r := realize(t, tree, unit, 0); !r.Created || r.Migrate {
		t.Errorf("%+v", r)
	}
	if r := realize(t, tree, unit, 0); r.Created {
		t.Errorf("second time: %+v", r)
	}
	if !exists(tree, unit) || !tree.Realized("a.slice") || tree.Len() != 4 {
		t.Errorf("exists %v, %d groups", exists(tree, unit), tree.Len())
	}
	if err := tree.Release("a.slice"); !errors.Is(err, ErrBusy) {
		t.Errorf("release of a slice with a unit: %v", err)
	}
	// What a delegated unit left behind goes with it.
	for _, dir := range []string{"/sub", "/sub/deep", "/other"} {
		if err := os.Mkdir(tree.Dir(unit)+dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if names, err := tree.Children(unit); err != nil || !slices.Equal(names, []string{"other", "sub"}) {
		t.Errorf("children %v, %v", names, err)
	}
	for _, path := range []string{unit, "/a.slice/a-b.slice", "a.slice", "never.service"} {
		if err := tree.Release(path); err != nil || exists(tree, path) {
			t.Errorf("release %s: %v", path, err)
		}
	}
	if tree.Len() != 1 {
		t.Errorf("%d groups left", tree.Len())
	}
	if err := tree.Release(""); err == nil {
		t.Error("the root was released")
	}
}

func TestReleaseBusy(t *testing.T) {
	tree := newTree(t)
	realize(t, tree, "x.service", 0)
	realize(t, tree, "x.service/sub", 0)
	c := spawnIn(t, tree, "x.service/sub", "/bin/sleep", "100")
	if pids, err := tree.Procs("x.service/sub"); err != nil || !slices.Equal(pids, []int{c.Pid}) {
		t.Errorf("processes %v, %v", pids, err)
	}
	if err := tree.Release("x.service/sub"); !errors.Is(err, ErrBusy) {
		t.Errorf("release with a process: %v", err)
	}
	if err := RemoveTree(tree.Dir("x.service"), 10); !errors.Is(err, ErrBusy) {
		t.Errorf("remove tree with a process: %v", err)
	}
	got := map[string][]int{}
	if err := tree.ProcsRecursive("", 100, func(p string, pids []int) { got[p] = pids }); err != nil || !slices.Equal(got["x.service/sub"], []int{c.Pid}) {
		t.Errorf("%v, %v", got, err)
	}
	if err := tree.ProcsRecursive("", 2, func(string, []int) {}); !errors.Is(err, ErrLimit) {
		t.Errorf("limit: %v", err)
	}
	if err := tree.Kill("x.service"); err != nil {
		t.Fatal(err)
	}
	if ws := end(t, c); ws.Signal() != unix.SIGKILL {
		t.Errorf("%v", ws)
	}
	if err := tree.Release("x.service/sub"); err != nil {
		t.Error(err)
	}
}

// TestKillAndRemake shows the trap on kernels that have it, and that a
// realized group is out of it on all of them.
func TestKillAndRemake(t *testing.T) {
	tree := newTree(t)
	realize(t, tree, "s.slice/x.service", 0)
	for range 3 {
		c := spawnIn(t, tree, "s.slice/x.service", "/bin/sleep", "100")
		if err := tree.Kill("s.slice"); err != nil {
			t.Fatal(err)
		}
		if ws := end(t, c); ws.Signal() != unix.SIGKILL {
			t.Errorf("%v", ws)
		}
		c = spawnIn(t, tree, "s.slice/x.service", "/bin/true")
		t.Logf("cloned into a group that was killed: %v", end(t, c).Signaled())
		r := realize(t, tree, "s.slice/x.service", 0)
		if !r.Created || r.Migrate {
			t.Errorf("after kill: %+v", r)
		}
		c = spawnIn(t, tree, "s.slice/x.service", "/bin/true")
		if ws := end(t, c); !ws.Exited() || ws.ExitStatus() != 0 {
			t.Errorf("cloned into the new group: %v", ws)
		}
	}
	// A group that cannot be removed: migrating works.
	if err := os.Mkdir(tree.Dir("s.slice/x.service/held"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := tree.Kill("s.slice/x.service"); err != nil {
		t.Fatal(err)
	}
	r := realize(t, tree, "s.slice/x.service", 0)
	if r.Created || !r.Migrate {
		t.Fatalf("%+v", r)
	}
	var l kernel.OpList
	l.WriteFile(219, tree.Dir("s.slice/x.service")+"/cgroup.procs", "0")
	l.Exec(203, "/bin/sleep", []string{"sleep", "0.05"}, nil)
	c, err := kernel.Spawn(&l, kernel.SpawnOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if ws := end(t, c); ws.ExitStatus() != 0 || ws.Signaled() {
		t.Errorf("migrated child: %v", ws)
	}
}

func TestAdoptedGroupIsRemade(t *testing.T) {
	tree := newTree(t)
	realize(t, tree, "x.service", 0)
	again, err := OpenAt(tree.Dir(""))
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if r := realize(t, again, "x.service", 0); !r.Created || r.Migrate {
		t.Errorf("empty group of an earlier manager: %+v", r)
	}
	third, err := OpenAt(tree.Dir(""))
	if err != nil {
		t.Fatal(err)
	}
	defer third.Close()
	c := spawnIn(t, again, "x.service", "/bin/sleep", "100")
	if r := realize(t, third, "x.service", 0); r.Created || !r.Migrate {
		t.Errorf("running group of an earlier manager: %+v", r)
	}
	if err := third.Kill("x.service"); err != nil {
		t.Fatal(err)
	}
	end(t, c)
}

// control reads cgroup.subtree_control of a path.
func control(t *testing.T, tree *Tree, path string) Mask {
	t.Helper()
	text, err := tree.Read(path, "cgroup.subtree_control")
	if err != nil {
		t.Fatal(err)
	}
	return ParseMask(text)
}

func TestControllersAreEnabledWhereNeeded(t *testing.T) {
	tree := newTree(t)
	c := tree.Status().Controllers
	if c == 0 {
		t.Skip("no controller is free for cgroup2 on this machine")
	}
	check := func(when string, want map[string]bool) {
		t.Helper()
		for path, on := range want {
			if got := control(t, tree, path); got != 0 != on {
				t.Errorf("%s: %q has %q, want on %v", when, path, got, on)
			}
		}
	}
	realize(t, tree, "a.slice/x.service", 0)
	check("nobody asks", map[string]bool{"": false, "a.slice": false})
	if r := realize(t, tree, "a.slice/y.service", c|Misc|DMem); r.Controllers&c != c {
		t.Errorf("controllers %v", r.Controllers)
	}
	check("y asks", map[string]bool{"": true, "a.slice": true, "a.slice/y.service": false})
	realize(t, tree, "a.slice/x.service", c)
	realize(t, tree, "b.slice/z.service", 0)
	check("x asks too", map[string]bool{"": true, "a.slice": true, "b.slice": false})
	if err := tree.Release("a.slice/y.service"); err != nil {
		t.Fatal(err)
	}
	if errs := tree.Settle(); errs != nil {
		t.Fatal(errs)
	}
	check("x still asks", map[string]bool{"": true, "a.slice": true})
	realize(t, tree, "a.slice/x.service", 0)
	check("before Settle", map[string]bool{"": true, "a.slice": true})
	if tree.Unsettled() == 0 {
		t.Error("nothing to settle")
	}
	if errs := tree.Settle(); errs != nil || tree.Unsettled() != 0 {
		t.Fatal(errs)
	}
	check("after Settle", map[string]bool{"": false, "a.slice": false})

	realize(t, tree, "a.slice", c) // the slice's own limits need it in the root only
	check("the slice asks", map[string]bool{"": true, "a.slice": false})
	realize(t, tree, "a.slice/x.service", c)
	if err := tree.SetDisabled("a.slice", c); err != nil {
		t.Fatal(err)
	}
	if errs := tree.Settle(); errs != nil {
		t.Fatal(errs)
	}
	check("disabled", map[string]bool{"": true, "a.slice": false})
	realize(t, tree, "a.slice/w.service", c)
	check("still disabled", map[string]bool{"a.slice": false})
	if err := tree.SetDisabled("a.slice", 0); err != nil {
		t.Fatal(err)
	}
	realize(t, tree, "a.slice/w.service", c)
	check("allowed again", map[string]bool{"a.slice": true})
}

// eventWaiter returns a function that waits for an event of a path in a state.
func eventWaiter(t *testing.T, tree *Tree) func(path string, want State) {
	t.Helper()
	fd, err := tree.EventFD()
	if err != nil {
		t.Fatal(err)
	}
	return func(path string, want State) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
			fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
			if _, err := unix.Poll(fds, 1000); err != nil && err != unix.EINTR {
				t.Fatal(err)
			}
			list, err := tree.Events()
			if err != nil {
				t.Fatal(err)
			}
			for _, ev := range list {
				if ev.Path == path && ev.State == want {
					return
				}
			}
		}
		t.Fatalf("no event %s %+v", path, want)
	}
}

func TestEvents(t *testing.T) {
	tree := newTree(t)
	until := eventWaiter(t, tree)
	realize(t, tree, "x.service", 0)
	if err := tree.Watch("x.service"); err != nil {
		t.Fatal(err)
	}
	if err := tree.Watch("x.service"); err != nil || !slices.Equal(tree.Watched(), []string{"x.service"}) {
		t.Errorf("%v %v", err, tree.Watched())
	}
	if err := tree.WatchMemory("x.service"); err == nil {
		t.Log("memory controller here")
	} else if !errors.Is(err, unix.ENOENT) {
		t.Error(err)
	}
	if err := tree.Watch("y.service"); !errors.Is(err, unix.ENOENT) {
		t.Errorf("watch of an unrealized group: %v", err)
	}
	c := spawnIn(t, tree, "x.service", "/bin/sleep", "100")
	until("x.service", State{Populated: true})
	if err := tree.Freeze("x.service"); err != nil {
		t.Fatal(err)
	}
	until("x.service", State{Populated: true, Frozen: true})
	if err := tree.Thaw("x.service"); err != nil {
		t.Fatal(err)
	}
	until("x.service", State{Populated: true})
	if err := tree.Kill("x.service"); err != nil {
		t.Fatal(err)
	}
	end(t, c)
	until("x.service", State{})
	if s, err := tree.State("x.service"); err != nil || s.Populated {
		t.Errorf("%+v %v", s, err)
	}
}

// TestRemovedBehindOurBack: a group that vanishes with its slice is made and
// watched again.
func TestRemovedBehindOurBack(t *testing.T) {
	tree := newTree(t)
	realize(t, tree, "x.service", 0)
	if err := tree.Watch("x.service"); err != nil {
		t.Fatal(err)
	}
	realize(t, tree, "s.slice/y.service", 0)
	if err := tree.Watch("s.slice/y.service"); err != nil {
		t.Fatal(err)
	}
	if err := RemoveTree(tree.Dir("s.slice"), 10); err != nil {
		t.Fatal(err)
	}
	list, err := tree.Events()
	if err != nil || len(list) > 0 && !list[0].Gone {
		t.Fatalf("%+v %v", list, err)
	}
	if r := realize(t, tree, "s.slice/y.service", 0); !r.Created || !exists(tree, "s.slice/y.service") {
		t.Errorf("%+v", r)
	}
	if got := tree.Watched(); !slices.Equal(got, []string{"x.service"}) {
		t.Errorf("watched %v", got)
	}
}

func TestAttachMigrateDelegate(t *testing.T) {
	tree := newTree(t)
	realize(t, tree, "x.service", 0)
	realize(t, tree, "y.service", 0)
	c := spawnIn(t, tree, "x.service", "/bin/sleep", "100")
	if path, err := PathOfPid(c.Pid); err != nil || !strings.HasSuffix(path, "/x.service") {
		t.Errorf("path %q, %v", path, err)
	}
	if err := tree.AttachPid("y.service", c.Pid); err != nil {
		t.Error(err)
	}
	if err := tree.Migrate("y.service", "x.service"); err != nil {
		t.Error(err)
	}
	if pids, _ := tree.Procs("x.service"); !slices.Equal(pids, []int{c.Pid}) {
		t.Errorf("%v", pids)
	}
	if n := tree.CPUUsageNSec("x.service"); n == Infinity {
		t.Error("no cpu.stat")
	}
	if err := tree.Delegate("x.service", 1234, 4321); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]uint32{"": 1234, "/cgroup.procs": 1234, "/cgroup.threads": 1234, "/cgroup.freeze": 0} {
		var st unix.Stat_t
		if err := unix.Stat(tree.Dir("x.service")+file, &st); err != nil || st.Uid != want {
			t.Errorf("owner of %q is %d, %v", file, st.Uid, err)
		}
	}
	if err := tree.SetXattr("x.service", XattrDelegate, "1"); err != nil {
		t.Error(err)
	}
	if v, err := tree.Xattr("x.service", XattrDelegate); v != "1" || err != nil {
		t.Errorf("%q %v", v, err)
	}
	for range 2 {
		if err := tree.SetXattr("x.service", XattrDelegate, ""); err != nil {
			t.Error(err)
		}
	}
	if _, err := tree.Xattr("x.service", XattrDelegate); !errors.Is(err, unix.ENODATA) {
		t.Errorf("after removal: %v", err)
	}
	if err := tree.Kill("x.service"); err != nil {
		t.Fatal(err)
	}
	end(t, c)
}

func TestDirFDCacheIsBounded(t *testing.T) {
	tree := newTree(t)
	const n = 3 * dirCacheSize
	for i := range n {
		path := fmt.Sprintf("u%d.service", i)
		realize(t, tree, path, 0)
		if _, err := tree.DirFD(path); err != nil {
			t.Fatal(err)
		}
	}
	open := 0
	for _, g := range tree.groups {
		if g.dirFD >= 0 {
			open++
		}
	}
	if open != dirCacheSize {
		t.Errorf("%d descriptors open", open)
	}
	for i := range n {
		path := fmt.Sprintf("u%d.service", i)
		fd, err := tree.DirFD(path)
		if err != nil {
			t.Fatal(err)
		}
		target, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
		if err != nil || !strings.HasSuffix(target, "/"+path) {
			t.Fatalf("fd of %s is %q, %v", path, target, err)
		}
		if err := tree.Release(path); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReadOnlyTree(t *testing.T) {
	tree := newTree(t)
	dir := tree.Dir("")
	result := make(chan string, 1)
	go func() {
		// The thread gets a mount namespace of its own and ends with the goroutine.
		runtime.LockOSThread()
		result <- func() string {
			if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
				return "unshare: " + err.Error()
			}
			if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
				return "private: " + err.Error()
			}
			if err := unix.Mount(dir, dir, "", unix.MS_BIND, ""); err != nil {
				return "bind: " + err.Error()
			}
			if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
				return "read-only: " + err.Error()
			}
			ro, err := OpenAt(dir)
			if err != nil {
				return err.Error()
			}
			defer ro.Close()
			s := ro.Status()
			if s.Writable || !strings.Contains(s.Reason, "read-only") {
				return fmt.Sprintf("status %+v", s)
			}
			if _, err := ro.Realize("x.service", CPU); !errors.Is(err, unix.EROFS) {
				return fmt.Sprintf("Realize: %v", err)
			}
			if _, err := ro.State(""); err != nil {
				return err.Error()
			}
			return ""
		}()
	}()
	if msg := <-result; msg != "" {
		t.Error(msg)
	}
}

func TestOpenWithoutTree(t *testing.T) {
	if _, err := OpenAt(t.TempDir()); !errors.Is(err, ErrNoTree) {
		t.Errorf("OpenAt: %v", err)
	}
	if _, err := OpenStatus(Status{Reason: "nothing mounted"}); !errors.Is(err, ErrNoTree) || !strings.Contains(err.Error(), "nothing mounted") {
		t.Errorf("OpenStatus: %v", err)
	}
}
