package service

import (
	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/machine"
)

// SubState is the sub-state of a service, as SubState shows it.
type SubState string

// Sub-states. Mounting and the refreshing ones are known to clients of newer versions, but no path leads there: the work
// behind them (live mounts, refreshed credentials) is done without waiting.
const (
	Dead                    SubState = "dead"
	Condition               SubState = "condition"
	StartPre                SubState = "start-pre"
	Start                   SubState = "start"
	StartPost               SubState = "start-post"
	Running                 SubState = "running"
	Exited                  SubState = "exited"
	RefreshExtensions       SubState = "refresh-extensions"
	RefreshCredentials      SubState = "refresh-credentials"
	Reload                  SubState = "reload"
	ReloadSignal            SubState = "reload-signal"
	ReloadNotify            SubState = "reload-notify"
	ReloadPost              SubState = "reload-post"
	Stop                    SubState = "stop"
	StopWatchdog            SubState = "stop-watchdog"
	StopSigterm             SubState = "stop-sigterm"
	StopSigkill             SubState = "stop-sigkill"
	StopPost                SubState = "stop-post"
	FinalWatchdog           SubState = "final-watchdog"
	FinalSigterm            SubState = "final-sigterm"
	FinalSigkill            SubState = "final-sigkill"
	Failed                  SubState = "failed"
	DeadBeforeAutoRestart   SubState = "dead-before-auto-restart"
	FailedBeforeAutoRestart SubState = "failed-before-auto-restart"
	DeadResourcesPinned     SubState = "dead-resources-pinned"
	AutoRestart             SubState = "auto-restart"
	AutoRestartQueued       SubState = "auto-restart-queued"
	Cleaning                SubState = "cleaning"
)

// timerKind says which timeout runs in a sub-state.
type timerKind string

const (
	noTimer      timerKind = ""
	startTimer   timerKind = "start"   // TimeoutStartSec= from the last command on; none for Type=simple and idle
	runtimeTimer timerKind = "runtime" // RuntimeMaxSec= from the activation on
	stopTimer    timerKind = "stop"    // TimeoutStopSec=
	abortTimer   timerKind = "abort"   // TimeoutAbortSec=
	restartTimer timerKind = "restart" // RestartSec= and its steps
	cleanTimer   timerKind = "clean"   // TimeoutCleanSec=
)

// facts are what holds in a sub-state. A resource that the new sub-state does not hold is given up on entering it.
type facts struct {
	active   machine.ActiveState
	idle     machine.ActiveState // for Type=idle, "" as active
	timer    timerKind
	main     bool // may have a main process
	control  bool // may have a control process
	watchdog bool // WatchdogSec= is kept running
	down     bool // nothing runs; the cgroup is given back on entering
}

const (
	act  = machine.Activating
	up   = machine.Active
	rel  = machine.Reloading
	deac = machine.Deactivating
)

// states has one row per sub-state: sub-state → active state (second one for Type=idle), timer, what it holds.
var states = map[SubState]facts{
	Dead:                    {active: machine.Inactive, down: true},
	Condition:               {active: act, idle: up, timer: startTimer, control: true},
	StartPre:                {active: act, idle: up, timer: startTimer, control: true},
	Start:                   {active: act, idle: up, timer: startTimer, main: true, control: true},
	StartPost:               {active: act, idle: up, timer: startTimer, main: true, control: true, watchdog: true},
	Running:                 {active: up, timer: runtimeTimer, main: true, watchdog: true},
	Exited:                  {active: up, down: true},
	RefreshExtensions:       {active: machine.Refreshing, timer: startTimer, main: true, control: true, watchdog: true},
	RefreshCredentials:      {active: machine.Refreshing, timer: startTimer, main: true, control: true, watchdog: true},
	Reload:                  {active: rel, timer: startTimer, main: true, control: true, watchdog: true},
	ReloadSignal:            {active: rel, timer: startTimer, main: true, control: true, watchdog: true},
	ReloadNotify:            {active: rel, timer: startTimer, main: true, control: true, watchdog: true},
	ReloadPost:              {active: rel, timer: startTimer, main: true, control: true, watchdog: true},
	Stop:                    {active: deac, timer: stopTimer, main: true, control: true},
	StopWatchdog:            {active: deac, timer: abortTimer, main: true, control: true},
	StopSigterm:             {active: deac, timer: stopTimer, main: true, control: true},
	StopSigkill:             {active: deac, timer: stopTimer, main: true, control: true},
	StopPost:                {active: deac, timer: stopTimer, main: true, control: true},
	FinalWatchdog:           {active: deac, timer: abortTimer, main: true, control: true},
	FinalSigterm:            {active: deac, timer: stopTimer, main: true, control: true},
	FinalSigkill:            {active: deac, timer: stopTimer, main: true, control: true},
	Failed:                  {active: machine.Failed, down: true},
	DeadBeforeAutoRestart:   {active: machine.Inactive, down: true},
	FailedBeforeAutoRestart: {active: machine.Failed, down: true},
	DeadResourcesPinned:     {active: machine.Inactive, down: true},
	AutoRestart:             {active: act, timer: restartTimer, down: true},
	AutoRestartQueued:       {active: act, down: true},
	Cleaning:                {active: machine.Maintenance, timer: cleanTimer},
}

// What follows the last rung of the ladder.
const (
	thenStopPost = "stop-post"
	thenDead     = "dead"
)

var ladder = control.Ladder{
	string(StopWatchdog):  {Op: control.Watchdog, Harder: string(StopSigkill), Then: thenStopPost},
	string(StopSigterm):   {Op: control.Terminate, Harder: string(StopSigkill), Then: thenStopPost},
	string(StopSigkill):   {Op: control.Final, Then: thenStopPost},
	string(FinalWatchdog): {Op: control.Watchdog, Harder: string(FinalSigkill), Then: thenDead},
	string(FinalSigterm):  {Op: control.Terminate, Harder: string(FinalSigkill), Then: thenDead},
	string(FinalSigkill):  {Op: control.Final, Then: thenDead},
}

// phaseState is the sub-state in which the commands of a phase run.
var phaseState = map[machine.Phase]SubState{
	machine.ExecCondition:  Condition,
	machine.ExecStartPre:   StartPre,
	machine.ExecStart:      Start,
	machine.ExecStartPost:  StartPost,
	machine.ExecReload:     Reload,
	machine.ExecReloadPost: ReloadPost,
	machine.ExecStop:       Stop,
	machine.ExecStopPost:   StopPost,

	machine.RefreshExtensions:  RefreshExtensions,
	machine.RefreshCredentials: RefreshCredentials,
}

// SubStates lists all sub-states, sorted by life cycle.
func SubStates() []SubState {
	return []SubState{
		Dead, Condition, StartPre, Start, StartPost, Running, Exited, RefreshExtensions, RefreshCredentials, Reload, ReloadSignal, ReloadNotify, ReloadPost,
		Stop, StopWatchdog, StopSigterm, StopSigkill, StopPost, FinalWatchdog, FinalSigterm, FinalSigkill, Failed,
		DeadBeforeAutoRestart, FailedBeforeAutoRestart, DeadResourcesPinned, AutoRestart, AutoRestartQueued, Cleaning,
	}
}

// ActiveStateOf maps a sub-state to the active state. idle: the service is of Type=idle.
func ActiveStateOf(sub SubState, idle bool) machine.ActiveState {
	f := states[sub]
	if idle && f.idle != "" {
		return f.idle
	}
	return f.active
}
