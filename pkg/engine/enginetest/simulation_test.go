package enginetest_test

import (
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/muster-init/muster/pkg/engine/automount"
	"github.com/muster-init/muster/pkg/engine/device"
	"github.com/muster-init/muster/pkg/engine/enginetest"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/engine/mount"
	"github.com/muster-init/muster/pkg/engine/path"
	"github.com/muster-init/muster/pkg/engine/scope"
	"github.com/muster-init/muster/pkg/engine/service"
	"github.com/muster-init/muster/pkg/engine/socket"
	"github.com/muster-init/muster/pkg/engine/swap"
	"github.com/muster-init/muster/pkg/engine/timer"
)

var (
	simSeed  = flag.Uint64("sim.seed", 1, "first seed")
	simSteps = flag.Int("sim.steps", 400, "events per seed before the liveness phase")
	simSeeds = flag.Int("sim.seeds", 60, "number of seeds")
	simTrace = flag.Bool("sim.trace", false, "show the last events of a failed run")
)

func types() []machine.Descriptor {
	return []machine.Descriptor{service.Descriptor(), scope.Descriptor(), socket.Descriptor(), timer.Descriptor(), path.Descriptor(),
		mount.Descriptor(), automount.Descriptor(true), swap.Descriptor(true), device.Descriptor(true)}
}

func run(opt enginetest.Options) (*enginetest.World, error) {
	w := enginetest.NewWorld(opt)
	return w, w.Run()
}

func options(seed uint64) enginetest.Options {
	return enginetest.Options{Seed: seed, Steps: *simSteps, Units: 4 + int(seed%25), Types: types(), RestoreEvery: 3}
}

// TestSimulation lets random worlds run: first with faults, then without, with all invariants checked after every event.
// A failure names the seed: go test ./pkg/engine/enginetest -run TestSimulation -sim.seeds 1 -sim.seed N -sim.steps M -sim.trace
func TestSimulation(t *testing.T) {
	steps, failed := 0, 0
	for i := range *simSeeds {
		seed := *simSeed + uint64(i)
		w, err := run(options(seed))
		steps += w.Steps()
		if err != nil {
			failed++
			t.Errorf("seed %d: %v", seed, err)
			if *simTrace {
				fmt.Println(enginetest.Shrink(options(seed), w, enginetest.Broken(err)).Report())
			}
			if failed == 10 {
				t.Fatal("too many failures")
			}
		}
	}
	t.Logf("%d seeds, %d steps", *simSeeds, steps)
}

// The same seed gives the same run, event by event and effect by effect.
func TestSimulationIsDeterministic(t *testing.T) {
	for seed := uint64(1000); seed < 1010; seed++ {
		a, errA := run(options(seed))
		b, errB := run(options(seed))
		if a.Hash() != b.Hash() || (errA == nil) != (errB == nil) {
			t.Errorf("seed %d: two runs differ", seed)
		}
	}
}

// without loses the events or effects of one type that f is true for, as an engine does that forgets them.
func without[T any](f func(T) bool) func(*enginetest.Options) {
	return func(o *enginetest.Options) {
		lost := func(_ *enginetest.World, x any) bool {
			v, ok := x.(T)
			return ok && f(v)
		}
		o.DropEvent = func(w *enginetest.World, ev machine.Event) bool { return lost(w, ev) }
		o.DropEffect = func(w *enginetest.World, f machine.Effect) bool { return lost(w, f) }
	}
}

// all is for faults that lose everything of a type, half for those that lose every second.
func all[T any](T) bool { return true }

func half[T any]() func(T) bool {
	n := 0
	return func(T) bool { n++; return n%2 == 1 }
}

func fault(name string) func(*enginetest.Options) {
	return func(o *enginetest.Options) { o.Fault = name }
}

// firstSeed is where the search for a fault begins that few worlds show, so that the test is short.
var firstSeed = map[string]uint64{"start limit ignored": 32, "listener leaked": 17, "timer misses a clock change": 13,
	"requirers of a dropped job": 13, "lost binding ignored": 5, "file missed": 62, "exits lost": 7}

// Planted faults are found, by the invariant that is about them: a simulation that can't fail shows nothing.
func TestSimulationFindsFaults(t *testing.T) {
	for name, x := range map[string]struct {
		plant  func(*enginetest.Options)
		broken string
	}{
		"order ignored":                  {fault("order"), "order"},
		"edge one-sided":                 {fault("edge"), "indexes agree"},
		"job end unsaid":                 {fault("removed"), "jobs are announced"},
		"state not saved":                {fault("snapshot"), "state survives"},
		"cycles kept":                    {fault("cycle"), "no circle of jobs"},
		"start limit ignored":            {fault("start-limit"), "limits hold"},
		"reference forgotten":            {fault("collect"), "kept while in use"},
		"requirers of a dropped job":     {fault("requirers"), "conflicts are kept apart"},
		"markers forgotten":              {fault("markers"), "marks are kept"},
		"lost binding ignored":           {fault("bound"), "requirements are met"},
		"exits lost":                     {without(half[machine.ProcessExited]()), ""},
		"spawned process forgotten":      {without(half[machine.Spawned]()), ""},
		"signal not sent":                {without(all[machine.Kill]), ""},
		"client not answered":            {without(half[machine.SendReply]()), "one answer"},
		"state change unsaid":            {without(half[machine.UnitChanged]()), "states are announced"},
		"deadlines missed":               {without(all[machine.Tick]), "time moves"},
		"automount forgets who waits":    {without(half[machine.AckAutomount]()), "openers are answered"},
		"timer misses a clock change":    {without(all[machine.ClockChanged]), "timers are not late"},
		"timer elapses early":            {func(o *enginetest.Options) { o.EarlyUSec = 3_000_000 }, "timers are not early"},
		"vanished mount ignored":         {without(func(e machine.MountTable) bool { return len(e.Gone) > 0 }), "units follow the kernel"},
		"new mount ignored":              {without(func(e machine.MountTable) bool { return len(e.Mounts) > 0 }), "units follow the kernel"},
		"swap table ignored":             {without(half[machine.SwapTable]()), "units follow the kernel"},
		"unplugged device ignored":       {without(func(e machine.Devices) bool { return len(e.Gone) > 0 }), "units follow the kernel"},
		"listener leaked":                {without(half[machine.CloseSockets]()), "descriptors have one owner"},
		"descriptor leaked":              {without(half[machine.CloseHandle]()), "descriptors have one owner"},
		"file missed":                    {without(all[machine.PathTouched]), "files are seen"},
		"automount point left behind":    {without(half[machine.CloseAutomount]()), "descriptors have one owner"},
		"condition answer lost":          {without(all[machine.ConditionsTested]), ""},
		"empty cgroup of a scope missed": {without(all[machine.CgroupEmpty]), ""},
	} {
		t.Run(name, func(t *testing.T) {
			from := max(firstSeed[name], 1)
			for seed := from; seed < from+100; seed++ {
				opt := options(seed)
				x.plant(&opt)
				_, err := run(opt)
				if err == nil || x.broken != "" && enginetest.Broken(err) != x.broken {
					continue
				}
				t.Logf("seed %d: %.200s", seed, strings.SplitN(err.Error(), "\n", 2)[0])
				return
			}
			t.Error("not found in 100 seeds")
		})
	}
}
