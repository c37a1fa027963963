package service

import (
	"strconv"
	"strings"

	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/machine"
)

// setMain makes pid the main process, unless it is the control process. It need not be a child of the manager: the shell is
// asked to watch it.
func (m *Machine) setMain(h machine.Host, pid int32) {
	s := &m.s
	if pid == s.ControlPID {
		h.Log(control.LogWarning, "", "New main PID "+strconv.Itoa(int(pid))+" is the control process, refusing.")
		return
	}
	if s.MainPID == pid {
		s.MainKnown = true
		return
	}
	m.dropMain(h)
	m.keepMainStatus()
	s.MainPID, s.MainKnown, s.MainWatched = pid, true, true
	h.Track(pid)
	h.Emit(machine.WatchPID{PID: pid})
	s.Main.Began(pid, h.Now())
	m.dirty = true
}

// keepMainStatus files the status of a command of ExecStart= before another process takes its place.
func (m *Machine) keepMainStatus() {
	if s := &m.s; s.MainIndex > 0 {
		s.History.Set(machine.ExecStart, s.MainIndex-1, s.Main)
		s.MainIndex = 0
	}
}

// forked goes on after ExecStart= of a forking service: who is the daemon?
func (m *Machine) forked(h machine.Host) {
	svc := h.Unit().GetService()
	switch {
	case svc.PIDFile != "":
		m.askSlowly(h, &Pending{Kind: askPIDFile, Then: thenStarted})
	case m.s.MainKnown || !svc.GuessMainPID:
		m.enterStartPost(h)
	default:
		m.askSlowly(h, &Pending{Kind: askGuess, Then: thenStarted})
	}
}

// posted goes on after ExecStartPost=.
func (m *Machine) posted(h machine.Host) {
	svc := h.Unit().GetService()
	switch {
	case svc.PIDFile != "":
		m.askSlowly(h, &Pending{Kind: askPIDFile, Then: thenPosted})
	case m.s.MainKnown || !svc.GuessMainPID:
		m.enterRunning(h, ResultSuccess)
	default:
		m.askSlowly(h, &Pending{Kind: askGuess, Then: thenPosted})
	}
}

// lookAgainForMain: a reload may have brought another main process.
func (m *Machine) lookAgainForMain(h machine.Host) {
	svc := h.Unit().GetService()
	switch {
	case svc.PIDFile != "":
		m.askSlowly(h, &Pending{Kind: askPIDFile, Then: thenReloaded})
	case !m.s.MainKnown && svc.GuessMainPID:
		m.askSlowly(h, &Pending{Kind: askGuess, Then: thenReloaded})
	}
}

// dropSlow gives up a slow query that means nothing in the sub-state just entered.
func (m *Machine) dropSlow(h machine.Host) {
	p := m.s.Slow
	if p == nil {
		return
	}
	keep := false
	switch p.Then {
	case thenStarted:
		keep = m.s.Sub == Start
	case thenPosted:
		keep = m.s.Sub == StartPost
	case thenReloaded, thenSucceeded:
		switch m.s.Sub {
		case StartPost, Running, RefreshExtensions, RefreshCredentials, Reload, ReloadSignal, ReloadNotify, ReloadPost:
			keep = true
		}
	default:
		keep = m.s.Sub == Cleaning
	}
	if !keep {
		h.Emit(machine.CancelQuery{Token: p.Token})
		m.s.Slow = nil
	}
}

func (m *Machine) pidFileRead(h machine.Host, p *Pending, e machine.PIDFileRead) {
	svc := h.Unit().GetService()
	found := e.PID > 0 && e.PID != m.s.ControlPID
	if !found && e.Message != "" && p.Then != thenSucceeded && !p.Watch && (p.Then != thenStarted || len(svc.ExecStartPost) == 0) {
		why := strings.TrimPrefix(e.Message, "can't open PID file "+svc.PIDFile+" (yet?): ")
		h.Log(control.LogNotice, "", "Can't open PID file '"+svc.PIDFile+"' (yet?) after "+string(m.s.Sub)+": "+why)
	}
	switch p.Then {
	case thenSucceeded:
		if found && e.PID != m.s.MainPID {
			h.Log(control.LogDebug, "", "Main PID changing: "+strconv.Itoa(int(m.s.MainPID))+" -> "+strconv.Itoa(int(e.PID)))
			m.setMain(h, e.PID)
			return
		}
		m.mainOver(h, p.Exit)
	case thenReloaded:
		if found {
			m.setMain(h, e.PID)
		}
	case thenStarted, thenPosted:
		switch {
		case found:
			m.setMain(h, e.PID)
			m.mainFound(h, p.Then)
		case p.Then == thenStarted && len(svc.ExecStartPost) > 0:
			// ExecStartPost= may write the file.
			m.mainFound(h, p.Then)
		case p.Watch:
			// Cannot be: there is no control process by now, and the query stays open until there is a file.
			m.pidFileMissing(h)
		default:
			m.askPIDFileWriters(h)
		}
	}
}

// askPIDFileWriters waits for the PID file if there is somebody who can write it.
func (m *Machine) askPIDFileWriters(h machine.Host) {
	if !m.s.Processes {
		m.pidFileMissing(h)
		return
	}
	m.askCgroup(h, thenPIDFile, ResultSuccess)
}

func (m *Machine) pidFileMissing(h machine.Host) {
	if m.s.Sub == Start {
		m.enterSignal(h, StopSigterm, ResultProtocol)
	} else {
		m.enterStop(h, ResultProtocol)
	}
}

func (m *Machine) mainPIDGuessed(h machine.Host, p *Pending, pid int32) {
	if pid > 0 && !m.s.MainKnown {
		h.Log(control.LogDebug, "", "Main PID guessed: "+strconv.Itoa(int(pid)))
		m.setMain(h, pid)
	}
	m.mainFound(h, p.Then)
}

func (m *Machine) mainFound(h machine.Host, then Then) {
	switch then {
	case thenStarted:
		m.enterStartPost(h)
	case thenPosted:
		m.enterRunning(h, ResultSuccess)
	}
}

// pidChecked decides on MAINPID= and goes on with the message. A process outside the unit is taken only from root.
func (m *Machine) pidChecked(h machine.Host, p *Pending, e machine.PIDChecked) {
	pid := *p.Notify.Msg.MainPID
	text := "New main PID " + strconv.Itoa(int(pid))
	switch {
	case e.Manager:
		h.Log(control.LogWarning, "", text+" is the manager, refusing.")
	case !e.Alive:
		h.Log(control.LogWarning, "", text+" does not exist or is a zombie.")
	case !e.InUnit && p.Notify.UID != 0:
		h.Log(control.LogWarning, "", text+" does not belong to service, refusing.")
	default:
		if !e.InUnit {
			h.Log(control.LogDebug, "", text+" does not belong to service, but we'll accept it as the request to change it came from a privileged process.")
		}
		m.setMain(h, pid)
	}
	m.heard(h, p.Notify)
}

func (m *Machine) cgroupChecked(h machine.Host, p *Pending, populated bool) {
	switch {
	case populated:
		// Leftovers of the previous activation: the cgroup is there, and what is in it can be signalled.
		m.realizeCgroup(h)
	case m.s.MainPID == 0 && m.s.ControlPID == 0:
		m.s.Processes = false
	}
	svc := h.Unit().GetService()
	switch p.Then {
	case thenPre:
		m.spawn(h, machine.SlotControl, machine.ExecStartPre, 0)
	case thenStart:
		k := h.Unit().GetKill()
		if populated && !k.SendSIGKILL && (k.KillMode == "mixed" || k.KillMode == "control-group") {
			h.Log(control.LogErr, "", "Will not start SendSIGKILL=no service of type KillMode=control-group or mixed while processes exist")
			m.enterSignal(h, StopSigterm, ResultResources)
			return
		}
		m.execStart(h)
	case thenRun:
		m.run(h, populated, p.Result)
	case thenReady:
		if !populated {
			m.enterStopPost(h, ResultProtocol)
		}
	case thenPIDFile:
		if !populated {
			m.pidFileMissing(h)
			return
		}
		then := thenStarted
		if m.s.Sub == StartPost {
			then = thenPosted
		}
		m.askSlowly(h, &Pending{Kind: askPIDFile, Then: then, Watch: true})
	case thenGone:
		switch {
		case !populated:
			m.mainGone(h, p.Result)
		case m.s.Sub == Start && !notifies(svc) && typeOf(svc) != typeDBus:
			// The program was executed, or there would be no other process; its children are the service now.
			m.enterStartPost(h)
		}
	}
}

// cgroupEmpty: the last process of the unit is gone. Exits of known processes say more, so this counts only where none is
// waited for. v255: service_notify_cgroup_empty_event
func (m *Machine) cgroupEmpty(h machine.Host) {
	if m.mainAlive() || m.controlAlive() {
		return
	}
	m.s.Processes, m.s.Leftovers = false, false
	svc := h.Unit().GetService()
	switch m.s.Sub {
	case Start:
		switch {
		case notifies(svc) && m.s.MainKnown:
			// Nobody is left who could say READY=1.
			m.enterStopPost(h, ResultProtocol)
		case svc.ExitType == "cgroup" && m.s.MainKnown:
			m.enterStartPost(h)
		case m.s.Slow != nil && m.s.Slow.Kind == askPIDFile:
			h.Log(control.LogWarning, "", "Daemon never wrote its PID file. Failing.")
			m.enterStopPost(h, ResultProtocol)
		}
	case StartPost:
		if m.s.Slow != nil && m.s.Slow.Kind == askPIDFile {
			h.Log(control.LogWarning, "", "Daemon never wrote its PID file. Failing.")
			m.enterStop(h, ResultProtocol)
		}
	case Running:
		m.enterRunning(h, ResultSuccess)
	case StopWatchdog, StopSigterm, StopSigkill:
		m.enterStopPost(h, ResultSuccess)
	case StopPost, FinalWatchdog, FinalSigterm, FinalSigkill:
		m.enterDead(h, ResultSuccess, true)
	case Dead, Failed, DeadResourcesPinned, DeadBeforeAutoRestart, FailedBeforeAutoRestart, AutoRestart, AutoRestartQueued, Exited:
		// What outlived the service is gone now: the cgroup can go, too.
		h.Emit(machine.ReleaseCgroup{Unit: h.Unit().Name})
	}
}
