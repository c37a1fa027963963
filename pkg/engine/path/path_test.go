package path_test

import (
	"testing"

	"github.com/muster-init/muster/pkg/engine/enginetest"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/engine/path"
)

// TestScripts runs paths with a file system that the script makes up.
func TestScripts(t *testing.T) { enginetest.RunScripts(t, path.Descriptor()) }

func TestTotality(t *testing.T) {
	table := enginetest.Table{
		Type: path.Descriptor(), Unit: "t.path", Units: "t.path: PathExists=/a PathChanged=/b\nt.service:\n",
		Columns: []enginetest.Column{
			{Name: "start", Commands: "start t.path\nrun"},
			{Name: "start-nothing", Commands: "start t.path\nrun\nanswer PathsWatched {\"Exists\":[false,true]}"},
			{Name: "start-there", Commands: "start t.path\nrun\nanswer PathsWatched {\"Exists\":[true,false]}"},
			{Name: "start-error", Commands: "start t.path\nrun\nanswer PathsWatched {\"Message\":\"too many\"}"},
			{Name: "start-stop", Commands: "start t.path\nrun\nstop t.path\nrun\nanswer PathsWatched {\"Exists\":[true,true]}"},
			{Name: "stop", Commands: "stop t.path\nrun"},
			{Name: "touched", Commands: "event PathTouched {\"Unit\":\"t.path\",\"Index\":1}"},
			{Name: "around", Commands: "event PathTouched {\"Unit\":\"t.path\",\"Index\":-1}"},
			{Name: "around-changed", Commands: "event PathTouched {\"Unit\":\"t.path\",\"Index\":-1}\nanswer PathsWatched {\"Exists\":[false,true]}"},
			{Name: "unit-started", Commands: "start t.service\nrun\nset t.service running"},
			{Name: "unit-stopped", Commands: "start t.service\nrun\nset t.service running\nset t.service dead\nanswer PathsWatched {\"Exists\":[false,true]}"},
			{Name: "reset-failed", Commands: "reset-failed t.path"},
			{Name: "reload", Commands: "reload-units t.path"},
			{Name: "restore", Commands: "restore"},
			{Name: "stray-answer", Commands: "event PathsWatched {\"Token\":99}"},
		},
		Put: func(sub string) (any, []int32) {
			s := path.State{Sub: path.SubState(sub), Existed: []bool{false, false}}
			if s.Sub == path.Failed {
				s.Result = path.ResultTriggerLimit
			}
			return s, nil
		},
		Check: func(t *testing.T, sub, column string, m machine.Machine) {
			if s := m.(*path.Machine).State(); s.Sub == path.Running && s.Watching != 0 {
				t.Errorf("%s after %s: watches while the unit runs", sub, column)
			}
		},
	}
	for _, s := range path.SubStates() {
		if path.ActiveStateOf(s) == "" {
			t.Errorf("%s has no active state", s)
		}
		table.Subs = append(table.Subs, string(s))
	}
	table.Run(t)
}
