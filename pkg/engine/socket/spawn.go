package socket

import (
	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/unit/value"
)

// ask emits the query of p, which is answered before anything else happens.
func (m *Machine) ask(h machine.Host, p *Pending) {
	m.s.Pending = p
	p.Token = h.Query(m.question(h, p))
}

// askSlowly emits a query whose answer may take its time.
func (m *Machine) askSlowly(h machine.Host, p *Pending) {
	m.dropSlow(h)
	m.s.Slow = p
	p.Token = h.Query(m.question(h, p))
}

// question is the effect that asks p; the token is left to the host.
func (m *Machine) question(h machine.Host, p *Pending) machine.Effect {
	name := h.Unit().Name
	switch p.Kind {
	case askSpawn:
		sp := machine.Spawn{Unit: name, Slot: machine.SlotControl, Phase: p.Phase, Index: p.Index, Invocation: h.Invocation()}
		if h.Unit().GetSocket().PassFileDescriptorsToExec && p.Phase != machine.ExecStartPre {
			sp.FDs = m.ListenFDs(h.Unit())
		}
		return sp
	case askKill:
		return *p.Kill
	case askOpen:
		return machine.OpenSockets{Unit: name}
	case askChown:
		return machine.ChownSockets{Unit: name}
	case askClose:
		return machine.CloseSockets{Unit: name, Ports: p.Ports}
	default: // askClean
		return machine.RemoveDirectories{Unit: name, Kinds: p.Kinds}
	}
}

// answered gives the query that ev answers and closes it; nil if ev is no answer to an open query.
func (m *Machine) answered(ev machine.Event) *Pending {
	token := machine.AnswerToken(ev)
	if token == 0 {
		return nil
	}
	if p := m.s.Pending; p != nil && p.Token == token {
		m.s.Pending = nil
		return p
	}
	if p := m.s.Slow; p != nil && p.Token == token {
		m.s.Slow = nil
		return p
	}
	return nil
}

func (m *Machine) answer(h machine.Host, p *Pending, ev machine.Event) {
	switch e := ev.(type) {
	case machine.Spawned:
		m.spawned(h, p, e.PID)
	case machine.SpawnFailed:
		m.spawnFailed(h, p, e)
	case machine.Killed:
		m.killed(h, p, e.Left)
	case machine.SocketsOpened:
		m.opened(h, e)
	case machine.SocketsChowned:
		m.chowned(h, e.Message)
	case machine.SocketsClosed:
		m.enterStopPost(h, ResultSuccess)
	case machine.DirectoriesRemoved:
		m.cleaned(h, e.Message)
	}
}

// spawn asks for a process; the sub-state of its phase is entered when it exists.
func (m *Machine) spawn(h machine.Host, phase machine.Phase, index int) {
	if !m.s.Realized {
		m.s.Realized = true
		h.Emit(machine.RealizeCgroup{Unit: h.Unit().Name})
	}
	if index == 0 {
		m.s.History.Drop(phase)
	}
	m.dropControl(h)
	m.ask(h, &Pending{Kind: askSpawn, Phase: phase, Index: index})
}

// spawned records the process and enters the sub-state of its phase.
func (m *Machine) spawned(h machine.Host, p *Pending, pid int32) {
	s := &m.s
	now := h.Now()
	s.Processes = true
	h.Track(pid)
	s.ControlPID, s.ControlPhase, s.ControlIndex = pid, p.Phase, p.Index
	var st control.Status
	st.Began(pid, now)
	s.History.Set(p.Phase, p.Index, st)
	m.dirty = true
	s.Timer.Arm(now.Monotonic)
	if p.Index == 0 {
		m.setState(h, phaseState[p.Phase])
	}
}

// spawnFailed handles a process that could not be made.
func (m *Machine) spawnFailed(h machine.Host, p *Pending, e machine.SpawnFailed) {
	h.Log(control.LogWarning, "spawn-failed", "Failed to spawn '"+control.TaskName(p.Phase)+"' task: "+e.Message)
	result := ResultResources
	if !e.Limits && e.Status > 0 {
		result = ResultExitCode
	}
	switch p.Phase {
	case machine.ExecStartPre:
		m.enterDead(h, result)
	case machine.ExecStartPost:
		m.enterStopPre(h, result)
	case machine.ExecStopPre:
		m.enterClose(h, result)
	default:
		m.enterSignal(h, FinalSigterm, result)
	}
}

// controlExited handles the end of the control process. v255: socket_sigchld_event
func (m *Machine) controlExited(h machine.Host, e machine.Exit) {
	s := &m.s
	phase, index := s.ControlPhase, s.ControlIndex
	list := Commands(h.Unit().GetSocket(), phase)
	result := control.ResultOf(e, false, value.ExitStatusSet{})
	st := s.History.Get(phase, index)
	st.Over(e, h.Now())
	s.History.Set(phase, index, st)
	if control.Ignored(list, index) {
		result = ResultSuccess
	}
	control.LogExit(h, "Control process", string(phase), e, result == ResultSuccess)
	s.fail(result)
	m.dropControl(h)
	m.dirty = true
	if index+1 < len(list) && result == ResultSuccess && s.Sub == phaseState[phase] {
		m.spawn(h, phase, index+1)
		return
	}
	ok := result == ResultSuccess
	switch s.Sub {
	case StartPre:
		if ok {
			m.enterStartOpen(h)
		} else {
			m.enterSignal(h, FinalSigterm, result)
		}
	case StartPost:
		if ok {
			m.enterListening(h)
		} else {
			m.enterStopPre(h, result)
		}
	case StopPre, StopPreSigterm, StopPreSigkill:
		m.enterClose(h, result)
	case StopPost, FinalSigterm, FinalSigkill:
		m.enterDead(h, result)
	}
}
