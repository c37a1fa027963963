package socket

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit"
)

// world is a fake host and a fake shell around one socket.
type world struct {
	machine.Triggering // what is not defined here is not called
	t                  *testing.T
	m                  *Machine
	cfg                *unit.Unit
	now                uint64
	token              machine.Token
	pid                int32

	alive     map[int32]bool // processes in the cgroup
	tracked   map[int32]bool
	questions []machine.Effect                 // answered at once
	waiting   map[machine.Token]machine.Effect // open slow queries
	handle    machine.Handle
	open      map[machine.Handle]bool
	watched   map[machine.Handle]bool
	peers     map[string]machine.Peer

	stopPending bool
	limit       int // starts left; -1 no limit
	openFails   string
	chownFails  string
	cleanFails  string
	refuseSpawn *machine.SpawnFailed
	refuseStart *machine.Error // what Trigger and Connect say

	out      []string
	quiet    bool
	again    bool // catching up: questions are asked a second time
	propches int
}

func newWorld(t *testing.T, config string) *world {
	t.Helper()
	w := &world{
		t: t, m: New(), cfg: parseUnit(t, config), now: 1_000_000, pid: 100, alive: map[int32]bool{}, tracked: map[int32]bool{},
		waiting: map[machine.Token]machine.Effect{}, open: map[machine.Handle]bool{}, watched: map[machine.Handle]bool{},
		peers: map[string]machine.Peer{"t.service": {Name: "t.service", Loaded: true, Active: machine.Inactive, Sub: "dead"}}, limit: -1,
	}
	return w
}

func parseUnit(t *testing.T, config string) *unit.Unit {
	t.Helper()
	head, sect := "", "[Socket]\n"
	for line := range strings.Lines(config) {
		if strings.HasPrefix(line, "Listen") {
			head += line
		} else {
			sect += line
		}
	}
	if head == "" {
		head = "ListenStream=/run/t\n"
	}
	u, messages := unit.Load(&unit.Host{}, unit.NewDefaults(unit.DefaultManagerConfig(true)), &unit.Source{Name: "t.socket", Names: []string{"t.socket"},
		Fragment: &unit.File{Path: "/t.socket", Text: sect + "\n" + head}})
	for _, m := range messages {
		t.Fatalf("configuration: %s", m.String())
	}
	if u.LoadState != unit.StateLoaded {
		t.Fatalf("configuration: %v", u.LoadError)
	}
	return u
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
	switch c := q.(type) {
	case machine.OpenSockets:
		w.printf("open")
		w.waiting[w.token] = q
	case machine.ChownSockets:
		w.printf("chown")
		w.waiting[w.token] = q
	case machine.CloseSockets:
		w.printf("close and remove %s", addresses(c.Ports))
		w.closed(c.Ports)
		w.waiting[w.token] = q
	case machine.RemoveDirectories:
		w.printf("clean %v", c.Kinds)
		w.waiting[w.token] = q
	default:
		w.questions = append(w.questions, q)
	}
	return w.token
}

func addresses(ports []machine.Port) string {
	var out []string
	for _, p := range ports {
		out = append(out, p.Address)
	}
	return strings.Join(out, " ")
}

func (w *world) closed(ports []machine.Port) {
	for _, p := range ports {
		if !w.open[p.Handle] && !w.again {
			w.t.Fatalf("%s (handle %d) is closed but not open", p.Address, p.Handle)
		}
		if w.watched[p.Handle] {
			w.t.Fatalf("%s (handle %d) is closed while it is watched", p.Address, p.Handle)
		}
		delete(w.open, p.Handle)
	}
}

func (w *world) Emit(e machine.Effect) {
	switch c := e.(type) {
	case machine.CancelQuery:
		delete(w.waiting, c.Token)
		w.printf("cancel query")
	case machine.CloseSockets:
		w.printf("close %s", addresses(c.Ports))
		w.closed(c.Ports)
	case machine.CloseHandle:
		if !w.open[c.Handle] {
			w.t.Fatalf("handle %d is closed but not open", c.Handle)
		}
		delete(w.open, c.Handle)
		w.printf("close connection")
	case machine.WatchSockets:
		w.printf("watch %d accept=%v", len(c.Ports), c.Accept)
		for _, h := range c.Ports {
			w.watched[h] = true
		}
	case machine.UnwatchSockets:
		w.printf("unwatch %d", len(c.Ports))
		for _, h := range c.Ports {
			delete(w.watched, h)
		}
	case machine.FlushSockets:
		w.printf("flush %d", len(c.Ports))
	default:
		text := strings.ReplaceAll(fmt.Sprintf("%+v", e), "Unit:t.socket", "")
		text = strings.ReplaceAll(strings.ReplaceAll(text, "{ ", "{"), "{}", "")
		w.printf("%s%s", strings.TrimPrefix(fmt.Sprintf("%T", e), "machine."), text)
	}
}

func (w *world) StateChanged(old machine.ActiveState) {
	w.printf("%s (%s → %s)", w.m.SubState(), old, w.m.ActiveState(w.cfg))
	w.check()
}
func (w *world) PropertiesChanged()         { w.propches++ }
func (w *world) Track(pid int32)            { w.tracked[pid] = true }
func (w *world) Forget(pid int32)           { delete(w.tracked, pid) }
func (w *world) Job() (job.Type, bool)      { return "", false }
func (w *world) StopPending() bool          { return w.stopPending }
func (w *world) QueueRestart(job.Mode) bool { return false }
func (w *world) StartLimitOK() bool {
	if w.limit == 0 {
		return false
	}
	w.limit--
	return true
}
func (w *world) Invocation() string   { return "0123456789abcdef0123456789abcdef" }
func (w *world) NewInvocation()       { w.printf("new invocation") }
func (w *world) TriggerEnv() []string { return nil }
func (w *world) Log(level int, _, text string, _ ...string) {
	if level < 7 {
		w.printf("log %d %s", level, text)
	}
}
func (w *world) Random() uint64                       { return 7 }
func (w *world) Act(string, string, int32)            {}
func (w *world) PropagateReload()                     {}
func (w *world) WatchdogsEnabled() bool               { return true }
func (w *world) ListenFDs() []machine.FD              { return nil }
func (w *world) PeerState(string) machine.ActiveState { return "" }
func (w *world) Peer(name string) machine.Peer {
	if p, ok := w.peers[name]; ok {
		return p
	}
	return machine.Peer{Name: name, Active: machine.Inactive, Sub: "dead"}
}
func (w *world) Triggers() []machine.Peer {
	var out []machine.Peer
	for _, name := range slices.Sorted(maps.Keys(w.peers)) {
		out = append(out, w.peers[name])
	}
	return out
}
func (w *world) Trigger(name string, mode job.Mode) *machine.Error {
	if w.refuseStart != nil {
		return w.refuseStart
	}
	w.printf("trigger %s %s", name, mode)
	p := w.Peer(name)
	p.Job = job.Start
	w.peers[name] = p
	return nil
}
func (w *world) Connect(name string, c machine.Connection) *machine.Error {
	if w.refuseStart != nil {
		delete(w.open, c.Handle)
		return w.refuseStart
	}
	w.printf("connect %s %s", name, c.Name)
	w.peers[name] = machine.Peer{Name: name, Loaded: true, Active: machine.Activating, Sub: "start", Job: job.Start}
	return nil
}

var _ machine.Host = (*world)(nil)

// check holds the rules of the package.
func (w *world) check() {
	w.t.Helper()
	s, f := &w.m.s, states[w.m.s.Sub]
	if !f.control && s.ControlPID != 0 {
		w.t.Fatalf("%s holds control process %d", s.Sub, s.ControlPID)
	}
	if !f.ports && len(s.Ports) > 0 {
		w.t.Fatalf("%s holds listeners", s.Sub)
	}
	if s.Sub != Listening && len(w.watched) > 0 {
		w.t.Fatalf("%s has listeners watched", s.Sub)
	}
}

// settle answers what is answered at once.
func (w *world) settle() {
	w.roundTrip()
	for len(w.questions) > 0 {
		q := w.questions[0]
		w.questions = w.questions[1:]
		w.m.Step(w, w.answer(q))
		w.roundTrip()
	}
	w.check()
	if w.m.s.Pending != nil {
		w.t.Fatalf("a question stays open: %+v", w.m.s.Pending)
	}
}

func (w *world) answer(q machine.Effect) machine.Event {
	switch e := q.(type) {
	case machine.Spawn:
		w.printf("spawn %s[%d] fds=%d", e.Phase, e.Index, len(e.FDs))
		if f := w.refuseSpawn; f != nil {
			r := *f
			r.Token = e.Token
			return r
		}
		w.pid++
		w.alive[w.pid] = true
		return machine.Spawned{Token: e.Token, PID: w.pid}
	case machine.Kill:
		w.printf("kill %d control=%v cgroup=%v", e.Signal, e.ControlPID != 0, e.Cgroup)
		left := e.ControlPID != 0 && w.alive[e.ControlPID] || e.Cgroup && len(w.alive) > 0
		return machine.Killed{Token: e.Token, Left: left}
	}
	w.t.Fatalf("unexpected question %T", q)
	return nil
}

// reply answers the open slow query.
func (w *world) reply() bool {
	for _, token := range slices.Sorted(maps.Keys(w.waiting)) {
		q := w.waiting[token]
		delete(w.waiting, token)
		switch q.(type) {
		case machine.OpenSockets:
			ev := machine.SocketsOpened{Token: token, Message: w.openFails}
			if w.openFails == "" {
				for _, l := range w.cfg.GetSocket().Listen {
					w.handle++
					w.open[w.handle] = true
					ev.Ports = append(ev.Ports, machine.Port{Handle: w.handle, Kind: l.Kind, Address: l.Address})
				}
			}
			w.step(ev)
		case machine.ChownSockets:
			w.step(machine.SocketsChowned{Token: token, Message: w.chownFails})
		case machine.CloseSockets:
			w.step(machine.SocketsClosed{Token: token})
		case machine.RemoveDirectories:
			w.step(machine.DirectoriesRemoved{Token: token, Message: w.cleanFails})
		}
		return true
	}
	return false
}

// roundTrip replaces the machine by one made of its JSON.
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
	n.dirty = w.m.dirty
	w.m = n
}

func (w *world) step(ev machine.Event) { w.m.Step(w, ev); w.settle() }
func (w *world) start() machine.Answer { a := w.m.Start(w); w.settle(); return a }
func (w *world) stop() machine.Answer  { a := w.m.Stop(w); w.settle(); return a }

// up starts the socket and answers until it listens.
func (w *world) up() {
	w.start()
	for w.reply() {
	}
}

// ready reports something on listener i (from 0), with a connection of source if it accepts.
func (w *world) ready(i int, source string) {
	ports := w.m.s.Ports
	h := machine.Handle(9999)
	if i < len(ports) {
		h = ports[i].Handle
	}
	ev := machine.SocketReady{Unit: "t.socket", Port: h}
	if w.cfg.GetSocket().Accept {
		w.handle++
		w.open[w.handle] = true
		ev.Conn = &machine.Connection{Handle: w.handle, Instance: source + "-end", Source: source, Peer: source}
	}
	w.step(ev)
}

// peer sets how another unit stands and tells the machine.
func (w *world) peer(p machine.Peer) {
	w.peers[p.Name] = p
	w.m.TriggerChanged(w, p.Name, "", p.Active)
	w.settle()
}

func (w *world) exit(pid int32, code string, status int32) {
	delete(w.alive, pid)
	w.step(machine.ProcessExited{PID: pid, Exit: machine.Exit{Code: code, Status: status}})
	if len(w.alive) == 0 {
		w.step(machine.CgroupEmpty{Unit: "t.socket"})
	}
}

func (w *world) advance(usec uint64) {
	end := w.now + usec
	for n := 0; ; n++ {
		due := w.m.Deadline(w.cfg)
		if due > end {
			break
		}
		if n > 50 {
			w.t.Fatalf("%s: a deadline stays due", w.m.s.Sub)
		}
		w.now = max(w.now, due)
		w.m.Expire(w)
		w.settle()
	}
	w.now = end
}

// catchUp goes on after a restart of the manager: what was open is asked again.
func (w *world) catchUp() {
	w.waiting, w.watched, w.again = map[machine.Token]machine.Effect{}, map[machine.Handle]bool{}, true
	w.m.CatchUp(w)
	w.again = false
	w.settle()
}
