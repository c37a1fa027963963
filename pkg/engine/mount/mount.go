package mount

import (
	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit/value"
)

// retriesMax bounds how often umount(8) is run again for mounts that lie on top of each other.
const retriesMax = 32

// busy reports whether an answer is awaited without which nothing can go on.
func (m *Machine) busy() bool { return m.s.Preparing != 0 || m.s.Spawning != 0 || m.s.Killing != 0 }

// Start mounts.
func (m *Machine) Start(h machine.Host) machine.Answer {
	switch m.s.Sub {
	case Mounted:
		return machine.Already
	case Mounting, MountingDone:
		return machine.Accepted
	case Dead, Failed:
	default:
		return machine.Again
	}
	if m.s.Preparing != 0 || m.s.Spawning != 0 {
		return machine.Accepted
	}
	if h.Unit().GetMount().What == "" {
		h.Log(control.LogErr, "", "There is nothing to mount: no unit file says what.")
		return machine.Refused
	}
	if !h.StartLimitOK() {
		m.enterDead(h, ResultStartLimit)
		return machine.StartLimit
	}
	h.NewInvocation()
	m.forget()
	m.s.Preparing = h.Query(machine.PrepareMount{Unit: h.Unit().Name})
	return machine.Accepted
}

// forget begins a new activation.
func (m *Machine) forget() {
	m.s.Result, m.s.ReloadResult, m.s.Retries, m.s.History = "", "", 0, nil
}

// Stop unmounts.
func (m *Machine) Stop(h machine.Host) machine.Answer {
	if m.busy() {
		return machine.Again
	}
	switch m.s.Sub {
	case Dead, Failed:
		return machine.Already
	case Mounted:
		m.s.Result, m.s.Retries = "", 0
		m.spawn(h, machine.ExecUnmount)
	case Mounting, MountingDone:
		m.enterSignal(h, UnmountingSigterm, ResultSuccess)
	case Remounting:
		m.enterSignal(h, RemountingSigterm, ResultSuccess)
		return machine.Again
	case RemountingSigterm:
		m.enterSignal(h, RemountingSigkill, ResultSuccess)
		return machine.Again
	case RemountingSigkill, Cleaning:
		return machine.Again
	}
	return machine.Accepted
}

// Reload mounts again with the options of the unit.
func (m *Machine) Reload(h machine.Host) machine.Answer {
	if m.s.Sub != Mounted || m.busy() {
		return machine.Again
	}
	m.s.ReloadResult = ""
	m.spawn(h, machine.ExecRemount)
	return machine.Accepted
}

// Step takes an event of the unit.
func (m *Machine) Step(h machine.Host, ev machine.Event) {
	switch e := ev.(type) {
	case machine.MountPrepared:
		if e.Token == m.s.Preparing && e.Token != 0 {
			m.s.Preparing = 0
			m.prepared(h, e.Message)
		}
	case machine.Spawned:
		if e.Token == m.s.Spawning && e.Token != 0 {
			m.s.Spawning = 0
			m.spawned(h, e.PID)
		}
	case machine.SpawnFailed:
		if e.Token == m.s.Spawning && e.Token != 0 {
			m.s.Spawning = 0
			m.spawnFailed(h, e)
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
	case machine.MountChanged:
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

func (m *Machine) prepared(h machine.Host, problem string) {
	if t, _ := h.Job(); t != job.Start {
		return // the start was given up meanwhile
	}
	if problem != "" {
		h.Log(control.LogErr, "", problem)
		m.enterDead(h, ResultResources)
		return
	}
	m.spawn(h, machine.ExecMount)
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

var phaseState = map[machine.Phase]SubState{
	machine.ExecMount: Mounting, machine.ExecUnmount: Unmounting, machine.ExecRemount: Remounting,
}

func (m *Machine) spawned(h machine.Host, pid int32) {
	h.Track(pid)
	m.s.ControlPID = pid
	m.s.Timer.Arm(h.Now().Monotonic)
	var run control.Status
	run.Began(pid, h.Now())
	m.s.History.Set(m.s.Phase, 0, run)
	m.setState(h, phaseState[m.s.Phase])
}

func (m *Machine) spawnFailed(h machine.Host, e machine.SpawnFailed) {
	h.Log(control.LogWarning, "spawn-failed", "Failed to run '"+string(m.s.Phase)+"': "+e.Message)
	phase := m.s.Phase
	m.s.Phase = ""
	if phase == machine.ExecRemount {
		m.s.ReloadResult = ResultResources
		// The job waits for a state change, although nothing has changed.
		m.setState(h, Mounted)
		return
	}
	if phase == machine.ExecUnmount {
		m.enterMounted(h, ResultResources)
		return
	}
	m.settle(h, ResultResources)
}

// exited judges the end of a program.
func (m *Machine) exited(h machine.Host, e machine.ProcessExited) {
	h.Forget(e.PID)
	phase := m.s.Phase
	m.s.ControlPID, m.s.Phase = 0, ""
	result := control.ResultOf(e.Exit, false, value.ExitStatusSet{})
	run := m.s.History.Get(phase, 0)
	run.Over(e.Exit, h.Now())
	m.s.History.Set(phase, 0, run)
	control.LogExit(h, "Mount process", string(phase), e.Exit, result == ResultSuccess)
	if m.s.Killing != 0 {
		// The rung that was about to be taken is not needed any more; the answer comes and finds nobody.
		h.Emit(machine.CancelQuery{Token: m.s.Killing})
		m.s.Killing = 0
	}
	m.s.Rung = ""
	switch m.s.Sub {
	case Mounting:
		if result == ResultSuccess {
			h.Log(control.LogErr, "", "Mount process finished, but there is no mount.")
			result = ResultProtocol
		}
		m.enterDead(h, result)
	case MountingDone:
		m.enterMounted(h, result)
	case Remounting, RemountingSigterm, RemountingSigkill:
		if m.s.ReloadResult == "" && result != ResultSuccess {
			m.s.ReloadResult = result
		}
		m.settle(h, ResultSuccess)
	case Unmounting:
		m.unmounted(h, result)
	case UnmountingSigterm, UnmountingSigkill:
		m.settle(h, result)
	}
}

// unmounted goes on after umount(8): several mounts may lie on top of each other.
func (m *Machine) unmounted(h machine.Host, result string) {
	switch {
	case result != ResultSuccess || m.s.Kernel == nil:
		m.settle(h, result)
	case m.s.Retries < retriesMax:
		m.s.Retries++
		h.Log(control.LogDebug, "", "Another mount is below, unmounting that as well.")
		m.spawn(h, machine.ExecUnmount)
	default:
		h.Log(control.LogWarning, "", "Still mounted after 32 attempts to unmount, giving up.")
		m.enterMounted(h, result)
	}
}

// tableChanged follows the kernel.
func (m *Machine) tableChanged(h machine.Host, info *machine.MountInfo) {
	before := m.s.Kernel
	m.s.Kernel = info
	if info == nil {
		switch {
		case h.Unit().Perpetual:
		case m.s.Sub == Mounted && m.s.Spawning == 0:
			m.s.Result = "" // that an earlier umount(8) failed does not matter any more
			m.enterDead(h, ResultSuccess)
		case m.s.Sub == MountingDone:
			// Some helpers take back what they have mounted when they fail late; the exit decides.
			m.setState(h, Mounting)
		case before != nil:
			h.PropertiesChanged()
		}
		return
	}
	switch m.s.Sub {
	case Dead, Failed:
		if m.s.Spawning != 0 {
			return // the program that did it is about to be known
		}
		if m.s.Preparing != 0 {
			h.Emit(machine.CancelQuery{Token: m.s.Preparing})
			m.s.Preparing = 0
		} else {
			h.NewInvocation()
		}
		m.forget()
		m.enterMounted(h, ResultSuccess)
	case Mounting:
		m.setState(h, MountingDone)
	default:
		if before == nil || *before != *info {
			h.PropertiesChanged()
		}
	}
}

// ResetFailed leaves the failed state.
func (m *Machine) ResetFailed(h machine.Host) {
	m.s.Result, m.s.ReloadResult, m.s.CleanResult = "", "", ""
	if m.s.Sub == Failed {
		m.setState(h, Dead)
		return
	}
	h.PropertiesChanged()
}

// CatchUp takes up the work after a restart of the manager.
func (m *Machine) CatchUp(h machine.Host) {
	u := h.Unit().Name
	switch {
	case m.s.Preparing != 0:
		m.s.Preparing = h.Query(machine.PrepareMount{Unit: u})
	case m.s.Spawning != 0:
		m.spawn(h, m.s.Phase)
	case m.s.Killing != 0:
		rung := m.s.Rung
		m.s.Killing, m.s.Rung = 0, ""
		m.enterSignal(h, rung, ResultSuccess)
	case m.s.Removing != 0:
		m.s.Removing = h.Query(machine.RemoveDirectories{Unit: u, Kinds: m.s.CleanKinds})
	}
}
