package scope

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit"
)

// world is a fake host and a fake shell around one scope.
type world struct {
	machine.Triggering // not called here
	t                  *testing.T
	m                  *Machine
	cfg                *unit.Unit
	now                uint64
	token              machine.Token
	questions          []machine.Effect
	alive              int
	attach             string // answer to AttachPIDs
	out                []string
}

func newWorld(t *testing.T, set func(s *unit.Scope, k *unit.Kill)) *world {
	t.Helper()
	u := unit.New("t.scope", nil)
	u.Transient = true
	s, k := *u.GetScope(), *u.GetKill()
	s.PIDs, s.TimeoutStopUSec = []uint32{11, 12}, 2000000
	if set != nil {
		set(&s, &k)
	}
	u.Scope, u.Kill = &s, &k
	return &world{t: t, m: New(), cfg: u, now: 1000000, alive: 2}
}

func (w *world) printf(format string, args ...any) {
	w.out = append(w.out, fmt.Sprintf(format, args...))
}

func (w *world) Now() machine.Instant {
	return machine.Instant{Monotonic: w.now, Realtime: w.now, Boottime: w.now}
}
func (w *world) Unit() *unit.Unit { return w.cfg }
func (w *world) Query(e machine.Effect) machine.Token {
	w.token++
	q, ok := machine.WithToken(e, w.token)
	if !ok {
		w.t.Fatalf("%T is no query", e)
	}
	w.questions = append(w.questions, q)
	return w.token
}
func (w *world) Emit(e machine.Effect) {
	w.printf("%s%s", strings.TrimPrefix(fmt.Sprintf("%T", e), "machine."), strings.ReplaceAll(fmt.Sprintf("%+v", e), "Unit:t.scope", ""))
}
func (w *world) StateChanged(old machine.ActiveState) {
	w.printf("%s (%s → %s)", w.m.SubState(), old, w.m.ActiveState(w.cfg))
}
func (w *world) PropertiesChanged()                         {}
func (w *world) Track(int32)                                {}
func (w *world) Forget(int32)                               {}
func (w *world) Job() (job.Type, bool)                      { return "", false }
func (w *world) StopPending() bool                          { return false }
func (w *world) QueueRestart(job.Mode) bool                 { return false }
func (w *world) StartLimitOK() bool                         { return true }
func (w *world) Invocation() string                         { return "0" }
func (w *world) NewInvocation()                             {}
func (w *world) TriggerEnv() []string                       { return nil }
func (w *world) Log(level int, _, text string, _ ...string) { w.printf("log %d %s", level, text) }
func (w *world) Random() uint64                             { return 7 }
func (w *world) Act(string, string, int32)                  {}
func (w *world) PropagateReload()                           {}
func (w *world) WatchdogsEnabled() bool                     { return true }
func (w *world) ListenFDs() []machine.FD                    { return nil }
func (w *world) PeerState(string) machine.ActiveState       { return "" }

func (w *world) settle() {
	w.roundTrip()
	for len(w.questions) > 0 {
		q := w.questions[0]
		w.questions = w.questions[1:]
		switch e := q.(type) {
		case machine.AttachPIDs:
			w.printf("attach %v", e.PIDs)
			w.m.Step(w, machine.ProcessesAttached{Token: e.Token, Message: w.attach})
		case machine.Kill:
			w.printf("kill %d also %v log %v", e.Signal, e.Also, e.Log)
			w.m.Step(w, machine.Killed{Token: e.Token, Left: w.alive > 0})
		}
		w.roundTrip()
	}
}

func (w *world) roundTrip() {
	w.t.Helper()
	b, err := json.Marshal(w.m.Data())
	if err != nil {
		w.t.Fatal(err)
	}
	n := New()
	if err := json.Unmarshal(b, n.Data()); err != nil {
		w.t.Fatal(err)
	}
	if d := cmp.Diff(w.m.s, n.s); d != "" {
		w.t.Fatalf("state does not survive JSON: %s", d)
	}
	w.m = n
}

func (w *world) advance(usec uint64) {
	end := w.now + usec
	for range 20 {
		due := w.m.Deadline(w.cfg)
		if due > end {
			break
		}
		w.now = max(w.now, due)
		w.m.Expire(w)
		w.settle()
	}
	w.now = end
}

func (w *world) start() machine.Answer { a := w.m.Start(w); w.settle(); return a }
func (w *world) stop() machine.Answer  { a := w.m.Stop(w); w.settle(); return a }
func (w *world) empty() {
	w.alive = 0
	w.m.Step(w, machine.CgroupEmpty{Unit: "t.scope"})
	w.settle()
}

func TestScope(t *testing.T) {
	tests := []struct {
		name string
		set  func(*unit.Scope, *unit.Kill)
		do   func(*world)
		want string
	}{
		{"lives until empty", nil, func(w *world) { w.start(); w.empty() }, `
RealizeCgroup{}
attach [11 12]
running (inactive → active)
log 6 Deactivated successfully.
dead (active → inactive)
ReleaseCgroup{}`},
		{"stop", nil, func(w *world) { w.start(); w.stop(); w.empty() }, `
RealizeCgroup{}
attach [11 12]
running (inactive → active)
kill 15 also [18] log false
stop-sigterm (active → deactivating)
log 6 Deactivated successfully.
dead (deactivating → inactive)
ReleaseCgroup{}`},
		{"stubborn", nil, func(w *world) { w.start(); w.stop(); w.advance(9000000) }, `
RealizeCgroup{}
attach [11 12]
running (inactive → active)
kill 15 also [18] log false
stop-sigterm (active → deactivating)
log 4 Stopping timed out. Killing.
kill 9 also [] log true
stop-sigkill (deactivating → deactivating)
log 4 Still around after SIGKILL. Ignoring.
log 4 Failed with result 'timeout'.
failed (deactivating → failed)
ReleaseCgroup{}`},
		{"without SIGKILL", func(_ *unit.Scope, k *unit.Kill) { k.SendSIGKILL, k.SendSIGHUP = false, true }, func(w *world) {
			w.start()
			w.stop()
			w.advance(3000000)
		}, `
RealizeCgroup{}
attach [11 12]
running (inactive → active)
kill 15 also [18 1] log false
stop-sigterm (active → deactivating)
log 4 Stopping timed out. Skipping SIGKILL.
log 4 Failed with result 'timeout'.
failed (deactivating → failed)
ReleaseCgroup{}`},
		{"no process left to attach", nil, func(w *world) {
			w.attach = "No PIDs left to attach to the scope's control group, refusing."
			w.start()
			w.m.ResetFailed(w)
		}, `
RealizeCgroup{}
attach [11 12]
log 4 Failed to add PIDs to scope's control group: No PIDs left to attach to the scope's control group, refusing.
log 4 Failed with result 'resources'.
failed (inactive → failed)
ReleaseCgroup{}
dead (failed → inactive)`},
		{"runtime limit", func(s *unit.Scope, _ *unit.Kill) { s.RuntimeMaxUSec, s.RuntimeRandomizedExtraUSec = 5000000, 10 }, func(w *world) {
			w.start()
			w.advance(5000006)
			w.printf("not yet")
			w.advance(1)
			w.empty()
		}, `
RealizeCgroup{}
attach [11 12]
running (inactive → active)
not yet
log 4 Scope reached runtime time limit. Stopping.
kill 15 also [18] log false
stop-sigterm (active → deactivating)
log 4 Failed with result 'timeout'.
failed (deactivating → failed)
ReleaseCgroup{}`},
		{"controller is asked first", func(s *unit.Scope, _ *unit.Kill) { s.Controller = ":1.5" }, func(w *world) {
			w.start()
			w.stop()
			w.advance(2000000)
			w.empty()
		}, `
WatchName{Name::1.5}
RealizeCgroup{}
attach [11 12]
running (inactive → active)
RequestStop{ Client::1.5}
stop-sigterm (active → deactivating)
log 4 Stopping timed out. Killing.
kill 9 also [] log true
stop-sigkill (deactivating → deactivating)
UnwatchName{Name::1.5}
log 4 Failed with result 'timeout'.
failed (deactivating → failed)
ReleaseCgroup{}`},
		{"controller gone, then abandoned", func(s *unit.Scope, _ *unit.Kill) { s.Controller = ":1.5" }, func(w *world) {
			w.start()
			w.m.Step(w, machine.NameOwnerChanged{Bus: ":1.5"})
			if err := w.m.Abandon(w); err != nil {
				w.t.Fatal(err)
			}
			w.stop()
			w.empty()
			if err := w.m.Abandon(w); err == nil || err.Name != "org.freedesktop.systemd1.ScopeNotRunning" {
				w.t.Errorf("Abandon of a dead scope: %v", err)
			}
		}, `
WatchName{Name::1.5}
RealizeCgroup{}
attach [11 12]
running (inactive → active)
UnwatchName{Name::1.5}
abandoned (active → active)
kill 15 also [18] log true
stop-sigterm (active → deactivating)
log 6 Deactivated successfully.
dead (deactivating → inactive)
ReleaseCgroup{}`},
		{"out of memory", func(s *unit.Scope, _ *unit.Kill) { s.OOMPolicy = "kill" }, func(w *world) {
			w.start()
			w.m.Step(w, machine.OOMKill{Count: 1})
			w.settle()
			w.empty()
		}, `
RealizeCgroup{}
attach [11 12]
running (inactive → active)
log 5 A process of this unit has been killed by the OOM killer.
kill 9 also [] log true
stop-sigkill (active → deactivating)
log 4 Failed with result 'oom-kill'.
failed (deactivating → failed)
ReleaseCgroup{}`},
		{"empty while being killed", nil, func(w *world) { w.start(); w.alive = 0; w.stop() }, `
RealizeCgroup{}
attach [11 12]
running (inactive → active)
kill 15 also [18] log false
kill 9 also [] log true
log 6 Deactivated successfully.
dead (active → inactive)
ReleaseCgroup{}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, tt.set)
			tt.do(w)
			if d := cmp.Diff(strings.Split(strings.TrimSpace(tt.want), "\n"), w.out); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestScopeAnswers(t *testing.T) {
	w := newWorld(t, nil)
	w.cfg.Transient = false
	if a := w.start(); a != machine.Refused {
		t.Errorf("start of a scope that nobody made: %v", a)
	}
	w = newWorld(t, nil)
	if a := w.stop(); a != machine.Already {
		t.Errorf("stop of a dead scope: %v", a)
	}
	w.start()
	if a := w.start(); a != machine.Already {
		t.Errorf("start of a running scope: %v", a)
	}
	if a := w.m.Reload(w); a != machine.Invalid {
		t.Errorf("reload: %v", a)
	}
	w.stop()
	if a := w.start(); a != machine.Again {
		t.Errorf("start of a stopping scope: %v", a)
	}
	w = newWorld(t, nil)
	w.cfg.Perpetual = true
	w.m.Perpetual()
	w.empty()
	if w.m.s.Sub != Running {
		t.Errorf("init.scope became %s", w.m.s.Sub)
	}
}

// TestTotality: each sub-state has an active state, and no event brings a scope into another one that the list lacks.
func TestTotality(t *testing.T) {
	events := []func(*world){
		func(w *world) { w.start() }, func(w *world) { w.stop() }, (*world).empty,
		func(w *world) { w.m.Step(w, machine.OOMKill{Count: 1, Managed: true}); w.settle() },
		func(w *world) { w.m.Abandon(w) }, func(w *world) { w.m.ResetFailed(w) }, func(w *world) { w.advance(1 << 40) },
		func(w *world) { w.m.Step(w, machine.Killed{Token: 99, Left: true}) },
		func(w *world) { w.m.Step(w, machine.ProcessExited{PID: 11}) },
		func(w *world) { w.m.CatchUp(w); w.settle() },
	}
	// One row per sub-state: where the events above lead.
	want := map[SubState]string{
		Dead:        "running dead dead dead dead dead dead dead dead dead",
		Running:     "running stop-sigterm dead stop-sigterm abandoned running failed running running running",
		Abandoned:   "abandoned stop-sigterm dead stop-sigterm abandoned abandoned failed abandoned abandoned abandoned",
		StopSigterm: "stop-sigterm stop-sigterm dead stop-sigkill stop-sigterm stop-sigterm failed stop-sigterm stop-sigterm stop-sigterm",
		StopSigkill: "stop-sigkill stop-sigkill dead stop-sigkill stop-sigkill stop-sigkill failed stop-sigkill stop-sigkill stop-sigkill",
		Failed:      "failed failed failed failed failed dead failed failed failed failed",
	}
	for _, sub := range SubStates() {
		if ActiveStateOf(sub) == "" {
			t.Errorf("%s has no active state", sub)
		}
		var got []string
		for _, do := range events {
			w := newWorld(t, func(s *unit.Scope, _ *unit.Kill) { s.OOMPolicy, s.RuntimeMaxUSec = "stop", 1000000 })
			w.m.s.Sub, w.m.s.Realized = sub, sub != Dead && sub != Failed
			w.m.s.Timer.Arm(w.now)
			if sub == Failed {
				w.m.s.Result = ResultTimeout
			}
			do(w)
			got = append(got, w.m.SubState())
		}
		if g := strings.Join(got, " "); g != want[sub] {
			t.Errorf("%s:\nwant %s\ngot  %s", sub, want[sub], g)
		}
	}
}
