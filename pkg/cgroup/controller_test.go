package cgroup

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/muster-init/muster/pkg/kernel"
	"golang.org/x/sys/unix"
)

// withControllers is a tree on a machine where the controllers belong to
// cgroup2; elsewhere there is nothing to try.
func withControllers(t *testing.T, need Mask) *Tree {
	t.Helper()
	tree := newTree(t)
	if missing := need &^ tree.Status().Controllers; missing != 0 {
		t.Skipf("controllers %v are not available to cgroup2 on this machine", missing)
	}
	return tree
}

func TestAttributesOfTheKernel(t *testing.T) {
	tree := withControllers(t, CPU|Memory|PIDs)
	r := NoResources()
	r.CPUWeight, r.CPUQuotaPerSecUSec, r.TasksMax = 200, 10_000, 7
	r.MemoryMin, r.MemoryLow, r.MemoryHigh, r.MemoryMax = 1<<20, 2<<20, 30<<20, 40<<20
	r.MemoryOOMGroup = true
	realized := realize(t, tree, "a.slice/x.service", r.Needs())
	if realized.Controllers&r.Needs() != r.Needs() {
		t.Fatalf("%+v", realized)
	}
	if errs := tree.Apply("a.slice/x.service", r.Values()); errs != nil {
		t.Error(errs)
	}
	for file, want := range map[string]string{
		"cpu.weight": "200", "cpu.max": "1000 100000", "pids.max": "7", "memory.min": "1048576", "memory.low": "2097152",
		"memory.high": "31457280", "memory.max": "41943040", "memory.oom.group": "1",
	} {
		if got, err := tree.Read("a.slice/x.service", file); strings.TrimSpace(got) != want || err != nil {
			t.Errorf("%s is %q, %v", file, got, err)
		}
	}
	idle := NoResources()
	idle.CPUWeight = CPUWeightIdle
	for _, step := range []struct{ from, to Resources }{{r, idle}, {idle, NoResources()}, {NoResources(), r}, {r, NoResources()}} {
		if errs := tree.Apply("a.slice/x.service", Changes(step.from, step.to)); errs != nil {
			t.Error(errs)
		}
	}
	for file, want := range map[string]string{"cpu.weight": "100", "cpu.max": "max 100000", "pids.max": "max", "memory.max": "max", "cpu.idle": "0"} {
		if got, err := tree.Read("a.slice/x.service", file); strings.TrimSpace(got) != want || err != nil {
			t.Errorf("%s is %q, %v", file, got, err)
		}
	}
	c := spawnIn(t, tree, "a.slice/x.service", "/bin/sleep", "100")
	u := tree.Usage("a.slice/x.service")
	if u.TasksCurrent != 1 || u.MemoryCurrent == Infinity || u.CPUUsageNSec == Infinity || u.OOMKills != 0 {
		t.Errorf("%+v", u)
	}
	if err := tree.Kill("a.slice/x.service"); err != nil {
		t.Fatal(err)
	}
	end(t, c)
}

func TestSpawnIntoLimits(t *testing.T) {
	tree := withControllers(t, PIDs|Memory)
	realize(t, tree, "a.slice/x.service", PIDs|Memory)
	if errs := tree.Apply("a.slice/x.service", []Value{{"pids.max", "1", PIDs, false}}); errs != nil {
		t.Fatal(errs)
	}
	spawn := func(path string) error {
		fd, err := tree.DirFD(path)
		if err != nil {
			t.Fatal(err)
		}
		var l kernel.OpList
		l.Exec(203, "/bin/true", []string{"true"}, nil)
		c, err := kernel.Spawn(&l, kernel.SpawnOptions{CgroupFD: fd})
		if err == nil {
			end(t, c)
		}
		return err
	}
	c := spawnIn(t, tree, "a.slice/x.service", "/bin/sleep", "100")
	if err := spawn("a.slice/x.service"); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("beyond pids.max: %v", err)
	}
	// A group that passes controllers on has no processes of its own.
	if err := spawn("a.slice"); !errors.Is(err, unix.EBUSY) {
		t.Errorf("into a slice: %v", err)
	}
	if err := tree.Kill("a.slice/x.service"); err != nil {
		t.Fatal(err)
	}
	end(t, c)
}

func TestOOMEvent(t *testing.T) {
	tree := withControllers(t, Memory)
	fd, err := tree.EventFD()
	if err != nil {
		t.Fatal(err)
	}
	realize(t, tree, "x.service", Memory)
	if err := errors.Join(tree.Watch("x.service"), tree.WatchMemory("x.service")); err != nil {
		t.Fatal(err)
	}
	r := NoResources()
	r.MemoryMax, r.MemorySwapMax = 6<<20, 0
	if errs := tree.Apply("x.service", r.Values()); errs != nil {
		t.Fatal(errs)
	}
	c := spawnIn(t, tree, "x.service", "/bin/sh", "-c", `a=$(head -c 60000000 /dev/zero | tr '\0' x)`)
	deadline := time.Now().Add(2 * time.Minute)
	for killed := false; !killed; {
		if time.Now().After(deadline) {
			t.Fatal("no event")
		}
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, 1000); err != nil && err != unix.EINTR {
			t.Fatal(err)
		}
		list, err := tree.Events()
		if err != nil {
			t.Fatal(err)
		}
		for _, ev := range list {
			killed = killed || ev.HasMemory && ev.OOMKill > 0
		}
	}
	if n := tree.OOMKills("x.service"); n == 0 || n == Infinity {
		t.Errorf("%d kills", n)
	}
	if err := tree.Kill("x.service"); err != nil {
		t.Fatal(err)
	}
	end(t, c)
}
