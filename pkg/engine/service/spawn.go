package service

import (
	"strconv"
	"strings"

	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
)

// restarting reports whether the unit's job is a restart (RestartKillSignal=).
func restarting(h machine.Host) bool {
	t, _ := h.Job()
	return t == job.Restart
}

// ask emits the query of p.
func (m *Machine) ask(h machine.Host, p *Pending) {
	m.s.Pending = p
	p.Token = h.Query(m.question(h, p))
}

// askSlowly emits a query whose answer may take its time.
func (m *Machine) askSlowly(h machine.Host, p *Pending) {
	if m.s.Slow != nil {
		h.Emit(machine.CancelQuery{Token: m.s.Slow.Token})
	}
	m.s.Slow = p
	p.Token = h.Query(m.question(h, p))
}

func (m *Machine) askCgroup(h machine.Host, then Then, result string) {
	m.ask(h, &Pending{Kind: askCgroup, Then: then, Result: result})
}

// question is the effect that asks p; the token is left to the host.
func (m *Machine) question(h machine.Host, p *Pending) machine.Effect {
	name := h.Unit().Name
	switch p.Kind {
	case askSpawn:
		return m.spawnEffect(h, p)
	case askKill:
		return *p.Kill
	case askCgroup:
		return machine.CheckCgroup{Unit: name, Leftovers: p.Then == thenPre || p.Then == thenStart}
	case askPID:
		return machine.CheckPID{Unit: name, PID: *p.Notify.Msg.MainPID}
	case askGuess:
		return machine.GuessMainPID{Unit: name}
	case askPIDFile:
		return machine.ReadPIDFile{Unit: name, Path: h.Unit().GetService().PIDFile, Watch: p.Watch}
	default: // askClean
		return machine.RemoveDirectories{Unit: name, Kinds: p.Kinds}
	}
}

// spawn asks for a process; the sub-state of its phase is entered when it exists.
func (m *Machine) spawn(h machine.Host, slot machine.Slot, phase machine.Phase, index int) {
	m.realizeCgroup(h)
	if index == 0 {
		m.s.History.Drop(phase)
	}
	m.ask(h, &Pending{Kind: askSpawn, Slot: slot, Phase: phase, Index: index})
}

func (m *Machine) spawnEffect(h machine.Host, p *Pending) machine.Effect {
	cfg := h.Unit()
	svc := cfg.GetService()
	sp := machine.Spawn{
		Unit:       cfg.Name,
		Slot:       p.Slot,
		Phase:      p.Phase,
		Index:      p.Index,
		Env:        m.environment(h, p),
		Invocation: h.Invocation(),
	}
	if p.Phase == machine.ExecStart || usesSocket(cfg) {
		sp.FDs = m.sockets(h)
	}
	if m.s.Given != nil {
		sp.Stdio = m.s.Given.Stdio
	}
	if p.Phase == machine.ExecStart {
		for _, fd := range m.s.Store {
			sp.FDs = append(sp.FDs, machine.FD{Handle: fd.Handle, Name: fd.Name, Stored: true})
		}
		if m.s.Given != nil {
			for _, fd := range m.s.Given.Extra {
				sp.FDs = append(sp.FDs, machine.FD{Handle: fd.Handle, Name: fd.Name, Stored: true})
			}
		}
		sp.ExecNotice = typeOf(svc) == typeExec
		sp.Idle = typeOf(svc) == typeIdle
		sp.WatchdogUSec = m.watchdogUSec(svc)
	} else {
		sp.MainPID = m.s.MainPID
	}
	return sp
}

// environment is what a command gets beyond the configuration.
func (m *Machine) environment(h machine.Host, p *Pending) []string {
	var env []string
	svc := h.Unit().GetService()
	if p.Slot == machine.SlotControl && m.s.MainPID != 0 {
		env = append(env, "MAINPID="+strconv.Itoa(int(m.s.MainPID)))
	}
	if svc.PIDFile != "" {
		env = append(env, "PIDFILE="+svc.PIDFile)
	}
	switch p.Phase {
	case machine.ExecStop, machine.ExecStopPost:
		env = append(env, control.ResultEnv(m.s.ResultName(), m.s.Main)...)
	}
	monitor := p.Phase == machine.ExecStartPre || p.Phase == machine.ExecStart
	for _, v := range h.TriggerEnv() {
		// MONITOR_… is for those who start by OnFailure= and look at what failed; TRIGGER_… is for all.
		if monitor || !strings.HasPrefix(v, "MONITOR_") {
			env = append(env, v)
		}
	}
	if m.s.Conn != nil {
		env = append(env, m.s.Conn.Env...)
	}
	if m.s.DebugNext {
		env = append(env, "DEBUG_INVOCATION=1")
	}
	return env
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
		if e, ok := ev.(machine.PIDFileRead); ok && p.Watch && e.PID <= 0 {
			return nil // not there yet: the query stays open
		}
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
	case machine.CgroupChecked:
		m.cgroupChecked(h, p, e.Populated)
	case machine.PIDChecked:
		m.pidChecked(h, p, e)
	case machine.PIDFileRead:
		m.pidFileRead(h, p, e)
	case machine.MainPIDGuessed:
		m.mainPIDGuessed(h, p, e.PID)
	case machine.DirectoriesRemoved:
		m.cleaned(h, e.Message)
	}
}

// spawned records the process and enters the sub-state of its phase.
func (m *Machine) spawned(h machine.Host, p *Pending, pid int32) {
	s := &m.s
	now := h.Now()
	s.Processes = true
	if pid != 0 {
		h.Track(pid)
	}
	if p.Slot == machine.SlotMain {
		m.keepMainStatus()
		s.MainPID, s.MainKnown, s.MainWatched, s.MainIndex = pid, true, false, p.Index+1
		s.Main.Began(pid, now)
	} else {
		s.ControlPID, s.ControlPhase, s.ControlIndex = pid, p.Phase, p.Index
		var st control.Status
		st.Began(pid, now)
		s.History.Set(p.Phase, p.Index, st)
	}
	s.Timer.Arm(now.Monotonic)
	m.dirty = true
	if p.Index > 0 {
		return
	}
	if p.Phase == machine.ExecStart && p.Slot == machine.SlotMain {
		switch typeOf(h.Unit().GetService()) {
		case typeSimple, typeIdle:
			m.enterStartPost(h)
			return
		}
	}
	m.setState(h, phaseState[p.Phase])
}

// spawnFailed handles a process that could not be made, or that failed before execve without having been seen.
func (m *Machine) spawnFailed(h machine.Host, p *Pending, e machine.SpawnFailed) {
	if e.Status > 0 && !e.Limits {
		// The failure of one of its own steps counts as an exit with that status, as if the process had lived a moment.
		if e.Message != "" {
			h.Log(control.LogErr, "spawn-failed", e.Message)
		}
		m.s.Owed = &Owed{Slot: p.Slot, Exit: machine.Exit{Code: machine.CodeExited, Status: e.Status}}
		m.spawned(h, p, 0)
		return
	}
	task := "'" + control.TaskName(p.Phase) + "' task"
	switch {
	case p.Index > 0 && p.Slot == machine.SlotMain:
		task = "next main task"
	case p.Index > 0:
		task = "next control task"
	}
	h.Log(control.LogWarning, "", "Failed to spawn "+task+": "+e.Message)
	m.spawnRefused(h, p)
}

func (m *Machine) spawnRefused(h machine.Host, p *Pending) {
	next := p.Index > 0
	switch p.Phase {
	case machine.ExecCondition, machine.ExecStartPre:
		if next {
			m.enterSignal(h, StopSigterm, ResultResources)
		} else {
			m.enterDead(h, ResultResources, true)
		}
	case machine.ExecStart:
		if next {
			m.enterStop(h, ResultResources)
		} else {
			m.enterSignal(h, StopSigterm, ResultResources)
		}
	case machine.ExecStartPost:
		if next {
			m.enterSignal(h, StopSigterm, ResultResources)
		} else {
			m.enterStop(h, ResultResources)
		}
	case machine.RefreshExtensions, machine.RefreshCredentials, machine.ExecReload, machine.ExecReloadPost:
		m.s.ReloadResult = ResultResources
		m.enterRunning(h, ResultSuccess)
	case machine.ExecStop:
		m.enterSignal(h, StopSigterm, ResultResources)
	case machine.ExecStopPost:
		if next {
			m.enterDead(h, ResultResources, true)
		} else {
			m.enterSignal(h, FinalSigterm, ResultResources)
		}
	}
}

// payOwed delivers the end of a process that failed before it was seen, once the step that its start began is over.
func (m *Machine) payOwed(h machine.Host) {
	for m.s.Owed != nil && m.s.Pending == nil {
		owed := *m.s.Owed
		m.s.Owed = nil
		if owed.Slot == machine.SlotMain {
			m.mainExited(h, owed.Exit)
		} else {
			m.controlExited(h, owed.Exit)
		}
	}
	if m.s.Trigger && m.s.Pending == nil {
		m.s.Trigger = false
		m.forceWatchdog(h)
	}
}
