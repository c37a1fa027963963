package service

import (
	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/machine"
)

// Results of a service beyond those of an exit (property Result).
const (
	ResultSuccess       = control.ResultSuccess
	ResultExitCode      = control.ResultExitCode
	ResultSignal        = control.ResultSignal
	ResultCoreDump      = control.ResultCoreDump
	ResultResources     = "resources"
	ResultProtocol      = "protocol"
	ResultTimeout       = "timeout"
	ResultWatchdog      = "watchdog"
	ResultStartLimit    = "start-limit-hit"
	ResultOOMKill       = "oom-kill"
	ResultExecCondition = "exec-condition"
)

// Saying is what a service has last told of itself by sd_notify(3).
type Saying string

// Sayings.
const (
	SaidNothing   Saying = ""
	SaidReady     Saying = "ready"
	SaidReloading Saying = "reloading"
	SaidStopping  Saying = "stopping"
)

// Stored is one descriptor of the fd store.
type Stored struct {
	Handle machine.Handle `json:"h"`
	Name   string         `json:"n"`
	Poll   bool           `json:"p,omitempty"`
}

// State is all that is known of a service at run time.
//
//  1. MainPID and ControlPID are 0 in every sub-state that does not hold them (table states).
//  2. Result "" is success; the first failure of an activation is kept.
//  3. At most one of the queries that are answered at once is open (Pending), and at most one slow one (Slow).
//  4. While Pending is set, jobs are put off (Again) and no timeout is due.
type State struct {
	Sub          SubState `json:"sub"`
	Result       string   `json:"result,omitempty"`
	ReloadResult string   `json:"reloadResult,omitempty"`
	CleanResult  string   `json:"cleanResult,omitempty"`

	MainPID     int32          `json:"main,omitempty"`
	MainKnown   bool           `json:"mainKnown,omitempty"` // MainPID was told or spawned in this activation; 0 then means it has ended
	MainWatched bool           `json:"mainWatched,omitempty"`
	MainIndex   int            `json:"mainCmd,omitempty"` // 1 + index of the ExecStart= command that Main is the status of, 0: of none
	Main        control.Status `json:"mainStatus,omitzero"`

	ControlPID   int32           `json:"ctl,omitempty"`
	ControlPhase machine.Phase   `json:"ctlPhase,omitempty"`
	ControlIndex int             `json:"ctlCmd,omitempty"`
	History      control.History `json:"runs,omitempty"` // control commands, and those of ExecStart= that are over

	Timer          control.Timer `json:"timer,omitzero"`
	ActiveSince    uint64        `json:"since,omitempty"` // monotonic µs
	RuntimeExtra   uint64        `json:"extra,omitempty"` // µs, drawn by RuntimeRandomizedExtraSec=
	RestartExtra   uint64        `json:"restartExtra,omitempty"`
	ReloadBegan    uint64        `json:"reloadBegan,omitempty"` // monotonic µs
	NRestarts      uint32        `json:"restarts,omitempty"`
	FlushRestarts  bool          `json:"flush,omitempty"`  // the next start counts from 0
	ForbidRestart  bool          `json:"forbid,omitempty"` // stopped by hand
	DebugNext      bool          `json:"debug,omitempty"`  // RestartMode=debug: DEBUG_INVOCATION=1
	Realized       bool          `json:"cgroup,omitempty"`
	Processes      bool          `json:"procs,omitempty"` // the cgroup may hold processes; false is certain
	Leftovers      bool          `json:"left,omitempty"`  // the previous activation may have left some
	ConditionUnmet bool          `json:"unmet,omitempty"` // an ExecCondition= said no

	Watchdog         machine.Instant `json:"wd,omitzero"` // last sign of life; zero: not watched
	WatchdogUntil    uint64          `json:"wdUntil,omitempty"`
	WatchdogOverride *uint64         `json:"wdUSec,omitempty"` // WATCHDOG_USEC=

	Saying             Saying   `json:"said,omitempty"`
	AccessOverride     string   `json:"access,omitempty"`
	StatusText         string   `json:"text,omitempty"`
	StatusErrno        int32    `json:"errno,omitempty"`
	StatusBusError     string   `json:"busErr,omitempty"`
	StatusVarlinkError string   `json:"varlinkErr,omitempty"`
	Store              []Stored `json:"fds,omitempty"`

	Conn *machine.Connection `json:"conn,omitempty"` // of an Accept=yes socket; it goes when the service is down

	Given *machine.Given `json:"given,omitempty"` // by the client that made a transient service; closed when it is down for good

	BusNameWatched string `json:"busWatched,omitempty"` // the name; a reload may change BusName=
	BusNameOwner   string `json:"busOwner,omitempty"`

	Pending *Pending `json:"pending,omitempty"`
	Slow    *Pending `json:"slow,omitempty"`
	Owed    *Owed    `json:"owed,omitempty"`
	Frozen  bool     `json:"frozen,omitempty"`  // the cgroup is frozen: the watchdog waits
	Trigger bool     `json:"trigger,omitempty"` // WATCHDOG=trigger came with something that is still being done
}

// QueryKind is what an open query asks.
type QueryKind string

// Kinds of open queries.
const (
	askSpawn   QueryKind = "spawn"
	askKill    QueryKind = "kill"
	askCgroup  QueryKind = "cgroup"
	askPID     QueryKind = "pid"
	askGuess   QueryKind = "guess"
	askPIDFile QueryKind = "pidfile"
	askClean   QueryKind = "clean"
)

// Then is what goes on when a query is answered.
type Then string

// Continuations.
const (
	thenRun       Then = "run"       // CheckCgroup: is the service good? → running, exited or stop
	thenGone      Then = "gone"      // CheckCgroup: the main process ended (ExitType=cgroup)
	thenStart     Then = "start"     // CheckCgroup: leftovers before ExecStart=
	thenPre       Then = "pre"       // CheckCgroup: leftovers before ExecStartPre=
	thenReady     Then = "ready"     // CheckCgroup: can anybody still say READY=1?
	thenPIDFile   Then = "pidfile"   // CheckCgroup: can anybody still write the PID file?
	thenStarted   Then = "started"   // main pid of a forking service, after ExecStart=
	thenPosted    Then = "posted"    // the same after ExecStartPost=
	thenReloaded  Then = "reloaded"  // look again after a reload
	thenSucceeded Then = "succeeded" // main process ended: has the PID file a successor?
)

// Pending is an open query with all that is needed to ask it again and to go on.
type Pending struct {
	Token  machine.Token   `json:"t"`
	Kind   QueryKind       `json:"k"`
	Then   Then            `json:"then,omitempty"`
	Slot   machine.Slot    `json:"slot,omitempty"`
	Phase  machine.Phase   `json:"phase,omitempty"`
	Index  int             `json:"i,omitempty"`
	Rung   SubState        `json:"rung,omitempty"`
	Kill   *machine.Kill   `json:"kill,omitempty"`
	Result string          `json:"r,omitempty"`
	Notify *machine.Notify `json:"n,omitempty"`
	Exit   machine.Exit    `json:"e,omitzero"`
	Watch  bool            `json:"w,omitempty"`
	Kinds  []string        `json:"kinds,omitempty"`
}

// Owed is the end of a process that failed between clone and execve without ever having a pid here; it is delivered when
// the sub-state that its start leads to is entered.
type Owed struct {
	Slot machine.Slot `json:"slot"`
	Exit machine.Exit `json:"e"`
}

// ResultName is the Result property.
func (s *State) ResultName() string { return orSuccess(s.Result) }

// ReloadResultName is the ReloadResult property.
func (s *State) ReloadResultName() string { return orSuccess(s.ReloadResult) }

// CleanResultName is the CleanResult property.
func (s *State) CleanResultName() string { return orSuccess(s.CleanResult) }

func orSuccess(r string) string {
	if r == "" {
		return ResultSuccess
	}
	return r
}

// CommandStatus is the last run of a command in this activation, for ExecStart= and friends on the bus.
func (s *State) CommandStatus(phase machine.Phase, index int) control.Status {
	if phase == machine.ExecStart && s.MainIndex == index+1 {
		return s.Main
	}
	return s.History.Get(phase, index)
}

// ExtraNames are the names of the descriptors that came with a transient service beside its standard streams.
func (s *State) ExtraNames() []string {
	if s.Given == nil {
		return nil
	}
	var names []string
	for _, f := range s.Given.Extra {
		names = append(names, f.Name)
	}
	return names
}

// fail keeps the first failure.
func (s *State) fail(result string) {
	if s.Result == "" && result != ResultSuccess {
		s.Result = result
	}
}
