package mount_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/enginetest"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/engine/mount"
	"github.com/muster-init/muster/pkg/unit"
)

var rewrite = flag.Bool("rewrite", false, "write the results into the scripts")

// TestScripts runs testdata/*.txt.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			want, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			got, err := enginetest.NewScript(enginetest.Puppets(), mount.Descriptor()).Run(string(want))
			if err != nil {
				t.Fatal(err)
			}
			compare(t, f, string(want), got)
		})
	}
}

func compare(t *testing.T, file, want, got string) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

const there = `event MountTable {"Mounts":[{"Where":"/t","What":"tmpfs","Type":"tmpfs","Options":"rw"}]}`

// columns is each kind of event or call, as script commands. The control process is 10.
var columns = []struct{ name, commands string }{
	{"start", "start t.mount\n----\n\nrun"},
	{"start-spawned", "start t.mount\n----\n\nrun\n----\n\nanswer MountPrepared\n----\n\nanswer Spawned {\"PID\":11}"},
	{"start-refused", "start t.mount\n----\n\nrun\n----\n\nanswer MountPrepared {\"Message\":\"no\"}"},
	{"stop", "stop t.mount\n----\n\nrun\n----\n\nanswer Spawned {\"PID\":11}"},
	{"stop-killed", "stop t.mount\n----\n\nrun\n----\n\nanswer Killed {\"Left\":true}"},
	{"reload", "reload t.mount\n----\n\nrun\n----\n\nanswer Spawned {\"PID\":11}"},
	{"mounted", there},
	{"gone", there + "\n----\n\nevent MountTable {\"Gone\":[\"/t\"]}"},
	{"exit-ok", "event ProcessExited {\"PID\":10,\"Exit\":{\"c\":\"exited\"}}"},
	{"exit-bad", "event ProcessExited {\"PID\":10,\"Exit\":{\"c\":\"exited\",\"s\":1}}"},
	{"exit-bad-mounted", there + "\n----\n\nevent ProcessExited {\"PID\":10,\"Exit\":{\"c\":\"exited\",\"s\":1}}"},
	{"timeout", "wait 20\n----\n\nanswer Killed {\"Left\":true}"},
	{"timeout-nobody", "wait 20\n----\n\nanswer Killed {\"Left\":false}"},
	{"cgroup-empty", "event CgroupEmpty {\"Unit\":\"t.mount\"}"},
	{"removed", "event DirectoriesRemoved {\"Token\":5}"},
	{"reset-failed", "reset-failed t.mount"},
	{"restore", "restore"},
	{"stray-exit", "event ProcessExited {\"PID\":999}"},
}

// TestTotality holds testdata/transitions.tsv against the machine: one row per sub-state, one column per event, the cell is the
// sub-state after it, "=" if only something else has changed, "-" if the event means nothing there.
func TestTotality(t *testing.T) {
	var b strings.Builder
	b.WriteString("sub-state")
	for _, c := range columns {
		b.WriteString("\t" + c.name)
	}
	for _, sub := range mount.SubStates() {
		if mount.ActiveStateOf(sub) == "" {
			t.Errorf("%s has no active state", sub)
		}
		b.WriteString("\n" + string(sub))
		for _, c := range columns {
			before, after := place(t, sub, c.commands)
			switch {
			case before.Sub != after.Sub:
				fmt.Fprintf(&b, "\t%s", after.Sub)
			case cmp.Diff(before, after) != "":
				b.WriteString("\t=")
			default:
				b.WriteString("\t-")
			}
			if holds := after.ControlPID != 0; holds != mount.HoldsProcess(after.Sub) && after.Spawning == 0 {
				t.Errorf("%s after %s: %s with control pid %d", sub, c.name, after.Sub, after.ControlPID)
			}
		}
	}
	b.WriteString("\n")
	const file = "testdata/transitions.tsv"
	want, err := os.ReadFile(file)
	if err != nil && !*rewrite {
		t.Fatal(err)
	}
	compare(t, file, string(want), b.String())
}

// place puts a mount into a sub-state and carries out commands.
func place(t *testing.T, sub mount.SubState, commands string) (before, after mount.State) {
	t.Helper()
	s := enginetest.NewScript(enginetest.Puppets(), mount.Descriptor())
	if _, err := s.Run("units\nt.mount: What=tmpfs Where=/t TimeoutSec=10s\n----\n\nload t.mount\n----\n"); err != nil {
		t.Fatal(err)
	}
	before = mount.State{Sub: sub}
	if mount.HoldsProcess(sub) {
		before.ControlPID, before.Phase, before.Realized = 10, machine.ExecMount, true
		before.Timer = control.Timer{From: 1_000_000}
	}
	switch sub {
	case mount.Mounted, mount.MountingDone, mount.Remounting, mount.RemountingSigterm, mount.RemountingSigkill:
		before.Kernel = &machine.MountInfo{Where: "/t", What: "old", Type: "tmpfs", Options: "rw"}
	case mount.Failed:
		before.Result = mount.ResultProtocol
	case mount.Cleaning:
		before.Removing = 5
	}
	data, err := json.Marshal(before)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Put("t.mount", data, before.ControlPID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Run(commands + "\n----\n"); err != nil {
		t.Fatal(sub, err)
	}
	u := s.Engine.Unit("t.mount")
	if u == nil || u.Machine() == nil {
		return before, mount.State{Sub: mount.Dead}
	}
	return before, *u.Machine().(*mount.Machine).State()
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
