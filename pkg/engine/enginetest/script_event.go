package enginetest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/muster-init/muster/pkg/engine"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/unit"
)

// scriptEvents are the events that a script can send as JSON.
var scriptEvents = []machine.Event{
	machine.StampRead{}, machine.ProcessExited{}, machine.Spawned{}, machine.SpawnFailed{}, machine.Killed{}, machine.CgroupEmpty{},
	machine.ClockChanged{}, machine.DirectoriesRemoved{}, machine.MountTable{}, machine.MountPrepared{}, machine.SwapTable{},
	machine.PathsWatched{}, machine.PathTouched{}, machine.Devices{},
	machine.AutomountOpened{}, machine.AutomountAsked{}, machine.AutomountGone{}, machine.CgroupChecked{},
	machine.SocketsOpened{}, machine.SocketsChowned{}, machine.SocketsClosed{}, machine.SocketReady{},
	machine.Notify{}, machine.PIDFileRead{},
}

// event sends an event written as "event NAME JSON", or with "answer NAME JSON" one that answers the oldest open query.
func (s *Script) event(line string) (string, error) {
	f := strings.SplitN(line, " ", 3)
	for _, proto := range scriptEvents {
		t := reflect.TypeOf(proto)
		if len(f) < 2 || t.Name() != f[1] {
			continue
		}
		v := reflect.New(t)
		if len(f) == 3 {
			d := json.NewDecoder(strings.NewReader(f[2]))
			d.DisallowUnknownFields()
			if err := d.Decode(v.Interface()); err != nil {
				return "", err
			}
		}
		if f[0] == "answer" {
			if len(s.open) == 0 {
				return "no query is open\n", nil
			}
			v.Elem().FieldByName("Token").SetUint(uint64(machine.QueryToken(s.open[0])))
			s.open = slices.Delete(s.open, 0, 1)
		}
		return s.step(v.Elem().Interface().(machine.Event)), nil
	}
	return "", fmt.Errorf("unknown event")
}

// setClock moves the realtime clock by seconds and says so.
func (s *Script) setClock(by string) (string, error) {
	n, err := strconv.ParseInt(by, 10, 64)
	if err != nil {
		return "", err
	}
	s.realtime += n * 1_000_000
	return s.step(machine.ClockChanged{}), nil
}

// setRow assigns a directive of the unit type's own section.
func setRow(u *unit.Unit, key, value string) error {
	row := unit.Lookup(unit.SectionFromString(u.Type.Section()), key)
	if row == nil {
		return fmt.Errorf("the test parser does not know %s=", key)
	}
	c := &unit.Context{Unit: u, Host: &unit.Host{Specifiers: &unit.SpecifierContext{}}}
	return row.Parse(c, strings.ReplaceAll(value, "_", " "))
}

// Put replaces the state of a unit's machine, for tests that begin in the middle. The unit is pinned by a client, so that it stays loaded.
// Pids that are not 0 are processes of the unit.
func (s *Script) Put(name string, data []byte, pids ...int32) error {
	s.Engine.Step(s.instant(), machine.Ref{Unit: name, Client: ":0.0"})
	records := map[string][]byte{}
	for _, u := range s.Engine.Units() {
		if r := s.Engine.Record("unit/" + u.Name()); r != nil {
			records["unit/"+u.Name()] = r
		}
	}
	var r struct {
		Name    string          `json:"name"`
		Machine json.RawMessage `json:"machine"`
		State   json.RawMessage `json:"state"`
	}
	if err := json.Unmarshal(records["unit/"+name], &r); err != nil {
		return err
	}
	r.Machine = data
	var state map[string]any
	if err := json.Unmarshal(r.State, &state); err != nil {
		return err
	}
	if pids = slices.DeleteFunc(pids, func(pid int32) bool { return pid == 0 }); len(pids) > 0 {
		state["pids"] = pids
	}
	r.State, _ = json.Marshal(state)
	out, err := json.Marshal(r)
	if err != nil {
		return err
	}
	records["unit/"+name] = out
	e := engine.New(s.Source, s.options)
	if err := e.Restore(records); err != nil {
		return err
	}
	s.Engine = e
	return nil
}
