package enginetest

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/muster-init/muster/pkg/depend"
	"github.com/muster-init/muster/pkg/engine"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit"
)

// Options of a simulation.
type Options struct {
	Seed  uint64
	Steps int // events in the safety phase
	Units int
	Types []machine.Descriptor
	// Fault is given to the engine (Options.SimulateFault), to see that the checks find it.
	Fault string
	// DropEvents loses every n-th exit of a process, for the same reason; 0 loses none.
	DropEvents int
	// RestoreEvery makes a snapshot and goes on with a restored engine in one of so many steps; 0 never.
	RestoreEvery int
}

// World is a machine with processes, clients and a clock around one engine. Everything in it follows from the seed.
type World struct {
	opt     Options
	rnd     *Random
	src     Source
	engOpt  engine.Options
	E       *engine.Engine
	now     uint64
	procs   map[int32]*process
	pid     int32
	pending []machine.Event  // answers that are due before anything else
	slow    []machine.Effect // queries that are still open
	replies map[machine.Reply]string
	reply   machine.Reply
	names   []string
	watched map[string]bool
	handles map[machine.Handle]bool
	handle  machine.Handle
	// listening has the listeners that the engine wants to hear of.
	listening map[machine.Handle]listener
	lost      int
	restored  bool // at least once
	calm      bool // the liveness phase: no faults, processes obey
	check     checker
	Trace     []string
	hash      uint64
	steps     int
}

// process is one process of a unit.
type process struct {
	unit     string
	slot     machine.Slot
	spawn    machine.Spawn
	stubborn bool // ignores all but SIGKILL
	due      uint64
	exit     machine.Exit
	dying    bool
	ready    bool // has said READY=1
}

// NewWorld makes a world.
func NewWorld(opt Options) *World {
	w := &World{opt: opt, rnd: NewRandom(opt.Seed), now: 1_000_000, pid: 100, procs: map[int32]*process{},
		replies: map[machine.Reply]string{}, watched: map[string]bool{}, handles: map[machine.Handle]bool{}, listening: map[machine.Handle]listener{}}
	w.src = Graph(w.rnd, opt.Units)
	w.engOpt = engine.Options{Depend: depend.Env{}, Types: opt.Types, Seed: [2]uint64{opt.Seed, 7}, SimulateFault: opt.Fault}
	w.E = engine.New(w.src, w.engOpt)
	for name := range w.src {
		w.names = append(w.names, name)
	}
	slices.Sort(w.names)
	w.check.init(w)
	return w
}

func (w *World) instant() machine.Instant {
	return machine.Instant{Monotonic: w.now, Realtime: 1_700_000_000_000_000 + w.now, Boottime: w.now}
}

// note keeps the last events and effects for a report, and a hash of all.
func (w *World) note(kind, text string) {
	line := fmt.Sprintf("%d.%06d %s %s", w.now/1_000_000, w.now%1_000_000, kind, text)
	for i := range len(line) {
		w.hash = (w.hash ^ uint64(line[i])) * 1099511628211
	}
	w.Trace = append(w.Trace, line)
	if len(w.Trace) > 8000 {
		w.Trace = append(w.Trace[:0], w.Trace[4000:]...)
	}
}

// Hash identifies the whole run.
func (w *World) Hash() uint64 { return w.hash }

// step delivers one event, carries out its effects, and checks.
func (w *World) step(ev machine.Event) error {
	w.steps++
	w.note("event", eventText(ev))
	w.check.before(ev)
	effects := w.E.Step(w.instant(), ev)
	for _, f := range effects {
		w.note("  ", EffectText(f, true))
		if err := w.perform(f); err != nil {
			return err
		}
	}
	return w.check.after(ev, effects)
}

// deliver steps an event and then all answers that it made due.
func (w *World) deliver(ev machine.Event) error {
	if err := w.step(ev); err != nil {
		return err
	}
	for n := 0; len(w.pending) > 0; n++ {
		a := w.pending[0]
		w.pending = w.pending[1:]
		if err := w.step(a); err != nil {
			return err
		}
		if n > 10000 {
			return fmt.Errorf("answers lead to ever more questions")
		}
	}
	return nil
}

// Run is the safety phase followed by the liveness phase.
func (w *World) Run() error {
	for w.steps < w.opt.Steps {
		if err := w.act(); err != nil {
			return fmt.Errorf("safety, step %d: %w", w.steps, err)
		}
	}
	w.calm = true
	if err := w.settle(); err != nil {
		return fmt.Errorf("liveness, step %d: %w", w.steps, err)
	}
	return nil
}

// act lets one thing happen.
func (w *World) act() error {
	switch k := w.rnd.N(100); {
	case k < 30:
		return w.idle(1 + w.rnd.N(8))
	case k < 45:
		return w.deliver(w.request())
	case k < 65:
		return w.live()
	case k < 75:
		return w.answerSlow()
	case k < 90:
		return w.advance(uint64(w.rnd.N(2_000_000)))
	case k < 91:
		return w.advance(uint64(w.rnd.N(60_000_000)))
	case k < 93:
		return w.reload()
	case k < 94:
		return w.deliver(machine.ClientGone{Client: w.client()})
	case k < 95:
		return w.deliver(machine.ClockChanged{})
	case k < 96 && w.rnd.P(50):
		return w.notifyLie()
	case k < 96:
		return w.traffic()
	case k < 98:
		return w.deliver(w.transient())
	}
	if w.opt.RestoreEvery > 0 && w.rnd.N(w.opt.RestoreEvery) == 0 {
		return w.restore()
	}
	return w.idle(1)
}

func (w *World) idle(n int) error {
	for range n {
		if !w.E.Runnable() {
			return nil
		}
		if err := w.deliver(machine.Idle{}); err != nil {
			return err
		}
	}
	return nil
}

func (w *World) client() string { return fmt.Sprintf(":1.%d", w.rnd.N(4)) }
func (w *World) name() string   { return pick(w.rnd, w.names...) }

// ask makes a reply number that must be answered.
func (w *World) ask(what string) machine.Reply {
	w.reply++
	w.replies[w.reply] = what
	return w.reply
}

// request makes a request of a client.
func (w *World) request() machine.Event {
	name := w.name()
	r := w.ask(name)
	switch k := w.rnd.N(100); {
	case k < 45:
		return machine.Enqueue{Unit: name, Type: job.Start, Mode: pick(w.rnd, job.Replace, job.Replace, job.Replace, job.Fail, job.Isolate,
			job.IgnoreDependencies, job.IgnoreRequirements, job.Flush, job.ReplaceIrreversibly, job.LenientMode, job.RestartDependencies), Reply: r}
	case k < 62:
		return machine.Enqueue{Unit: name, Type: job.Stop, Mode: pick(w.rnd, job.Replace, job.Replace, job.Fail, job.Triggering,
			job.IgnoreDependencies, job.ReplaceIrreversibly), Reply: r}
	case k < 72:
		return machine.Enqueue{Unit: name, Type: pick(w.rnd, job.Restart, job.TryRestart), Mode: pick(w.rnd, job.Replace, job.Fail),
			ReloadIfPossible: w.rnd.P(30), Reply: r, Details: w.rnd.P(20)}
	case k < 79:
		return machine.Enqueue{Unit: name, Type: pick(w.rnd, job.Reload, job.VerifyActive, job.ReloadOrStart, job.TryReload, job.Nop),
			Mode: job.Replace, Reply: r}
	case k < 83:
		return machine.CancelJob{ID: w.anyJob(), Reply: r}
	case k < 86:
		return machine.LoadUnit{Unit: name, Reply: r}
	case k < 88:
		return machine.ResetFailed{Unit: pick(w.rnd, name, ""), Reply: r}
	case k < 91:
		return machine.Ref{Unit: name, Client: w.client(), Reply: r}
	case k < 93:
		return machine.Unref{Unit: name, Client: w.client(), Reply: r}
	case k < 96:
		return machine.KillUnit{Unit: name, Whom: pick(w.rnd, "all", "main", "control", "cgroup", "main-fail"), Signal: pick(w.rnd, int32(15), 9, 1), Reply: r}
	case k < 97:
		return w.setConfig(name, r)
	case k < 98:
		return machine.Freeze{Unit: name, Thaw: w.rnd.P(50), Reply: r}
	}
	return machine.Clean{Unit: name, Mask: []string{"all"}, Reply: r}
}

// anyJob is the id of an installed job, now and then of none.
func (w *World) anyJob() job.ID {
	jobs := w.E.Jobs()
	if len(jobs) == 0 || w.rnd.P(10) {
		return job.ID(1 + w.rnd.N(50))
	}
	return pick(w.rnd, jobs...).ID
}

// reload changes some definitions and says so.
func (w *World) reload() error {
	var changed []string
	for range 1 + w.rnd.N(3) {
		name := w.name()
		if unit.TypeOf(name) == unit.TypeTarget && len(w.src[name].Deps) == 0 || name == "basic.target" || name == "shutdown.target" {
			continue
		}
		old := w.src[name]
		w.src[name] = RandomUnit(w.rnd, name, w.names)
		busy := false
		if u := w.E.Unit(name); u != nil && !u.ActiveState().IsInactiveOrFailed() && u.ActiveState() != machine.Active {
			// What a service waits for while it starts is a matter of its Type=; that does not change under it here.
			busy = true
			if old.Service != nil {
				*w.src[name].Service = *old.Service
				w.src[name].LoadState = unit.StateLoaded
			}
		}
		if w.rnd.P(10) && !busy {
			gone := unit.New(name, nil)
			gone.LoadState = unit.StateNotFound
			w.src[name] = gone
		}
		changed = append(changed, name)
	}
	r := w.ask("reload")
	if w.rnd.P(20) {
		return w.deliver(machine.Reload{All: true, Reply: r})
	}
	return w.deliver(machine.Reload{Changed: changed, Reply: r})
}

// restore replaces the engine by one made of its snapshot, as a re-execution does.
func (w *World) restore() error {
	data := w.E.Snapshot()
	if err := w.check.records(data); err != nil {
		return err
	}
	e, err := engine.Restore(data, w.src, w.engOpt)
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	if again := e.Snapshot(); !bytes.Equal(data, again) {
		return fmt.Errorf("the snapshot of the restored engine differs:\n%s\n%s", data, again)
	}
	w.note("event", "restore")
	w.restored = true
	w.E = e
	w.slow, w.pending = nil, nil
	w.replies = map[machine.Reply]string{} // the clients are gone
	w.check.restored()
	effects := e.CatchUp(w.instant())
	for _, f := range effects {
		w.note("  ", EffectText(f, true))
		if err := w.perform(f); err != nil {
			return err
		}
	}
	if err := w.check.after(nil, effects); err != nil {
		return err
	}
	// The sources replay the present.
	for _, name := range w.unitsOf() {
		if !w.populated(name) {
			if err := w.deliver(machine.CgroupEmpty{Unit: name}); err != nil {
				return err
			}
		}
	}
	return w.deliver(machine.Tick{})
}

// unitsOf lists the units that are up and have a cgroup.
func (w *World) unitsOf() []string {
	var out []string
	for _, u := range w.E.Units() {
		if t := u.Config().Type; (t == unit.TypeService || t == unit.TypeScope) && !u.ActiveState().IsInactiveOrFailed() && !u.Perpetual() {
			out = append(out, u.Name())
		}
	}
	return out
}

// settle is the liveness phase: nobody asks for anything any more, processes do what they should, and everything must come to rest.
func (w *World) settle() error {
	start, sobered := w.steps, false
	for {
		before := w.steps
		if err := w.idle(1000); err != nil {
			return err
		}
		for len(w.slow) > 0 {
			if err := w.answerSlow(); err != nil {
				return err
			}
		}
		if err := w.obey(); err != nil {
			return err
		}
		if w.steps == before {
			d := w.E.Deadline()
			for _, p := range w.procs {
				if p.due != 0 {
					d = min(d, p.due)
				}
			}
			if d == machine.Never || d > w.now+300_000_000 {
				break
			}
			if err := w.advance(d - min(d, w.now)); err != nil {
				return err
			}
		}
		switch n := w.steps - start; {
		case n > 40000:
			return fmt.Errorf("no rest in sight: %s", w.busy())
		case n > 3000 && !sobered:
			// Services that fail for ever are restarted for ever. Rest must come when nobody wants that any more.
			sobered = true
			if err := w.sober(); err != nil {
				return err
			}
		}
	}
	if n := w.E.JobCount(); n > 0 {
		return fmt.Errorf("%d jobs never end: %s", n, w.busy())
	}
	for _, u := range w.E.Units() {
		st := u.ActiveState()
		if st == machine.Activating || st == machine.Deactivating || st == machine.Reloading || st == machine.Maintenance {
			return fmt.Errorf("%s stays %s (%s), %s", u.Name(), st, u.SubState(), w.E.Record("unit/"+u.Name()))
		}
	}
	for _, u := range w.E.Units() {
		main, control := u.PIDs()
		for _, pid := range []int32{main, control} {
			if pid != 0 && w.procs[pid] == nil {
				return fmt.Errorf("%s (%s) still has process %d, which is gone", u.Name(), u.SubState(), pid)
			}
		}
	}
	// order-free: any fault ends the run
	for r, what := range w.replies {
		return fmt.Errorf("request %d (%s) was never answered", r, what)
	}
	return nil
}

// sober takes out what may lead from the end of a service to its start: Restart=, OnFailure=, OnSuccess=, Upholds=.
func (w *World) sober() error {
	for name, u := range w.src {
		if name != u.Name {
			continue
		}
		c := *u
		if c.Service != nil {
			sv := *c.Service
			sv.Restart = "no"
			c.Service = &sv
		}
		c.Deps = slices.DeleteFunc(slices.Clone(c.Deps), func(d unit.Dep) bool {
			return d.Type == unit.DepOnFailure || d.Type == unit.DepOnSuccess || d.Type == unit.DepUpholds
		})
		w.src[name] = &c
	}
	return w.deliver(machine.Reload{All: true, Reply: w.ask("reload")})
}

// busy describes what is still going on.
func (w *World) busy() string {
	text := ""
	for i, j := range w.E.Jobs() {
		if i == 10 {
			break
		}
		text += fmt.Sprintf(" %d:%s/%s(%s) %s/%s", j.ID, j.Unit.Name(), j.Type, j.State, j.Unit.ActiveState(), j.Unit.SubState())
	}
	return text
}

// Steps is the number of events so far.
func (w *World) Steps() int { return w.steps }
