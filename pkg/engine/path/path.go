package path

import (
	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit"
)

// Trigger is the name of the unit that is activated.
func Trigger(u *unit.Unit) string {
	if name := u.GetPath().Unit; name != "" {
		return name
	}
	return unit.ChangeSuffix(u.Name, ".service")
}

// Start begins to watch.
func (m *Machine) Start(h machine.Host) machine.Answer {
	if m.s.Sub != Dead && m.s.Sub != Failed {
		return machine.Already
	}
	if m.s.Watching != 0 {
		return machine.Accepted
	}
	if !control.CanTrigger(h, Trigger(h.Unit())) {
		return machine.Refused
	}
	if !h.StartLimitOK() {
		m.enterDead(h, ResultStartLimit)
		return machine.StartLimit
	}
	h.NewInvocation()
	m.s = State{Sub: m.s.Sub, Begin: m.s.Begin, Count: m.s.Count}
	m.enterWaiting(h, true, false)
	return machine.Accepted
}

// Stop ends the watching.
func (m *Machine) Stop(h machine.Host) machine.Answer {
	if m.s.Sub == Dead || m.s.Sub == Failed {
		if m.s.Watching == 0 {
			return machine.Already
		}
		m.unwatch(h)
		return machine.Already
	}
	m.enterDead(h, ResultSuccess)
	return machine.Accepted
}

// Step takes an event of the unit.
func (m *Machine) Step(h machine.Host, ev machine.Event) {
	switch e := ev.(type) {
	case machine.PathsWatched:
		if e.Token == m.s.Watching && e.Token != 0 {
			m.s.Watching = 0
			m.watched(h, e)
		}
	case machine.PathTouched:
		m.touched(h, e.Index)
	}
}

// enterWaiting looks at the paths, unless the unit runs anyway.
func (m *Machine) enterWaiting(h machine.Host, initial, notified bool) {
	if !h.Peer(Trigger(h.Unit())).Active.IsInactiveOrFailed() {
		m.unwatch(h)
		m.setState(h, Running)
		return
	}
	if m.s.Watching != 0 {
		// What is being looked at may be old already.
		h.Emit(machine.CancelQuery{Token: m.s.Watching})
		initial = initial || m.s.Initial
	}
	m.s.Initial, m.s.Notified = initial, notified
	m.s.Watching = h.Query(machine.WatchPaths{Unit: h.Unit().Name, Make: initial && h.Unit().GetPath().MakeDirectory})
}

// watched decides by what was found.
func (m *Machine) watched(h machine.Host, e machine.PathsWatched) {
	initial, notified := m.s.Initial, m.s.Notified
	m.s.Initial, m.s.Notified = false, false
	if t, _ := h.Job(); (m.s.Sub == Dead || m.s.Sub == Failed) && t != job.Start {
		m.unwatch(h) // the start was given up meanwhile
		return
	}
	if e.Message != "" {
		h.Log(control.LogErr, "", "Failed to watch the paths: "+e.Message)
		m.enterDead(h, ResultResources)
		return
	}
	if good := m.good(h.Unit().GetPath().Paths, e.Exists, !initial && !notified); good != "" {
		m.enterRunning(h, good)
		return
	}
	m.setState(h, Waiting)
}

// good finds the first path that asks for the unit, "" none. edges: a change since the last look counts.
func (m *Machine) good(paths []unit.PathSpec, exists []bool, edges bool) string {
	before := m.s.Existed
	m.s.Existed = nil
	found := ""
	for i, p := range paths {
		there := i < len(exists) && exists[i]
		m.s.Existed = append(m.s.Existed, there)
		good := there
		if onChange(p.Type) {
			good = edges && i < len(before) && before[i] != there
		}
		if good && found == "" {
			found = p.Path
		}
	}
	return found
}

// onChange reports whether a kind of path waits for events only.
func onChange(kind string) bool { return kind == "PathChanged" || kind == "PathModified" }

// touched takes what the kernel noticed.
func (m *Machine) touched(h machine.Host, index int) {
	if m.s.Sub != Waiting {
		return
	}
	if paths := h.Unit().GetPath().Paths; index >= 0 && index < len(paths) && onChange(paths[index].Type) {
		m.enterRunning(h, paths[index].Path)
		return
	}
	m.enterWaiting(h, false, false)
}

// enterRunning activates the unit.
func (m *Machine) enterRunning(h machine.Host, path string) {
	if h.StopPending() {
		return
	}
	if !m.limitOK(h) {
		h.Log(control.LogWarning, "", "Trigger limit hit, refusing further activation.")
		m.enterDead(h, ResultTriggerLimit)
		return
	}
	m.unwatch(h)
	m.s.Touched = path
	if err := h.Trigger(Trigger(h.Unit()), job.Replace); err != nil {
		h.Log(control.LogWarning, "", "Failed to queue unit startup job: "+err.Message)
		m.enterDead(h, ResultResources)
		return
	}
	m.setState(h, Running)
}

// limitOK counts an activation against TriggerLimitBurst=.
func (m *Machine) limitOK(h machine.Host) bool {
	cfg, now := h.Unit().GetPath(), h.Now().Monotonic
	interval, burst := cfg.TriggerLimitIntervalUSec, cfg.TriggerLimitBurst
	if interval == 0 || burst == 0 {
		return true
	}
	if m.s.Count == 0 || now >= control.AddUSec(m.s.Begin, interval) {
		m.s.Begin, m.s.Count = now, 0
	}
	if m.s.Count >= burst {
		return false
	}
	m.s.Count++
	return true
}

func (m *Machine) unwatch(h machine.Host) {
	if m.s.Watching != 0 {
		h.Emit(machine.CancelQuery{Token: m.s.Watching})
		m.s.Watching, m.s.Initial, m.s.Notified = 0, false, false
	}
	h.Emit(machine.UnwatchPaths{Unit: h.Unit().Name})
}

func (m *Machine) enterDead(h machine.Host, result string) {
	m.unwatch(h)
	if m.s.Result == "" && result != ResultSuccess {
		m.s.Result = result
	}
	if m.s.Result != "" {
		h.Log(control.LogWarning, "unit-failure-result", "Failed with result '"+m.s.Result+"'.", "UNIT_RESULT="+m.s.Result)
		m.announce(h, Failed)
		return
	}
	if m.s.Sub != Dead {
		h.Log(control.LogInfo, "unit-success", "Deactivated successfully.")
	}
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

// TriggerChanged follows the activated unit.
func (m *Machine) TriggerChanged(h machine.Host, name, _ string, now machine.ActiveState) {
	if m.s.Sub != Waiting && m.s.Sub != Running {
		return
	}
	p := h.Peer(name)
	switch {
	case p.LimitHit:
		m.enterDead(h, ResultUnitStartLimit)
	case p.Job != "":
	case m.s.Sub == Running && now.IsInactiveOrFailed(), m.s.Sub == Waiting && !now.IsInactiveOrFailed():
		m.enterWaiting(h, false, true)
	}
}

// ConfigChanged watches what the configuration says now.
func (m *Machine) ConfigChanged(h machine.Host) {
	if m.s.Sub == Waiting {
		m.s.Existed = nil
		m.enterWaiting(h, true, false)
	}
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

// Release ends what is still open when the unit is unloaded.
func (m *Machine) Release(h machine.Host) {
	if m.s.Watching != 0 {
		m.unwatch(h)
	}
}

// CatchUp goes on after a restart of the manager: the watches are gone with the old one. What has come or gone meanwhile is found.
func (m *Machine) CatchUp(h machine.Host) {
	if m.s.Watching != 0 || m.s.Sub == Waiting {
		initial, notified := m.s.Initial, m.s.Notified
		m.s.Watching = 0
		m.enterWaiting(h, initial, notified)
	}
}
