package engine_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/muster-init/muster/pkg/depend"
	"github.com/muster-init/muster/pkg/engine"
	"github.com/muster-init/muster/pkg/engine/enginetest"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/engine/scope"
	"github.com/muster-init/muster/pkg/engine/service"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// events has one value of each kind of event, about unit name. TestEveryEventIsKnown holds it against the contract.
func events(name string) []machine.Event {
	status := "x"
	return []machine.Event{
		machine.Enqueue{Unit: name, Type: job.Start, Mode: job.Replace, Reply: 1}, machine.CancelJob{ID: 1, Reply: 1},
		machine.LoadUnit{Unit: name, Reply: 1}, machine.ResetFailed{Unit: name, Reply: 1},
		machine.KillUnit{Unit: name, Whom: "all", Signal: 15, Reply: 1},
		machine.StartTransient{Config: loaded("transient.service"), Reply: 1}, machine.SetConfig{Config: loaded(name), Reply: 1},
		machine.Ref{Unit: name, Client: ":1.1", Reply: 1}, machine.Unref{Unit: name, Client: ":1.1", Reply: 1},
		machine.ClientGone{Client: ":1.1"}, machine.Abandon{Unit: name, Reply: 1}, machine.Freeze{Unit: name, Reply: 1}, machine.Mark{Unit: name, Set: []string{"needs-reload"}, Reply: 1},
		machine.Clean{Unit: name, Mask: []string{"all"}, Reply: 1}, machine.AttachProcesses{Unit: name, PIDs: []int32{5}, Reply: 1},
		machine.Reload{Changed: []string{name}, Reply: 1},
		machine.ProcessExited{PID: 1}, machine.ExecDone{PID: 1}, machine.Notify{Unit: name, PID: 1, Msg: machine.NotifyMessage{Status: &status}},
		machine.CgroupEmpty{Unit: name}, machine.CgroupFrozen{Unit: name}, machine.OOMKill{Unit: name, Count: 1},
		machine.NameOwnerChanged{Bus: "org.example"}, machine.HandleHangup{Handle: 3}, machine.Tick{}, machine.Idle{}, machine.ClockChanged{},
		machine.Spawned{Token: 1, PID: 7}, machine.SpawnFailed{Token: 1}, machine.Killed{Token: 1}, machine.ConditionsTested{Token: 1},
		machine.PIDFileRead{Token: 1}, machine.MainPIDGuessed{Token: 1}, machine.DirectoriesRemoved{Token: 1},
		machine.ProcessesAttached{Token: 1}, machine.CgroupChecked{Token: 1}, machine.PIDChecked{Token: 1},
	}
}

func loaded(name string) *unit.Unit {
	u := unit.New(name, nil)
	u.LoadState = unit.StateLoaded
	u.Unit.DefaultDependencies = false
	if u.Type == unit.TypeService {
		s := *u.GetService()
		s.Type = "simple"
		s.ExecStart = []value.Command{{Path: "/bin/true", Argv: []string{"true"}}}
		u.Service = &s
	}
	return u
}

// eventsOfTypes are answers and news that only some unit types know; their packages test them.
var eventsOfTypes = map[string]bool{}

// TestEveryEventIsKnown reads the contract and requires that events has each kind.
func TestEveryEventIsKnown(t *testing.T) {
	have := map[string]bool{}
	for _, ev := range events("a.service") {
		have[reflect.TypeOf(ev).Name()] = true
	}
	for _, name := range receivers(t, "event") {
		if !have[name] && !eventsOfTypes[name] {
			t.Errorf("events lacks %s", name)
		}
	}
}

// receivers lists the types that have a method of this name in event.go of the contract.
func receivers(t *testing.T, method string) []string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "machine/event.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv != nil && fn.Name.Name == method {
			out = append(out, fn.Recv.List[0].Type.(*ast.Ident).Name)
		}
	}
	return out
}

func totalEngine() (*engine.Engine, enginetest.Source) {
	src := enginetest.Source{}
	for _, name := range []string{"a.service", "a.target", "a.slice", "a.scope", "a.socket", "a.mount", "a.timer", "a.path", "a.device",
		"a.automount", "a.swap", "b.service"} {
		u := loaded(name)
		if name == "a.service" {
			u.Conditions = []unit.Condition{{Type: "ConditionPathExists", Param: "/x"}}
		}
		u.Deps = append(u.Deps, unit.Dep{Type: unit.DepWants, Name: "b.service"})
		src.Put(u)
	}
	return engine.New(src, options()), src
}

func options() engine.Options {
	return engine.Options{Depend: depend.Env{System: true}, Types: []machine.Descriptor{service.Descriptor(), scope.Descriptor()}}
}

// TestEveryEventInEveryOrder delivers each pair of events to a unit of each type, known or not, with the run queue moved in between:
// nothing panics, no index is left wrong, each request gets one answer at most.
func TestEveryEventInEveryOrder(t *testing.T) {
	names := []string{"a.service", "a.target", "a.slice", "a.scope", "a.socket", "a.mount", "a.timer", "a.path", "a.device", "a.automount",
		"a.swap", "missing.service", "-.slice", "init.scope", "no name", ""}
	at := machine.Instant{Monotonic: 1000, Realtime: 1000, Boottime: 1000}
	for _, name := range names {
		for i := range events(name) {
			for k := range events(name) {
				e, _ := totalEngine()
				for _, ev := range []machine.Event{events(name)[i], machine.Idle{}, events(name)[k], machine.Idle{}, machine.Tick{}} {
					if c, ok := ev.(machine.SetConfig); ok && (c.Config.Type == unit.TypeInvalid) {
						continue
					}
					replies := 0
					for _, f := range e.Step(at, ev) {
						if _, ok := f.(machine.SendReply); ok {
							replies++
						}
					}
					if replies > 1 {
						t.Fatalf("%s: %T is answered %d times", name, ev, replies)
					}
					if bad := e.Check(); len(bad) > 0 {
						t.Fatalf("%s: after %T, %T: %s", name, events(name)[i], ev, bad[0])
					}
					at.Monotonic++
				}
			}
		}
	}
}

// FuzzRestore requires that no bytes whatever hurt: a state that is torn or made up gives an error or an engine that works.
func FuzzRestore(f *testing.F) {
	files, _ := filepath.Glob("testdata/snapshot-*.json")
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"units":[{"name":"a.service","machine":{"sub":"running","main":7},"state":{"pids":[7]}}],"jobs":[{"id":1,"unit":"a.service","type":"stop","state":"running"}]}`))
	f.Add([]byte(`{"units":[{"name":"../x"},{"name":"a.target","machine":[]},{"name":"a.target"}],"jobs":[{"id":1,"unit":"a.target","type":"x"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, src := totalEngine()
		e, err := engine.Restore(data, src, options())
		if e == nil {
			if err == nil {
				t.Fatal("neither engine nor error")
			}
			return
		}
		at := machine.Instant{Monotonic: 1 << 40, Realtime: 1 << 40, Boottime: 1 << 40}
		e.CatchUp(at)
		for _, ev := range events("a.service") {
			e.Step(at, ev)
		}
		for range 100 {
			e.Step(at, machine.Idle{})
		}
		if bad := e.Check(); len(bad) > 0 {
			t.Fatal(strings.Join(bad, "\n"))
		}
	})
}

// TestGoldenSnapshot requires that snapshots of earlier versions still load, and say the same again.
func TestGoldenSnapshot(t *testing.T) {
	if *enginetest.Rewrite {
		if err := os.WriteFile("testdata/snapshot-1.json", golden(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob("testdata/snapshot-*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden snapshots", err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		_, src := totalEngine()
		e, err := engine.Restore(data, src, options())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if u := e.Unit("b.service"); u == nil || u.SubState() != "running" || u.StateChange().Monotonic == 0 || e.UnitByPID(7) != u {
			t.Errorf("%s: b.service is not running any more", name)
		}
		if u := e.Unit("a.service"); u.Job() == nil || u.Job().Type != job.Start || u.Job().Cause().Client != "someone" {
			t.Errorf("%s: the job of a.service is lost", name)
		}
	}
}

// golden makes the snapshot of this version: b.service runs, the conditions of a.service are being tested.
func golden() []byte {
	e, _ := totalEngine()
	at := machine.Instant{Monotonic: 5000, Realtime: 6000, Boottime: 7000}
	var token machine.Token
	e.Step(at, machine.Enqueue{Unit: "b.service", Type: job.Start, Mode: job.Replace})
	for range 5 {
		for _, f := range e.Step(at, machine.Idle{}) {
			if q, ok := f.(machine.Spawn); ok {
				token = q.Token
			}
		}
	}
	e.Step(at, machine.Spawned{Token: token, PID: 7})
	e.Step(at, machine.Enqueue{Unit: "a.service", Type: job.Start, Mode: job.Replace, Cause: machine.Cause{Client: "someone"}})
	e.Step(at, machine.Idle{})
	return e.Snapshot()
}

// TestRestoreFromRecords requires that single bad records cost only themselves, and are told.
func TestRestoreFromRecords(t *testing.T) {
	_, src := totalEngine()
	e := engine.New(src, options())
	err := e.Restore(map[string][]byte{
		"engine":         []byte(`{"version":1,"last_job":9,"token":5,"random":[1,2]}`),
		"unit/b.service": []byte(`{"name":"b.service","machine":{"sub":"running","main":7,"mainKnown":true},"state":{"pids":[7]}}`),
		"unit/a.service": []byte(`{"name":"a.service","mach`),
		"unit/a.target":  []byte(`{"name":"a.target","machine":"x"}`),
		"job/9":          []byte(`{"id":9,"unit":"b.service","type":"stop","state":"waiting"}`),
		"job/3":          []byte(`{"id":3,"unit":"b.service","type":"explode","state":"waiting"}`),
		"something/else": []byte(`{}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	told := 0
	for _, f := range e.CatchUp(machine.Instant{Monotonic: 1}) {
		if l, ok := f.(machine.Log); ok && strings.Contains(l.Text, "could not be restored") {
			told++
		}
	}
	if told < 4 {
		t.Errorf("%d of 4 bad records are told", told)
	}
	if u := e.Unit("b.service"); u.SubState() != "running" || u.Job() == nil || u.Job().ID != 9 || e.UnitByPID(7) != u {
		t.Error("b.service is not as it was")
	}
	if err := engine.New(src, options()).Restore(map[string][]byte{"engine": []byte(`{"version":99}`)}); err == nil {
		t.Error("a state of a later version is read")
	}
}
