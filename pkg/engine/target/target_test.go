package target_test

import (
	"strings"
	"testing"

	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/enginetest"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/engine/target"
	"github.com/muster-init/muster/pkg/job"
)

// TestScripts runs targets beside units that do as they are told.
func TestScripts(t *testing.T) { enginetest.RunScripts(t, target.Descriptor()) }

func TestTotality(t *testing.T) {
	table := enginetest.Table{
		Type: target.Descriptor(), Unit: "t.target", Units: "t.target: StartLimitBurst=2 StartLimitIntervalSec=10\n", Subs: []string{"dead", "active"},
		Columns: []enginetest.Column{
			{Name: "start", Commands: "start t.target\nrun"},
			{Name: "stop", Commands: "stop t.target\nrun"},
			{Name: "restart", Commands: "restart t.target\nrun"},
			{Name: "reload", Commands: "reload t.target\nrun"},
			{Name: "verify", Commands: "verify-active t.target\nrun"},
			{Name: "too-often", Commands: "start t.target\nrun\nstop t.target\nrun\nstart t.target\nrun\nstop t.target\nrun\nstart t.target\nrun"},
			{Name: "reset-failed", Commands: "reset-failed t.target"},
			{Name: "reload-units", Commands: "reload-units t.target"},
			{Name: "restore", Commands: "restore"},
			{Name: "stray", Commands: `event CgroupEmpty {"Unit":"t.target"}`},
		},
		Put: func(sub string) (any, []int32) { return control.Simple{Active: sub == "active"}, nil },
		Check: func(t *testing.T, sub, column string, m machine.Machine) {
			if main, control := m.PIDs(); main != 0 || control != 0 || m.Held() || m.Deadline(nil) != machine.Never {
				t.Errorf("%s after %s: a target holds or waits for something", sub, column)
			}
		},
	}
	table.Run(t)
}

// Targets can be isolated, never fail on their own and can't be made over the bus.
func TestDescriptor(t *testing.T) {
	d := target.Descriptor()
	if !d.CanStart || !d.CanStop || !d.CanIsolate || d.CanFail || d.CanTransient {
		t.Errorf("%+v", d)
	}
	if got := d.Finished[job.Start][job.Done]; !strings.HasPrefix(got, "Reached target") {
		t.Errorf("start is announced as %q", got)
	}
	if m := d.New(); m.ActiveState(nil) != machine.Inactive || m.SubState() != "dead" || m.CanReload(nil) {
		t.Error("a new target is not dead")
	}
}
