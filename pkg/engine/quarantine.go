package engine

import (
	"encoding/json"
	"fmt"

	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit"
)

// Quarantine says why a unit is set aside: the manager crashed while it handled an event of the unit.
type Quarantine struct {
	Event  string `json:"event"`          // kind of the event, as ProcessExited
	Text   string `json:"text,omitempty"` // what the crash said, one line
	AtUSec uint64 `json:"at,omitempty"`   // monotonic µs
}

// quarantineSub is the sub-state and the result of a unit in quarantine.
const quarantineSub = "quarantined"

// quarantined stands in front of a machine whose unit is set aside: nothing reaches the machine any more, its data is kept for the moment at which
// somebody takes the unit back (reset-failed). The processes of the unit go on, nobody reacts to them.
type quarantined struct {
	inner machine.Machine
	why   *Quarantine
}

func (m *quarantined) Start(h machine.Host) machine.Answer {
	h.Log(levelError, "", m.why.explain(h.Unit().Name))
	return machine.Invalid
}

func (m *quarantined) Stop(h machine.Host) machine.Answer   { return m.Start(h) }
func (m *quarantined) Reload(h machine.Host) machine.Answer { return m.Start(h) }

// Step drops the event; descriptors that came with it belong to nobody.
func (m *quarantined) Step(h machine.Host, ev machine.Event) {
	switch v := ev.(type) {
	case machine.Notify:
		for _, fd := range v.Msg.FDs {
			h.Emit(machine.CloseHandle{Handle: fd})
		}
	case machine.SocketReady:
		if v.Conn != nil {
			h.Emit(machine.CloseHandle{Handle: v.Conn.Handle})
		}
	}
}

func (m *quarantined) Deadline(*unit.Unit) uint64                 { return machine.Never }
func (m *quarantined) Expire(machine.Host)                        {}
func (m *quarantined) ActiveState(*unit.Unit) machine.ActiveState { return machine.Failed }
func (m *quarantined) SubState() string                           { return quarantineSub }
func (m *quarantined) Result() string                             { return quarantineSub }
func (m *quarantined) CanReload(*unit.Unit) bool                  { return false }
func (m *quarantined) Held() bool                                 { return true }
func (m *quarantined) ResetFailed(machine.Host)                   {}
func (m *quarantined) PIDs() (main, control int32)                { return m.inner.PIDs() }
func (m *quarantined) CatchUp(machine.Host)                       {}
func (m *quarantined) Data() any                                  { return m.inner.Data() }

// explain is the message for people: what happened, what it means, what to do.
func (q *Quarantine) explain(name string) string {
	text := ""
	if q.Text != "" {
		text = " (" + q.Text + ")"
	}
	return fmt.Sprintf("%s: quarantined: the event %s crashed the manager%s. Its processes go on unmanaged; "+
		"`systemctl reset-failed %s` takes it back.", name, q.Event, text, name)
}

// Quarantined is what StatusText says of a unit in quarantine, "" for all others.
func (u *Unit) Quarantined() string {
	if q := u.get().Quarantine; q != nil {
		return q.explain(u.Name())
	}
	return ""
}

// QuarantineRecord sets the quarantine in the record of a unit (nil if there is none), so that Restore makes a unit that no event reaches. It
// works on the record because the unit itself must not be touched any more.
func QuarantineRecord(name string, record []byte, q Quarantine) ([]byte, error) {
	r := unitRecord{Name: name}
	if record != nil {
		if err := json.Unmarshal(record, &r); err != nil {
			return nil, fmt.Errorf("record of %s: %w", name, err)
		}
	}
	if r.State == nil {
		r.State = &state{}
	}
	q.Text = escapeReason(q.Text)
	r.State.Quarantine = &q
	return json.Marshal(r)
}

// StoresDescriptors reports whether the unit holds descriptors that are to be given back to it.
func (e *Engine) StoresDescriptors(u *Unit) bool {
	return u.cfg.Type == unit.TypeService && len(u.get().Handles) > 0
}

// CheckVersion reports whether records can be restored by this program at all.
func CheckVersion(records map[string][]byte) error {
	var r engineRecord
	data, ok := records[keyEngine]
	if !ok {
		return nil
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return fmt.Errorf("record %s: %w", keyEngine, err)
	}
	if r.Version > snapshotVersion {
		return fmt.Errorf("records: version %d is newer than %d", r.Version, snapshotVersion)
	}
	return nil
}

// UnitKey is the key of a unit's record.
func UnitKey(name string) string { return keyUnit + name }

// setAside puts the machine of a unit that was restored behind its quarantine.
func (e *Engine) setAside(u *Unit) {
	if u.state == nil || u.state.Quarantine == nil {
		return
	}
	if u.machine == nil {
		u.machine = e.kindOf(u).New()
	}
	u.machine = &quarantined{inner: u.machine, why: u.state.Quarantine}
}

// standing is the active state as other units are to see it: a quarantine must not take anybody down who needs what goes on running.
func (u *Unit) standing() machine.ActiveState {
	if m, ok := u.machine.(*quarantined); ok {
		return m.inner.ActiveState(u.cfg)
	}
	return u.ActiveState()
}

// announceQuarantine ends the job of a unit that was set aside and says what is the matter.
func (e *Engine) announceQuarantine(u *Unit) {
	e.emit(machine.Log{Level: levelError, Unit: u.Name(), Text: u.state.Quarantine.explain(u.Name())})
	e.emit(machine.UnitChanged{Unit: u.Name(), Active: machine.Failed, Sub: quarantineSub})
	if u.job != nil {
		e.finish(u.job, job.Failed, true)
	}
}

// takeBack ends a quarantine: the machine goes on with what it knew, and the sources replay the present.
func (e *Engine) takeBack(u *Unit) {
	m, ok := u.machine.(*quarantined)
	if !ok {
		return
	}
	u.machine, u.state.Quarantine = m.inner, nil
	e.trace(u)
	e.failedUnits--
	if u.ActiveState() == machine.Failed {
		e.failedUnits++
	}
	e.touch(u)
	e.emit(machine.UnitChanged{Unit: u.Name(), Active: u.ActiveState(), Sub: u.SubState()})
	e.catchUp(u)
}
