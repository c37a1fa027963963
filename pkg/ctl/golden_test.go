package ctl

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/muster-init/muster/pkg/bus"
)

// zoo is a manager with units in every state the tools show differently.
func zoo(t *testing.T) *fakeManager {
	at := func(ago time.Duration) uint64 { return usec(fakeNow.Add(-ago)) }
	id := []byte{0xde, 0xad, 0xbe, 0xef, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}
	return &fakeManager{t: t, manager: map[string]any{
		"SystemState": "degraded", "NNames": uint32(9), "NJobs": uint32(1), "NFailedUnits": uint32(1), "UserspaceTimestamp": at(90 * time.Minute),
		"Version": "257 (muster 0.1)", "Tainted": "", "ControlGroup": "", "Environment": []string{"LANG=C.UTF-8", "A=b c", "Q=it's"},
	}, units: []fakeUnit{
		{name: "web.service", description: "A web server with quite a long description that doesn't fit into eighty columns", load: "loaded", active: "active", sub: "running", props: map[string]any{
			"FragmentPath": "/usr/lib/systemd/system/web.service", "UnitFileState": "enabled", "UnitFilePreset": "enabled", "ActiveEnterTimestamp": at(65 * time.Second),
			"InvocationID": id, "MainPID": uint32(4242), "ExecMainPID": uint32(4242), "StatusText": "serving", "TasksCurrent": uint64(3), "TasksMax": uint64(100),
			"MemoryCurrent": uint64(11 << 20), "MemoryPeak": uint64(12 << 20), "MemoryMax": uint64(1 << 30), "MemoryHigh": ^uint64(0), "MemoryAvailable": uint64(1<<30 - 11<<20),
			"CPUUsageNSec": uint64(123456789), "ControlGroup": "/system.slice/web.service", "Documentation": []string{"man:web(8)", "https://example.org/a b"},
			"DropInPaths": []string{"/etc/systemd/system/web.service.d/a.conf", "/etc/systemd/system/web.service.d/b.conf", "/run/systemd/system/web.service.d/c.conf"},
			"After":       []string{"basic.target", "db.service"}, "Requires": []string{"db.service", "basic.target"}, "TriggeredBy": []string{"web.socket"},
			"NFileDescriptorStore": uint32(1), "FileDescriptorStoreMax": uint32(5), "FreezerState": "running", "Result": "success",
		}},
		{name: "db.service", description: "db.service", load: "loaded", active: "failed", sub: "failed", props: map[string]any{
			"FragmentPath": "/etc/systemd/system/db.service", "UnitFileState": "static", "Result": "exit-code", "InactiveEnterTimestamp": at(26 * time.Hour),
			"ExecMainPID": uint32(99), "ExecMainCode": int32(1), "ExecMainStatus": int32(3), "ExecMainExitTimestamp": at(26 * time.Hour),
			"ActiveEnterTimestampMonotonic": uint64(1000000), "ActiveExitTimestampMonotonic": uint64(3500000), "Requires": []string{"basic.target"},
		}},
		{name: "gone.service", description: "gone.service", load: "not-found", active: "inactive", sub: "dead"},
		{name: "job.service", description: "Has a job", load: "loaded", active: "activating", sub: "start", job: 7, jobType: "start", props: map[string]any{"InactiveExitTimestamp": at(time.Second)}},
		{name: "idle.service", description: "Does nothing", load: "loaded", active: "inactive", sub: "dead", props: map[string]any{
			"ConditionTimestamp": at(time.Hour), "ConditionResult": false, "ActiveState": "inactive",
		}},
		{name: "once.service", description: "Ran once", load: "loaded", active: "active", sub: "exited"},
		{name: "basic.target", description: "Basic System", load: "loaded", active: "active", sub: "active", props: map[string]any{"Wants": []string{"once.service", "loop.target"}}},
		{name: "loop.target", description: "Comes round again", load: "loaded", active: "inactive", sub: "dead", props: map[string]any{"Wants": []string{"basic.target"}}},
		{name: "web.socket", description: "Socket of the web server", load: "loaded", active: "active", sub: "listening", props: map[string]any{
			"Listen": pairs("Stream", "/run/web.sock", "Stream", "[::]:80", "Datagram", "/run/a"), "Triggers": []string{"web.service"}, "Accept": false,
		}},
		{name: "clean.timer", description: "Cleans", load: "loaded", active: "active", sub: "waiting", props: map[string]any{
			"NextElapseUSecRealtime": usec(fakeNow.Add(50 * time.Hour)), "NextElapseUSecMonotonic": uint64(0), "LastTriggerUSec": at(3 * time.Minute), "LastTriggerUSecMonotonic": uint64(5), "Triggers": []string{"clean.service"},
		}},
	}, jobs: [][]any{{uint32(7), "job.service", "start", "running", bus.JobPath(7), bus.UnitPath("job.service")}}}
}

// pairs makes a variant of type a(ss).
func pairs(list ...string) bus.Variant {
	type pair struct{ A, B string }
	var out []pair
	for i := 0; i < len(list); i += 2 {
		out = append(out, pair{list[i], list[i+1]})
	}
	return bus.MakeVariant(out)
}

// TestGolden compares whole outputs, at 80 and 200 columns of a terminal with colours, and without a terminal. The files were looked at when they were
// made; test/scenarios/ctl-* compare the same verbs with systemctl's own output in the same container.
func TestGolden(t *testing.T) {
	for _, c := range []struct {
		name string
		args string
	}{
		{"list-units", "list-units"}, {"list-units-all", "list-units --all"}, {"list-units-plain", "list-units --plain --no-legend"},
		{"list-units-failed", "list-units --failed"}, {"list-units-none", "list-units x*"}, {"list-units-json", "list-units -o json"}, {"list-units-pretty", "list-units --json=pretty *.target"},
		{"status", "status web.service"}, {"status-failed", "status db"}, {"status-several", "status job idle gone"}, {"status-socket", "status web.socket clean.timer"},
		{"list-dependencies", "list-dependencies web"}, {"list-dependencies-plain", "list-dependencies --plain --all web"}, {"list-sockets", "list-sockets --show-types"},
		{"list-timers", "list-timers"}, {"list-jobs", "list-jobs"}, {"list-jobs-json", "list-jobs --json=short"}, {"show-environment", "show-environment"},
		{"show", "show web -p Id,TasksCurrent,MemoryMax,MemoryHigh,CPUUsageNSec,After,ActiveEnterTimestamp,InvocationID,Job,Documentation"},
		{"show-value", "show -P Id web db"}, {"status-system", "status"},
	} {
		for _, columns := range []int{0, 80, 200} {
			t.Run(fmt.Sprintf("%s/%d", c.name, columns), func(t *testing.T) {
				status, out, talk := runWith(zoo(t), columns, strings.Fields(c.args)...)
				if strings.HasPrefix(c.name, "show") && !strings.Contains(c.name, "value") && !strings.Contains(c.name, "environment") {
					out = sortLines(out)
				}
				out = strings.ReplaceAll(out, hostname(), "HOST")
				golden(t, fmt.Sprintf("%s.%d.txt", c.name, columns), fmt.Sprintf("%s%s--- status %d\n", out, talk, status))
			})
		}
	}
}

// sortLines orders lines whose order the fake doesn't keep.
func sortLines(s string) string {
	m := map[string]bool{}
	for _, l := range strings.Split(strings.TrimSuffix(s, "\n"), "\n") {
		m[l] = true
	}
	return strings.Join(sortedKeys(m), "\n") + "\n"
}
