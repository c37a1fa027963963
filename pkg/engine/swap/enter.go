package swap

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

// settle goes where the table of swap areas says.
func (m *Machine) settle(h machine.Host, result string) {
	if m.s.Kernel != nil {
		m.enterActive(h, result)
		return
	}
	m.enterDead(h, result)
}

func (m *Machine) enterActive(h machine.Host, result string) {
	m.fail(result)
	m.s.Phase = ""
	m.setState(h, Active)
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
	m.fail(result)
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
	switch m.s.Sub {
	case Activating, ActivatingDone:
		h.Log(control.LogWarning, "", "Activation timed out. Stopping.")
		m.enterSignal(h, DeactivatingSigterm, ResultTimeout)
	case Deactivating:
		h.Log(control.LogWarning, "", "Deactivation timed out. Stopping.")
		m.enterSignal(h, DeactivatingSigterm, ResultTimeout)
	case DeactivatingSigterm:
		if h.Unit().GetKill().SendSIGKILL {
			h.Log(control.LogWarning, "", "Swap process timed out. Killing.")
			m.enterSignal(h, DeactivatingSigkill, ResultTimeout)
			return
		}
		h.Log(control.LogWarning, "", "Swap process timed out. Skipping SIGKILL. Ignoring.")
		m.giveUp(h)
	case DeactivatingSigkill:
		h.Log(control.LogWarning, "", "Swap process still around after SIGKILL. Ignoring.")
		m.giveUp(h)
	}
}

// giveUp leaves a program behind that can't be killed.
func (m *Machine) giveUp(h machine.Host) {
	if m.s.ControlPID != 0 {
		h.Forget(m.s.ControlPID)
		m.s.ControlPID = 0
	}
	m.settle(h, ResultTimeout)
}

// CanClean lists what Clean can remove.
func (m *Machine) CanClean(cfg *unit.Unit) []string { return control.DirectoryKinds(cfg) }

// Clean removes directories of a dead swap.
func (m *Machine) Clean(h machine.Host, mask []string) *machine.Error {
	if m.s.Sub != Dead || m.s.Spawning != 0 {
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
		m.enterActive(h, ResultSuccess)
		return
	}
	m.setState(h, Dead)
}
