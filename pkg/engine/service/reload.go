package service

import (
	"slices"

	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// refreshes are the phases in which a reload makes anew what the service was given when it started (systemd.service(5), RefreshOnReload=).
func refreshes(cfg *unit.Unit) []machine.Phase {
	what := cfg.GetService().RefreshOnReload
	if len(what) == 0 {
		return nil
	}
	s := cfg.GetSandbox()
	var phases []machine.Phase
	if slices.Contains(what, "extensions") && len(s.ExtensionImages)+len(s.ExtensionDirectories) > 0 {
		phases = append(phases, machine.RefreshExtensions)
	}
	if slices.Contains(what, "credentials") && s.HasCredentials() {
		phases = append(phases, machine.RefreshCredentials)
	}
	return phases
}

// v255: service_enter_reload
func (m *Machine) enterReload(h machine.Host) {
	m.dropControl(h)
	m.s.ReloadResult = ""
	m.refresh(h, refreshes(h.Unit()))
}

// refresh spawns the first of the phases that are left; the reload itself comes behind them. Without a main process there is nobody to refresh for.
func (m *Machine) refresh(h machine.Host, left []machine.Phase) {
	if len(left) > 0 && m.s.MainPID != 0 {
		m.spawn(h, machine.SlotControl, left[0], 0)
		return
	}
	m.enterReloadCommands(h)
}

// refreshed goes on after one of them. A service whose view couldn't be made anew isn't told to look at it.
func (m *Machine) refreshed(h machine.Host, result string) {
	if result != ResultSuccess || m.s.MainPID == 0 {
		m.s.ReloadResult = result
		if result == ResultSuccess {
			m.s.ReloadResult = ""
		}
		m.enterRunning(h, ResultSuccess)
		return
	}
	left := refreshes(h.Unit())
	for len(left) > 0 {
		done := phaseState[left[0]] == m.s.Sub
		left = left[1:]
		if done {
			break
		}
	}
	m.refresh(h, left)
}

// enterReloadCommands tells the service: by a signal, by ExecReload=, or by both.
func (m *Machine) enterReloadCommands(h machine.Host) {
	now := h.Now().Monotonic
	svc := h.Unit().GetService()
	m.s.History.Drop(machine.ExecReload)
	m.s.History.Drop(machine.ExecReloadPost)
	signalled := false
	if typeOf(svc) == typeNotifyReload && m.s.MainPID != 0 {
		kill := machine.Kill{Unit: h.Unit().Name, Signal: svc.ReloadSignal, MainPID: m.s.MainPID, Also: []int32{int32(value.SIGCONT)}}
		h.Emit(kill)
		signalled = true
	}
	m.s.ReloadBegan = now
	switch {
	case len(svc.ExecReload) > 0:
		m.spawn(h, machine.SlotControl, machine.ExecReload, 0)
	case signalled:
		m.s.Timer.Arm(now)
		m.setState(h, ReloadSignal)
	default:
		m.enterRunning(h, ResultSuccess)
	}
}
