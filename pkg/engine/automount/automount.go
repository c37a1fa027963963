package automount

import (
	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit"
)

// What openers get when there is nothing to see; errno(3).
const (
	errNoDevice = 19  // ENODEV: the mount failed
	errHostDown = 112 // EHOSTDOWN: the automount point is going away
)

func trigger(u *unit.Unit) string { return unit.ChangeSuffix(u.Name, ".mount") }

// Start makes the automount point.
func (m *Machine) Start(h machine.Host) machine.Answer {
	switch {
	case m.s.Sub == Waiting || m.s.Sub == Running:
		return machine.Already
	case !m.supported:
		return machine.Unsupported
	case m.s.Opening != 0:
		return machine.Accepted
	}
	if !control.CanTrigger(h, trigger(h.Unit())) {
		return machine.Refused
	}
	if !h.StartLimitOK() {
		m.enterDead(h, ResultStartLimit)
		return machine.StartLimit
	}
	h.NewInvocation()
	m.s = State{Sub: m.s.Sub}
	m.s.Opening = h.Query(machine.OpenAutomount{Unit: h.Unit().Name})
	return machine.Accepted
}

// Stop takes the automount point away.
func (m *Machine) Stop(h machine.Host) machine.Answer {
	if m.s.Sub == Dead || m.s.Sub == Failed {
		return machine.Already
	}
	m.enterDead(h, ResultSuccess)
	return machine.Accepted
}

// Step takes an event of the unit.
func (m *Machine) Step(h machine.Host, ev machine.Event) {
	switch e := ev.(type) {
	case machine.AutomountOpened:
		if e.Token == m.s.Opening && e.Token != 0 {
			m.s.Opening = 0
			m.opened(h, e)
		}
	case machine.AutomountAsked:
		m.asked(h, e)
	case machine.AutomountGone:
		if m.s.Handle != 0 {
			h.Log(control.LogErr, "", "The automount point was unmounted by somebody else.")
			m.enterDead(h, ResultUnmounted)
		}
	}
}

func (m *Machine) opened(h machine.Host, e machine.AutomountOpened) {
	t, _ := h.Job()
	switch {
	case e.Message != "":
		h.Log(control.LogErr, "", "Failed to make the automount point: "+e.Message)
		m.enterDead(h, ResultResources)
	case t != job.Start:
		// The start was given up meanwhile.
		m.s.Handle, m.s.Device = e.Handle, e.Device
		m.release(h)
	default:
		m.s.Handle, m.s.Device = e.Handle, e.Device
		h.Emit(machine.WatchAutomount{Unit: h.Unit().Name, Handle: e.Handle})
		m.setState(h, Waiting)
	}
}

// asked takes a request of the kernel. Each is answered once the mount unit is where it has to be.
func (m *Machine) asked(h machine.Host, e machine.AutomountAsked) {
	if m.s.Sub != Waiting && m.s.Sub != Running {
		return
	}
	name := trigger(h.Unit())
	if e.Expire {
		m.s.Expiring = append(m.s.Expiring, e.Number)
		m.s.Looked = 0
		if err := h.StopTriggered(name); err != nil {
			h.Log(control.LogWarning, "", "Failed to queue unmounting: "+err.Message)
			m.answer(h, &m.s.Expiring, errNoDevice)
		}
		return
	}
	h.Log(control.LogInfo, "", "Got automount request for "+Where(h.Unit())+", triggered by "+e.Who)
	m.s.Tokens = append(m.s.Tokens, e.Number)
	if h.StopPending() {
		m.answer(h, &m.s.Tokens, errHostDown)
		return
	}
	if err := h.Trigger(name, job.Replace); err != nil {
		h.Log(control.LogWarning, "", "Failed to queue startup job: "+err.Message)
		m.answer(h, &m.s.Tokens, errNoDevice)
		m.enterDead(h, ResultResources)
		return
	}
	m.setState(h, Running)
}

// answer wakes all who wait in a list.
func (m *Machine) answer(h machine.Host, tokens *[]uint32, errno int32) {
	if len(*tokens) == 0 {
		return
	}
	h.Emit(machine.AckAutomount{Unit: h.Unit().Name, Where: Where(h.Unit()), Device: m.s.Device, Tokens: *tokens, Errno: errno})
	*tokens = nil
}

// TriggerChanged follows the mount unit.
func (m *Machine) TriggerChanged(h machine.Host, name, _ string, _ machine.ActiveState) {
	if m.s.Sub != Waiting && m.s.Sub != Running {
		return
	}
	p := h.Peer(name)
	switch {
	case p.LimitHit:
		m.enterDead(h, ResultMountStartLimit)
	case p.Job != "":
		// Where it ends up is not known yet.
	case p.Active.IsActiveOrReloading():
		m.answer(h, &m.s.Tokens, 0)
		m.answer(h, &m.s.Expiring, errNoDevice) // it is still there
		if m.s.Looked == 0 {
			m.s.Looked = max(h.Now().Monotonic, 1)
		}
		m.setState(h, Running)
	case p.Active == machine.Activating:
		m.setState(h, Running)
	default:
		m.answer(h, &m.s.Tokens, errNoDevice)
		if p.Active.IsInactiveOrFailed() {
			m.answer(h, &m.s.Expiring, 0)
		}
		m.s.Looked = 0
		m.setState(h, Waiting)
	}
}

// Expire asks whether the mount is in use.
func (m *Machine) Expire(h machine.Host) {
	if m.Deadline(h.Unit()) > h.Now().Monotonic {
		return
	}
	m.s.Looked = h.Now().Monotonic
	h.Emit(machine.ExpireAutomount{Unit: h.Unit().Name, Where: Where(h.Unit()), Device: m.s.Device})
}

// release takes the point away; who waits there gets an error.
func (m *Machine) release(h machine.Host) {
	if m.s.Handle == 0 {
		return
	}
	h.Emit(machine.CloseAutomount{Unit: h.Unit().Name, Where: Where(h.Unit()), Handle: m.s.Handle, Device: m.s.Device,
		Tokens: append(m.s.Tokens, m.s.Expiring...), Errno: errHostDown})
	m.s.Handle, m.s.Device, m.s.Tokens, m.s.Expiring, m.s.Looked = 0, 0, nil, nil, 0
}

func (m *Machine) enterDead(h machine.Host, result string) {
	m.release(h)
	if m.s.Result == "" && result != ResultSuccess {
		m.s.Result = result
	}
	if m.s.Result != "" {
		h.Log(control.LogWarning, "unit-failure-result", "Failed with result '"+m.s.Result+"'.", "UNIT_RESULT="+m.s.Result)
		m.announce(h, Failed)
		return
	}
	h.Log(control.LogInfo, "unit-success", "Deactivated successfully.")
	m.announce(h, Dead)
}

func (m *Machine) setState(h machine.Host, sub SubState) {
	if m.s.Sub != sub {
		m.announce(h, sub)
	}
}

// announce enters a sub-state and tells so even if it is the old one: a start that failed leaves a failed unit failed, and its job must end.
func (m *Machine) announce(h machine.Host, sub SubState) {
	old := m.s.Sub
	m.s.Sub = sub
	h.StateChanged(active[old])
}

// ResetFailed leaves the failed state.
func (m *Machine) ResetFailed(h machine.Host) {
	m.s.Result = ""
	if m.s.Sub == Failed {
		m.setState(h, Dead)
		return
	}
	h.PropertiesChanged()
}

// CatchUp goes on after a restart of the manager: the point is still there, and so are those who sleep at it.
func (m *Machine) CatchUp(h machine.Host) {
	if m.s.Opening != 0 {
		m.s.Opening = h.Query(machine.OpenAutomount{Unit: h.Unit().Name})
	}
	if m.s.Handle != 0 {
		h.Emit(machine.WatchAutomount{Unit: h.Unit().Name, Handle: m.s.Handle})
		p := h.Peer(trigger(h.Unit()))
		m.TriggerChanged(h, p.Name, "", p.Active)
	}
}
