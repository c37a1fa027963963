package manager

import (
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/muster-init/muster/pkg/engine"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/kernel"
)

// suspicion is what the last crash was about, for the case that it comes again.
type suspicion struct {
	Unit  string `json:"unit"`
	Event string `json:"event"`
	At    uint64 `json:"at"` // monotonic µs
}

// suspicionUSec is how soon a second crash at the same event of the same unit counts as proof. A single one may have come from outside (a signal).
const suspicionUSec = 60_000_000

// step lets the engine handle an event. A panic in it is proof that the event of the unit at work can't be handled: nothing of what the engine has
// half done is saved, the next image sets the unit aside.
func (m *Manager) step(ev machine.Event) []machine.Effect {
	m.box.begin(ev)
	m.handling = ev
	defer func() {
		if r := recover(); r != nil {
			m.engineCrashed(r)
		}
	}()
	effects := m.eng.Step(m.now(), ev)
	m.box.end()
	return effects
}

// engineCrashed ends this image. What the state log holds is the state before the event.
func (m *Manager) engineCrashed(r any) {
	text := fmt.Sprint(r)
	m.box.caught(text)
	m.log.emergency("", "The engine crashed: %s\n%s", text, debug.Stack())
	kernel.Reexec()
	panic(r) // there is no hook: the runtime decides
}

// blame reads the black box of the last image and judges what was at work when it ended.
func (m *Manager) blame() {
	f := m.box.take()
	if m.records == nil {
		return
	}
	m.quarantine(f, m.records)
}

// trace notes the unit that the engine works on; tests plant their faults here.
func (m *Manager) trace(unit string) {
	m.box.unit(unit)
	plantedStep(unit, m.handling)
}

// quarantine decides after a crash whether a unit is to blame, and sets it aside in the records before they are restored.
func (m *Manager) quarantine(f finding, records map[string][]byte) {
	if !m.opt.Crashed || !f.Step {
		return
	}
	last := m.suspect
	m.suspect = suspicion{f.Unit, f.Event, kernel.Monotonic()}
	again := last.Unit == f.Unit && last.Event == f.Event && last.At != 0 && m.suspect.At-last.At < suspicionUSec
	text := f.Text
	if f.hung() {
		text = "it was never done with it"
	}
	m.log.emergency("", "The manager crashed while it handled %s for %s%s.", f.Event, orNobody(f.Unit), inBrackets(text))
	if f.Unit == "" || !f.Caught && !f.hung() && !again {
		return
	}
	key := engine.UnitKey(f.Unit)
	record, err := engine.QuarantineRecord(f.Unit, records[key], engine.Quarantine{Event: f.Event, Text: firstLine(text), AtUSec: m.suspect.At})
	if err != nil {
		m.log.err(f.Unit, "%v: the unit begins anew.", err)
		delete(records, key)
		return
	}
	records[key] = record
	if err := m.state.Put(key, record); err != nil {
		m.log.err(f.Unit, "%v", err)
	}
	m.suspect = suspicion{}
}

func orNobody(unit string) string {
	if unit == "" {
		return "no unit in particular"
	}
	return unit
}

func inBrackets(text string) string {
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
