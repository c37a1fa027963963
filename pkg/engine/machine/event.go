package machine

import (
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit"
)

// Event is something that happened. Events are plain values: a recorded list of them is a bug report.
type Event interface{ event() }

// Requests of clients. Each is answered by one SendReply if Reply is not 0.
type (
	// Enqueue asks for a job. For reload-or-restart and reload-or-try-restart the caller sets Type to Restart or
	// TryRestart and ReloadIfPossible. Details asks for the reply form of EnqueueJob (affected jobs listed).
	Enqueue struct {
		Unit             string
		Type             job.Type
		Mode             job.Mode
		ReloadIfPossible bool
		Details          bool
		Cause            Cause
		Reply            Reply
	}
	// CancelJob removes job ID with result canceled; 0 cancels all jobs.
	CancelJob struct {
		ID    job.ID
		Reply Reply
	}
	// LoadUnit loads a unit without a job.
	LoadUnit struct {
		Unit  string
		Reply Reply
	}
	// ResetFailed forgets the failed state and the start-limit counters of Unit, or of all units ("").
	ResetFailed struct {
		Unit  string
		Reply Reply
	}
	// Mark changes the markers of a unit (needs-reload, needs-restart): first those in Clear go, then those in Set come.
	Mark struct {
		Unit       string
		Clear, Set []string
		Reply      Reply
	}
	// KillUnit sends a signal on behalf of a client. Whom: main, control, all, cgroup, or one of them with -fail.
	KillUnit struct {
		Unit, Whom string
		Subgroup   string // path below the unit's cgroup, KillUnitSubgroup
		Signal     int32
		Value      *int32 // sigqueue(3) value
		Reply      Reply
	}
	// StartTransient makes Config (and Aux) known as transient units and queues a start job. PIDs of a scope stand in its configuration (Scope.PIDs).
	StartTransient struct {
		Config *unit.Unit
		Aux    []*unit.Unit
		PIDs   []int32
		Given  *Given // for Config, owned by the receiver; nil none
		Client string // unique bus name that the unit is bound to with AddRef; "" none
		Mode   job.Mode
		Cause  Cause
		Reply  Reply
	}
	// SetConfig swaps the configuration of a loaded unit (SetUnitProperties: the shell applied the properties and wrote the drop-in).
	SetConfig struct {
		Config *unit.Unit
		Reply  Reply
	}
	// Ref keeps a unit loaded for a client until Unref or ClientGone.
	Ref struct {
		Unit, Client string
		Reply        Reply
	}
	Unref struct {
		Unit, Client string
		Reply        Reply
	}
	// ClientGone drops all references and waits of a client.
	ClientGone struct{ Client string }
	// Abandon gives up a scope.
	Abandon struct {
		Unit  string
		Reply Reply
	}
	// Freeze freezes or thaws a unit's cgroup. Answered when the kernel reports it done.
	Freeze struct {
		Unit  string
		Thaw  bool
		Reply Reply
	}
	// Clean removes directories and fd store of an inactive unit. Mask: runtime, state, cache, logs, configuration, fdstore, all.
	Clean struct {
		Unit  string
		Mask  []string
		Reply Reply
	}
	// AttachProcesses moves processes into the cgroup of a unit.
	AttachProcesses struct {
		Unit, Subgroup string
		PIDs           []int32
		Reply          Reply
	}
	// Reload says that unit definitions changed on disk. Changed lists the names; All re-reads everything.
	Reload struct {
		Changed []string
		All     bool
		Reply   Reply
	}
)

// What the kernel and the services say.
type (
	// ProcessExited reports a reaped process.
	ProcessExited struct {
		PID  int32
		Exit Exit
	}
	// ExecDone reports that a spawned process of Type=exec has executed its program (the close-on-exec pipe closed).
	// Handoff is the moment before execve when the executor reported it; zero if unknown.
	ExecDone struct {
		PID     int32
		Handoff Instant
	}
	// Notify is one sd_notify datagram whose sender the shell has identified. Unit is the unit by the sender's cgroup ("" unknown).
	Notify struct {
		Unit string
		PID  int32
		UID  uint32
		Msg  NotifyMessage
	}
	// CgroupEmpty reports that the unit's cgroup has no process left. The shell has read cgroup.events right before: a group that
	// has got a new process since the kernel's notice is not reported.
	CgroupEmpty struct{ Unit string }
	// CgroupFrozen reports a change of the frozen state of a unit's cgroup.
	CgroupFrozen struct {
		Unit   string
		Frozen bool
	}
	// OOMKill reports that the kernel (or oomd with Managed) killed processes of the unit.
	OOMKill struct {
		Unit    string
		Count   uint64
		Managed bool
	}
	// NameOwnerChanged reports the owner of a bus name that a unit watches; New "" is none. PID is the owner's main process or 0.
	NameOwnerChanged struct {
		Bus, New string
		PID      int32
	}
	// HandleHangup reports EPOLLHUP/EPOLLERR on a handle of a unit's fd store.
	HandleHangup struct{ Handle Handle }
	// Tick says that time has passed: deadlines that are due at Step's now fire. The shell sends it when a timer of Deadlines is due.
	Tick struct{}
	// Idle lets one runnable job run.
	Idle struct{}
	// ClockChanged reports a jump of the realtime clock or a new time zone.
	ClockChanged struct{ Timezone bool }
)

// Answers to queries.
type (
	// Spawned answers Spawn.
	Spawned struct {
		Token Token
		PID   int32
	}
	// SpawnFailed answers Spawn when no process came to be. Status is the exit status in 200–243 that says which step failed.
	SpawnFailed struct {
		Token   Token
		Status  int32
		Message string
		Limits  bool // resources: Result=resources rather than exit-code
	}
	// Killed answers Kill. Left: processes that got the signal (or can't be signalled yet) are still there and their end will be reported.
	Killed struct {
		Token Token
		Left  bool
	}
	// ConditionsTested answers TestConditions. Results stand in the order of the config's Conditions and Asserts: 1 met, 0 not tested, -1 not met.
	ConditionsTested struct {
		Token               Token
		ConditionsMet       bool
		AssertsMet          bool
		Conditions, Asserts []int8
		Failed              string // the first condition or assert that decided, as text for the message
	}
	// PIDFileRead answers ReadPIDFile. PID 0: not (yet) there or not acceptable, Message says why.
	PIDFileRead struct {
		Token   Token
		PID     int32
		Message string
	}
	// MainPIDGuessed answers GuessMainPID; 0: no single candidate.
	MainPIDGuessed struct {
		Token Token
		PID   int32
	}
	// CgroupChecked answers CheckCgroup.
	CgroupChecked struct {
		Token     Token
		Populated bool
	}
	// PIDChecked answers CheckPID. Alive: the process exists and is no zombie. Manager: it is the manager itself or PID 1.
	// InUnit: it is in the cgroup of the unit.
	PIDChecked struct {
		Token   Token
		Alive   bool
		Manager bool
		InUnit  bool
	}
	// DirectoriesRemoved answers RemoveDirectories with a token (Clean).
	DirectoriesRemoved struct {
		Token   Token
		Message string
	}
	// ProcessesAttached answers AttachPIDs.
	ProcessesAttached struct {
		Token   Token
		Message string // "" is success
	}
)

// NotifyMessage is the decoded datagram (compat/notify_protocol.tsv). Pointers are nil where the field was absent.
type NotifyMessage struct {
	Ready, Reloading, Stopping bool
	Status                     *string
	Errno                      *int32
	BusError, VarlinkError     *string
	MainPID                    *int32 // also from MAINPIDFD, resolved by the shell
	Watchdog                   bool
	WatchdogTrigger            bool
	WatchdogUSec               *uint64
	ExtendTimeoutUSec          *uint64
	MonotonicUSec              *uint64
	NotifyAccess               *string
	FDStore, FDStoreRemove     bool
	FDName                     string
	FDPollOff                  bool
	// FDs are owned by the receiver: stored or closed. A descriptor of the same open file as one that the unit has in its
	// store comes as the handle of that one (and its duplicate is closed by the shell), so that nothing is stored twice.
	FDs          []Handle
	RestartReset bool
}

func (Enqueue) event()            {}
func (CancelJob) event()          {}
func (LoadUnit) event()           {}
func (ResetFailed) event()        {}
func (KillUnit) event()           {}
func (StartTransient) event()     {}
func (SetConfig) event()          {}
func (Ref) event()                {}
func (Unref) event()              {}
func (ClientGone) event()         {}
func (Abandon) event()            {}
func (Freeze) event()             {}
func (Mark) event()               {}
func (Clean) event()              {}
func (AttachProcesses) event()    {}
func (Reload) event()             {}
func (ProcessExited) event()      {}
func (ExecDone) event()           {}
func (Notify) event()             {}
func (CgroupEmpty) event()        {}
func (CgroupFrozen) event()       {}
func (OOMKill) event()            {}
func (NameOwnerChanged) event()   {}
func (HandleHangup) event()       {}
func (Tick) event()               {}
func (Idle) event()               {}
func (ClockChanged) event()       {}
func (Spawned) event()            {}
func (SpawnFailed) event()        {}
func (Killed) event()             {}
func (ConditionsTested) event()   {}
func (PIDFileRead) event()        {}
func (MainPIDGuessed) event()     {}
func (CgroupChecked) event()      {}
func (PIDChecked) event()         {}
func (DirectoriesRemoved) event() {}
func (ProcessesAttached) event()  {}
