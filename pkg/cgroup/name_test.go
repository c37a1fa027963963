package cgroup

import (
	"errors"
	"testing"

	"pgregory.net/rapid"
)

func TestEscape(t *testing.T) {
	tests := map[string]string{
		"cron.service": "cron.service", "_x.service": "__x.service", ".x.service": "_.x.service", "tasks": "_tasks",
		"cpu.service": "_cpu.service", "cgroup.service": "_cgroup.service", "memory.max": "_memory.max",
		"cpux.service": "cpux.service", "bpf-firewall.scope": "_bpf-firewall.scope", "release_agent": "_release_agent",
		"pids.slice": "_pids.slice", "cpu-load.service": "cpu-load.service", "": "_",
	}
	for name, want := range tests {
		if got := Escape(name); got != want || Unescape(got) != name {
			t.Errorf("Escape(%q) = %q, want %q; back: %q", name, got, want, Unescape(got))
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[_.a-z]{0,4}(cpu|memory|cgroup)?[._a-z]{0,6}`).Draw(t, "name")
		if back := Unescape(Escape(name)); back != name {
			t.Fatalf("%q → %q → %q", name, Escape(name), back)
		}
	})
}

func TestUnitPath(t *testing.T) {
	tests := []struct{ slice, unit, want string }{
		{"system.slice", "cron.service", "system.slice/cron.service"},
		{"-.slice", "init.scope", "init.scope"},
		{"", "init.scope", "init.scope"},
		{"a-b-c.slice", "x.service", "a.slice/a-b.slice/a-b-c.slice/x.service"},
		{"ignored.slice", "a-b.slice", "a.slice/a-b.slice"},
		{"-.slice", "-.slice", ""},
		{"cpu.slice", "memory.service", "_cpu.slice/_memory.service"},
		{"system-getty.slice", "getty@tty1.service", "system.slice/system-getty.slice/getty@tty1.service"},
	}
	for _, tt := range tests {
		got, err := UnitPath(tt.slice, tt.unit)
		if got != tt.want || err != nil {
			t.Errorf("UnitPath(%q, %q) = %q, %v, want %q", tt.slice, tt.unit, got, err, tt.want)
		}
		if got == "" {
			continue
		}
		unit, slice, ok := UnitOf("/" + got)
		if unit != tt.unit || !ok {
			t.Errorf("UnitOf(%q) = %q, %q, %v", got, unit, slice, ok)
		}
	}
	for _, bad := range []string{"a--b.slice", "-a.slice", "a-.slice", ".slice", "a.service", "a/b.slice", ""} {
		if got, err := SlicePath(bad); !errors.Is(err, ErrName) {
			t.Errorf("SlicePath(%q) = %q, %v", bad, got, err)
		}
	}
}

func TestUnitOf(t *testing.T) {
	tests := []struct {
		path, unit, slice string
		ok                bool
	}{
		{"/system.slice/nginx.service", "nginx.service", "system.slice", true},
		{"/system.slice/nginx.service/worker/deep", "nginx.service", "system.slice", true},
		{"/user.slice/user-1000.slice/user@1000.service/app.slice/x.service", "user@1000.service", "user-1000.slice", true},
		{"/user.slice/user-1000.slice", "user-1000.slice", "user.slice", true},
		{"/user.slice", "user.slice", "-.slice", true},
		{"/init.scope", "init.scope", "-.slice", true},
		{"/_cpu.slice/_memory.service", "memory.service", "cpu.slice", true},
		{"/", "", "", false},
		{"", "", "", false},
		{"/docker/abc", "docker", "-.slice", false},
	}
	for _, tt := range tests {
		unit, slice, ok := UnitOf(tt.path)
		if ok != tt.ok || (ok || tt.path == "/docker/abc") && (unit != tt.unit || slice != tt.slice) {
			t.Errorf("UnitOf(%q) = %q, %q, %v", tt.path, unit, slice, ok)
		}
	}
}

func TestRelative(t *testing.T) {
	tree := &Tree{status: Status{Base: "user.slice/user@7.service"}}
	tests := []struct {
		in, want string
		ok       bool
	}{
		{"/user.slice/user@7.service/app.slice/x.service", "app.slice/x.service", true},
		{"/user.slice/user@7.service", "", true},
		{"/user.slice/user@7.service2/x", "", false},
		{"/init.scope", "", false},
	}
	for _, tt := range tests {
		got, ok := tree.Relative(tt.in)
		if got != tt.want || ok != tt.ok {
			t.Errorf("Relative(%q) = %q, %v", tt.in, got, ok)
		}
		if ok && tree.Absolute(got) != tt.in {
			t.Errorf("Absolute(%q) = %q", got, tree.Absolute(got))
		}
	}
}
