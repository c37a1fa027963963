package service

import (
	"github.com/muster-init/muster/pkg/engine/machine"
)

// ConfigChanged goes on with a start that waits for something which the new configuration does not have any more: with another Type= nobody
// may ever say READY=1, take a bus name or write a PID file. Without that the unit would be activating until the timeout, or for ever.
//
// DEVIATION: systemd waits for the timeout. What was begun by the old Type= counts here as far as it has come.
func (m *Machine) ConfigChanged(h machine.Host) {
	if m.s.Pending == nil {
		m.reconsider(h)
		m.finish(h)
	}
}

func (m *Machine) reconsider(h machine.Host) {
	svc := h.Unit().GetService()
	if p := m.s.Slow; p != nil && p.Kind == askPIDFile && svc.PIDFile == "" && (p.Then == thenStarted || p.Then == thenPosted) {
		h.Emit(machine.CancelQuery{Token: p.Token})
		m.s.Slow = nil
		if p.Then == thenStarted {
			m.forked(h)
		} else {
			m.posted(h)
		}
		return
	}
	if m.s.Sub != Start || m.s.MainPID == 0 || m.s.ControlPID != 0 || m.s.Slow != nil {
		return
	}
	switch typeOf(svc) {
	case typeSimple, typeIdle, typeForking, typeExec:
		// The main process is there; that is all these wait for, or more.
		m.enterStartPost(h)
	case typeNotify, typeNotifyReload:
		if m.s.Saying == SaidReady {
			m.enterStartPost(h)
		}
	case typeDBus:
		m.watchBusName(h)
		if m.s.BusNameOwner != "" {
			m.enterStartPost(h)
		}
	}
}
