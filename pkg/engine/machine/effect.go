package machine

import (
	"github.com/muster-init/muster/pkg/job"
)

// Effect is something to do.
type Effect interface{ effect() }

// Phase names the Exec*= list that a command comes from.
type Phase string

// Phases.
const (
	ExecCondition  Phase = "ExecCondition"
	ExecStartPre   Phase = "ExecStartPre"
	ExecStart      Phase = "ExecStart"
	ExecStartPost  Phase = "ExecStartPost"
	ExecReload     Phase = "ExecReload"
	ExecReloadPost Phase = "ExecReloadPost"
	ExecStop       Phase = "ExecStop"
	ExecStopPre    Phase = "ExecStopPre" // of sockets
	ExecStopPost   Phase = "ExecStopPost"

	// Not lists of commands: what a reload does before its own (RefreshOnReload=).
	RefreshExtensions  Phase = "RefreshExtensions"
	RefreshCredentials Phase = "RefreshCredentials"
)

// FD is a descriptor to pass to a process, with the name for LISTEN_FDNAMES.
type FD struct {
	Handle Handle `json:"h"`
	Name   string `json:"n"`
	Stored bool   `json:"s,omitempty"` // from the fd store
}

// ValidFDName is the rule of sd_listen_fds_with_names(3): 1 to 255 printable ASCII characters, no colon.
func ValidFDName(name string) bool {
	if name == "" || len(name) > 255 {
		return false
	}
	for i := 0; i < len(name); i++ {
		if c := name[i]; c < ' ' || c >= 127 || c == ':' {
			return false
		}
	}
	return true
}

// Given are descriptors that a client handed over with a transient service (StandardInputFileDescriptor and its kin, ExtraFileDescriptors).
// They are the service's until it is down; handle 0 is none.
type Given struct {
	Stdio [3]Handle `json:"io,omitzero"`
	Extra []FD      `json:"x,omitempty"`
}

// All lists the handles.
func (g *Given) All() []Handle {
	var list []Handle
	for _, h := range g.Stdio {
		if h != 0 {
			list = append(list, h)
		}
	}
	for _, f := range g.Extra {
		list = append(list, f.Handle)
	}
	return list
}

// Queries: each is answered by one event with the same Token.
type (
	// Spawn starts command Index of list Phase of Unit, in the unit's cgroup. The shell builds the execution plan from the
	// unit's config and this. Env are extra assignments (MAINPID=…, SERVICE_RESULT=…, MONITOR_…). Answer: Spawned or SpawnFailed.
	Spawn struct {
		Token        Token
		Unit         string
		Slot         Slot
		Phase        Phase
		Index        int
		Env          []string
		FDs          []FD
		Stdio        [3]Handle // what the standard streams are, in place of StandardInput= and its kin; 0: those hold
		MainPID      int32     // 0 none
		ExecNotice   bool      // report ExecDone (Type=exec)
		Idle         bool      // Type=idle: hold the execve until the job queue is empty, 5 s at most
		Invocation   string    // 32 hex digits
		WatchdogUSec uint64    // 0 none
	}
	// Kill signals processes of Unit. MainPID/ControlPID 0: none of that slot. Cgroup: also every other process in the cgroup
	// (all of them at once, by cgroup.kill, when Signal is 9). Also: send these signals as well, right after (SIGCONT, SIGHUP).
	// Token 0: no answer wanted.
	Kill struct {
		Token      Token
		Unit       string
		Signal     int32
		Also       []int32
		MainPID    int32
		ControlPID int32
		Cgroup     bool
		Log        bool   // say in the log which processes were signalled
		Value      *int32 // sigqueue value
		Subgroup   string
	}
	// TestConditions evaluates Conditions and Asserts of Unit. Answer: ConditionsTested.
	TestConditions struct {
		Token Token
		Unit  string
	}
	// ReadPIDFile reads and validates the PIDFile= of Unit off the loop. Watch: if it is not there yet, keep watching and answer when it is
	// (the query stays open; CancelQuery ends it).
	ReadPIDFile struct {
		Token Token
		Unit  string
		Path  string
		Watch bool
	}
	// GuessMainPID looks for the one process in the unit's cgroup that can be its main process.
	GuessMainPID struct {
		Token Token
		Unit  string
	}
	// CheckCgroup asks whether any process is left in the unit's cgroup; answered at once, as Kill. Leftovers: say in the log which
	// processes are there although none should be (before a start). Answer: CgroupChecked.
	CheckCgroup struct {
		Token     Token
		Unit      string
		Leftovers bool
	}
	// CheckPID asks whether PID may become the main process of Unit (MAINPID=); answered at once, as Kill. Answer: PIDChecked.
	CheckPID struct {
		Token Token
		Unit  string
		PID   int32
	}
	// AttachPIDs moves processes into the unit's cgroup (scopes, AttachProcesses).
	AttachPIDs struct {
		Token    Token
		Unit     string
		Subgroup string
		PIDs     []int32
	}
	// RemoveDirectories removes exec directories of an inactive unit off the loop. Kinds: runtime, state, cache, logs, configuration.
	// Token 0: no answer wanted.
	RemoveDirectories struct {
		Token Token
		Unit  string
		Kinds []string
	}
)

// Commands.
type (
	// CancelQuery ends an open slow query; no answer comes any more.
	CancelQuery struct{ Token Token }
	// RealizeCgroup makes the unit's cgroup and writes its attributes. Sent before the first Spawn of an activation.
	RealizeCgroup struct{ Unit string }
	// UpdateCgroup rewrites changed attributes of a realized cgroup.
	UpdateCgroup struct{ Unit string }
	// ReleaseCgroup removes the unit's cgroup when it is empty.
	ReleaseCgroup struct{ Unit string }
	// FreezeCgroup freezes or thaws.
	FreezeCgroup struct {
		Unit string
		Thaw bool
	}
	// WatchPID asks for ProcessExited of a process that may not be a child of the manager.
	WatchPID   struct{ PID int32 }
	UnwatchPID struct{ PID int32 }
	// WatchName asks for NameOwnerChanged of a bus name. An owner that it has at that time is reported in the same way.
	WatchName   struct{ Name string }
	UnwatchName struct{ Name string }
	// CloseHandle closes a descriptor. PollHandle asks for HandleHangup.
	CloseHandle struct{ Handle Handle }
	PollHandle  struct{ Handle Handle }
	// ReleaseRuntime gives back what the manager holds for a stopped unit (dynamic uid, runtime directories by RuntimeDirectoryPreserve=).
	ReleaseRuntime struct {
		Unit       string
		Restarting bool // RuntimeDirectoryPreserve=restart keeps
	}
	// Act asks for a change of the whole system: one of the values of FailureAction= (exit, exit-force, reboot, reboot-force,
	// reboot-immediate, poweroff…, halt…, kexec…, soft-reboot…). ExitStatus -1: unset.
	Act struct {
		Action         string
		Unit           string
		Reason         string
		ExitStatus     int32
		RebootArgument string
	}
	// RequestStop asks the bus client that controls a scope to stop it (signal RequestStop of the scope's object, sent to Client only).
	RequestStop struct{ Unit, Client string }
	// UnlinkPIDFile removes a stale PIDFile= off the loop after the service ended.
	UnlinkPIDFile struct{ Unit, Path string }
)

// Announcements.
type (
	// UnitNew says that a unit is loaded, UnitRemoved that it is unloaded.
	UnitNew     struct{ Unit string }
	UnitRemoved struct{ Unit string }
	// UnitChanged says that state of a unit changed; Active and Sub are what it was at this moment. Every sub-state is announced in turn.
	// Properties is true if only other properties than the states changed (StatusText, NRestarts…).
	UnitChanged struct {
		Unit       string
		Active     ActiveState
		Sub        string
		Properties bool
	}
	JobNew struct {
		ID   job.ID
		Unit string
		Type job.Type
	}
	// JobChanged: state waiting → running.
	JobChanged struct {
		ID   job.ID
		Unit string
	}
	JobRemoved struct {
		ID     job.ID
		Unit   string
		Type   job.Type
		Result job.Result
		Cause  Cause
	}
	// SendReply answers a request. Jobs holds the anchor job first; the rest are the affected ones (Details).
	SendReply struct {
		Reply Reply
		Err   *Error
		Unit  string
		Jobs  []job.ID
	}
	// Log is a message of the engine. Level is a syslog level (3 error, 4 warning, 5 notice, 6 info, 7 debug).
	// Kind names the message for MESSAGE_ID ("unit-started", "unit-failed", …) or is "". Fields are further journal fields KEY=value.
	// Console is the text for the status output ("" none), Status one of ok, failed, depend, info, time, skip….
	Log struct {
		Level   int
		Unit    string
		Job     job.ID
		Kind    string
		Text    string
		Fields  []string
		Status  string
		Console string
	}
)

func (Spawn) effect()             {}
func (Kill) effect()              {}
func (TestConditions) effect()    {}
func (ReadPIDFile) effect()       {}
func (GuessMainPID) effect()      {}
func (AttachPIDs) effect()        {}
func (RemoveDirectories) effect() {}
func (CheckCgroup) effect()       {}
func (CheckPID) effect()          {}
func (RequestStop) effect()       {}
func (CancelQuery) effect()       {}
func (RealizeCgroup) effect()     {}
func (UpdateCgroup) effect()      {}
func (ReleaseCgroup) effect()     {}
func (FreezeCgroup) effect()      {}
func (WatchPID) effect()          {}
func (UnwatchPID) effect()        {}
func (WatchName) effect()         {}
func (UnwatchName) effect()       {}
func (CloseHandle) effect()       {}
func (PollHandle) effect()        {}
func (ReleaseRuntime) effect()    {}
func (Act) effect()               {}
func (UnlinkPIDFile) effect()     {}
func (UnitNew) effect()           {}
func (UnitRemoved) effect()       {}
func (UnitChanged) effect()       {}
func (JobNew) effect()            {}
func (JobChanged) effect()        {}
func (JobRemoved) effect()        {}
func (SendReply) effect()         {}
func (Log) effect()               {}
