package main

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"
)

// TestPod boots muster with no rights at all and uses what runs in it.
func TestPod(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("needs root, to make the container")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	b, err := startPod(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Stop(); err != nil {
			t.Error(err)
		}
	}()
	if state, err := waitBooted(ctx, b, "musterctl"); err != nil || state != "running" {
		t.Fatalf("%s, %v\n%s", state, err, b.Console())
	}
	for _, c := range []struct{ command, want string }{
		{"busybox wget -qO- http://127.0.0.1/index.html", "a page of pod, made by uid 1000"},
		{"echo a sum | busybox nc -w 60 127.0.0.1 7000", "did a sum"},
		{"grep CapBnd: /proc/1/status", "0000000000000000"},
		{"sleep 2; musterctl logs tick.service -n 40 | grep -c 'tick: tick'", ""},
		{"musterctl show -P MainPID web.service", ""},
		{"kill -9 $(musterctl show -P MainPID web.service); for i in $(seq 600); do [ \"$(musterctl show -P NRestarts web.service)\" = 0 ] || break; sleep 0.1; done; " +
			"for i in $(seq 600); do musterctl -q is-active web.service && break; sleep 0.1; done; musterctl is-active web.service; musterctl show -P NRestarts web.service", "active\n1"},
		{"musterctl daemon-reexec && musterctl is-active web.service", "active"},
		// What asks for protection that there can't be here doesn't run without it, and says why.
		{"musterctl start guarded.service; musterctl status guarded.service", "PrivateTmp=: operation not permitted; with DegradedPolicy=warn"},
		{"mkdir -p /run/systemd/system.conf.d && printf '[Manager]\\nDegradedPolicy=warn\\n' >/run/systemd/system.conf.d/50.conf && musterctl daemon-reexec && " +
			"musterctl start guarded.service && musterctl show -P Degraded guarded.service", "PrivateTmp"},
		{"musterctl start limited.service; musterctl status limited.service", "MemoryMax= has no effect: control groups can't be written here"},
	} {
		began := time.Now()
		result, err := b.Exec(ctx, "sh", "-c", c.command)
		t.Log(time.Since(began), c.command)
		if err != nil || !strings.Contains(result.Stdout+result.Stderr, c.want) {
			t.Errorf("%s: %q, %q, %v, want %q", c.command, result.Stdout, result.Stderr, err, c.want)
		}
	}
	if err := endPod(b); err != nil {
		t.Error(err)
	}
}
