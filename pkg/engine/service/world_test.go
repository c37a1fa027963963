package service

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// world is a fake host and a fake shell around one service. Queries wait in questions until the world answers them, as the
// shell does before it delivers anything else.
type world struct {
	machine.Triggering
	t         *testing.T
	m         *Machine
	cfg       *unit.Unit
	now       uint64
	token     machine.Token
	pid       int32
	alive     map[int32]bool // processes in the cgroup
	questions []machine.Effect
	cancelled map[machine.Token]bool
	waiting   map[machine.Token]machine.Effect // open slow queries
	tracked   map[int32]bool

	job         job.Type
	stopPending bool
	noRestart   bool
	limit       int // starts left; -1 no limit
	watchdogs   bool
	triggerEnv  []string
	listen      []machine.FD
	pidFile     int32
	guess       int32
	outside     map[int32]bool // alive, but not in the unit
	refuse      map[string]machine.SpawnFailed
	random      uint64

	out      []string
	subs     []string
	spawns   []machine.Spawn
	quiet    bool
	propches int
}

func newWorld(t *testing.T, config string) *world {
	t.Helper()
	w := &world{
		t: t, m: New(), cfg: parseUnit(t, config), now: 1000000, pid: 100,
		alive: map[int32]bool{}, cancelled: map[machine.Token]bool{},
		waiting: map[machine.Token]machine.Effect{}, tracked: map[int32]bool{}, limit: -1, watchdogs: true,
		outside: map[int32]bool{}, refuse: map[string]machine.SpawnFailed{},
	}
	return w
}

func (w *world) printf(format string, args ...any) {
	if !w.quiet {
		w.out = append(w.out, fmt.Sprintf(format, args...))
	}
}

func (w *world) Now() machine.Instant {
	return machine.Instant{Monotonic: w.now, Realtime: w.now + 1, Boottime: w.now + 2}
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
	switch f := e.(type) {
	case machine.CancelQuery:
		w.cancelled[f.Token] = true
		delete(w.waiting, f.Token)
		w.printf("cancel query")
	case machine.Kill:
		if f.Token != 0 {
			w.t.Fatalf("kill with a token emitted as command")
		}
		w.printf("signal %s", killText(f))
		w.signal(f)
	default:
		text := fmt.Sprintf("%+v", e)
		text = strings.ReplaceAll(text, "Unit:t.service", "")
		text = strings.ReplaceAll(strings.ReplaceAll(text, "{ ", "{"), "{}", "")
		w.printf("%s%s", strings.TrimPrefix(fmt.Sprintf("%T", e), "machine."), text)
	}
}

func (w *world) StateChanged(old machine.ActiveState) {
	sub := w.m.SubState()
	w.subs = append(w.subs, sub)
	w.printf("%s (%s → %s)", sub, old, w.m.ActiveState(w.cfg))
	f := states[w.m.s.Sub]
	if !f.main && w.m.s.MainPID != 0 || !f.control && w.m.s.ControlPID != 0 {
		w.t.Fatalf("%s holds main %d, control %d", sub, w.m.s.MainPID, w.m.s.ControlPID)
	}
}

func (w *world) PropertiesChanged() { w.propches++ }
func (w *world) Track(pid int32)    { w.tracked[pid] = true }
func (w *world) Forget(pid int32)   { delete(w.tracked, pid) }
func (w *world) Job() (job.Type, bool) {
	return w.job, w.job != ""
}
func (w *world) StopPending() bool { return w.stopPending }
func (w *world) QueueRestart(mode job.Mode) bool {
	if w.noRestart {
		return false
	}
	w.printf("queue restart %s", mode)
	return true
}
func (w *world) StartLimitOK() bool {
	if w.limit == 0 {
		return false
	}
	if w.limit > 0 {
		w.limit--
	}
	return true
}
func (w *world) Invocation() string { return "0123456789abcdef0123456789abcdef" }
func (w *world) NewInvocation()     { w.printf("new invocation") }
func (w *world) TriggerEnv() []string {
	return w.triggerEnv
}
func (w *world) Log(level int, kind, text string, fields ...string) {
	if level < 7 {
		w.printf("log %d %s", level, text)
	}
}
func (w *world) Random() uint64                              { w.random++; return w.random }
func (w *world) Act(action, reason string, exitStatus int32) { w.printf("act %s", action) }
func (w *world) PropagateReload()                            { w.printf("propagate reload") }
func (w *world) WatchdogsEnabled() bool                      { return w.watchdogs }
func (w *world) ListenFDs() []machine.FD                     { return w.listen }
func (w *world) PeerState(name string) machine.ActiveState   { return "" }

var _ machine.Host = (*world)(nil)

func killText(k machine.Kill) string {
	s := value.Signal(k.Signal).Name()
	for _, a := range k.Also {
		s += "+" + value.Signal(a).Name()
	}
	if k.MainPID != 0 {
		s += fmt.Sprintf(" main=%d", k.MainPID)
	}
	if k.ControlPID != 0 {
		s += fmt.Sprintf(" control=%d", k.ControlPID)
	}
	if k.Cgroup {
		s += " cgroup"
	}
	return s
}

// signal carries out a kill and reports whether somebody got it.
func (w *world) signal(k machine.Kill) bool {
	left := false
	for pid := range w.alive {
		if k.Cgroup || pid == k.MainPID || pid == k.ControlPID {
			left = true
		}
	}
	return left
}

// settle answers questions until none is open that must be answered at once.
func (w *world) settle() {
	for len(w.questions) > 0 {
		q := w.questions[0]
		w.questions = w.questions[1:]
		if ev := w.answer(q); ev != nil {
			w.step(ev)
		}
	}
}

func (w *world) answer(q machine.Effect) machine.Event {
	switch e := q.(type) {
	case machine.Spawn:
		w.spawns = append(w.spawns, e)
		what := fmt.Sprintf("%s[%d]", e.Phase, e.Index)
		if f, ok := w.refuse[string(e.Phase)]; ok {
			w.printf("spawn %s fails", what)
			f.Token = e.Token
			return f
		}
		w.pid++
		w.alive[w.pid] = true
		extra := ""
		if len(e.Env) > 0 {
			extra += " " + strings.Join(e.Env, " ")
		}
		for _, fd := range e.FDs {
			extra += fmt.Sprintf(" fd:%d=%s", fd.Handle, fd.Name)
		}
		if e.WatchdogUSec != 0 {
			extra += fmt.Sprintf(" watchdog=%d", e.WatchdogUSec)
		}
		if e.ExecNotice {
			extra += " notice"
		}
		if e.Idle {
			extra += " idle"
		}
		w.printf("spawn %s %s pid %d%s", e.Slot, what, w.pid, extra)
		return machine.Spawned{Token: e.Token, PID: w.pid}
	case machine.Kill:
		left := w.signal(e)
		w.printf("kill %s left=%v", killText(e), left)
		return machine.Killed{Token: e.Token, Left: left}
	case machine.CheckCgroup:
		return machine.CgroupChecked{Token: e.Token, Populated: len(w.alive) > 0}
	case machine.CheckPID:
		return machine.PIDChecked{Token: e.Token, Alive: w.alive[e.PID] || w.outside[e.PID], Manager: e.PID == 1, InUnit: w.alive[e.PID]}
	case machine.GuessMainPID:
		return machine.MainPIDGuessed{Token: e.Token, PID: w.guess}
	case machine.ReadPIDFile:
		if w.pidFile == 0 && e.Watch {
			w.printf("watch PID file")
			w.waiting[e.Token] = e
			return nil
		}
		a := machine.PIDFileRead{Token: e.Token, PID: w.pidFile}
		if w.pidFile == 0 {
			a.Message = "No such file or directory"
		}
		return a
	case machine.RemoveDirectories:
		w.printf("remove %s", strings.Join(e.Kinds, " "))
		w.waiting[e.Token] = e
		return nil
	}
	w.t.Fatalf("unknown query %T", q)
	return nil
}

// step delivers an event, with a check of the state before and after.
func (w *world) step(ev machine.Event) {
	w.m.Step(w, ev)
	w.roundTrip()
	w.settle()
}

// roundTrip requires that the state survives JSON, and goes on with the copy.
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

func (w *world) start() machine.Answer {
	a := w.m.Start(w)
	w.roundTrip()
	w.settle()
	return a
}

func (w *world) stop() machine.Answer {
	a := w.m.Stop(w)
	w.roundTrip()
	w.settle()
	return a
}

func (w *world) reload() machine.Answer {
	a := w.m.Reload(w)
	w.roundTrip()
	w.settle()
	return a
}

func (w *world) exit(pid int32, code string, status int32) {
	delete(w.alive, pid)
	w.step(machine.ProcessExited{PID: pid, Exit: machine.Exit{Code: code, Status: status}})
}

// advance lets time pass and fires what is due.
func (w *world) advance(usec uint64) {
	end := w.now + usec
	for range 1000 {
		due := w.m.Deadline(w.cfg)
		if due > end {
			w.now = end
			return
		}
		w.now = max(w.now, due)
		w.printf("expire at %s", value.USec(w.now-1000000))
		w.m.Expire(w)
		w.roundTrip()
		w.settle()
	}
	w.t.Fatalf("a deadline in %s is due again and again", w.m.s.Sub)
}

// parseUnit makes a configuration from KEY=VALUE lines.
func parseUnit(t *testing.T, text string) *unit.Unit {
	t.Helper()
	u := unit.New("t.service", nil)
	svc, kill, exec, sandbox := *u.GetService(), *u.GetKill(), *u.GetExec(), *u.GetSandbox()
	detach(&svc)
	detach(&kill)
	detach(&exec)
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		key, val, ok := strings.Cut(line, "=")
		if !ok {
			t.Fatalf("bad configuration line %q", line)
		}
		if !setField(t, &svc, key, val) && !setField(t, &kill, key, val) && !setField(t, &exec, key, val) && !setField(t, &sandbox, key, val) {
			t.Fatalf("unknown key %q", key)
		}
		switch key {
		case "TimeoutStartSec":
			svc.TimeoutStartSet = true
		case "TimeoutAbortSec":
			svc.TimeoutAbortSet = true
		case "NotifyAccess":
			svc.NotifyAccessSet = true
		}
	}
	exec.Sandbox = &sandbox
	u.Service, u.Kill, u.Exec = &svc, &kill, &exec
	return u
}

// detach copies what a block shares with the defaults.
func detach(block any) {
	v := reflect.ValueOf(block).Elem()
	for i := range v.NumField() {
		f := v.Field(i)
		if v.Type().Field(i).Anonymous && f.Kind() == reflect.Pointer && !f.IsNil() {
			c := reflect.New(f.Type().Elem())
			c.Elem().Set(f.Elem())
			f.Set(c)
		}
	}
}

func setField(t *testing.T, block any, key, val string) bool {
	t.Helper()
	v := reflect.ValueOf(block).Elem()
	f := v.FieldByName(key)
	if base, ok := strings.CutSuffix(key, "Sec"); ok && !f.IsValid() {
		f = v.FieldByName(base + "USec")
		if !f.IsValid() {
			return false
		}
		usec, err := value.ParseSecDefaultInfinity(val)
		if err != nil {
			t.Fatal(err)
		}
		f.SetUint(uint64(usec))
		return true
	}
	if !f.IsValid() {
		return false
	}
	switch p := f.Addr().Interface().(type) {
	case *string:
		*p = val
	case *bool:
		*p = val == "yes"
	case *uint32:
		_, err := fmt.Sscan(val, p)
		if err != nil {
			t.Fatal(err)
		}
	case *int32:
		sig, err := value.ParseSignal(val)
		if err != nil {
			t.Fatal(err)
		}
		*p = int32(sig)
	case *[]value.Command:
		c, err := value.ParseCommand(val, nil)
		if err != nil {
			t.Fatal(err)
		}
		*p = append(*p, c...)
	case *value.ExitStatusSet:
		set, err := value.ParseExitStatusSet(val)
		if err != nil {
			t.Fatal(err)
		}
		*p = set
	case *[]string:
		*p = append(*p, strings.Fields(val)...)
	case *[]unit.CredentialData:
		*p = append(*p, unit.CredentialData{ID: val})
	case *unit.Directory:
		p.Items = append(p.Items, unit.DirectoryItem{Path: val})
	default:
		t.Fatalf("key %s has an unsupported type %T", key, p)
	}
	return true
}
