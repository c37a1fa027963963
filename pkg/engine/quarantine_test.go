package engine_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/muster-init/muster/pkg/depend"
	"github.com/muster-init/muster/pkg/engine"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/engine/service"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit"
)

type configs map[string]*unit.Unit

func (c configs) Load(name string) *unit.Unit { return c[name] }

// carry drives an engine until nothing moves, with every process starting at once.
func carry(e *engine.Engine, ev machine.Event) (out []machine.Effect) {
	at := machine.Instant{Monotonic: 1000}
	queue := []machine.Event{ev}
	for len(queue) > 0 || e.Runnable() {
		next := machine.Event(machine.Idle{})
		if len(queue) > 0 {
			next, queue = queue[0], queue[1:]
		}
		for _, effect := range e.Step(at, next) {
			out = append(out, effect)
			if s, ok := effect.(machine.Spawn); ok {
				queue = append(queue, machine.Spawned{Token: s.Token, PID: 100 + int32(s.Token)})
			}
		}
	}
	return out
}

func records(e *engine.Engine) map[string][]byte {
	all := map[string][]byte{}
	for _, key := range e.Dirty() {
		if r := e.Record(key); r != nil {
			all[key] = r
		}
	}
	return all
}

func TestQuarantine(t *testing.T) {
	friend := loaded("friend.service")
	friend.Deps = append(friend.Deps, unit.Dep{Type: unit.DepBindsTo, Name: "victim.service"}, unit.Dep{Type: unit.DepAfter, Name: "victim.service"})
	source := configs{"victim.service": loaded("victim.service"), "friend.service": friend}
	options := engine.Options{Types: []machine.Descriptor{service.Descriptor()}, Depend: depend.Env{System: true}}
	e := engine.New(source, options)
	for _, name := range []string{"victim.service", "friend.service"} {
		carry(e, machine.Enqueue{Unit: name, Type: job.Start, Mode: job.Replace})
	}
	saved := records(e)
	main, _ := e.Unit("victim.service").PIDs()
	key := engine.UnitKey("victim.service")
	record, err := engine.QuarantineRecord("victim.service", saved[key], engine.Quarantine{Event: "Notify", Text: "index out\nof range"})
	if err != nil {
		t.Fatal(err)
	}
	saved[key] = record

	e = engine.New(source, options)
	if err := e.Restore(saved); err != nil {
		t.Fatal(err)
	}
	if i := slices.IndexFunc(e.CatchUp(machine.Instant{Monotonic: 2000}), func(f machine.Effect) bool {
		l, ok := f.(machine.Log)
		return ok && strings.Contains(l.Text, "reset-failed victim.service")
	}); i < 0 {
		t.Error("nobody says what to do")
	}
	u := e.Unit("victim.service")
	if u.ActiveState() != machine.Failed || u.SubState() != "quarantined" || e.FailedUnits() != 1 {
		t.Errorf("%s/%s, %d failed units", u.ActiveState(), u.SubState(), e.FailedUnits())
	}
	// Nothing that comes for it does anything, and nobody else is taken down.
	for _, ev := range []machine.Event{
		machine.ProcessExited{PID: main}, machine.CgroupEmpty{Unit: "victim.service"}, machine.Tick{},
		machine.Enqueue{Unit: "victim.service", Type: job.Start, Mode: job.Replace}, machine.ResetFailed{},
	} {
		for _, f := range carry(e, ev) {
			switch f.(type) {
			case machine.Kill, machine.Spawn:
				t.Errorf("%#v led to %#v", ev, f)
			}
		}
	}
	if s := e.Unit("friend.service").ActiveState(); s != machine.Active {
		t.Errorf("friend.service is %s", s)
	}
	if s := e.Unit("victim.service").SubState(); s != "quarantined" {
		t.Errorf("victim.service is %s", s)
	}
	// It survives another re-execution, and comes back when asked.
	again := records(e)
	for k, r := range saved {
		if _, ok := again[k]; !ok && strings.HasPrefix(k, engine.UnitKey("")) {
			again[k] = r
		}
	}
	e = engine.New(source, options)
	if err := e.Restore(again); err != nil {
		t.Fatal(err)
	}
	e.CatchUp(machine.Instant{Monotonic: 3000})
	if s := e.Unit("victim.service").SubState(); s != "quarantined" {
		t.Errorf("after a restore victim.service is %s", s)
	}
	carry(e, machine.ResetFailed{Unit: "victim.service"})
	if u := e.Unit("victim.service"); u.ActiveState() != machine.Active || u.Quarantined() != "" || e.FailedUnits() != 0 {
		t.Errorf("taken back it is %s/%s", u.ActiveState(), u.SubState())
	}
}
