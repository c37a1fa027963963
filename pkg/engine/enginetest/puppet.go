package enginetest

import (
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit"
)

// puppet is a service whose moves the test makes: a start job takes it to start and a stop job to stop, and there it
// stays until an event Notify with STATUS= says where to go. It has the reload and restart states that the engine
// looks at, and no processes.
type puppet struct{ s puppetState }

type puppetState struct {
	Sub    string `json:"sub"`
	Failed bool   `json:"failed,omitempty"` // the last reload
	Due    uint64 `json:"due,omitempty"`
}

// puppetStates maps sub-states to active states.
var puppetStates = map[string]machine.ActiveState{
	"dead": machine.Inactive, "failed": machine.Failed, "start": machine.Activating, "running": machine.Active,
	"reload": machine.Reloading, "stop": machine.Deactivating, "auto-restart": machine.Activating,
	"cleaning": machine.Maintenance,
}

// Puppets is the unit type service with machines that the test moves.
func Puppets() machine.Descriptor {
	return machine.Descriptor{
		Type: unit.TypeService, CanTransient: true, CanFail: true, CanStart: true, CanStop: true,
		New:      func() machine.Machine { return &puppet{puppetState{Sub: "dead"}} },
		Starting: "Starting %s...", Stopping: "Stopping %s...",
		Finished: map[job.Type]map[job.Result]string{},
	}
}

func (p *puppet) enter(h machine.Host, sub string) {
	old := p.ActiveState(nil)
	p.s.Sub = sub
	h.StateChanged(old)
}

func (p *puppet) Start(h machine.Host) machine.Answer {
	switch p.s.Sub {
	case "start":
		return machine.Accepted
	case "stop", "cleaning":
		return machine.Again
	}
	if !h.StartLimitOK() {
		p.enter(h, "failed")
		return machine.StartLimit
	}
	h.NewInvocation()
	p.enter(h, "start")
	return machine.Accepted
}

func (p *puppet) Stop(h machine.Host) machine.Answer {
	switch p.s.Sub {
	case "stop":
		return machine.Accepted
	case "auto-restart":
		p.enter(h, "dead")
		return machine.Accepted
	}
	p.enter(h, "stop")
	return machine.Accepted
}

func (p *puppet) Reload(h machine.Host) machine.Answer {
	p.enter(h, "reload")
	return machine.Accepted
}

func (p *puppet) Step(h machine.Host, ev machine.Event) {
	n, ok := ev.(machine.Notify)
	if !ok || n.Msg.Status == nil {
		return
	}
	to := *n.Msg.Status
	p.s.Failed = false
	if to == "reload-failed" {
		p.s.Failed, to = true, "running"
	}
	if to == "restart" {
		h.QueueRestart(job.RestartDependencies)
		return
	}
	if _, known := puppetStates[to]; known && to != p.s.Sub {
		p.enter(h, to)
	}
}

func (p *puppet) ReloadFailed() bool                         { return p.s.Failed }
func (p *puppet) Deadline(*unit.Unit) uint64                 { return machine.Never }
func (p *puppet) Expire(machine.Host)                        {}
func (p *puppet) SubState() string                           { return p.s.Sub }
func (p *puppet) CanReload(u *unit.Unit) bool                { return u.Unit.Description != "no reload" }
func (p *puppet) Held() bool                                 { return false }
func (p *puppet) PIDs() (main, control int32)                { return 0, 0 }
func (p *puppet) CatchUp(machine.Host)                       {}
func (p *puppet) Data() any                                  { return &p.s }
func (p *puppet) ActiveState(*unit.Unit) machine.ActiveState { return puppetStates[p.s.Sub] }

func (p *puppet) Result() string {
	if p.s.Sub == "failed" {
		return "exit-code"
	}
	return "success"
}

func (p *puppet) ResetFailed(h machine.Host) {
	if p.s.Sub == "failed" {
		p.enter(h, "dead")
	}
}
