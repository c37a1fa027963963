package service

import (
	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/unit"
)

// Values of Type=.
const (
	typeSimple       = "simple"
	typeExec         = "exec"
	typeForking      = "forking"
	typeOneshot      = "oneshot"
	typeDBus         = "dbus"
	typeNotify       = "notify"
	typeNotifyReload = "notify-reload"
	typeIdle         = "idle"
)

// typeOf is Type=, or what stands for it when it is not set.
func typeOf(svc *unit.Service) string {
	switch {
	case svc.Type != "":
		return svc.Type
	case svc.BusName != "":
		return typeDBus
	case len(svc.ExecStart) > 0:
		return typeSimple
	}
	return typeOneshot
}

func notifies(svc *unit.Service) bool {
	t := typeOf(svc)
	return t == typeNotify || t == typeNotifyReload
}

// notifyAccess is NotifyAccess=, which may be changed at run time. Without the setting, services that need messages take
// them from the main process.
func (m *Machine) notifyAccess(svc *unit.Service) string {
	if m.s.AccessOverride != "" {
		return m.s.AccessOverride
	}
	switch {
	case svc.NotifyAccessSet && svc.NotifyAccess != "" && svc.NotifyAccess != "none":
		return svc.NotifyAccess
	case notifies(svc), control.Positive(svc.WatchdogUSec), svc.FileDescriptorStoreMax > 0:
		return "main"
	case svc.NotifyAccess != "":
		return svc.NotifyAccess
	}
	return "none"
}

// NotifyAccess is the access in force (property NotifyAccess).
func (m *Machine) NotifyAccess(cfg *unit.Unit) string { return m.notifyAccess(cfg.GetService()) }

// startTimeout is TimeoutStartSec=; oneshot services have none by default. A service whose file has gone while it runs has no commands and so
// looks like one, but what it is doing must end some time.
func startTimeout(svc *unit.Service) uint64 {
	oneshot := typeOf(svc) == typeOneshot && (svc.Type == typeOneshot || len(svc.ExecStart)+len(svc.ExecStop) > 0)
	if oneshot && !svc.TimeoutStartSet || svc.TimeoutStartUSec == 0 {
		return unit.Infinity
	}
	return svc.TimeoutStartUSec
}

func stopTimeout(svc *unit.Service) uint64 {
	if svc.TimeoutStopUSec == 0 {
		return unit.Infinity
	}
	return svc.TimeoutStopUSec
}

// abortTimeout is TimeoutAbortSec=, which is TimeoutStopSec= if not set.
func abortTimeout(svc *unit.Service) uint64 {
	switch {
	case !svc.TimeoutAbortSet:
		return stopTimeout(svc)
	case svc.TimeoutAbortUSec == 0:
		return unit.Infinity
	}
	return svc.TimeoutAbortUSec
}

// watchdogUSec is the watchdog interval in force, 0 for none.
func (m *Machine) watchdogUSec(svc *unit.Service) uint64 {
	usec := svc.WatchdogUSec
	if m.s.WatchdogOverride != nil {
		usec = *m.s.WatchdogOverride
	}
	if !control.Positive(usec) {
		return 0
	}
	return usec
}

// WatchdogUSec is the watchdog interval in force in µs, 0 for none (property WatchdogUSec).
func (m *Machine) WatchdogUSec(cfg *unit.Unit) uint64 { return m.watchdogUSec(cfg.GetService()) }

// commands is the list of a phase.
func commands(h machine.Host, phase machine.Phase) int {
	return len(control.ServiceCommands(h.Unit().GetService(), phase))
}
