package timer_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-init/muster/pkg/engine/enginetest"
	"github.com/muster-init/muster/pkg/engine/timer"
)

var rewrite = flag.Bool("rewrite", false, "write the results into the scripts")

// TestScripts runs testdata/*.txt: timers together with units that do as they are told.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			want, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			got, err := enginetest.NewScript(enginetest.Puppets(), timer.Descriptor()).Run(string(want))
			if err != nil {
				t.Fatal(err)
			}
			compare(t, f, string(want), got)
		})
	}
}

func compare(t *testing.T, file, want, got string) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// totalityUnits are a timer that waits for everything, and what it activates.
const totalityUnits = `units
t.timer: OnActiveSec=10s OnCalendar=hourly OnUnitActiveSec=5s Persistent=yes OnClockChange=no
t.service:
----
`

// columns is each kind of event or call, as script commands.
var columns = []struct{ name, commands string }{
	{"start", "start t.timer\n----\n\nrun"},
	{"start-stamp", "start t.timer\n----\n\nrun\n----\n\nanswer StampRead {\"RealtimeUSec\":1699999000000000}"},
	{"stop", "stop t.timer\n----\n\nrun"},
	{"elapse", "wait 20"},
	{"early", "wait 0"},
	{"clock", "clock -100"},
	{"timezone", "event ClockChanged {\"Timezone\":true}"},
	{"unit-started", "start t.service\n----\n\nrun\n----\n\nset t.service running"},
	{"unit-stopped", "set t.service dead"},
	{"reset-failed", "reset-failed t.timer"},
	{"reload", "reload-units t.timer"},
	{"restore", "restore"},
	{"stray-answer", "event StampRead {\"Token\":99}"},
}

// TestTotality holds testdata/transitions.tsv against the machine: one row per sub-state, one column per event, the cell is the
// sub-state after it, "=" if only something else has changed, "-" if the event means nothing there.
func TestTotality(t *testing.T) {
	var b strings.Builder
	b.WriteString("sub-state")
	for _, c := range columns {
		b.WriteString("\t" + c.name)
	}
	for _, sub := range timer.SubStates() {
		if timer.ActiveStateOf(sub) == "" {
			t.Errorf("%s has no active state", sub)
		}
		b.WriteString("\n" + string(sub))
		for _, c := range columns {
			before, after := place(t, sub, c.commands)
			switch {
			case before.Sub != after.Sub:
				fmt.Fprintf(&b, "\t%s", after.Sub)
			case cmp.Diff(before, after) != "":
				b.WriteString("\t=")
			default:
				b.WriteString("\t-")
			}
		}
	}
	b.WriteString("\n")
	const file = "testdata/transitions.tsv"
	want, err := os.ReadFile(file)
	if err != nil && !*rewrite {
		t.Fatal(err)
	}
	compare(t, file, string(want), b.String())
}

// place puts a timer into a sub-state and carries out commands.
func place(t *testing.T, sub timer.SubState, commands string) (before, after timer.State) {
	t.Helper()
	s := enginetest.NewScript(enginetest.Puppets(), timer.Descriptor())
	if _, err := s.Run(totalityUnits + "\nload t.timer\n----\n"); err != nil {
		t.Fatal(err)
	}
	before = timer.State{Sub: sub, Elapses: []timer.Elapse{{At: 11_000_000}, {At: 1_700_002_800_000_000}, {}}}
	switch sub {
	case timer.Waiting:
		before.NextMonotonic, before.NextRealtime = 11_000_000, 1_700_002_800_000_000
	case timer.Failed:
		before.Result = timer.ResultResources
	}
	data, err := json.Marshal(before)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Put("t.timer", data); err != nil {
		t.Fatal(err)
	}
	before = *s.Engine.Unit("t.timer").Machine().(*timer.Machine).State()
	before.Elapses = append([]timer.Elapse(nil), before.Elapses...)
	if _, err := s.Run(commands + "\n----\n"); err != nil {
		t.Fatal(sub, err)
	}
	u := s.Engine.Unit("t.timer")
	if u == nil || u.Machine() == nil {
		return before, timer.State{Sub: timer.Dead}
	}
	return before, *u.Machine().(*timer.Machine).State()
}
