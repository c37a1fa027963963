package swap

import (
	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/unit/value"
)

// Start switches the area on.
func (m *Machine) Start(h machine.Host) machine.Answer {
	switch m.s.Sub {
	case Active, ActivatingDone:
		return machine.Already
	case Activating:
		return machine.Accepted
	case Dead, Failed:
	default:
		return machine.Again
	}
	switch {
	case !m.supported:
		return machine.Unsupported
	case m.s.Spawning != 0:
		return machine.Accepted
	case h.Unit().GetSwap().What == "":
		h.Log(control.LogErr, "", "There is nothing to swap to: no unit file says what.")
		return machine.Refused
	}
	if !h.StartLimitOK() {
		m.enterDead(h, ResultStartLimit)
		return machine.StartLimit
	}
	h.NewInvocation()
	m.s.Result, m.s.History = "", nil
	m.spawn(h, machine.ExecActivate)
	return machine.Accepted
}

// Stop switches the area off.
func (m *Machine) Stop(h machine.Host) machine.Answer {
	if m.s.Spawning != 0 || m.s.Killing != 0 {
		return machine.Again
	}
	switch m.s.Sub {
	case Dead, Failed:
		return machine.Already
	case Active:
		if !m.supported {
			return machine.Unsupported
		}
		m.s.Result = ""
		m.spawn(h, machine.ExecDeactivate)
	case Activating, ActivatingDone:
		m.enterSignal(h, DeactivatingSigterm, ResultSuccess)
	case Cleaning:
		return machine.Again
	}
	return machine.Accepted
}

// Step takes an event of the unit.
func (m *Machine) Step(h machine.Host, ev machine.Event) {
	switch e := ev.(type) {
	case machine.Spawned:
		if e.Token == m.s.Spawning && e.Token != 0 {
			m.s.Spawning = 0
			m.spawned(h, e.PID)
		}
	case machine.SpawnFailed:
		if e.Token == m.s.Spawning && e.Token != 0 {
			m.s.Spawning = 0
			h.Log(control.LogWarning, "spawn-failed", "Failed to run '"+string(m.s.Phase)+"': "+e.Message)
			m.settle(h, ResultResources)
		}
	case machine.Killed:
		if e.Token == m.s.Killing && e.Token != 0 {
			m.s.Killing = 0
			m.killed(h, e.Left)
		}
	case machine.ProcessExited:
		if e.PID == m.s.ControlPID && e.PID != 0 {
			m.exited(h, e)
		}
	case machine.SwapChanged:
		m.tableChanged(h, e.Info)
	case machine.CgroupEmpty:
		if m.s.Sub == Dead || m.s.Sub == Failed {
			h.Emit(machine.ReleaseCgroup{Unit: h.Unit().Name})
		}
	case machine.OOMKill:
		control.LogOOM(h, e)
	case machine.DirectoriesRemoved:
		if e.Token == m.s.Removing && e.Token != 0 {
			m.cleaned(h, e.Message)
		}
	}
}

// spawn runs the program of a phase; the sub-state changes when it runs.
func (m *Machine) spawn(h machine.Host, phase machine.Phase) {
	u := h.Unit()
	if !m.s.Realized {
		m.s.Realized = true
		h.Emit(machine.RealizeCgroup{Unit: u.Name})
	}
	m.s.Phase = phase
	m.s.Spawning = h.Query(machine.Spawn{Unit: u.Name, Slot: machine.SlotControl, Phase: phase, Invocation: h.Invocation()})
}

func (m *Machine) spawned(h machine.Host, pid int32) {
	h.Track(pid)
	m.s.ControlPID = pid
	m.s.Timer.Arm(h.Now().Monotonic)
	var run control.Status
	run.Began(pid, h.Now())
	m.s.History.Set(m.s.Phase, 0, run)
	if m.s.Phase == machine.ExecDeactivate {
		m.setState(h, Deactivating)
		return
	}
	m.setState(h, Activating)
	if m.s.Kernel != nil {
		m.setState(h, ActivatingDone)
	}
}

// exited judges the end of a program by what the table says.
func (m *Machine) exited(h machine.Host, e machine.ProcessExited) {
	h.Forget(e.PID)
	phase := m.s.Phase
	m.s.ControlPID, m.s.Phase = 0, ""
	result := control.ResultOf(e.Exit, false, value.ExitStatusSet{})
	run := m.s.History.Get(phase, 0)
	run.Over(e.Exit, h.Now())
	m.s.History.Set(phase, 0, run)
	control.LogExit(h, "Swap process", string(phase), e.Exit, result == ResultSuccess)
	if m.s.Killing != 0 {
		h.Emit(machine.CancelQuery{Token: m.s.Killing})
		m.s.Killing = 0
	}
	m.s.Rung = ""
	switch m.s.Sub {
	case Activating, ActivatingDone:
		if result == ResultSuccess || m.s.Kernel != nil {
			m.enterActive(h, result)
			return
		}
		m.enterDead(h, result)
	case Deactivating, DeactivatingSigterm, DeactivatingSigkill:
		m.settle(h, result)
	}
}

// tableChanged follows the kernel.
func (m *Machine) tableChanged(h machine.Host, info *machine.SwapInfo) {
	before := m.s.Kernel
	m.s.Kernel = info
	if info == nil {
		switch {
		case m.s.Sub == Active && m.s.Spawning == 0:
			m.s.Result = "" // that an earlier swapoff(8) failed does not matter any more
			m.enterDead(h, ResultSuccess)
		case m.s.Sub == ActivatingDone:
			m.setState(h, Activating)
		case before != nil:
			h.PropertiesChanged()
		}
		return
	}
	switch m.s.Sub {
	case Dead, Failed:
		if m.s.Spawning != 0 {
			return
		}
		h.NewInvocation()
		m.s.Result, m.s.History = "", nil
		m.enterActive(h, ResultSuccess)
	case Activating:
		m.setState(h, ActivatingDone)
	default:
		if before == nil || *before != *info {
			h.PropertiesChanged()
		}
	}
}

// ResetFailed leaves the failed state.
func (m *Machine) ResetFailed(h machine.Host) {
	m.s.Result, m.s.CleanResult = "", ""
	if m.s.Sub == Failed {
		m.setState(h, Dead)
		return
	}
	h.PropertiesChanged()
}

// CatchUp takes up the work after a restart of the manager.
func (m *Machine) CatchUp(h machine.Host) {
	switch {
	case m.s.Spawning != 0:
		m.spawn(h, m.s.Phase)
	case m.s.Killing != 0:
		rung := m.s.Rung
		m.s.Killing, m.s.Rung = 0, ""
		m.enterSignal(h, rung, ResultSuccess)
	case m.s.Removing != 0:
		m.s.Removing = h.Query(machine.RemoveDirectories{Unit: h.Unit().Name, Kinds: m.s.CleanKinds})
	}
}
