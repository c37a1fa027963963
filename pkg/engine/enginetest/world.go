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
	// DropEvent and DropEffect lose what they are true for, as an engine does that forgets it; nil loses nothing.
	DropEvent  func(w *World, ev machine.Event) bool
	DropEffect func(w *World, f machine.Effect) bool
	// EarlyUSec makes calendar events come too early, for the same reason.
	EarlyUSec uint64
	// Only lists the actions of the safety phase that are carried out, by number and sorted; nil: all. Without names units that are left out.
	// The others do the same with and without them as far as that can be: a failure is made shorter by that.
	Only    []int
	Without map[string]bool
	// RestoreEvery makes a snapshot and goes on with a restored engine in one of so many steps; 0 never.
	RestoreEvery int
}

// World is a machine with processes, clients and a clock around one engine. Everything in it follows from the seed.
type World struct {
	opt    Options
	rnd    *Random
	src    Source
	engOpt engine.Options
	E      *engine.Engine
	clock
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
	kernel    kernel
	autofs    autofs
	files     files
	stamps    map[string]uint64
	closing   map[machine.Handle]bool // descriptors that are closed already, but whose unit waits for the rest of it
	restored  bool                    // at least once
	calm      bool                    // the liveness phase: no faults, processes obey
	check     checker
	Trace     []string
	hash      uint64
	steps     int
	acts      int // actions of the safety phase
	dropped   int
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
	readyIn  string // the sub-state in which it has said READY=1 when it had to
	// undying processes sleep in the kernel, as on a dead NFS server: not even SIGKILL ends them.
	undying bool
	effect  kernelEffect
}

// NewWorld makes a world.
func NewWorld(opt Options) *World {
	w := &World{opt: opt, rnd: NewRandom(opt.Seed), clock: newClock(), pid: 100, procs: map[int32]*process{},
		replies: map[machine.Reply]string{}, watched: map[string]bool{}, handles: map[machine.Handle]bool{}, listening: map[machine.Handle]listener{},
		kernel: newKernel(), autofs: newAutofs(), files: newFiles(), stamps: map[string]uint64{}, closing: map[machine.Handle]bool{}}
	w.src = Graph(opt.Seed, opt.Units)
	// order-free: each is taken out by itself
	for name := range opt.Without {
		delete(w.src, name)
	}
	w.engOpt = engine.Options{Depend: depend.Env{System: opt.Seed%3 == 0}, Types: opt.Types, Seed: [2]uint64{opt.Seed, 7}, SimulateFault: opt.Fault,
		Startup: w.instant(), MachineID: "simulated", CalendarNext: calendarNext, DeviceTimeoutUSec: 20_000_000}
	if opt.EarlyUSec != 0 {
		w.engOpt.CalendarNext = func(event string, after uint64) (uint64, bool) {
			at, ok := calendarNext(event, after)
			return max(at-min(at, opt.EarlyUSec), after+1), ok
		}
	}
	w.E = engine.New(w.src, w.engOpt)
	for name := range w.src {
		if !unit.ValidName(name, unit.NameTemplate) {
			w.names = append(w.names, name)
		}
	}
	slices.Sort(w.names)
	w.check.init(w)
	return w
}

// at gives the numbers that belong to one action, so that the others have the same without it.
func (w *World) at(n int) { w.rnd = NewRandom(w.opt.Seed*1_000_003 + uint64(n)) }

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
	if w.opt.DropEvent != nil && w.opt.DropEvent(w, ev) {
		w.dropped++
		return nil
	}
	w.note("event", eventText(ev))
	w.check.before(ev)
	return w.carryOut(ev, w.E.Step(w.instant(), ev))
}

// carryOut does what the effects of an event ask for, and checks.
func (w *World) carryOut(ev machine.Event, effects []machine.Effect) error {
	if w.opt.DropEffect != nil {
		effects = slices.DeleteFunc(effects, func(f machine.Effect) bool { return w.opt.DropEffect(w, f) })
	}
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
	return w.flush()
}

// flush gives the answers that are due.
func (w *World) flush() error {
	for n := 0; len(w.pending) > 0; n++ {
		a := w.pending[0]
		w.pending = w.pending[1:]
		if err := w.step(a); err != nil {
			return err
		}
		if n > 10000 {
			return violation(liveClock, "answers lead to ever more questions")
		}
	}
	return nil
}

// Run is the safety phase followed by the liveness phase and a last one in which single requests are judged by what came of them.
func (w *World) Run() error {
	for w.steps < w.opt.Steps {
		n := w.acts
		w.acts++
		if w.opt.Only != nil {
			if len(w.opt.Only) == 0 || n > w.opt.Only[len(w.opt.Only)-1] {
				break
			}
			if _, ok := slices.BinarySearch(w.opt.Only, n); !ok {
				continue
			}
		}
		w.at(n)
		err := w.act()
		if err == nil {
			err = w.tick()
		}
		if err == nil {
			err = w.check.settled()
		}
		if err != nil {
			return fmt.Errorf("safety, step %d: %w", w.steps, err)
		}
	}
	w.at(-1)
	w.calm = true
	if err := w.settle(); err != nil {
		return fmt.Errorf("liveness, step %d: %w", w.steps, err)
	}
	if err := w.judge(); err != nil {
		return fmt.Errorf("verdict, step %d: %w", w.steps, err)
	}
	return nil
}

// act lets one thing happen.
func (w *World) act() error {
	switch k := w.rnd.N(100); {
	case k < 24:
		return w.idle(1 + w.rnd.N(8))
	case k < 39:
		return w.deliver(w.request())
	case k < 53:
		return w.live()
	case k < 63:
		return w.answerSlow()
	case k < 74:
		return w.advance(uint64(w.rnd.N(2_000_000)))
	case k < 75:
		return w.advance(uint64(w.rnd.N(60_000_000)))
	case k < 77:
		return w.jump()
	case k < 79:
		return w.reload()
	case k < 80:
		return w.deliver(machine.ClientGone{Client: w.client()})
	case k < 84:
		return w.changeTables()
	case k < 87:
		return w.changeDevices()
	case k < 91:
		return w.changeFiles()
	case k < 94:
		return w.openAutomounts()
	case k < 96:
		return w.traffic()
	case k < 97:
		return w.notifyLie()
	case k < 98:
		if w.rnd.P(30) {
			return w.enqueueMarked()
		}
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
	case k < 99:
		return w.mark(name, r)
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
		if w.src[name] == nil || unit.TypeOf(name) == unit.TypeTarget && len(w.src[name].Deps) == 0 || name == "basic.target" || name == "shutdown.target" {
			continue
		}
		if w.rnd.P(10) {
			gone := unit.New(name, nil)
			gone.LoadState = unit.StateNotFound
			if gone.Type == unit.TypeService {
				// The manager's defaults, as the loader fills them in.
				s := *gone.GetService()
				s.TimeoutStartUSec, s.TimeoutStopUSec = 90_000_000, 90_000_000
				gone.Service = &s
			}
			w.src[name] = gone
		} else {
			w.src[name] = RandomUnit(w.rnd, name, w.names)
		}
		w.check.changed(name)
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
		return violation(roundTrip, "%v", err)
	}
	if again := e.Snapshot(); !bytes.Equal(data, again) {
		return violation(roundTrip, "the snapshot of the restored engine differs:\n%s\n%s", data, again)
	}
	w.note("event", "restore")
	w.restored = true
	w.E = e
	w.slow, w.pending = nil, nil
	w.replies = map[machine.Reply]string{} // the clients are gone
	w.files.watching = map[string][]unit.PathSpec{}
	w.check.restored()
	if err := w.carryOut(nil, e.CatchUp(w.instant())); err != nil {
		return err
	}
	// The sources replay the present.
	if err := w.flush(); err != nil {
		return err
	}
	for _, name := range w.unitsOf() {
		if !w.populated(name) {
			if err := w.deliver(machine.CgroupEmpty{Unit: name}); err != nil {
				return err
			}
		}
	}
	if err := w.tellAll(); err != nil {
		return err
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
		if err := w.tellTables(); err != nil {
			return err
		}
		if err := w.flush(); err != nil {
			return err
		}
		if err := w.tick(); err != nil {
			return err
		}
		if err := w.check.settled(); err != nil {
			return err
		}
		if w.steps == before {
			left := w.nextDue()
			if left > 300_000_000 {
				break
			}
			if err := w.advance(left); err != nil {
				return err
			}
		}
		switch n := w.steps - start; {
		case n > 40000:
			return violation(liveJobs, "no rest in sight: %s", w.busy())
		case n > 3000 && !sobered:
			// Services that fail for ever are restarted for ever. Rest must come when nobody wants that any more.
			sobered = true
			if err := w.sober(); err != nil {
				return err
			}
		}
	}
	return w.rested()
}

// sober takes out what may lead from the end of a service to its start: Restart=, OnFailure=, OnSuccess=, Upholds=, timers, files that are there.
func (w *World) sober() error {
	for name, u := range w.src {
		if name != u.Name {
			continue
		}
		c := *u
		if c.Service != nil {
			c.Service = c.Service.Copy()
			c.Service.Restart = "no"
		}
		c.Unit.RefuseManualStart, c.Unit.RefuseManualStop = false, false
		if c.Timer != nil {
			t := *c.Timer
			t.Timers = nil
			c.OwnExtra().Timer = &t
		}
		c.Deps = slices.DeleteFunc(slices.Clone(c.Deps), func(d unit.Dep) bool {
			return d.Type == unit.DepOnFailure || d.Type == unit.DepOnSuccess || d.Type == unit.DepUpholds
		})
		w.src[name] = &c
	}
	for _, u := range w.E.Units() {
		if u.FreezerState() == "frozen" {
			if err := w.deliver(machine.Freeze{Unit: u.Name(), Thaw: true, Reply: w.ask("thaw")}); err != nil {
				return err
			}
		}
	}
	for name := range w.files.there {
		w.files.there[name] = false
	}
	if err := w.deliver(machine.Reload{All: true, Reply: w.ask("reload")}); err != nil {
		return err
	}
	return w.tellFiles(func(unit.PathSpec) bool { return true })
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
