package socket

import (
	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/machine"
)

// SubState is the state in the words of systemctl(1).
type SubState string

// Sub-states.
const (
	Dead           SubState = "dead"
	StartPre       SubState = "start-pre"
	StartOpen      SubState = "start-open"
	StartChown     SubState = "start-chown"
	StartPost      SubState = "start-post"
	Listening      SubState = "listening"
	Deferred       SubState = "deferred"
	Running        SubState = "running"
	StopPre        SubState = "stop-pre"
	StopPreSigterm SubState = "stop-pre-sigterm"
	StopPreSigkill SubState = "stop-pre-sigkill"
	StopPost       SubState = "stop-post"
	FinalSigterm   SubState = "final-sigterm"
	FinalSigkill   SubState = "final-sigkill"
	Failed         SubState = "failed"
	Cleaning       SubState = "cleaning"
)

// facts are what holds in a sub-state.
type facts struct {
	active  machine.ActiveState
	timer   bool // TimeoutSec= runs (TimeoutCleanSec= in cleaning)
	control bool // may have a control process
	ports   bool // may have open listeners
}

// states has one row per sub-state.
var states = map[SubState]facts{
	Dead:           {active: machine.Inactive},
	StartPre:       {active: machine.Activating, timer: true, control: true},
	StartOpen:      {active: machine.Activating, timer: true},
	StartChown:     {active: machine.Activating, timer: true, ports: true},
	StartPost:      {active: machine.Activating, timer: true, control: true, ports: true},
	Listening:      {active: machine.Active, ports: true},
	Deferred:       {active: machine.Active, ports: true},
	Running:        {active: machine.Active, ports: true},
	StopPre:        {active: machine.Deactivating, timer: true, control: true, ports: true},
	StopPreSigterm: {active: machine.Deactivating, timer: true, control: true, ports: true},
	StopPreSigkill: {active: machine.Deactivating, timer: true, control: true, ports: true},
	StopPost:       {active: machine.Deactivating, timer: true, control: true},
	FinalSigterm:   {active: machine.Deactivating, timer: true, control: true},
	FinalSigkill:   {active: machine.Deactivating, timer: true, control: true},
	Failed:         {active: machine.Failed},
	Cleaning:       {active: machine.Maintenance, timer: true},
}

// What follows the last rung of the ladder.
const (
	thenStopPost = "stop-post"
	thenDead     = "dead"
)

var ladder = control.Ladder{
	string(StopPreSigterm): {Op: control.Terminate, Harder: string(StopPreSigkill), Then: thenStopPost},
	string(StopPreSigkill): {Op: control.Final, Then: thenStopPost},
	string(FinalSigterm):   {Op: control.Terminate, Harder: string(FinalSigkill), Then: thenDead},
	string(FinalSigkill):   {Op: control.Final, Then: thenDead},
}

// phaseState is the sub-state in which the commands of a phase run.
var phaseState = map[machine.Phase]SubState{
	machine.ExecStartPre:  StartPre,
	machine.ExecStartPost: StartPost,
	machine.ExecStopPre:   StopPre,
	machine.ExecStopPost:  StopPost,
}

// SubStates lists all sub-states, sorted by life cycle.
func SubStates() []SubState {
	return []SubState{
		Dead, StartPre, StartOpen, StartChown, StartPost, Listening, Deferred, Running, StopPre, StopPreSigterm, StopPreSigkill,
		StopPost, FinalSigterm, FinalSigkill, Failed, Cleaning,
	}
}

// ActiveStateOf maps a sub-state to the active state.
func ActiveStateOf(sub SubState) machine.ActiveState { return states[sub].active }
