package control

import (
	"slices"
	"testing"

	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

func unitWith(set func(k *unit.Kill)) *unit.Unit {
	u := unit.New("t.service", nil)
	k := *u.GetKill()
	set(&k)
	u.Kill = &k
	return u
}

func TestKillEffect(t *testing.T) {
	all := Processes{Main: 10, Control: 11, Cgroup: true}
	tests := []struct {
		name   string
		set    func(k *unit.Kill)
		op     Operation
		procs  Processes
		signal int32
		also   []int32
		cgroup bool
		log    bool
		ok     bool
	}{
		{"terminate", func(*unit.Kill) {}, Terminate, all, 15, []int32{18}, true, false, true},
		{"terminate, say whom", func(*unit.Kill) {}, TerminateLogged, all, 15, []int32{18}, true, true, true},
		{"kill", func(*unit.Kill) {}, Final, all, 9, nil, true, true, true},
		{"abort", func(k *unit.Kill) { k.WatchdogSignal = 3 }, Watchdog, all, 3, []int32{18}, true, true, true},
		{"restart", func(k *unit.Kill) { k.RestartKillSignal = 12 }, Restart, all, 12, []int32{18}, true, false, true},
		{"restart without its own signal", func(k *unit.Kill) { k.KillSignal = 2 }, Restart, all, 2, []int32{18}, true, false, true},
		{"with SIGHUP", func(k *unit.Kill) { k.SendSIGHUP = true }, Terminate, all, 15, []int32{18, 1}, true, false, true},
		{"SIGHUP once", func(k *unit.Kill) { k.SendSIGHUP, k.KillSignal = true, 1 }, Terminate, all, 1, []int32{18}, true, false, true},
		{"no SIGHUP when killing", func(k *unit.Kill) { k.SendSIGHUP = true }, Final, all, 9, nil, true, true, true},
		{"no SIGCONT after SIGCONT", func(k *unit.Kill) { k.KillSignal = 18 }, Terminate, all, 18, nil, true, false, true},
		{"mixed, polite", func(k *unit.Kill) { k.KillMode = "mixed" }, Terminate, all, 15, []int32{18}, false, false, true},
		{"mixed, final", func(k *unit.Kill) { k.KillMode = "mixed" }, Final, all, 9, nil, true, true, true},
		{"process", func(k *unit.Kill) { k.KillMode = "process" }, Final, all, 9, nil, false, true, true},
		{"process without any", func(k *unit.Kill) { k.KillMode = "process" }, Final, Processes{Cgroup: true}, 9, nil, false, true, false},
		{"none", func(k *unit.Kill) { k.KillMode = "none" }, Final, all, 0, nil, false, false, false},
		{"nobody", func(*unit.Kill) {}, Terminate, Processes{}, 15, []int32{18}, false, false, false},
		{"only the cgroup", func(*unit.Kill) {}, Terminate, Processes{Cgroup: true}, 15, []int32{18}, true, false, true},
	}
	for _, tt := range tests {
		k, ok := KillEffect(unitWith(tt.set), tt.op, tt.procs)
		if ok != tt.ok || k.Signal != tt.signal || !slices.Equal(k.Also, tt.also) || k.Cgroup != tt.cgroup || k.Log != tt.log {
			t.Errorf("%s: %+v, %v", tt.name, k, ok)
		}
	}
}

func TestClimb(t *testing.T) {
	l := Ladder{
		"term": {Op: Terminate, Harder: "kill", Then: "post"},
		"kill": {Op: Final, Then: "post"},
	}
	mixed := unitWith(func(k *unit.Kill) { k.KillMode = "mixed" })
	rung, kill, _, ok := l.Climb(mixed, "term", "", Processes{Cgroup: true})
	if !ok || rung != "kill" || kill.Signal != 9 {
		t.Errorf("only others left, mixed: %s %+v", rung, kill)
	}
	rung, kill, _, ok = l.Climb(mixed, "term", Restart, Processes{Main: 1})
	if !ok || rung != "term" || kill.Signal != 15 {
		t.Errorf("main process, mixed: %s %+v", rung, kill)
	}
	if _, _, then, ok := l.Climb(mixed, "term", "", Processes{}); ok || then != "post" {
		t.Errorf("nobody: %s", then)
	}
	gentle := unitWith(func(k *unit.Kill) { k.KillMode, k.SendSIGKILL = "mixed", false })
	if _, _, then, ok := l.Climb(gentle, "term", "", Processes{Cgroup: true}); ok || then != "post" {
		t.Errorf("only others left, mixed without SIGKILL: %s", then)
	}
}

func TestTimer(t *testing.T) {
	var tm Timer
	tm.Arm(100)
	if got := tm.Due(50); got != 150 {
		t.Errorf("due at %d", got)
	}
	if got := tm.Due(unit.Infinity); got != machine.Never {
		t.Errorf("an infinite span is due at %d", got)
	}
	tm.Extend(120, 50, 20)
	if got := tm.Due(50); got != 150 {
		t.Errorf("extended to what is earlier: %d", got)
	}
	tm.Extend(120, 50, 100)
	if got := tm.Due(50); got != 220 {
		t.Errorf("extended: %d", got)
	}
	tm.Extend(120, unit.Infinity, 100)
	if got := tm.Due(unit.Infinity); got != machine.Never {
		t.Errorf("an infinite span was extended: %d", got)
	}
	tm.Arm(300)
	if got := tm.Due(50); got != 350 {
		t.Errorf("an extension outlived Arm: %d", got)
	}
	tm.Off()
	if got := tm.Due(0); got != machine.Never {
		t.Errorf("off, but due at %d", got)
	}
	if got := AddUSec(machine.Never-5, 100); got != machine.Never-1 {
		t.Errorf("overflow: %d", got)
	}
}

func TestExits(t *testing.T) {
	var set value.ExitStatusSet
	set.Add(7)
	set.AddSignal(10)
	exited := func(n int32) machine.Exit { return machine.Exit{Code: machine.CodeExited, Status: n} }
	killed := func(n int32) machine.Exit { return machine.Exit{Code: machine.CodeKilled, Status: n} }
	dumped := func(n int32) machine.Exit { return machine.Exit{Code: machine.CodeDumped, Status: n} }
	tests := []struct {
		exit            machine.Exit
		daemon, command string
		in              bool
	}{
		{exited(0), "success", "success", false},
		{exited(1), "exit-code", "exit-code", false},
		{exited(7), "success", "success", true},
		{killed(15), "success", "signal", false},
		{killed(1), "success", "signal", false},
		{killed(2), "success", "signal", false},
		{killed(13), "success", "signal", false},
		{killed(9), "signal", "signal", false},
		{killed(10), "success", "success", true},
		{dumped(10), "core-dump", "core-dump", true},
		{dumped(15), "core-dump", "core-dump", false},
		{machine.Exit{}, "success", "success", false},
	}
	for _, tt := range tests {
		if got := ResultOf(tt.exit, true, set); got != tt.daemon {
			t.Errorf("daemon %+v: %s", tt.exit, got)
		}
		if got := ResultOf(tt.exit, false, set); got != tt.command {
			t.Errorf("command %+v: %s", tt.exit, got)
		}
		if got := InSet(tt.exit, set); got != tt.in {
			t.Errorf("in set %+v: %v", tt.exit, got)
		}
	}
}

func TestHistory(t *testing.T) {
	var h History
	h.Set(machine.ExecStartPre, 0, Status{PID: 1})
	h.Set(machine.ExecStartPre, 1, Status{PID: 2})
	h.Set(machine.ExecStop, 0, Status{PID: 3})
	h.Set(machine.ExecStartPre, 1, Status{PID: 4})
	if h.Get(machine.ExecStartPre, 1).PID != 4 || h.Get(machine.ExecStop, 0).PID != 3 || h.Get(machine.ExecStop, 1).PID != 0 {
		t.Errorf("%+v", h)
	}
	h.Drop(machine.ExecStartPre)
	if len(h) != 1 || h.Get(machine.ExecStartPre, 0).PID != 0 {
		t.Errorf("after Drop: %+v", h)
	}
	h.Drop(machine.ExecStop)
	if h != nil {
		t.Errorf("an empty history is kept: %+v", h)
	}
}
