package engine

import (
	"slices"

	"github.com/muster-init/muster/pkg/depend"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/engine/slice"
	"github.com/muster-init/muster/pkg/engine/target"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit"
)

// Source gives the configuration of units: the one thing that the engine reads while it handles an event.
type Source interface {
	// Load gives the configuration of the unit that goes by name, with all its names in Names. It never gives nil: what can't be
	// loaded has a LoadState that says so. The result is never changed afterwards.
	Load(name string) *unit.Unit
}

// Options are what an engine is made with.
type Options struct {
	// Depend says what kind of manager this is.
	Depend depend.Env
	// Types adds unit types to those that the engine has itself (target, slice); types without a machine load, but jobs
	// on them end with unsupported.
	Types []machine.Descriptor
	// Seed starts the generator for invocation ids and random delays.
	Seed [2]uint64
	// StatusUnitFormat is name, description or combined (the default).
	StatusUnitFormat string
	// Perpetual lists further units that are always active, beside -.slice, and in the system manager system.slice, init.scope
	// and -.mount.
	Perpetual []string
	// Startup is when the manager began; MachineID and Perturb (µs, the same for all managers of a machine and boot) vary what is random
	// between machines.
	Startup   machine.Instant
	MachineID string
	Perturb   uint64
	// CalendarNext gives the first match of a normalised calendar event after a moment (µs of the realtime clock), in the time zone that the
	// event or the machine has; false: there is none. Without it calendar events never come.
	CalendarNext func(event string, afterUSec uint64) (uint64, bool)
	// DeviceTimeoutUSec is how long a start job of a device waits (DefaultDeviceTimeoutSec=); 0: for ever.
	DeviceTimeoutUSec uint64
	// Trace, if there is one, is told the name of the unit that is worked on, before it is: after a crash of whatever kind that is what to blame.
	Trace func(unit string)
	// SimulateFault, for tests of the tests only, names a rule that the engine is to break.
	SimulateFault string
}

// Engine is all state of the manager that is not in the kernel. It is not safe for concurrent use.
type Engine struct {
	src   Source
	opt   Options
	types [unitTypes]*kind
	now   machine.Instant
	out   []machine.Effect

	units []*Unit // by uid; nil where the number is free
	free  []uid
	// sorted is what Units gives, nil after a change.
	sorted []*Unit
	names  map[string]*Unit

	jobs    map[job.ID]*Job
	lastJob job.ID

	loading   []*Unit // loaded, edges not yet made
	connected []*Unit // edges made, default order of targets not yet
	draining  bool
	noMount   map[string]bool              // mount units known not to exist
	mountUser map[string][]uid             // mount unit name → units that need the path
	mounts    map[string]machine.MountInfo // mount unit name → what the kernel has there
	swaps     map[string]machine.SwapInfo  // swap unit name → what the kernel has

	notices   []notice
	collect   []*Unit
	upheld    []*Unit
	bound     []*Unit
	unneeded  []*Unit
	touched   []*Unit
	requests  []startRequest
	deferring []*Unit
	jobEnded  bool
	runQueue  []job.ID
	runHead   int

	devices  devices
	timers   timers
	clocks   [machine.ClockMax]wakes
	queries  map[machine.Token]query
	token    machine.Token
	pids     map[int32]*Unit
	busNames map[string][]*Unit
	handles  map[machine.Handle]*Unit
	clients  map[string][]*Unit
	freezing map[string]machine.Reply // unit → client that waits for the freezer
	aliases  map[*Unit][]string       // names that were found to lead to a unit after it was loaded
	random   generator
	marks    map[uid]collectMark

	dirty        []string
	dirtyJobs    []job.ID // a job may stand more than once
	engineDirty  bool
	lost         []string // what Restore could not read
	watchdogsOff bool
	traced       *Unit // what Trace was told last
	failedUnits  int
	scratchEdges []depend.Edge
	scratchPaths []depend.Path
	scratchNames []string
}

// unitTypes is one more than the highest unit type.
const unitTypes = int(unit.TypeScope) + 1

// kind is a unit type as the engine knows it.
type kind struct {
	machine.Descriptor
	proto machine.Machine // answers questions about units in their initial state
}

// New makes an engine with nothing but the perpetual units loaded.
func New(src Source, opt Options) *Engine {
	e := newEngine(src, opt)
	for _, name := range e.perpetualNames() {
		e.load(name)
	}
	return e
}

func newEngine(src Source, opt Options) *Engine {
	e := &Engine{
		src: src, opt: opt,
		names:       map[string]*Unit{},
		jobs:        map[job.ID]*Job{},
		noMount:     map[string]bool{},
		mountUser:   map[string][]uid{},
		mounts:      map[string]machine.MountInfo{},
		swaps:       map[string]machine.SwapInfo{},
		queries:     map[machine.Token]query{},
		pids:        map[int32]*Unit{},
		busNames:    map[string][]*Unit{},
		handles:     map[machine.Handle]*Unit{},
		clients:     map[string][]*Unit{},
		freezing:    map[string]machine.Reply{},
		aliases:     map[*Unit][]string{},
		engineDirty: true,
		random:      generator{opt.Seed},
		devices:     newDevices(),
	}
	for _, t := range unit.Types() {
		e.register(unsupported(t))
	}
	e.register(target.Descriptor())
	e.register(slice.Descriptor())
	for _, d := range opt.Types {
		e.register(d)
	}
	return e
}

func (e *Engine) register(d machine.Descriptor) {
	e.types[d.Type] = &kind{Descriptor: d, proto: d.New()}
}

// perpetualNames lists the units that are always there.
func (e *Engine) perpetualNames() []string {
	names := []string{"-.slice"}
	if e.opt.Depend.System {
		names = append(names, "system.slice", "init.scope", "-.mount")
	} else {
		names = append(names, "init.scope")
	}
	return append(names, e.opt.Perpetual...)
}

// Step applies one event and gives back what is to be done, in order.
func (e *Engine) Step(now machine.Instant, ev machine.Event) []machine.Effect {
	e.now = now
	e.traced = nil
	e.dispatch(ev)
	e.settle()
	out := e.out
	e.out = nil
	return out
}

// settle drains the queues until nothing moves.
func (e *Engine) settle() {
	for {
		switch {
		case len(e.notices) > 0:
			n := e.notices[0]
			e.notices = e.notices[1:]
			e.notify(n)
		case len(e.requests) > 0:
			r := e.requests[0]
			e.requests = e.requests[1:]
			e.serve(r)
		case len(e.upheld) > 0:
			e.startUpheld(pop(&e.upheld, inUpheld))
		case len(e.bound) > 0:
			e.stopBound(pop(&e.bound, inBound))
		case len(e.unneeded) > 0:
			e.stopUnneeded(pop(&e.unneeded, inUnneeded))
		case e.jobEnded:
			e.tellDeferrers()
		default:
			e.rearm()
			return
		}
	}
}

// push adds u to a queue once.
func push(q *[]*Unit, u *Unit, f flag) {
	if u.flags&(f|removed) == 0 {
		u.flags |= f
		*q = append(*q, u)
	}
}

func pop(q *[]*Unit, f flag) *Unit {
	u := (*q)[0]
	*q = (*q)[1:]
	if len(*q) == 0 {
		*q = nil
	}
	u.flags &^= f
	return u
}

// emit appends an effect.
func (e *Engine) emit(f machine.Effect) { e.out = append(e.out, f) }

// Runnable reports whether Idle would do something now.
func (e *Engine) Runnable() bool { return e.runHead < len(e.runQueue) || len(e.collect) > 0 }

// Deadline is the next moment on the monotonic clock, in µs, at which a Tick is due; machine.Never if there is none.
func (e *Engine) Deadline() uint64 { return e.DeadlineOn(machine.Monotonic) }

// Unit gives a loaded unit by any of its names, nil if it is not loaded.
func (e *Engine) Unit(name string) *Unit { return e.names[name] }

// UnitByPID gives the unit that a main or control process belongs to, nil if there is none.
func (e *Engine) UnitByPID(pid int32) *Unit { return e.pids[pid] }

// Units lists the loaded units in the order of their names. The list is shared until a unit comes or goes: it must not be changed.
func (e *Engine) Units() []*Unit {
	if e.sorted != nil {
		return e.sorted
	}
	out := make([]*Unit, 0, len(e.units))
	for _, u := range e.units {
		if u != nil {
			out = append(out, u)
		}
	}
	slices.SortFunc(out, func(a, b *Unit) int {
		if a.Name() < b.Name() {
			return -1
		}
		return 1
	})
	e.sorted = out
	return out
}

// Len is the number of loaded units and of installed jobs.
func (e *Engine) Len() (units, jobs int) { return len(e.units) - len(e.free), len(e.jobs) }

// Jobs lists the installed jobs in the order of their ids.
func (e *Engine) Jobs() []*Job {
	out := make([]*Job, 0, len(e.jobs))
	for _, j := range e.jobs {
		out = append(out, j)
	}
	slices.SortFunc(out, func(a, b *Job) int { return int(a.ID) - int(b.ID) })
	return out
}

// Job gives an installed job, nil if there is none with this id.
func (e *Engine) Job(id job.ID) *Job { return e.jobs[id] }

// SetWatchdogs switches the watchdogs of all services on or off (property ServiceWatchdogs); they are on at first.
func (e *Engine) SetWatchdogs(on bool) {
	e.watchdogsOff = !on
	e.engineDirty = true
	for _, u := range e.units {
		if u != nil && u.machine != nil {
			e.touch(u)
		}
	}
	e.rearm()
}

// Watchdogs reports whether the watchdogs of services are heeded.
func (e *Engine) Watchdogs() bool { return !e.watchdogsOff }

// FailedUnits is the number of units in the failed state.
func (e *Engine) FailedUnits() int { return e.failedUnits }

// kindOf gives the type of a unit.
func (e *Engine) kindOf(u *Unit) *kind { return e.types[u.cfg.Type] }

// reader gives the unit's machine for questions that do not change it.
func (e *Engine) reader(u *Unit) machine.Machine {
	if u.machine != nil {
		return u.machine
	}
	return e.kindOf(u).proto
}

// with gives the unit's machine for changes.
func (e *Engine) with(u *Unit) machine.Machine {
	if u.machine == nil {
		u.machine = e.kindOf(u).New()
	}
	e.touch(u)
	e.trace(u)
	return u.machine
}

// trace tells which unit is worked on.
func (e *Engine) trace(u *Unit) {
	if e.opt.Trace != nil && e.traced != u {
		e.traced = u
		e.opt.Trace(u.Name())
	}
}

// touch notes that the unit's deadline and record may have changed.
func (e *Engine) touch(u *Unit) {
	push(&e.touched, u, inTouched)
	e.markUnit(u)
}

// generator is a small random number generator with its state in the open (a splitmix of two words), so that it can be saved.
type generator struct {
	State [2]uint64 `json:"s"`
}

func (g *generator) next() uint64 {
	mix := func(z uint64) uint64 {
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		return z ^ z>>31
	}
	g.State[0] += 0x9e3779b97f4a7c15
	g.State[1] += 0xd1342543de82ef95
	return mix(g.State[0]) ^ mix(g.State[1]<<1|1)
}
