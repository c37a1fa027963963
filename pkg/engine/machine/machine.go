package machine

import (
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit"
)

// Answer is what a machine says to a job that begins to run on it.
type Answer int

// Answers.
const (
	// Accepted: the work has begun; the job ends by the unit's later state changes.
	Accepted Answer = iota
	// Already: the unit is in the wished state.
	Already
	// Again: not possible at the moment; the job waits until the unit's state changes.
	Again
	// Invalid: the job does not apply to the unit's state (job result invalid).
	Invalid
	// Refused: failed at once (job result failed); the machine has entered its failed state itself.
	Refused
	// Unsupported: this unit type cannot do it on this system (job result unsupported).
	Unsupported
	// StartLimit: the start rate limit refused the start (job result failed, unit failed with start-limit-hit).
	StartLimit
)

// Machine is the state of one unit of one type together with its transitions. It holds plain data only: Data returns a pointer to a
// struct that encoding/json can write and read back, and everything the machine knows is in it. A machine never calls
// another machine: it reports through Host, and the engine's queues propagate.
type Machine interface {
	// Start, Stop and Reload begin the work of a job.
	Start(h Host) Answer
	Stop(h Host) Answer
	Reload(h Host) Answer
	// Step takes an event that concerns the unit: an answer to one of its queries, an exit of one of its processes, …
	Step(h Host, ev Event)
	// Deadline is the next moment on the monotonic clock (µs) at which Expire is due, or Never. It is a function of state and config, so
	// nothing is re-armed after a re-execution.
	Deadline(cfg *unit.Unit) uint64
	// Expire is called when the deadline has passed.
	Expire(h Host)
	// ActiveState and SubState say where the machine stands.
	ActiveState(cfg *unit.Unit) ActiveState
	SubState() string
	// Result is the Result property ("success", "exit-code", …); "" for types that have none.
	Result() string
	// CanReload reports whether a reload job applies by configuration.
	CanReload(cfg *unit.Unit) bool
	// Held reports whether an inactive unit must stay loaded for what it holds (fd store, resources pinned).
	Held() bool
	// ResetFailed leaves a failed state.
	ResetFailed(h Host)
	// PIDs returns the main and control pids, 0 for none.
	PIDs() (main, control int32)
	// CatchUp is called once after Restore, when all units exist: re-ask open queries, track pids. What changed while away arrives as ordinary events.
	CatchUp(h Host)
	// Data is the serializable state.
	Data() any
}

// Host is what the engine offers a machine while it handles one event of its unit. A new method needs a reason in its comment.
type Host interface {
	// Now is the moment of the Step.
	Now() Instant
	// Unit is the configuration; never nil, immutable.
	Unit() *unit.Unit
	// Query emits a query effect (Token is filled in) and joins its answer with this unit.
	Query(e Effect) Token
	// Emit emits a command.
	Emit(e Effect)
	// StateChanged must be called right after each change of the sub-state, so that clients see every step; old is the active state before.
	StateChanged(old ActiveState)
	// PropertiesChanged says that something else that clients can read has changed.
	PropertiesChanged()
	// Track and Forget keep the pid → unit index for ProcessExited and Notify.
	Track(pid int32)
	Forget(pid int32)
	// Job is the type of the unit's installed job and whether it runs; "" if there is none.
	Job() (t job.Type, running bool)
	// StopPending reports whether a stop (or restart) job is queued for the unit: automatic restarts are not made then.
	StopPending() bool
	// QueueRestart asks for the job of Restart=: since 254 a *start* job of the unit in mode restart-dependencies, while the
	// unit is in auto-restart (activating; so conditions are not tested again). false: it could not be queued.
	QueueRestart(mode job.Mode) bool
	// StartLimitOK counts a start against StartLimitBurst=/StartLimitIntervalSec= and reports whether it may go on; on false the engine has
	// logged "Start request repeated too quickly." and queued StartLimitAction=.
	StartLimitOK() bool
	// Invocation is the 32-digit invocation ID of the current activation.
	Invocation() string
	// NewInvocation begins a new activation.
	NewInvocation()
	// Triggers lists the active states of the units that trigger this one (sockets …) for restart decisions and MONITOR_/TRIGGER_ variables.
	TriggerEnv() []string
	// Log writes a message about the unit. kind is the message name for MESSAGE_ID or "".
	Log(level int, kind, text string, fields ...string)
	// Random returns the next number of the engine's seeded generator.
	Random() uint64
	// Act asks for a system action (FailureAction=, SuccessAction=, JobTimeoutAction= …) on behalf of the unit.
	Act(action, reason string, exitStatus int32)
	// PropagateReload queues the reload jobs of PropagatesReloadTo=: a service said RELOADING=1 without having been asked to.
	PropagateReload()
	// WatchdogsEnabled is false when service watchdogs are switched off (systemd.service_watchdogs=no, property ServiceWatchdogs).
	WatchdogsEnabled() bool
	// ListenFDs lists what the socket units of the service pass to its main process, in order (nil without sockets).
	ListenFDs() []FD
	// PeerState is the active state of another loaded unit, "" if it is not loaded (Sockets=, Slice=).
	PeerState(name string) ActiveState
	// Triggering is for units that activate others.
	Triggering
}

// Descriptor is what varies between unit types as data.
type Descriptor struct {
	Type unit.Type
	// New makes a machine in its initial state.
	New func() Machine
	// CanTransient, CanFail: abilities that the engine and the bus ask for.
	CanTransient, CanFail, CanStart, CanStop, CanIsolate bool
	// OnceOnly, AlwaysGC … may be added by the types that need them.
	// StatusFormats for the console and log: "Starting %s...", "Started %s.", "Stopping %s...", "Stopped %s."; indexed by job type and result.
	Starting, Stopping string
	Finished           map[job.Type]map[job.Result]string
}

// Abilities that not every machine has. The engine asks for them by type assertion.
type (
	// ReloadResulter says how the last reload ended; it is read when the unit's state changes back from reloading to active.
	ReloadResulter interface{ ReloadFailed() bool }
	// Monitored gives the exit of the main process for MONITOR_EXIT_CODE= and MONITOR_EXIT_STATUS=, "" if there was none.
	Monitored interface{ MainExit() (code, status string) }
	// Triggerer activates other units and is told of their state changes.
	Triggerer interface {
		TriggerChanged(h Host, name, invocation string, now ActiveState)
	}
	// Cleaner removes directories and stored descriptors of an inactive unit. It reports itself in maintenance state until it is done.
	Cleaner interface {
		CanClean(cfg *unit.Unit) []string
		Clean(h Host, mask []string) *Error
	}
	// Releaser gives back what a dead unit still holds (fd store by FileDescriptorStorePreserve=). Called when the unit is inactive or
	// failed and has no job (any more).
	Releaser interface{ Release(h Host) }
	// Receiver takes over descriptors that a client handed over with the unit.
	Receiver interface{ Give(h Host, g Given) }
	// Immediate tells of starts that take no time anybody could wait for: only their end is announced, as systemd does.
	Immediate interface {
		Immediate(cfg *unit.Unit) bool
	}
	// Finisher replaces a text of Descriptor.Finished by one for this unit; "" keeps it.
	Finisher interface {
		Finished(cfg *unit.Unit, t job.Type, r job.Result) string
	}
	// Abandoner gives up a scope.
	Abandoner interface{ Abandon(h Host) *Error }
	// ClockWatcher wants ClockChanged (timers).
	ClockWatcher interface{ WatchesClock() }
	// Listener has descriptors that the units it triggers get.
	Listener interface{ ListenFDs(cfg *unit.Unit) []FD }
	// Perpetual can be put into the state of a unit that was there before the manager.
	Perpetual interface{ Perpetual() }
)
