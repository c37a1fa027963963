package manager

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-init/muster/pkg/cgroup"
	"github.com/muster-init/muster/pkg/cgroup/bpf"
	"github.com/muster-init/muster/pkg/condition"
	"github.com/muster-init/muster/pkg/engine"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/engine/service"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/loader"
	"github.com/muster-init/muster/pkg/unit"
)

// fakeGroups is a manager over unit files and plain files in the place of a control group hierarchy with all controllers.
func fakeGroups(t *testing.T, units map[string]string, groups ...string) (m *Manager, dir string) {
	t.Helper()
	files := map[string]string{"cgroup.subtree_control": ""}
	for _, g := range groups {
		for _, f := range append(cgroup.Files(), "cgroup.subtree_control", "cgroup.events") {
			files[g+"/"+f] = ""
		}
	}
	dir = tree(t, files)
	m = newManager(DefaultOptions())
	m.log.target = "null"
	m.cfg = unit.DefaultManagerConfig(true)
	m.facts = &condition.Facts{}
	m.memoryTotal, m.pidsTotal = 1<<30, 1000
	m.work = &workers{running: workersMax} // what is queued stays there
	hierarchy, err := cgroup.OpenStatus(cgroup.Status{Mode: cgroup.ModeUnified, Mount: dir, Writable: true, Controllers: cgroup.All})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hierarchy.Close)
	m.cg = &cgroups{m: m, tree: hierarchy, paths: map[string]string{}, units: map[string]string{}, inner: map[string]*group{}, trimming: map[string]*atomic.Bool{}}
	path := []string{tree(t, units)}
	m.src = loader.New(path, loader.Scan(path), &unit.Host{MemoryTotal: m.memoryTotal, TasksTotal: m.pidsTotal}, unit.NewDefaults(m.cfg), func(unit.Message) {})
	m.eng = engine.New(m.src, engine.Options{Depend: *m.dependEnv(), Types: []machine.Descriptor{service.Descriptor()}})
	for name := range units {
		m.eng.Step(machine.Instant{Monotonic: 1}, machine.Enqueue{Unit: name, Type: job.Start, Mode: job.Replace})
	}
	return m, dir
}

// written gives what was written to the files of a group and takes it away.
func written(t *testing.T, dir string) string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range list {
		p := filepath.Join(dir, e.Name())
		if data, err := os.ReadFile(p); err == nil && len(data) > 0 {
			out = append(out, e.Name()+"="+string(data))
			_ = os.Truncate(p, 0)
		}
	}
	return strings.Join(out, "\n")
}

func TestRealizeWritesLimits(t *testing.T) {
	m, dir := fakeGroups(t, map[string]string{
		"a.slice": "[Slice]\nDefaultMemoryMin=2M\nDefaultMemoryLow=4M\nDefaultStartupMemoryLow=8M\n",
		"x.service": "[Service]\nExecStart=/bin/true\nSlice=a.slice\nTasksMax=50%\nMemoryMax=25%\nCPUWeight=200\nStartupCPUWeight=700\nIOWeight=30\n" +
			"IODeviceWeight=/dev/disk 40\nIOReadBandwidthMax=/dev/disk 1K\nIOWriteIOPSMax=/file 7\nIODeviceLatencyTargetSec=/file 5ms\n",
	}, "a.slice", "a.slice/x.service")
	x := dir + "/a.slice/x.service"
	if !m.cg.realize("x.service") {
		t.Fatal("not realized")
	}
	want := "cpu.weight=700\nio.bfq.weight=30\nio.weight=default 30\nmemory.low=8388608\nmemory.max=268435456\nmemory.min=2097152\npids.max=500"
	if diff := cmp.Diff(want, written(t, x)); diff != "" {
		t.Errorf("during the boot: %s", diff)
	}
	m.booted = true
	m.cg.refresh("")
	if diff := cmp.Diff("cpu.weight=200\nmemory.low=4194304", written(t, x)); diff != "" {
		t.Errorf("after the boot: %s", diff)
	}
	// Both paths are on one disk; what is written last stays in a plain file.
	m.cg.inner["x.service"].devices = map[string]string{"/dev/disk": "8:0", "/file": "8:0"}
	m.cg.realize("x.service")
	want = "io.bfq.weight=8:0 40\nio.latency=8:0 target=5000\nio.max=8:0 rbps=1000 wbps=max riops=max wiops=7\nio.weight=8:0 40"
	if diff := cmp.Diff(want, written(t, x)); diff != "" {
		t.Errorf("devices: %s", diff)
	}
	// A limit that is gone is taken back; a slice's default reaches what is inside.
	set := func(name, text string) {
		if err := os.WriteFile(filepath.Join(m.src.Path()[0], name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		m.eng.Step(machine.Instant{Monotonic: 2}, machine.SetConfig{Config: m.src.Load(name)})
	}
	set("x.service", "[Service]\nExecStart=/bin/true\nSlice=a.slice\nTasksMax=infinity\n")
	m.cg.update("x.service")
	want = "cpu.weight=100\nio.bfq.weight=100\nio.latency=8:0 target=max\nio.max=8:0 rbps=max wbps=max riops=max wiops=max\nio.weight=8:0 default\nmemory.max=max\npids.max=max"
	got := written(t, x)
	got = strings.Replace(got, "io.bfq.weight=8:0 default", "io.bfq.weight=100", 1) // the last of two writes
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("taken back: %s", diff)
	}
	m.cg.realize("a.slice")
	set("a.slice", "[Slice]\nDefaultMemoryMin=3M\nDisableControllers=memory\n")
	m.cg.update("a.slice")
	if diff := cmp.Diff("memory.low=0\nmemory.min=3145728", written(t, x)); diff != "" {
		t.Errorf("default of the slice: %s", diff)
	}
	written(t, dir+"/a.slice")
	m.cg.tree.Settle()
	if got := written(t, dir+"/a.slice"); !strings.Contains(got, "-memory") {
		t.Errorf("DisableControllers=: %s", got)
	}
}

// Settings of cgroup v1 are translated where there is none of those that took their place.
func TestOldNames(t *testing.T) {
	const unlimited = unit.Infinity
	type want struct{ cpu, io, memory uint64 }
	for _, c := range []struct {
		text             string
		during, after    want
		weight, readRate uint64
	}{
		{"CPUShares=2048\nBlockIOWeight=200\nMemoryLimit=50M\nBlockIODeviceWeight=/d 700\nBlockIOReadBandwidth=/d 2M", want{200, 40, 50 << 20}, want{200, 40, 50 << 20}, 140, 2e6},
		{"CPUShares=2\nStartupCPUShares=5000\nBlockIOWeight=1000\nStartupBlockIOWeight=300\nMemoryLimit=50%", want{488, 60, 1 << 29}, want{1, 200, 1 << 29}, 0, unlimited},
		{"StartupCPUShares=262144\nMemoryLimit=infinity", want{10000, unlimited, unlimited}, want{unlimited, unlimited, unlimited}, 0, unlimited},
		{"CPUShares=2048\nCPUWeight=30\nBlockIOWeight=200\nIOWeight=77\nMemoryLimit=50M\nMemoryMax=60M\nBlockIOReadBandwidth=/d 2M", want{30, 77, 60 << 20}, want{30, 77, 60 << 20}, 0, unlimited},
		{"CPUShares=2048\nStartupCPUWeight=30\nBlockIOWeight=200\nIOAccounting=yes\nMemoryLimit=40M\nMemoryLow=3M", want{30, unlimited, unlimited}, want{unlimited, unlimited, unlimited}, 0, unlimited},
		{"MemoryLimit=40M\nMemoryHigh=60M", want{unlimited, unlimited, unlimited}, want{unlimited, unlimited, unlimited}, 0, unlimited},
	} {
		m, _ := fakeGroups(t, map[string]string{"x.service": "[Service]\nExecStart=/bin/true\n" + c.text + "\n"}, "x.service")
		cfg := m.eng.Config("x.service").GetCgroup()
		for _, at := range []struct {
			startup bool
			want    want
		}{{true, c.during}, {false, c.after}} {
			r := resourcesOf(cfg, nil, m.totals(), at.startup)
			// half of the memory is a fraction of 2^32-1
			if got := (want{r.CPUWeight, r.IOWeight, r.MemoryMax}); got.cpu != at.want.cpu || got.io != at.want.io || got.memory != at.want.memory && got.memory+1 != at.want.memory {
				t.Errorf("%s\nduring the boot: %v: want %v, got %v", c.text, at.startup, at.want, got)
			}
		}
		d := cgroup.NoIODevice("8:0")
		if list := ioDevices(cfg, map[string]string{"/d": "8:0"}); len(list) > 0 {
			d = list[0]
		}
		if d.Weight != c.weight || d.ReadBPS != c.readRate {
			t.Errorf("%s\ndevice: want %d %d, got %d %d", c.text, c.weight, c.readRate, d.Weight, d.ReadBPS)
		}
	}
}

// Without programs the settings have no effect, and that isn't held against the unit.
func TestNoPrograms(t *testing.T) {
	m, _ := fakeGroups(t, map[string]string{"x.service": "[Service]\nExecStart=/bin/true\nSlice=-.slice\nIPAddressDeny=any\nDevicePolicy=strict\n"}, "x.service")
	if !m.cg.realize("x.service") || m.cg.fault("x.service") != nil {
		t.Errorf("fault: %v", m.cg.fault("x.service"))
	}
	if m.cg.programs.failure == nil || !m.cg.programs.warned["IPAddressDeny"] || !m.cg.programs.warned["DevicePolicy"] {
		t.Errorf("%+v", m.cg.programs)
	}
	var names []string
	for _, d := range (backend{m}).Degraded("x.service") {
		names = append(names, d.Setting)
	}
	if diff := cmp.Diff([]string{"DevicePolicy", "IPAddressDeny"}, names); diff != "" {
		t.Errorf("degraded: %s", diff)
	}
}

func TestEffectiveLimits(t *testing.T) {
	m, dir := fakeGroups(t, map[string]string{
		"a.slice":   "[Slice]\nMemoryMax=80M\nTasksMax=20\n",
		"x.service": "[Service]\nExecStart=/bin/true\nSlice=a.slice\nMemoryHigh=50M\nTasksMax=33\n",
	}, "a.slice", "a.slice/x.service")
	m.booted = true
	_ = os.WriteFile(dir+"/a.slice/memory.current", []byte("41943040\n"), 0o644)
	_ = os.WriteFile(dir+"/a.slice/x.service/memory.current", []byte("1048576\n"), 0o644)
	u := m.cg.usage("x.service")
	if u.EffectiveMemoryMax != 80<<20 || u.EffectiveMemoryHigh != 50<<20 || u.EffectiveTasksMax != 20 || u.MemoryAvailable != 40<<20 {
		t.Errorf("%+v", u)
	}
	if u := m.cg.usage("-.slice"); u.EffectiveMemoryMax != 1<<30 || u.EffectiveTasksMax != 1000 {
		t.Errorf("%+v", u)
	}
}

func TestDeviceClasses(t *testing.T) {
	const classes = "Character devices:\n  1 mem\n  4 /dev/vc/0\n  4 tty\n136 pts\n203 cpu/cpuid\n\nBlock devices:\n  7 loop\n259 blkext\n"
	for _, c := range []struct {
		kind    uint8
		pattern string
		want    []uint32
	}{{bpf.Character, "mem", []uint32{1}}, {bpf.Character, "cpu/*", []uint32{203}}, {bpf.Character, "*", []uint32{1, 4, 4, 136, 203}},
		{bpf.Block, "loop", []uint32{7}}, {bpf.Block, "mem", nil}, {bpf.Character, "[", nil}, {bpf.Block, "?l*", []uint32{259}}} {
		if diff := cmp.Diff(c.want, majors(classes, c.kind, c.pattern)); diff != "" {
			t.Errorf("%s: %s", c.pattern, diff)
		}
	}
	if r, ok := deviceNode("/dev/char/10:200"); !ok || r.Kind != bpf.Character || r.Major != 10 || r.Minor != 200 {
		t.Errorf("%+v", r)
	}
	for _, bad := range []string{"/dev/char/x", "/etc/passwd", "/dev/../etc/passwd", "/dev/no-such-device", "/dev"} {
		if r, ok := deviceNode(bad); ok {
			t.Errorf("%s: %+v", bad, r)
		}
	}
}

func TestBlockDevice(t *testing.T) {
	if _, err := blockDevice("/proc/self"); err == nil {
		t.Error("procfs is on no disk")
	}
	if _, err := blockDevice("/no/such/path"); err == nil {
		t.Error("nothing is on no disk")
	}
}

// A runtime that gets no further thread ends PID 1: no limit of tasks is for the group of the manager itself.
func TestManagerWithoutTasksMax(t *testing.T) {
	m, dir := fakeGroups(t, map[string]string{"init.scope": "[Scope]\nTasksMax=5\nCPUWeight=200\n"}, "init.scope")
	if !m.cg.realize("init.scope") {
		t.Fatal("not realized")
	}
	if got := written(t, dir+"/init.scope"); !strings.Contains(got, "cpu.weight=200") || strings.Contains(got, "pids.max") {
		t.Errorf("written: %s", got)
	}
}
