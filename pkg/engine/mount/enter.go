package mount

import (
	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/unit"
)

func (m *Machine) fail(result string) {
	if m.s.Result == "" && result != ResultSuccess {
		m.s.Result = result
	}
}

func (m *Machine) setState(h machine.Host, sub SubState) {
	old := m.s.Sub
	m.s.Sub = sub
	if !HoldsProcess(sub) {
		m.s.Timer = control.Timer{}
	}
	h.StateChanged(active[old])
}

// settle goes where the mount table says.
func (m *Machine) settle(h machine.Host, result string) {
	if m.s.Kernel != nil {
		m.enterMounted(h, result)
		return
	}
	m.enterDead(h, result)
}

func (m *Machine) enterMounted(h machine.Host, result string) {
	m.fail(result)
	m.s.Phase = ""
	m.setState(h, Mounted)
}

func (m *Machine) enterDead(h machine.Host, result string) {
	m.fail(result)
	m.s.Phase = ""
	sub := Dead
	if m.s.Result != "" {
		h.Log(control.LogWarning, "unit-failure-result", "Failed with result '"+m.s.Result+"'.", "UNIT_RESULT="+m.s.Result)
		sub = Failed
	} else if m.s.Sub != Dead {
		h.Log(control.LogInfo, "unit-success", "Deactivated successfully.")
	}
	m.setState(h, sub)
	h.Emit(machine.ReleaseRuntime{Unit: h.Unit().Name})
	if m.s.Realized {
		m.s.Realized = false
		h.Emit(machine.ReleaseCgroup{Unit: h.Unit().Name})
	}
}

// enterSignal makes the program end.
func (m *Machine) enterSignal(h machine.Host, rung SubState, result string) {
	switch rung {
	case RemountingSigterm, RemountingSigkill:
		if m.s.ReloadResult == "" && result != ResultSuccess {
			m.s.ReloadResult = result
		}
	default:
		m.fail(result)
	}
	sub, kill, _, ok := ladder.Climb(h.Unit(), string(rung), "", control.Processes{Control: m.s.ControlPID, Cgroup: m.s.Realized})
	if !ok {
		m.settle(h, ResultSuccess)
		return
	}
	m.s.Rung = SubState(sub)
	m.s.Killing = h.Query(kill)
}

// killed goes on when the signal was sent, or found nobody.
func (m *Machine) killed(h machine.Host, left bool) {
	rung := m.s.Rung
	m.s.Rung = ""
	if left || m.s.ControlPID != 0 {
		m.s.Timer.Arm(h.Now().Monotonic)
		m.setState(h, rung)
		return
	}
	if next, _, more := ladder.Next(h.Unit(), string(rung)); more {
		m.enterSignal(h, SubState(next), ResultSuccess)
		return
	}
	m.settle(h, ResultSuccess)
}

// Expire handles the timeout that is due.
func (m *Machine) Expire(h machine.Host) {
	if m.Deadline(h.Unit()) > h.Now().Monotonic {
		return
	}
	hard := h.Unit().GetKill().SendSIGKILL
	switch m.s.Sub {
	case Mounting, MountingDone:
		h.Log(control.LogWarning, "", "Mounting timed out. Terminating.")
		m.enterSignal(h, UnmountingSigterm, ResultTimeout)
	case Remounting:
		h.Log(control.LogWarning, "", "Remounting timed out. Terminating remount process.")
		m.enterSignal(h, RemountingSigterm, ResultTimeout)
	case Unmounting:
		h.Log(control.LogWarning, "", "Unmounting timed out. Terminating.")
		m.enterSignal(h, UnmountingSigterm, ResultTimeout)
	case RemountingSigterm, UnmountingSigterm:
		next := SubState(ladder[string(m.s.Sub)].Harder)
		if hard {
			h.Log(control.LogWarning, "", "Mount process timed out. Killing.")
			m.enterSignal(h, next, ResultTimeout)
			return
		}
		h.Log(control.LogWarning, "", "Mount process timed out. Skipping SIGKILL. Ignoring.")
		m.giveUp(h)
	case RemountingSigkill, UnmountingSigkill:
		h.Log(control.LogWarning, "", "Mount process still around after SIGKILL. Ignoring.")
		m.giveUp(h)
	}
}

// giveUp leaves a program behind that can't be killed.
func (m *Machine) giveUp(h machine.Host) {
	if m.s.ControlPID != 0 {
		h.Forget(m.s.ControlPID)
		m.s.ControlPID = 0
	}
	if m.s.Sub == RemountingSigterm || m.s.Sub == RemountingSigkill {
		m.s.ReloadResult = ResultTimeout
		m.settle(h, ResultSuccess)
		return
	}
	m.settle(h, ResultTimeout)
}

// CanClean lists what Clean can remove.
func (m *Machine) CanClean(cfg *unit.Unit) []string { return control.DirectoryKinds(cfg) }

// Clean removes directories of a dead mount.
func (m *Machine) Clean(h machine.Host, mask []string) *machine.Error {
	if m.s.Sub != Dead || m.busy() {
		return control.ErrUnitBusy
	}
	kinds := control.WantedKinds(m.CanClean(h.Unit()), mask)
	if len(kinds) == 0 {
		return control.ErrNothingToClean
	}
	m.s.CleanKinds, m.s.CleanResult = kinds, ""
	m.s.Removing = h.Query(machine.RemoveDirectories{Unit: h.Unit().Name, Kinds: kinds})
	m.setState(h, Cleaning)
	return nil
}

func (m *Machine) cleaned(h machine.Host, problem string) {
	m.s.Removing, m.s.CleanKinds = 0, nil
	if problem != "" {
		m.s.CleanResult = ResultResources
	}
	if m.s.Kernel != nil {
		m.enterMounted(h, ResultSuccess)
		return
	}
	m.setState(h, Dead)
}
