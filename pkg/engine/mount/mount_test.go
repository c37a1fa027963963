package mount_test

import (
	"strings"
	"testing"

	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/enginetest"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/engine/mount"
	"github.com/muster-init/muster/pkg/unit"
)

// TestScripts runs mounts with a table of mounts that the script changes.
func TestScripts(t *testing.T) { enginetest.RunScripts(t, mount.Descriptor()) }

const there = `event MountTable {"Mounts":[{"Where":"/t","What":"tmpfs","Type":"tmpfs","Options":"rw"}]}`

// The control process is 10.
func TestTotality(t *testing.T) {
	const bad = "event ProcessExited {\"PID\":10,\"Exit\":{\"c\":\"exited\",\"s\":1}}"
	table := enginetest.Table{
		Type: mount.Descriptor(), Unit: "t.mount", Units: "t.mount: What=tmpfs Where=/t TimeoutSec=10s\n",
		Columns: []enginetest.Column{
			{Name: "start", Commands: "start t.mount\nrun"},
			{Name: "start-spawned", Commands: "start t.mount\nrun\nanswer MountPrepared\nanswer Spawned {\"PID\":11}"},
			{Name: "start-refused", Commands: "start t.mount\nrun\nanswer MountPrepared {\"Message\":\"no\"}"},
			{Name: "start-stop", Commands: "start t.mount\nrun\nstop t.mount\nrun\nanswer MountPrepared"},
			{Name: "stop", Commands: "stop t.mount\nrun\nanswer Spawned {\"PID\":11}"},
			{Name: "stop-killed", Commands: "stop t.mount\nrun\nanswer Killed {\"Left\":true}"},
			{Name: "reload", Commands: "reload t.mount\nrun\nanswer Spawned {\"PID\":11}"},
			{Name: "mounted", Commands: there},
			{Name: "gone", Commands: there + "\nevent MountTable {\"Gone\":[\"/t\"]}"},
			{Name: "exit-ok", Commands: "event ProcessExited {\"PID\":10,\"Exit\":{\"c\":\"exited\"}}"},
			{Name: "exit-bad", Commands: bad},
			{Name: "exit-bad-mounted", Commands: there + "\n" + bad},
			{Name: "timeout", Commands: "wait 20\nanswer Killed {\"Left\":true}"},
			{Name: "timeout-nobody", Commands: "wait 20\nanswer Killed {\"Left\":false}"},
			{Name: "cgroup-empty", Commands: "event CgroupEmpty {\"Unit\":\"t.mount\"}"},
			{Name: "removed", Commands: "restore\nanswer DirectoriesRemoved"},
			{Name: "reset-failed", Commands: "reset-failed t.mount"},
			{Name: "restore", Commands: "restore"},
			{Name: "stray-exit", Commands: "event ProcessExited {\"PID\":999}"},
		},
		Put: func(sub string) (any, []int32) {
			s := mount.State{Sub: mount.SubState(sub)}
			var pids []int32
			if mount.HoldsProcess(s.Sub) {
				s.ControlPID, s.Phase, s.Realized = 10, machine.ExecMount, true
				s.Timer = control.Timer{From: 1_000_000}
				pids = []int32{10}
			}
			switch s.Sub {
			case mount.Mounted, mount.MountingDone, mount.Remounting, mount.RemountingSigterm, mount.RemountingSigkill:
				s.Kernel = &machine.MountInfo{Where: "/t", What: "old", Type: "tmpfs", Options: "rw"}
			case mount.Failed:
				s.Result = mount.ResultProtocol
			case mount.Cleaning:
				s.Removing = 5
			}
			return s, pids
		},
		Check: func(t *testing.T, sub, column string, m machine.Machine) {
			s := m.(*mount.Machine).State()
			if holds := s.ControlPID != 0; holds != mount.HoldsProcess(s.Sub) && s.Spawning == 0 {
				t.Errorf("%s after %s: %s with control pid %d", sub, column, s.Sub, s.ControlPID)
			}
		},
	}
	for _, s := range mount.SubStates() {
		if mount.ActiveStateOf(s) == "" {
			t.Errorf("%s has no active state", s)
		}
		table.Subs = append(table.Subs, string(s))
	}
	table.Run(t)
}

// TestCommands holds the command lines against what systemd 257 runs.
func TestCommands(t *testing.T) {
	for _, test := range []struct {
		set   func(m *unit.Mount)
		phase machine.Phase
		want  string
	}{
		{func(m *unit.Mount) { m.Type, m.Options = "tmpfs", "size=1M,mode=700" }, machine.ExecMount,
			"/usr/bin/mount tmpfs /srv/a -t tmpfs -o size=1M,mode=700"},
		{func(m *unit.Mount) { m.Type, m.Options = "tmpfs", "size=1M,mode=700" }, machine.ExecRemount,
			"/usr/bin/mount tmpfs /srv/a -o remount,size=1M,mode=700 -t tmpfs"},
		{func(m *unit.Mount) { m.Options, m.SloppyOptions, m.ReadWriteOnly = "bind", true, true }, machine.ExecMount,
			"/usr/bin/mount tmpfs /srv/a -s -w -o bind"},
		{func(m *unit.Mount) { m.Options = "nofail,noauto" }, machine.ExecMount, "/usr/bin/mount tmpfs /srv/a"},
		{func(*unit.Mount) {}, machine.ExecRemount, "/usr/bin/mount tmpfs /srv/a -o remount"},
		{func(*unit.Mount) {}, machine.ExecUnmount, "/usr/bin/umount /srv/a -c"},
		{func(m *unit.Mount) { m.LazyUnmount, m.ForceUnmount = true, true }, machine.ExecUnmount, "/usr/bin/umount /srv/a -c -l -f"},
	} {
		u := unit.New("srv-a.mount", nil)
		m := *u.GetMount()
		m.What = "tmpfs"
		test.set(&m)
		u.Mount = &m
		list := mount.Commands(u, test.phase)
		if len(list) != 1 {
			t.Fatalf("%s: %d commands", test.phase, len(list))
		}
		if got := strings.Join(list[0].Argv, " "); got != test.want {
			t.Errorf("%s: got %q, want %q", test.phase, got, test.want)
		}
	}
	if list := mount.Commands(unit.New("srv-a.mount", nil), machine.ExecStart); list != nil {
		t.Errorf("ExecStart of a mount: %v", list)
	}
}
