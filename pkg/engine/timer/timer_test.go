package timer_test

import (
	"testing"

	"github.com/muster-init/muster/pkg/engine/enginetest"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/engine/timer"
)

// TestScripts runs timers together with units that do as they are told.
func TestScripts(t *testing.T) { enginetest.RunScripts(t, timer.Descriptor()) }

func TestTotality(t *testing.T) {
	table := enginetest.Table{
		Type: timer.Descriptor(), Unit: "t.timer",
		Units: "t.timer: OnActiveSec=10s OnCalendar=hourly OnUnitActiveSec=5s Persistent=yes OnClockChange=no\nt.service:\n",
		Columns: []enginetest.Column{
			{Name: "start", Commands: "start t.timer\nrun"},
			{Name: "start-stamp", Commands: "start t.timer\nrun\nanswer StampRead {\"RealtimeUSec\":1699999000000000}"},
			{Name: "start-stop", Commands: "start t.timer\nrun\nstop t.timer\nrun\nanswer StampRead {}"},
			{Name: "stop", Commands: "stop t.timer\nrun"},
			{Name: "elapse", Commands: "wait 20"},
			{Name: "early", Commands: "wait 0"},
			{Name: "clock", Commands: "clock -100"},
			{Name: "timezone", Commands: "event ClockChanged {\"Timezone\":true}"},
			{Name: "unit-started", Commands: "start t.service\nrun\nset t.service running"},
			{Name: "unit-stopped", Commands: "start t.service\nrun\nset t.service running\nset t.service dead"},
			{Name: "reset-failed", Commands: "reset-failed t.timer"},
			{Name: "reload", Commands: "reload-units t.timer"},
			{Name: "restore", Commands: "restore"},
			{Name: "stray-answer", Commands: "event StampRead {\"Token\":99}"},
		},
		Put: func(sub string) (any, []int32) {
			s := timer.State{Sub: timer.SubState(sub), Elapses: []timer.Elapse{{At: 11_000_000}, {At: 1_700_002_800_000_000}, {}}}
			switch s.Sub {
			case timer.Waiting:
				s.NextMonotonic, s.NextRealtime = 11_000_000, 1_700_002_800_000_000
			case timer.Failed:
				s.Result = timer.ResultResources
			}
			return s, nil
		},
		Check: func(t *testing.T, sub, column string, m machine.Machine) {
			if s := m.(*timer.Machine).State(); s.Sub != timer.Waiting && s.NextMonotonic+s.NextRealtime != 0 {
				t.Errorf("%s after %s: %s waits for a moment", sub, column, s.Sub)
			}
		},
	}
	for _, s := range timer.SubStates() {
		if timer.ActiveStateOf(s) == "" {
			t.Errorf("%s has no active state", s)
		}
		table.Subs = append(table.Subs, string(s))
	}
	table.Run(t)
}
