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

// Planted faults are found: a simulation that can't fail shows nothing.
func TestSimulationFindsFaults(t *testing.T) {
	for name, plant := range map[string]func(*enginetest.Options){
		"order ignored": func(o *enginetest.Options) { o.Fault = "order" },
		"exits lost": func(o *enginetest.Options) {
			n := 0
			o.DropEvent = func(_ *enginetest.World, ev machine.Event) bool {
				if _, ok := ev.(machine.ProcessExited); ok {
					n++
				}
				return n%2 == 1
			}
		},
		"edge one-sided":  func(o *enginetest.Options) { o.Fault = "edge" },
		"job end unsaid":  func(o *enginetest.Options) { o.Fault = "removed" },
		"state not saved": func(o *enginetest.Options) { o.Fault = "snapshot" },
		"cycles kept":     func(o *enginetest.Options) { o.Fault = "cycle" },
	} {
		t.Run(name, func(t *testing.T) {
			for seed := uint64(1); seed <= 60; seed++ {
				opt := options(seed)
				plant(&opt)
				if _, err := run(opt); err != nil {
					t.Logf("seed %d: %v", seed, strings.SplitN(err.Error(), "\n", 2)[0])
					return
				}
			}
			t.Error("not found in 60 seeds")
		})
	}
}
