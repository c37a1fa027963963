package ctl

import (
	"strings"
	"testing"

	"github.com/muster-init/muster/pkg/bus"
)

func TestPlanAndWhy(t *testing.T) {
	client := []any{"client", "", "", "", "pid 5 uid 0"}
	wants := []any{"dependency", "web.service", "Wants=", "/etc/systemd/system/web.service:3", ""}
	m := zoo(t)
	m.on = map[string]func([]any) (string, []any, error){
		"Plan": func(args []any) (string, []any, error) {
			if args[0] != "web.service" || args[1] != "start" || args[2] != "replace" {
				t.Errorf("Plan%v", args)
			}
			return "a(sss(sssss)b)a(sss)ss", []any{
				[][]any{{"web.service", "start", "", client, true}, {"db.service", "start", "stop", wants, false}}, [][]any{{"x.service", "start", "not found"}}, "", "",
			}, nil
		},
		"Why": func(args []any) (string, []any, error) {
			if args[0] == "web.service" {
				return "a(usss(sssss)t)", []any{[][]any{{uint32(0), "web.service", "start", "done", client, usec(fakeNow) - 60e6}}}, nil
			}
			return "a(usss(sssss)t)", []any{[][]any{{uint32(9), "db.service", "start", "", wants, uint64(0)}}}, nil
		},
	}
	status, out, _ := runWith(m, 0, "plan", "start", "web")
	if status != 0 {
		t.Errorf("status %d", status)
	}
	golden(t, "plan.txt", out)
	status, out, _ = runWith(m, 0, "why", "db")
	if status != 0 {
		t.Errorf("status %d", status)
	}
	golden(t, "why.txt", out)
}

func TestOwnErrors(t *testing.T) {
	status, _, talk := runWith(zoo(t), 0, "plan", "explode", "web")
	if status != 1 || !strings.HasPrefix(talk, "error: can't plan \"explode\"\nhint: ") {
		t.Errorf("status %d, %q", status, talk)
	}
	// Another manager has no such interface.
	status, _, talk = runWith(zoo(t), 0, "why", "web")
	if status != 1 || talk != "error: the running manager has no interface io.muster.Manager1\nhint: this verb needs muster as the manager\n" {
		t.Errorf("status %d, %q", status, talk)
	}
	// systemctl doesn't know the verbs.
	e, _, out := testEnv(zoo(t), 0)
	if status := runSystemctl(e, []string{"why", "web"}, false); status != 1 || !strings.HasPrefix(out.String(), "Unknown command verb 'why'") {
		t.Errorf("status %d, %q", status, out)
	}
}

// TestLogs: lines of the memory log, as status and logs show them where there is no journald.
func TestLogs(t *testing.T) {
	at := usec(fakeNow)
	m := zoo(t)
	m.on = map[string]func([]any) (string, []any, error){
		"Logs": func(args []any) (string, []any, error) {
			if args[0] != "web.service" {
				return "", nil, bus.Errorf(bus.ErrInvalidArgs, "Logs%v", args)
			}
			return "a(ttsiybss)tb", []any{[][]any{
				{at, uint64(5e6), "web.service", int32(0), byte(6), true, "", "Started web.service."},
				{at, uint64(6e6), "web.service", int32(42), byte(3), false, "webd", "it broke"},
				{at, uint64(7e6), "web.service", int32(0), byte(6), false, "", "plain"},
			}, uint64(3), false}, nil
		},
	}
	for name, args := range map[string]string{"logs.txt": "logs web", "logs-cat.txt": "logs -o cat web", "logs-json.txt": "logs -o json web", "logs-monotonic.txt": "logs -o short-monotonic web"} {
		status, out, talk := runWith(m, 0, strings.Fields(args)...)
		if status != 0 || talk != "" {
			t.Errorf("%s: status %d, %q", args, status, talk)
		}
		golden(t, name, strings.ReplaceAll(out, hostname(), "HOST"))
	}
}
