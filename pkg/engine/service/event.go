package service

import (
	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/machine"
)

// oomKilled acts by OOMPolicy=. v255: service_notify_cgroup_oom_event
func (m *Machine) oomKilled(h machine.Host, e machine.OOMKill) {
	control.LogOOM(h, e)
	policy := h.Unit().GetService().OOMPolicy
	if policy != "stop" && policy != "kill" {
		return
	}
	switch m.s.Sub {
	case Condition, StartPre, Start, StartPost, Stop:
		if policy == "stop" {
			m.enterSignal(h, StopSigterm, ResultOOMKill)
		} else {
			m.enterSignal(h, StopSigkill, ResultOOMKill)
		}
	case Running, Exited, RefreshExtensions, RefreshCredentials, Reload, ReloadSignal, ReloadNotify, ReloadPost:
		if policy == "stop" {
			m.enterStop(h, ResultOOMKill)
		} else {
			m.enterSignal(h, StopSigkill, ResultOOMKill)
		}
	case StopWatchdog, StopSigterm:
		m.enterSignal(h, StopSigkill, ResultOOMKill)
	case StopPost, FinalWatchdog, FinalSigterm:
		m.enterSignal(h, FinalSigkill, ResultOOMKill)
	case StopSigkill, FinalSigkill:
		m.s.fail(ResultOOMKill)
	}
}

func (m *Machine) watchBusName(h machine.Host) {
	name := h.Unit().GetService().BusName
	if name == m.s.BusNameWatched {
		return
	}
	m.unwatchBusName(h)
	if name != "" {
		m.s.BusNameWatched = name
		h.Emit(machine.WatchName{Name: name})
	}
}

func (m *Machine) unwatchBusName(h machine.Host) {
	if name := m.s.BusNameWatched; name != "" {
		m.s.BusNameWatched, m.s.BusNameOwner = "", ""
		h.Emit(machine.UnwatchName{Name: name})
	}
}

// nameOwnerChanged: the bus name of the service has got or lost its owner. v255: service_bus_name_owner_change
func (m *Machine) nameOwnerChanged(h machine.Host, e machine.NameOwnerChanged) {
	svc := h.Unit().GetService()
	if m.s.BusNameWatched == "" || e.Bus != m.s.BusNameWatched {
		return
	}
	s := &m.s
	s.BusNameOwner = e.New
	switch {
	case typeOf(svc) == typeDBus:
		switch {
		case s.Sub == Running:
			m.enterRunning(h, ResultSuccess)
		case s.Sub == Start && e.New != "":
			m.enterStartPost(h)
		}
	case e.New != "" && e.PID > 0 && !s.MainKnown && m.mainMayChange():
		// The owner of the name is as good a guess at the main process as any.
		m.setMain(h, e.PID)
	}
}
