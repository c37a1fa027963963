package service

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/machine"
)

const totalityConfig = `
Type=notify-reload
ExecStart=/bin/d
NotifyAccess=all
WatchdogSec=1s
TimeoutStartSec=5s
RuntimeMaxSec=100s
TimeoutCleanSec=5s
StateDirectory=x
OOMPolicy=stop
FileDescriptorStoreMax=2
FileDescriptorStorePreserve=yes
`

// totalityColumns is each kind of event or call, carried out on a world that stands in some sub-state with main process
// 101, control process 102 and stored descriptor 7, as far as the sub-state holds them.
var totalityColumns = []struct {
	name   string
	config string // added to totalityConfig
	do     func(w *world)
}{
	{"start", "", func(w *world) { w.start() }},
	{"stop", "", func(w *world) { w.stop() }},
	{"reload", "", func(w *world) { w.reload() }},
	{"clean", "", func(w *world) { w.m.Clean(w, []string{"state"}); w.settle() }},
	{"reset-failed", "", func(w *world) { w.m.ResetFailed(w) }},
	{"main-ok", "", func(w *world) { w.exit(101, machine.CodeExited, 0) }},
	{"main-bad", "", func(w *world) { w.exit(101, machine.CodeExited, 1) }},
	{"control-ok", "", func(w *world) { w.exit(102, machine.CodeExited, 0) }},
	{"control-bad", "", func(w *world) { w.exit(102, machine.CodeExited, 1) }},
	{"forked", "Type=forking", func(w *world) { w.exit(102, machine.CodeExited, 0) }},
	{"executed", "Type=exec", func(w *world) { w.step(machine.ExecDone{PID: 101, Handoff: w.Now()}) }},
	{"ready", "", func(w *world) { w.step(machine.Notify{PID: 101, Msg: machine.NotifyMessage{Ready: true}}) }},
	{"reloading", "", func(w *world) {
		at := w.now
		w.step(machine.Notify{PID: 101, Msg: machine.NotifyMessage{Reloading: true, MonotonicUSec: &at}})
	}},
	{"stopping", "", func(w *world) { w.step(machine.Notify{PID: 101, Msg: machine.NotifyMessage{Stopping: true}}) }},
	{"trigger", "", func(w *world) { w.step(machine.Notify{PID: 101, Msg: machine.NotifyMessage{WatchdogTrigger: true}}) }},
	{"main-pid", "", func(w *world) {
		w.alive[200] = true
		pid := int32(200)
		w.step(machine.Notify{PID: 101, Msg: machine.NotifyMessage{MainPID: &pid}})
	}},
	{"empty", "", func(w *world) {
		w.alive = map[int32]bool{}
		w.m.dropMain(w)
		w.m.dropControl(w)
		w.step(machine.CgroupEmpty{})
	}},
	{"oom", "", func(w *world) { w.step(machine.OOMKill{Count: 1}) }},
	{"name", "Type=dbus\nBusName=org.x", func(w *world) { w.step(machine.NameOwnerChanged{Bus: "org.x", New: ":1.2"}) }},
	{"name-lost", "Type=dbus\nBusName=org.x", func(w *world) { w.step(machine.NameOwnerChanged{Bus: "org.x"}) }},
	{"hangup", "", func(w *world) { w.step(machine.HandleHangup{Handle: 7}) }},
	{"frozen", "", func(w *world) { w.step(machine.CgroupFrozen{Frozen: true}) }},
	{"timeout", "", func(w *world) {
		if due := w.m.timerDue(w.cfg); due != machine.Never {
			w.now = due
			w.m.stopWatchdog()
			w.m.Expire(w)
			w.settle()
		}
	}},
	{"watchdog", "", func(w *world) {
		if due := w.m.watchdogDue(w.cfg); due != machine.Never {
			w.now = due
			w.m.s.Timer.Off()
			w.m.Expire(w)
			w.settle()
		}
	}},
	{"stray-pid", "", func(w *world) { w.step(machine.ProcessExited{PID: 999}) }},
	{"stray-answer", "", func(w *world) { w.step(machine.Spawned{Token: 9999, PID: 1}) }},
}

// place puts a new world into a sub-state.
func place(t *testing.T, config string, sub SubState) *world {
	w := newWorld(t, config)
	w.quiet = true
	f := states[sub]
	s := State{Sub: sub, Timer: control.Timer{From: w.now}, ActiveSince: w.now, ReloadBegan: w.now, Store: []Stored{{Handle: 7, Name: "x"}}}
	if f.main {
		s.MainPID, s.MainKnown, s.MainIndex = 101, true, 1
		s.Main.Began(101, w.Now())
		w.alive[101] = true
	}
	if f.control {
		s.ControlPID = 102
		w.alive[102] = true
		for phase, in := range phaseState {
			if in == sub {
				s.ControlPhase = phase
			}
		}
	}
	if f.watchdog {
		s.Watchdog = w.Now()
	}
	if sub == Failed || sub == FailedBeforeAutoRestart {
		s.Result = ResultExitCode
	}
	s.Processes, s.Realized = !f.down, !f.down
	if !f.down {
		s.BusNameWatched = "org.x"
	}
	w.m.s = s
	w.pid = 300
	return w
}

// TestTotality holds testdata/table/transitions.tsv against the machine: one row per sub-state, one column per event, the
// cell is the sub-state after it, "=" if only something else has changed, "-" if the event means nothing there. A new
// sub-state or event kind has to be decided on in each cell.
func TestTotality(t *testing.T) {
	var b strings.Builder
	b.WriteString("sub-state")
	for _, c := range totalityColumns {
		b.WriteString("\t" + c.name)
	}
	b.WriteString("\n")
	for _, sub := range SubStates() {
		if _, ok := states[sub]; !ok {
			t.Errorf("%s is not in the table of states", sub)
		}
		b.WriteString(string(sub))
		for _, c := range totalityColumns {
			w := place(t, totalityConfig+c.config, sub)
			before, _ := json.Marshal(w.m.s)
			c.do(w)
			after, _ := json.Marshal(w.m.s)
			switch {
			case w.m.s.Sub != sub:
				fmt.Fprintf(&b, "\t%s", w.m.s.Sub)
			case string(before) != string(after):
				b.WriteString("\t=")
			default:
				b.WriteString("\t-")
			}
		}
		b.WriteString("\n")
	}
	if len(states) != len(SubStates()) {
		t.Errorf("%d sub-states in the table, %d in the list", len(states), len(SubStates()))
	}
	const file = "testdata/table/transitions.tsv"
	if *rewrite {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("transitions differ from the table; run with -rewrite and look at the difference\n%s", firstDifference(string(want), b.String()))
	}
}
