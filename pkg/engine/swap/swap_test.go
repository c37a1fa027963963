package swap_test

import (
	"strings"
	"testing"

	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/enginetest"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/engine/swap"
	"github.com/muster-init/muster/pkg/unit"
)

// TestScripts runs swaps with a table that the script changes.
func TestScripts(t *testing.T) { enginetest.RunScripts(t, swap.Descriptor(true)) }

// TestUnsupported: where swapping is not ours nothing is run.
func TestUnsupported(t *testing.T) {
	s := enginetest.NewScript(enginetest.Puppets(), swap.Descriptor(false))
	got, err := s.Run("units\ns.swap: What=/s\n----\n\nstart s.swap\n----\n\nrun\n----\n")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(got, "s.swap/start unsupported") || strings.Contains(got, "spawn") {
		t.Error(got)
	}
}

// The control process is 10.
func TestTotality(t *testing.T) {
	const there, gone = `event SwapTable {"Swaps":[{"what":"/t"}]}`, `event SwapTable`
	const bad = "event ProcessExited {\"PID\":10,\"Exit\":{\"c\":\"exited\",\"s\":1}}"
	table := enginetest.Table{
		Type: swap.Descriptor(true), Unit: "t.swap", Units: "t.swap: What=/t TimeoutSec=10s\n",
		Columns: []enginetest.Column{
			{Name: "start", Commands: "start t.swap\nrun\nanswer Spawned {\"PID\":11}"},
			{Name: "start-failed", Commands: "start t.swap\nrun\nanswer SpawnFailed {\"Message\":\"no\"}"},
			{Name: "stop", Commands: "stop t.swap\nrun\nanswer Spawned {\"PID\":11}"},
			{Name: "stop-killed", Commands: "stop t.swap\nrun\nanswer Killed {\"Left\":true}"},
			{Name: "on", Commands: there},
			{Name: "off", Commands: there + "\n" + gone},
			{Name: "exit-ok", Commands: "event ProcessExited {\"PID\":10,\"Exit\":{\"c\":\"exited\"}}"},
			{Name: "exit-bad", Commands: bad},
			{Name: "exit-bad-on", Commands: there + "\n" + bad},
			{Name: "timeout", Commands: "wait 20\nanswer Killed {\"Left\":true}"},
			{Name: "timeout-nobody", Commands: "wait 20\nanswer Killed {\"Left\":false}"},
			{Name: "cgroup-empty", Commands: "event CgroupEmpty {\"Unit\":\"t.swap\"}"},
			{Name: "removed", Commands: "restore\nanswer DirectoriesRemoved"},
			{Name: "reset-failed", Commands: "reset-failed t.swap"},
			{Name: "restore", Commands: "restore"},
			{Name: "stray-exit", Commands: "event ProcessExited {\"PID\":999}"},
		},
		Put: func(sub string) (any, []int32) {
			s := swap.State{Sub: swap.SubState(sub)}
			var pids []int32
			if swap.HoldsProcess(s.Sub) {
				s.ControlPID, s.Phase, s.Realized = 10, machine.ExecActivate, true
				s.Timer = control.Timer{From: 1_000_000}
				pids = []int32{10}
			}
			switch s.Sub {
			case swap.Active, swap.ActivatingDone:
				s.Kernel = &machine.SwapInfo{What: "/t", Priority: 3}
			case swap.Failed:
				s.Result = swap.ResultTimeout
			case swap.Cleaning:
				s.Removing = 5
			}
			return s, pids
		},
		Check: func(t *testing.T, sub, column string, m machine.Machine) {
			s := m.(*swap.Machine).State()
			if holds := s.ControlPID != 0; holds != swap.HoldsProcess(s.Sub) && s.Spawning == 0 {
				t.Errorf("%s after %s: %s with control pid %d", sub, column, s.Sub, s.ControlPID)
			}
		},
	}
	for _, s := range swap.SubStates() {
		if swap.ActiveStateOf(s) == "" {
			t.Errorf("%s has no active state", s)
		}
		table.Subs = append(table.Subs, string(s))
	}
	table.Run(t)
}

func TestCommands(t *testing.T) {
	for _, test := range []struct {
		options string
		pri     unit.Opt[int32]
		phase   machine.Phase
		want    string
	}{
		{"", unit.Opt[int32]{}, machine.ExecActivate, "/usr/sbin/swapon --fixpgsz /dev/x"},
		{"discard,nofail", unit.Opt[int32]{Value: 5, Set: true}, machine.ExecActivate, "/usr/sbin/swapon --fixpgsz -o pri=5,discard,nofail /dev/x"},
		{"pri=7", unit.Opt[int32]{Value: 5, Set: true}, machine.ExecActivate, "/usr/sbin/swapon --fixpgsz -o pri=7 /dev/x"},
		{"", unit.Opt[int32]{Value: -1, Set: true}, machine.ExecActivate, "/usr/sbin/swapon --fixpgsz /dev/x"},
		{"discard", unit.Opt[int32]{}, machine.ExecDeactivate, "/usr/sbin/swapoff /dev/x"},
	} {
		u := unit.New("dev-x.swap", nil)
		s := *u.GetSwap()
		s.What, s.Options, s.Priority = "/dev/x", test.options, test.pri
		u.Swap = &s
		list := swap.Commands(u, test.phase)
		if len(list) != 1 || strings.Join(list[0].Argv, " ") != test.want {
			t.Errorf("%s: got %v, want %q", test.phase, list, test.want)
		}
	}
}
