package cgroup

import (
	"errors"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// text renders values as "file=content" for comparison.
func text(list []Value) []string {
	var out []string
	for _, v := range list {
		out = append(out, v.File+"="+v.Content)
	}
	return out
}

func TestValues(t *testing.T) {
	tests := []struct {
		name string
		set  func(r *Resources)
		want []string
	}{
		{"nothing", func(*Resources) {}, nil},
		{"weights", func(r *Resources) { r.CPUWeight, r.IOWeight = 200, 10000 }, []string{"cpu.weight=200", "io.weight=default 10000", "io.bfq.weight=1000"}},
		{"default weight", func(r *Resources) { r.CPUWeight = 100 }, nil},
		{"idle", func(r *Resources) { r.CPUWeight = CPUWeightIdle }, []string{"cpu.idle=1"}},
		{"quota 20%", func(r *Resources) { r.CPUQuotaPerSecUSec = 200_000 }, []string{"cpu.max=20000 100000"}},
		{"quota 250%", func(r *Resources) { r.CPUQuotaPerSecUSec = 2_500_000 }, []string{"cpu.max=250000 100000"}},
		{"quota 1% of 10ms", func(r *Resources) { r.CPUQuotaPerSecUSec, r.CPUQuotaPeriodUSec = 10_000, 10_000 }, []string{"cpu.max=1000 100000"}},
		{"tiny quota", func(r *Resources) { r.CPUQuotaPerSecUSec = 1 }, []string{"cpu.max=1000 1000000"}},
		{"period only", func(r *Resources) { r.CPUQuotaPeriodUSec = 50_000 }, []string{"cpu.max=max 50000"}},
		{"memory", func(r *Resources) {
			r.MemoryMin, r.MemoryLow, r.MemoryHigh, r.MemoryMax, r.MemorySwapMax, r.MemoryZSwapMax = 1, 2, 3, 4, 0, 6
			r.MemoryOOMGroup, r.NoMemoryZSwapWriteback = true, true
		}, []string{
			"memory.min=1", "memory.low=2", "memory.high=3", "memory.max=4", "memory.swap.max=0", "memory.zswap.max=6",
			"memory.zswap.writeback=0", "memory.oom.group=1",
		}},
		{"tasks", func(r *Resources) { r.TasksMax = 15 }, []string{"pids.max=15"}},
		{"cpuset", func(r *Resources) { r.AllowedCPUs, r.AllowedMemoryNodes, r.CPUSetPartition = "0-1", "0", "isolated" },
			[]string{"cpuset.cpus=0-1", "cpuset.mems=0", "cpuset.cpus.partition=isolated"}},
		{"devices", func(r *Resources) {
			r.IODevices = []IODevice{{Device: "8:0", Weight: 50, ReadBPS: 1000, WriteBPS: Infinity, ReadIOPS: Infinity, WriteIOPS: 7, LatencyTargetUSec: 25000}}
		}, []string{"io.weight=8:0 50", "io.bfq.weight=8:0 50", "io.max=8:0 rbps=1000 wbps=max riops=max wiops=7", "io.latency=8:0 target=25000"}},
	}
	for _, tt := range tests {
		r := NoResources()
		tt.set(&r)
		if diff := cmp.Diff(tt.want, text(r.Values())); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
		// Taking it back names the same files, in the same order.
		var files, back []string
		for _, v := range r.Values() {
			files = append(files, v.File)
		}
		for _, v := range Changes(r, NoResources()) {
			back = append(back, v.File)
			if v.File != "cpu.weight" && !slices.Contains(Files(), v.File) {
				t.Errorf("%s: %s is not in Files", tt.name, v.File)
			}
		}
		if tt.name == "idle" {
			files = append(files, "cpu.weight")
		}
		if diff := cmp.Diff(files, back); diff != "" {
			t.Errorf("%s, back: %s", tt.name, diff)
		}
		if len(Changes(r, r)) != 0 {
			t.Errorf("%s: changes to itself %v", tt.name, Changes(r, r))
		}
	}
	r := NoResources()
	r.TasksMax, r.CPUWeight = 5, 7
	if r.Needs() != PIDs|CPU {
		t.Errorf("Needs = %v", r.Needs())
	}
}

// fakeTree is a tree over plain files: what is written can be read back, and
// controllers need not exist.
func fakeTree(t *testing.T, files map[string]string) *Tree {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := dir + "/" + name
		if i := strings.LastIndexByte(path, '/'); i > 0 {
			if err := os.MkdirAll(path[:i], 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tree, err := OpenStatus(Status{Mode: ModeUnified, Mount: dir, Writable: true, Controllers: All})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tree.Close)
	return tree
}

func TestApply(t *testing.T) {
	tree := fakeTree(t, map[string]string{"x.service/pids.max": "", "x.service/memory.max": ""})
	errs := tree.Apply("x.service", []Value{
		{"pids.max", "7", PIDs, false},
		{"memory.swap.max", "7", Memory, true},
		{"cpu.weight", "7", CPU, false},
		{"memory.max", "9", Memory, false},
	})
	if len(errs) != 1 {
		t.Fatalf("%v", errs)
	}
	var attr *AttributeError
	if !errors.As(errs[0], &attr) || attr.Value.File != "cpu.weight" || !errors.Is(errs[0], unix.ENOENT) {
		t.Errorf("%v", errs[0])
	}
	if want := `cgroup /x.service: cpu.weight: write "7": no such file or directory`; errs[0].Error() != want {
		t.Errorf("%q", errs[0])
	}
	for file, want := range map[string]string{"pids.max": "7", "memory.max": "9"} {
		if got, err := tree.Read("x.service", file); got != want || err != nil {
			t.Errorf("%s is %q, %v", file, got, err)
		}
	}
}

func TestUsage(t *testing.T) {
	tree := fakeTree(t, map[string]string{
		"memory.max":                      "max\n",
		"a.slice/memory.max":              "1000\n",
		"a.slice/memory.high":             "max\n",
		"a.slice/memory.current":          "900\n",
		"a.slice/x/memory.max":            "5000\n",
		"a.slice/x/memory.current":        "400\n",
		"a.slice/x/memory.peak":           "450\n",
		"a.slice/x/cpu.stat":              "usage_usec 17\nuser_usec 9\nsystem_usec 8\n",
		"a.slice/x/pids.current":          "3\n",
		"a.slice/x/pids.max":              "max\n",
		"a.slice/x/memory.events":         "low 0\nhigh 1\nmax 2\noom 3\noom_kill 4\noom_group_kill 0\n",
		"a.slice/x/io.stat":               "8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n8:16 rbytes=1 wbytes=2 rios=3 wios=4\n",
		"a.slice/x/cpuset.cpus.effective": "0-3\n",
		"a.slice/x/cgroup.procs":          "12\n0\n13\n",
		"a.slice/x/cgroup.events":         "populated 1\nfrozen 0\n",
		"a.slice/none/cgroup.events":      "populated 0\nfrozen 1\n",
	})
	got := tree.Usage("/a.slice/x")
	want := Usage{
		MemoryCurrent: 400, MemoryPeak: 450, MemorySwapCurrent: Infinity, MemorySwapPeak: Infinity, MemoryZSwapCurrent: Infinity,
		CPUUsageNSec: 17000, TasksCurrent: 3, IOReadBytes: 11, IOWriteBytes: 22, IOReadOperations: 4, IOWriteOperations: 6,
		OOMKills: 4, ManagedOOMKills: Infinity, CPUs: []byte{0x0f},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if n := tree.Usage("a.slice/none").CPUUsageNSec; n != Infinity {
		t.Errorf("no cpu.stat: %d", n)
	}
	if pids, err := tree.Procs("a.slice/x"); err != nil || !slices.Equal(pids, []int{12, 13}) {
		t.Errorf("%v %v", pids, err)
	}
	if s, err := tree.State("a.slice/none"); err != nil || s != (State{Frozen: true}) {
		t.Errorf("%+v %v", s, err)
	}
}

func TestEnableOneByOne(t *testing.T) {
	tree := fakeTree(t, map[string]string{"cgroup.subtree_control": ""})
	r, err := tree.Realize("a.slice/x.service", CPU|PIDs)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := tree.Read("", "cgroup.subtree_control"); got != "+cpu +pids" {
		t.Errorf("root: %q", got)
	}
	// The slice has no such file here: an error for each controller, and the
	// group is realized all the same.
	if len(r.Errors) != 2 || !r.Created || r.Controllers != 0 {
		t.Errorf("%+v", r)
	}
}

func TestMask(t *testing.T) {
	m := ParseMask("cpuset cpu io frobnicate memory\n")
	if m != CPUSet|CPU|IO|Memory || m.String() != "cpu cpuset io memory" || Mask(0).String() != "" {
		t.Errorf("%v", m)
	}
	if All.toggles("-") != "-cpu -cpuset -io -memory -pids -hugetlb -rdma -misc -dmem" {
		t.Errorf("%q", All.toggles("-"))
	}
}

func TestParseCPUList(t *testing.T) {
	tests := map[string][]byte{"0-3,8": {0x0f, 1}, "": nil, "1": {2}, "15": {0, 0x80}}
	for list, want := range tests {
		if got, err := ParseCPUList(list); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v %v", list, got, err)
		}
	}
	for _, bad := range []string{"x", "3-1", "-1", "1-", "9999999"} {
		if got, err := ParseCPUList(bad); err == nil {
			t.Errorf("%q: %v", bad, got)
		}
	}
}

// TestEqualSeesEveryField changes one field after the other.
func TestEqualSeesEveryField(t *testing.T) {
	base := NoResources()
	for i := range reflect.TypeFor[Resources]().NumField() {
		other := base
		switch f := reflect.ValueOf(&other).Elem().Field(i); f.Kind() {
		case reflect.Uint64:
			f.SetUint(7)
		case reflect.String:
			f.SetString("x")
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Slice:
			other.IODevices = []IODevice{NoIODevice("8:0")}
		default:
			t.Fatalf("a field of kind %s", f.Kind())
		}
		if base.Equal(other) || !other.Equal(other) {
			t.Errorf("%s is not compared", reflect.TypeFor[Resources]().Field(i).Name)
		}
	}
}
