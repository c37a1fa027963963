package engine_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/muster-init/muster/pkg/depend"
	"github.com/muster-init/muster/pkg/engine"
	"github.com/muster-init/muster/pkg/engine/enginetest"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/engine/service"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// trivial makes a service as it stands on a disk: one command, default dependencies.
func trivial(name string) *unit.Unit {
	u := unit.New(name, nil)
	u.LoadState = unit.StateLoaded
	u.FragmentPath = "/etc/systemd/system/" + name
	u.Unit.Description = name
	s := *u.GetService()
	s.Type = "simple"
	s.ExecStart = []value.Command{{Path: "/bin/true", Argv: []string{"/bin/true"}}}
	u.Service = &s
	return u
}

// lot is a source with n trivial services that an inactive target wants, and the targets of a boot.
func lot(n int) enginetest.Source {
	src := enginetest.Source{}
	for _, t := range []string{"sysinit.target", "basic.target", "shutdown.target", "holder.target"} {
		u := unit.New(t, nil)
		u.LoadState = unit.StateLoaded
		u.Unit.DefaultDependencies = t != "shutdown.target"
		src.Put(u)
	}
	src["basic.target"].Deps = []unit.Dep{{Type: unit.DepRequires, Name: "sysinit.target"}, {Type: unit.DepAfter, Name: "sysinit.target"}}
	for i := range n {
		name := fmt.Sprintf("unit-%05d.service", i)
		src.Put(trivial(name))
		h := src["holder.target"]
		h.Deps = append(h.Deps, unit.Dep{Type: unit.DepWants, Name: name})
	}
	src.Put(trivial("probe.service"))
	return src
}

type bench struct {
	e   *engine.Engine
	now uint64
	pid int32
}

func newBench(src engine.Source) *bench {
	b := &bench{now: 1000}
	b.e = engine.New(src, engine.Options{Depend: depend.Env{System: true}, Types: []machine.Descriptor{service.Descriptor()}})
	return b
}

// step delivers an event and answers what must be answered at once.
func (b *bench) step(ev machine.Event) {
	b.now += 10
	for _, f := range b.e.Step(machine.Instant{Monotonic: b.now, Realtime: b.now, Boottime: b.now}, ev) {
		switch q := f.(type) {
		case machine.Spawn:
			b.pid++
			b.step(machine.Spawned{Token: q.Token, PID: b.pid})
		case machine.Kill:
			if q.Token != 0 {
				b.step(machine.Killed{Token: q.Token, Left: q.MainPID != 0})
			}
		case machine.CheckCgroup:
			b.step(machine.CgroupChecked{Token: q.Token})
		}
	}
}

func (b *bench) idle() {
	for b.e.Runnable() {
		b.step(machine.Idle{})
	}
}

// TestMemoryPerUnit holds the promise of at most 2 kB for a loaded trivial unit. What the configuration itself takes is made by the
// source and counted apart.
func TestMemoryPerUnit(t *testing.T) {
	const n = 10000
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	empty := heap()
	src := lot(n)
	before := heap()
	b := newBench(src)
	b.step(machine.Ref{Unit: "holder.target", Client: ":1.1"})
	b.idle()
	b.e.Dirty()
	after := heap()
	units, _ := b.e.Len()
	per, config := (after-before)/n, (before-empty)/n
	t.Logf("%d units: %d bytes each in the engine, %d in the configuration", units, per, config)
	if per+config > 2048+900 {
		t.Errorf("%d bytes per unit", per+config)
	}
	if per > 1024 {
		t.Errorf("%d bytes per unit in the engine alone", per)
	}
	runtime.KeepAlive(b)
	runtime.KeepAlive(src)
}

func startStop(b *bench) {
	b.step(machine.Enqueue{Unit: "probe.service", Type: job.Start, Mode: job.Replace})
	b.idle()
	b.step(machine.Enqueue{Unit: "probe.service", Type: job.Stop, Mode: job.Replace})
	b.idle()
	b.step(machine.ProcessExited{PID: b.pid, Exit: machine.Exit{Code: machine.CodeKilled, Status: 15}})
	b.step(machine.CgroupEmpty{Unit: "probe.service"})
	b.idle()
	for _, k := range b.e.Dirty() {
		b.e.Record(k)
	}
}

// BenchmarkStartStop is one service started and stopped beside n loaded inactive ones; it must not depend on n.
func BenchmarkStartStop(b *testing.B) {
	for _, n := range []int{0, 100, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := newBench(lot(n))
			w.step(machine.Ref{Unit: "holder.target", Client: ":1.1"})
			w.step(machine.Enqueue{Unit: "basic.target", Type: job.Start, Mode: job.Replace})
			w.idle()
			for b.Loop() {
				startStop(w)
			}
		})
	}
}

// BenchmarkBoot is a target that wants n services.
func BenchmarkBoot(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			src := lot(n)
			for b.Loop() {
				w := newBench(src)
				w.step(machine.Enqueue{Unit: "holder.target", Type: job.Start, Mode: job.Replace})
				w.idle()
				if _, jobs := w.e.Len(); jobs != 0 {
					b.Fatal(jobs, "jobs left")
				}
			}
		})
	}
}

// BenchmarkSnapshot is what a re-execution of n running services takes in the engine.
func BenchmarkSnapshot(b *testing.B) {
	src := lot(5000)
	w := newBench(src)
	w.step(machine.Enqueue{Unit: "holder.target", Type: job.Start, Mode: job.Replace})
	w.idle()
	for b.Loop() {
		e, err := engine.Restore(w.e.Snapshot(), src, engine.Options{Depend: depend.Env{System: true},
			Types: []machine.Descriptor{service.Descriptor()}})
		if err != nil {
			b.Fatal(err)
		}
		e.CatchUp(machine.Instant{Monotonic: w.now})
	}
}
