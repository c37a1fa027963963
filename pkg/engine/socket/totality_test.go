package socket

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
)

const totalityConfig = `
RemoveOnStop=yes
StateDirectory=x
TimeoutSec=5s
TimeoutCleanSec=5s
ExecStartPre=/bin/true
ExecStartPost=/bin/true
ExecStopPre=/bin/true
ExecStopPost=/bin/true
`

// totalityColumns is each kind of event or call, carried out on a world that stands in some sub-state with control process 102 and
// listener 1, as far as the sub-state holds them.
var totalityColumns = []struct {
	name   string
	config string // added to totalityConfig
	do     func(w *world)
}{
	{"start", "", func(w *world) { w.start() }},
	{"stop", "", func(w *world) { w.stop() }},
	{"clean", "", func(w *world) { _ = w.m.Clean(w, []string{"state"}); w.settle() }},
	{"reset-failed", "", func(w *world) { w.m.ResetFailed(w); w.settle() }},
	{"answer", "", func(w *world) { w.reply() }},
	{"control-ok", "", func(w *world) { w.exit(102, machine.CodeExited, 0) }},
	{"control-bad", "", func(w *world) { w.exit(102, machine.CodeExited, 1) }},
	{"ready", "", func(w *world) { w.ready(0, "") }},
	{"connection", "Accept=yes\n", func(w *world) { w.ready(0, "me") }},
	{"problem", "", func(w *world) { w.step(machine.SocketReady{Port: 1, Problem: "no good"}) }},
	{"service-up", "", func(w *world) {
		w.peer(machine.Peer{Name: "t.service", Loaded: true, Active: machine.Active, Sub: "running"})
	}},
	{"service-down", "", func(w *world) {
		w.peer(machine.Peer{Name: "t.service", Loaded: true, Active: machine.Inactive, Sub: "dead"})
	}},
	{"service-limit", "", func(w *world) {
		w.peer(machine.Peer{Name: "t.service", Loaded: true, Active: machine.Failed, Sub: "failed", LimitHit: true})
	}},
	{"jobs", "", func(w *world) { w.m.JobsChanged(w, 0); w.settle() }},
	{"empty", "", func(w *world) {
		w.alive = map[int32]bool{}
		w.m.dropControl(w)
		w.step(machine.CgroupEmpty{})
	}},
	{"oom", "", func(w *world) { w.step(machine.OOMKill{Count: 1}) }},
	{"config", "", func(w *world) {
		w.cfg = parseUnit(w.t, totalityConfig+"ListenStream=/run/other\n")
		w.m.ConfigChanged(w)
		w.settle()
	}},
	{"timeout", "", func(w *world) {
		if due := w.m.Deadline(w.cfg); due != machine.Never {
			w.now = due
			w.m.Expire(w)
			w.settle()
		}
	}},
	{"stray-pid", "", func(w *world) { w.step(machine.ProcessExited{PID: 999}) }},
	{"stray-answer", "", func(w *world) { w.step(machine.SocketsChowned{Token: 9999}) }},
}

// slowKind is the slow query that is open in a sub-state.
var slowKind = map[SubState]QueryKind{StartOpen: askOpen, StartChown: askChown, Cleaning: askClean}

// place puts a new world into a sub-state.
func place(t *testing.T, config string, sub SubState) *world {
	w := newWorld(t, config)
	w.quiet = true
	f := states[sub]
	s := State{Sub: sub, Timer: control.Timer{From: w.now}}
	if f.control {
		s.ControlPID = 102
		w.alive[102] = true
		for phase, in := range phaseState {
			if in == sub {
				s.ControlPhase = phase
			}
		}
		s.Processes, s.Realized = true, true
	}
	if f.ports {
		s.Ports = []machine.Port{{Handle: 1, Kind: "Stream", Address: "/run/t"}}
		w.open[1], w.handle = true, 1
	}
	if sub == Listening {
		w.watched[1] = true
	}
	if sub == Failed {
		s.Result = ResultExitCode
	}
	if sub == Deferred {
		s.DeferUntil = w.now + 1000
	}
	w.m.s = s
	w.pid = 300
	if kind, ok := slowKind[sub]; ok {
		w.m.askSlowly(w, &Pending{Kind: kind})
	}
	return w
}

// TestTotality holds testdata/table/transitions.tsv against the machine: one row per sub-state, one column per event, the
// cell is the sub-state after it, "=" if only something else has changed, "-" if the event means nothing there.
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
	want, _ := os.ReadFile(file)
	hold(t, file, string(want), b.String())
}

// TestWalk lets random things happen to sockets of several configurations. world checks the rules after each step, and at the end, when
// everybody obeys, the socket must come to rest and hold nothing after a stop.
func TestWalk(t *testing.T) {
	configs := []string{"", totalityConfig, "Accept=yes\nMaxConnections=3\nMaxConnectionsPerSource=1\n", totalityConfig + "SocketUser=x\nAccept=yes\n",
		"DeferTrigger=yes\nDeferTriggerMaxSec=3s\n", "TriggerLimitBurst=2\nFlushPending=yes\n", "SendSIGKILL=no\n" + totalityConfig}
	for seed := range uint64(400) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		w := newWorld(t, configs[seed%uint64(len(configs))])
		w.quiet = true
		for range 120 {
			w.random(rnd)
		}
		w.openFails, w.chownFails, w.refuseSpawn, w.refuseStart, w.stopPending, w.limit = "", "", nil, nil, false, -1
		w.rest()
		w.stop()
		w.rest()
		if f := states[w.m.s.Sub]; f.active != machine.Inactive && f.active != machine.Failed {
			t.Fatalf("seed %d: %s after a stop", seed, w.m.s.Sub)
		}
		if len(w.watched) > 0 || len(w.m.s.Ports) > 0 {
			t.Fatalf("seed %d: %s still has listeners", seed, w.m.s.Sub)
		}
		served := 0
		for name := range w.peers {
			if strings.Contains(name, "@") {
				served++
			}
		}
		if len(w.open) != served {
			t.Fatalf("seed %d: %d handles are open, %d connections are served", seed, len(w.open), served)
		}
	}
}

func (w *world) rest() {
	for range 200 {
		switch {
		case w.reply():
		case w.m.s.ControlPID != 0:
			w.exit(w.m.s.ControlPID, machine.CodeExited, 0)
		case len(w.alive) > 0:
			w.alive = map[int32]bool{}
			w.step(machine.CgroupEmpty{})
		default:
			return
		}
	}
	w.t.Fatalf("%s: no rest in sight", w.m.s.Sub)
}

func (w *world) random(rnd *rand.Rand) {
	switch rnd.IntN(16) {
	case 0, 1:
		if w.m.ActiveState(w.cfg).IsInactiveOrFailed() {
			w.start()
		}
	case 2:
		w.stop()
	case 3, 4, 5:
		w.reply()
	case 6, 7, 8:
		// Only what is watched is reported.
		for i, p := range w.m.s.Ports {
			if w.watched[p.Handle] {
				w.ready(i, []string{"a", "b"}[rnd.IntN(2)])
				break
			}
		}
	case 9:
		if pid := w.m.s.ControlPID; pid != 0 {
			w.exit(pid, machine.CodeExited, int32(rnd.IntN(2)))
		}
	case 10:
		w.advance(uint64(rnd.IntN(4_000_000)))
	case 11, 12:
		w.randomPeer(rnd)
	case 13:
		w.m.JobsChanged(w, rnd.IntN(2))
		w.settle()
	case 14:
		w.openFails = []string{"", "", "no"}[rnd.IntN(3)]
		w.chownFails = []string{"", "", "no"}[rnd.IntN(3)]
		w.refuseSpawn = []*machine.SpawnFailed{nil, nil, {Status: 203}, {Limits: true}}[rnd.IntN(4)]
		w.refuseStart = []*machine.Error{nil, nil, {Name: "x.TransactionIsDestructive"}, {Name: "x.NoSuchUnit"}}[rnd.IntN(4)]
		w.stopPending = rnd.IntN(4) == 0
	case 15:
		w.catchUp()
	}
}

func (w *world) randomPeer(rnd *rand.Rand) {
	for _, p := range w.Triggers() {
		if rnd.IntN(2) == 0 {
			continue
		}
		next := []machine.Peer{{Active: machine.Inactive, Sub: "dead"}, {Active: machine.Active, Sub: "running"}, {Active: machine.Failed, Sub: "failed"},
			{Active: machine.Activating, Sub: "auto-restart"}, {Active: machine.Failed, Sub: "failed", LimitHit: true},
			{Active: machine.Deactivating, Sub: "stop", Job: job.Stop}}[rnd.IntN(6)]
		next.Name, next.Loaded = p.Name, true
		w.peer(next)
		if strings.Contains(p.Name, "@") && next.Active.IsInactiveOrFailed() {
			// The service closes its connection when it is down.
			delete(w.peers, p.Name)
			for h := range w.open {
				if !w.listener(h) {
					delete(w.open, h)
					break
				}
			}
		}
	}
}

func (w *world) listener(h machine.Handle) bool {
	for _, p := range w.m.s.Ports {
		if p.Handle == h {
			return true
		}
	}
	return false
}
