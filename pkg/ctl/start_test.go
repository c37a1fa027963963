package ctl

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/muster-init/muster/pkg/bus"
)

// TestStart checks exit statuses and messages of verbs that make jobs, as systemctl 257 was observed to print them.
func TestStart(t *testing.T) {
	for _, c := range []struct {
		args   string
		result string // of web.service's job
		unit   string // its Result property
		status int
		talk   string
		call   string // that the manager must have got
	}{
		{args: "start web", call: "StartUnit[web.service replace]"},
		{args: "stop web", call: "StopUnit[web.service replace]", talk: "Stopping 'web.service', but its triggering units are still active:\nweb.socket\n"},
		{args: "--no-warn stop web"},
		{args: "restart --job-mode=fail web", call: "RestartUnit[web.service fail]"},
		{args: "force-reload web", call: "ReloadOrTryRestartUnit[web.service replace]"},
		{args: "condrestart web", call: "TryRestartUnit[web.service replace]"},
		{args: "isolate basic", call: "StartUnit[basic.target isolate]"},
		{args: "start /dev/sda", status: 5, call: "StartUnit[dev-sda.device replace]", talk: "Failed to start dev-sda.device: Unit dev-sda.device not found.\n"},
		{args: "start nosuch web", status: 5, talk: "Failed to start nosuch.service: Unit nosuch.service not found.\n", call: "StartUnit[web.service replace]"},
		{args: "start web", result: "failed", unit: "exit-code", status: 1, talk: "Job for web.service failed because the control process exited with error code.\n" +
			"See \"systemctl status web.service\" and \"journalctl -xeu web.service\" for details.\n"},
		{args: "start web", result: "failed", unit: "timeout", status: 1, talk: "Job for web.service failed because a timeout was exceeded.\n" +
			"See \"systemctl status web.service\" and \"journalctl -xeu web.service\" for details.\n"},
		{args: "start web", result: "failed", unit: "start-limit-hit", status: 1, talk: "Job for web.service failed because start of the service was attempted too often.\n" +
			"See \"systemctl status web.service\" and \"journalctl -xeu web.service\" for details.\n" +
			"To force a start use \"systemctl reset-failed web.service\"\nfollowed by \"systemctl start web.service\" again.\n"},
		{args: "start web", result: "dependency", status: 1, talk: "A dependency job for web.service failed. See 'journalctl -xe' for details.\n"},
		{args: "start web", result: "canceled", status: 1, talk: "Job for web.service canceled.\n"},
		{args: "start web", result: "timeout", status: 1, talk: "Job for web.service timed out.\n"},
		{args: "start web", result: "assert", status: 1, talk: "Assertion failed on job for web.service.\n"},
		{args: "start web", result: "skipped"},
		{args: "-q start web", result: "canceled", status: 1},
		{args: "start", status: 1, talk: "Too few arguments.\n"},
		{args: "start --wait --no-block web", status: 1, talk: "--wait may not be combined with --no-block.\n"},
		{args: "restart --marked web", status: 1, talk: "--marked may only be used with 'reload-or-restart'.\n"},
		{args: "startt web", status: 1, talk: "Unknown command verb 'startt', did you mean 'start'?\n"},
		{args: "--lines", status: 1, talk: "systemctl: option '--lines' requires an argument\n"},
		{args: "--failed=1", status: 1, talk: "systemctl: option '--failed' doesn't allow an argument\n"},
		{args: "--bogus", status: 1, talk: "systemctl: unrecognized option '--bogus'\n"},
		{args: "-x", status: 1, talk: "systemctl: invalid option -- 'x'\n"},
	} {
		t.Run(c.args+"/"+c.result+c.unit, func(t *testing.T) {
			m := zoo(t)
			m.result = map[string]string{"web.service": c.result}
			if c.unit != "" {
				m.unit("web.service").props["Result"] = c.unit
			}
			status, out, talk := runWith(m, 0, strings.Fields(c.args)...)
			if status != c.status || talk != c.talk || out != "" {
				t.Errorf("status %d, want %d\nout %q\ntalk %q\nwant %q", status, c.status, out, talk, c.talk)
			}
			if c.call != "" && !contains(m.calls, c.call) {
				t.Errorf("calls %q lack %q", m.calls, c.call)
			}
		})
	}
}

// TestGlobs: patterns stand for loaded units that are active, for start with a warning.
func TestGlobs(t *testing.T) {
	m := zoo(t)
	status, _, talk := runWith(m, 0, "start", "*.target")
	if status != 0 || !strings.HasPrefix(talk, "Warning: systemctl start called with a glob pattern.\n") || !contains(m.calls, "StartUnit[basic.target replace]") ||
		contains(m.calls, "StartUnit[loop.target replace]") {
		t.Errorf("status %d, talk %q, calls %q", status, talk, m.calls)
	}
}

func TestQueries(t *testing.T) {
	for _, c := range []struct {
		args   string
		status int
		out    string
	}{
		{"is-active web", 0, "active\n"}, {"is-active db web", 0, "failed\nactive\n"}, {"is-active db", 3, "failed\n"}, {"is-active nosuch", 4, "inactive\n"},
		{"is-active -q db", 3, ""}, {"is-active job", 3, "activating\n"}, {"is-failed db web", 0, "failed\nactive\n"}, {"is-failed web", 1, "active\n"}, {"is-failed", 0, "degraded\n"},
		{"is-system-running", 1, "degraded\n"}, {"is-system-running -q", 1, ""},
	} {
		status, out, talk := runWith(zoo(t), 0, strings.Fields(c.args)...)
		if status != c.status || out != c.out || talk != "" {
			t.Errorf("%s: status %d, out %q, talk %q; want %d, %q", c.args, status, out, talk, c.status, c.out)
		}
	}
}

// TestOffline: without a manager is-system-running says so, and other verbs say why they can't.
func TestOffline(t *testing.T) {
	e, _, talk := testEnv(nil, 0)
	if status := runSystemctl(e, []string{"start", "web"}, false); status != 1 || talk.String() != "Failed to connect to system scope bus via local transport: Connection refused\n" {
		t.Errorf("status %d, talk %q", status, talk)
	}
	e, _, talk = testEnv(nil, 0)
	e.Chroot = true
	if status := runSystemctl(e, []string{"start", "web"}, false); status != 0 || talk.String() != "Running in chroot, ignoring command 'start'\n" {
		t.Errorf("status %d, talk %q", status, talk)
	}
	e, out, _ := testEnv(nil, 0)
	e.Chroot = true
	if status := runSystemctl(e, []string{"is-system-running"}, false); status != 1 || out.String() != "offline\n" {
		t.Errorf("status %d, out %q", status, out)
	}
}

// TestProgress: on a terminal a line tells for whom the tool waits, and is gone at the end.
func TestProgress(t *testing.T) {
	line := regexp.MustCompile(`^(\rstart job for web\.service, \d+s of 1min 30s\x1b\[K)+\r\x1b\[K$`)
	// On a machine that is late with everything the job must take longer for the line to be shown at all.
	for _, hold := range []time.Duration{1200 * time.Millisecond, 5 * time.Second, 20 * time.Second} {
		m := zoo(t)
		m.hold = hold
		m.unit("web.service").props["TimeoutStartUSec"] = uint64(90e6)
		e, _, talk := testEnv(m, 80)
		begin := time.Now()
		e.Now = func() time.Time { return fakeNow.Add(time.Since(begin)) }
		if status := runSystemctl(e, []string{"start", "web"}, true); status != 0 {
			t.Fatalf("status %d, %q", status, talk)
		}
		if line.MatchString(talk.String()) {
			return
		}
		t.Logf("a job of %v: talk %q", hold, talk)
	}
	t.Error("the line isn't shown, or not taken away")
}

// TestNeedReload: unit files that are newer than what was read are told of.
func TestNeedReload(t *testing.T) {
	m := zoo(t)
	m.unit("web.service").props["NeedDaemonReload"] = true
	_, _, talk := runWith(m, 0, "start", "web")
	want := "Warning: The unit file, source configuration file or drop-ins of web.service changed on disk. Run 'systemctl daemon-reload' to reload units.\n"
	if talk != want {
		t.Errorf("talk %q, want %q", talk, want)
	}
}

// TestBusErrors: what the manager answers decides about message and exit status.
func TestBusErrors(t *testing.T) {
	see := "See system logs and 'systemctl status web.service' for details.\n"
	for _, c := range []struct {
		err    error
		status int
		talk   string
	}{
		{bus.Errorf(bus.ErrUnitMasked, "Unit web.service is masked."), 1, "Failed to start web.service: Unit web.service is masked.\n"},
		{bus.Errorf(bus.ErrOnlyByDependency, "Operation refused."), 4, "Failed to start web.service: Operation refused.\n" + see},
		{bus.Errorf(bus.ErrTransactionIsDestructive, "Transaction is destructive."), 4, "Failed to start web.service: Transaction is destructive.\n" + see},
		{bus.Errorf(bus.ErrJobTypeNotApplicable, "Job type x."), 3, "Failed to start web.service: Job type x.\n"},
		{bus.Errorf(bus.ErrAccessDenied, "no"), 4, "Failed to start web.service: Access denied\n" + see},
	} {
		m := zoo(t)
		m.on = map[string]func([]any) (string, []any, error){"StartUnit": func([]any) (string, []any, error) { return "", nil, c.err }}
		status, _, talk := runWith(m, 0, "start", "web")
		if status != c.status || talk != c.talk {
			t.Errorf("%v: status %d, talk %q; want %d, %q", c.err, status, talk, c.status, c.talk)
		}
	}
}
