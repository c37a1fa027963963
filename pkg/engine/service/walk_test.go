package service

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
)

// random is splitmix64: the walks must be the same everywhere.
type random uint64

func (r *random) next() uint64 {
	*r += 0x9e3779b97f4a7c15
	z := uint64(*r)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func (r *random) below(n int) int            { return int(r.next() % uint64(n)) }
func (r *random) chance(percent int) bool    { return r.below(100) < percent }
func (r *random) pick(list ...string) string { return list[r.below(len(list))] }

// randomConfig draws a configuration.
func randomConfig(r *random) string {
	var b strings.Builder
	line := func(percent int, format string, args ...any) {
		if r.chance(percent) {
			fmt.Fprintf(&b, format+"\n", args...)
		}
	}
	t := r.pick(typeSimple, typeExec, typeForking, typeOneshot, typeDBus, typeNotify, typeNotifyReload, typeIdle)
	line(100, "Type=%s", t)
	line(100, "ExecStart=/bin/a")
	if t == typeOneshot {
		line(50, "ExecStart=-/bin/b")
	}
	if t == typeDBus {
		line(100, "BusName=org.x")
	}
	for _, phase := range []string{"ExecCondition", "ExecStartPre", "ExecStartPost", "ExecReload", "ExecReloadPost", "ExecStop", "ExecStopPost"} {
		line(30, "%s=/bin/x", phase)
		line(15, "%s=-/bin/y", phase)
	}
	line(30, "PIDFile=/run/x")
	line(20, "GuessMainPID=no")
	line(25, "ExitType=cgroup")
	line(60, "Restart=%s", r.pick("always", "on-success", "on-failure", "on-abnormal", "on-watchdog", "on-abort"))
	line(40, "RestartMode=%s", r.pick("direct", "debug"))
	line(20, "RestartRandomizedDelaySec=3s")
	line(25, "RemainAfterExit=yes")
	line(60, "NotifyAccess=%s", r.pick("all", "main", "exec", "none"))
	line(40, "WatchdogSec=2s")
	line(30, "RuntimeMaxSec=20s")
	line(40, "TimeoutStartSec=5s")
	line(80, "TimeoutStopSec=3s")
	line(20, "TimeoutAbortSec=1s")
	line(40, "TimeoutStartFailureMode=%s", r.pick("abort", "kill"))
	line(40, "TimeoutStopFailureMode=%s", r.pick("abort", "kill"))
	line(60, "KillMode=%s", r.pick("mixed", "process", "none"))
	line(20, "SendSIGKILL=no")
	line(60, "OOMPolicy=%s", r.pick("stop", "kill"))
	line(50, "FileDescriptorStoreMax=3")
	line(50, "FileDescriptorStorePreserve=%s", r.pick("yes", "no"))
	line(30, "StateDirectory=x")
	line(20, "TimeoutCleanSec=4s")
	line(40, "RefreshOnReload=%s", r.pick("extensions credentials", "extensions", "credentials"))
	line(40, "SetCredential=a")
	line(40, "ExtensionDirectories=/x")
	return b.String()
}

// walker drives a world at random and remembers what it must not forget.
type walker struct {
	*world
	r       *random
	handles map[machine.Handle]bool // given to the service and not closed
	next    machine.Handle
}

// Emit watches descriptors: each is closed once.
func (w *walker) Emit(e machine.Effect) {
	if c, ok := e.(machine.CloseHandle); ok {
		if !w.handles[c.Handle] {
			w.t.Fatalf("handle %d closed, but it is not open", c.Handle)
		}
		delete(w.handles, c.Handle)
	}
	w.world.Emit(e)
}

func (w *walker) somePID() int32 {
	pids := slices.Sorted(maps.Keys(w.alive))
	pids = append(pids, 999)
	return pids[w.r.below(len(pids))]
}

// deliver hands an event to the machine and settles, as world.step, but through the walker as host.
func (w *walker) deliver(ev machine.Event) {
	w.m.Step(w, ev)
	w.settleAll()
}

func (w *walker) settleAll() {
	w.roundTrip()
	for len(w.questions) > 0 {
		q := w.questions[0]
		w.questions = w.questions[1:]
		ev := w.answer(q)
		if sp, ok := q.(machine.Spawn); ok && w.r.chance(8) {
			delete(w.alive, w.pid)
			ev = machine.SpawnFailed{Token: sp.Token, Status: 203, Limits: w.r.chance(50), Message: "no"}
		}
		if ev != nil {
			w.m.Step(w, ev)
			w.roundTrip()
		}
	}
}

// faulty does one random thing.
func (w *walker) faulty() {
	r := w.r
	switch r.below(22) {
	case 0, 1:
		w.job = job.Start
		w.m.Start(w)
		w.settleAll()
	case 2:
		w.job = job.Type(r.pick("stop", "restart"))
		w.m.Stop(w)
		w.settleAll()
	case 3:
		w.m.Reload(w)
		w.settleAll()
	case 4, 5, 6:
		w.someExit()
	case 7:
		w.alive[w.somePID()+1000] = true
	case 8:
		w.advanceWalk(uint64(r.below(4000000)))
	case 9, 10:
		w.someMessage()
	case 11:
		w.deliver(machine.OOMKill{Unit: w.cfg.Name, Count: 1, Managed: r.chance(50)})
	case 12:
		w.deliver(machine.NameOwnerChanged{Bus: "org.x", New: r.pick("", ":1.5"), PID: w.somePID()})
	case 13:
		w.someWorld()
	case 14:
		w.deliver(machine.ExecDone{PID: w.somePID(), Handoff: w.Now()})
	case 15:
		w.someAnswer()
	default:
		w.proper()
	}
}

// proper does what a well-behaved service would do next.
func (w *walker) proper() {
	s, svc := &w.m.s, w.cfg.GetService()
	say := func(msg machine.NotifyMessage) {
		w.deliver(machine.Notify{Unit: w.cfg.Name, PID: s.MainPID, Msg: msg})
	}
	switch {
	case s.ControlPID != 0:
		delete(w.alive, s.ControlPID)
		w.deliver(machine.ProcessExited{PID: s.ControlPID, Exit: machine.Exit{Code: machine.CodeExited}})
	case s.Sub == Start && notifies(svc), s.Sub == ReloadNotify:
		say(machine.NotifyMessage{Ready: true})
	case s.Sub == Start && typeOf(svc) == typeDBus:
		w.deliver(machine.NameOwnerChanged{Bus: "org.x", New: ":1.9"})
	case s.Sub == Start && typeOf(svc) == typeExec:
		w.deliver(machine.ExecDone{PID: s.MainPID})
	case s.Sub == Running && w.r.chance(70):
		w.m.Reload(w)
		w.settleAll()
	case s.Sub == ReloadSignal:
		at := w.now
		say(machine.NotifyMessage{Reloading: true, MonotonicUSec: &at})
	case s.MainPID != 0:
		delete(w.alive, s.MainPID)
		w.deliver(machine.ProcessExited{PID: s.MainPID, Exit: machine.Exit{Code: machine.CodeExited}})
	default:
		w.m.Start(w)
		w.settleAll()
	}
}

func (w *walker) someExit() {
	pid := w.somePID()
	if w.m.s.MainPID != 0 && w.r.chance(40) {
		pid = w.m.s.MainPID
	} else if w.m.s.ControlPID != 0 && w.r.chance(60) {
		pid = w.m.s.ControlPID
	}
	delete(w.alive, pid)
	e := machine.Exit{Code: machine.CodeExited, Status: int32(w.r.below(3))}
	if w.r.chance(40) {
		e = machine.Exit{Code: w.r.pick(machine.CodeKilled, machine.CodeDumped), Status: int32(w.r.below(15) + 1)}
	}
	w.deliver(machine.ProcessExited{PID: pid, Exit: e})
	if len(w.alive) == 0 {
		w.deliver(machine.CgroupEmpty{Unit: w.cfg.Name})
	}
}

func (w *walker) someMessage() {
	r := w.r
	msg := machine.NotifyMessage{
		Ready: r.chance(40), Reloading: r.chance(30), Stopping: r.chance(10), Watchdog: r.chance(30), WatchdogTrigger: r.chance(5),
		FDStore: r.chance(40), FDStoreRemove: r.chance(10), FDName: r.pick("", "a", "b:c"), FDPollOff: r.chance(50),
	}
	if r.chance(30) {
		at := w.now
		msg.MonotonicUSec = &at
	}
	if r.chance(20) {
		pid := w.somePID()
		msg.MainPID = &pid
	}
	if r.chance(20) {
		usec := uint64(r.below(9000000))
		msg.ExtendTimeoutUSec = &usec
	}
	if r.chance(10) {
		usec := uint64(r.below(900000))
		msg.WatchdogUSec = &usec
	}
	for range r.below(3) {
		w.next++
		w.handles[w.next] = true
		msg.FDs = append(msg.FDs, w.next)
	}
	w.deliver(machine.Notify{Unit: w.cfg.Name, PID: w.somePID(), UID: uint32(r.below(2)), Msg: msg})
}

func (w *walker) someWorld() {
	r := w.r
	w.guess, w.pidFile = 0, 0
	if r.chance(60) {
		w.guess = w.somePID()
		w.pidFile = w.guess
	}
	w.limit = r.below(4) - 1
	w.stopPending, w.noRestart, w.watchdogs = r.chance(15), r.chance(10), r.chance(90)
	w.job = job.Type(r.pick("", "start", "stop", "restart"))
	switch r.below(6) {
	case 0:
		w.m.ResetFailed(w)
	case 1:
		w.m.Release(w)
	case 2:
		w.m.Clean(w, []string{"all"})
	case 3:
		w.deliver(machine.CgroupFrozen{Frozen: r.chance(50)})
	case 5:
		// The files have changed: another configuration under the same state.
		store := w.cfg.GetService().FileDescriptorStoreMax
		w.cfg = parseUnit(w.t, randomConfig(r))
		w.cfg.Service.FileDescriptorStoreMax = store
	case 4:
		if len(w.m.s.Store) > 0 {
			w.deliver(machine.HandleHangup{Handle: w.m.s.Store[0].Handle})
		}
	}
	w.settleAll()
}

// someAnswer answers a slow query, or one that nobody asked.
func (w *walker) someAnswer() {
	for _, token := range slices.Sorted(maps.Keys(w.waiting)) {
		q := w.waiting[token]
		delete(w.waiting, token)
		if _, ok := q.(machine.ReadPIDFile); ok {
			w.deliver(machine.PIDFileRead{Token: token, PID: w.somePID()})
		} else {
			w.deliver(machine.DirectoriesRemoved{Token: token, Message: w.r.pick("", "no")})
		}
		return
	}
	w.deliver(machine.Killed{Token: 1 << 40, Left: true})
}

func (w *walker) advanceWalk(usec uint64) {
	end := w.now + usec
	for range 200 {
		due := w.m.Deadline(w.cfg)
		if due > end {
			w.now = end
			return
		}
		w.now = max(w.now, due)
		w.m.Expire(w)
		w.settleAll()
	}
	w.t.Fatalf("a deadline in %s is due again and again", w.m.s.Sub)
}

// check holds the invariants.
func (w *walker) check(result *string) {
	s := &w.m.s
	f := states[s.Sub]
	fatal := func(format string, args ...any) {
		w.t.Helper()
		w.t.Fatalf("%s: %s\n%s", s.Sub, fmt.Sprintf(format, args...), strings.Join(w.out, "\n"))
	}
	switch {
	case s.Pending != nil:
		fatal("query %s is open after all were answered", s.Pending.Kind)
	case s.Owed != nil:
		fatal("an exit is owed")
	case s.MainPID != 0 && !f.main, s.ControlPID != 0 && !f.control:
		fatal("holds main %d, control %d", s.MainPID, s.ControlPID)
	case !s.Watchdog.IsZero() && w.m.ActiveState(w.cfg).IsInactiveOrDeactivating() && !f.watchdog && s.Sub != Dead && s.Frozen:
		fatal("watchdog runs while frozen")
	case uint32(len(s.Store)) > w.cfg.GetService().FileDescriptorStoreMax:
		fatal("%d descriptors stored", len(s.Store))
	case len(s.Store) != len(w.handles):
		fatal("%d descriptors stored, %d open", len(s.Store), len(w.handles))
	}
	for _, fd := range s.Store {
		if !w.handles[fd.Handle] {
			fatal("stored handle %d is closed", fd.Handle)
		}
	}
	want := map[int32]bool{}
	for _, pid := range []int32{s.MainPID, s.ControlPID} {
		if pid != 0 {
			want[pid] = true
		}
	}
	if !maps.Equal(want, w.tracked) {
		fatal("tracks %v, has %v", w.tracked, want)
	}
	if w.cancelledAnswered() {
		fatal("a cancelled query is still waited for")
	}
	*result = s.Result
}

func (w *walker) cancelledAnswered() bool {
	return w.m.s.Slow != nil && w.cancelled[w.m.s.Slow.Token]
}

// walk runs a seed: first with faults, then with processes that obey, when a stop must end.
func walk(t *testing.T, seed uint64) []string {
	r := random(seed)
	config := randomConfig(&r)
	w := &walker{world: newWorld(t, config), r: &r, handles: map[machine.Handle]bool{}}
	w.out = append(w.out, config)
	var result string
	for range 150 {
		w.faulty()
		w.check(&result)
	}
	w.live(&result)
	return w.out
}

// live is the second phase: whatever the state, a stop leads to the end once processes do what they are told.
func (w *walker) live(result *string) {
	w.limit, w.stopPending, w.noRestart, w.job = -1, true, false, job.Stop
	for range 60 {
		if a := w.m.ActiveState(w.cfg); a.IsInactiveOrFailed() && a != machine.Maintenance {
			return
		}
		w.m.Stop(w)
		w.settleAll()
		w.check(result)
		for _, pid := range slices.Sorted(maps.Keys(w.alive)) {
			delete(w.alive, pid)
			w.deliver(machine.ProcessExited{PID: pid, Exit: machine.Exit{Code: machine.CodeKilled, Status: 15}})
		}
		for _, pid := range []int32{w.m.s.MainPID, w.m.s.ControlPID} {
			if pid != 0 {
				w.deliver(machine.ProcessExited{PID: pid, Exit: machine.Exit{Code: machine.CodeExited}})
			}
		}
		w.deliver(machine.CgroupEmpty{Unit: w.cfg.Name})
		w.check(result)
		w.advanceWalk(1000000)
	}
	w.t.Fatalf("does not end, stays %s\n%s", w.m.s.Sub, strings.Join(w.out, "\n"))
}

func TestRandomWalk(t *testing.T) {
	visited := map[string]int{}
	for seed := range uint64(300) {
		first := walk(t, seed)
		for _, line := range first {
			if sub, _, ok := strings.Cut(line, " ("); ok {
				visited[sub]++
			}
		}
		if seed%10 == 0 {
			if again := walk(t, seed); !slices.Equal(first, again) {
				t.Fatalf("seed %d: two runs differ", seed)
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	for _, sub := range SubStates() {
		if visited[string(sub)] < 5 {
			t.Errorf("sub-state %s was entered %d times only", sub, visited[string(sub)])
		}
	}
}
