package learn

import (
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/seccomp"
)

// settings are the lines by name.
func settings(lines []Line) map[string]string {
	m := map[string]string{}
	for _, l := range lines {
		m[l.Setting] = l.Value
	}
	return m
}

func seen(calls ...string) *Observation {
	o := newObservation(30 * time.Second)
	for _, c := range calls {
		o.call(c, 0, 1)
	}
	return o
}

const all = ^uint64(0)

// TestProposeLeast: who does next to nothing gets everything.
func TestProposeLeast(t *testing.T) {
	got := settings(Propose(seen("read", "mmap"), Unit{Name: "a.service", Bounding: all}))
	for name, want := range map[string]string{
		"NoNewPrivileges": "yes", "CapabilityBoundingSet": "", "RestrictSUIDSGID": "yes", "RestrictRealtime": "yes", "LockPersonality": "yes",
		"MemoryDenyWriteExecute": "yes", "RestrictNamespaces": "yes", "RestrictAddressFamilies": "AF_UNIX", "PrivateNetwork": "yes", "ProtectClock": "yes",
		"ProtectHostname": "yes", "ProtectKernelModules": "yes", "ProtectKernelLogs": "yes", "ProtectKernelTunables": "yes", "ProtectControlGroups": "yes",
		"SystemCallArchitectures": "native", "ProtectProc": "invisible", "PrivateDevices": "yes", "ProtectSystem": "strict", "ProtectHome": "yes", "PrivateTmp": "yes",
		"SystemCallFilter": "@default @basic-io", "SystemCallErrorNumber": "EPERM",
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s=%s, want %s", name, v, want)
		}
	}
	if v, ok := got["ReadWritePaths"]; ok {
		t.Errorf("ReadWritePaths=%s", v)
	}
}

// TestProposeNeeds: each thing a service does costs the line that would forbid it.
func TestProposeNeeds(t *testing.T) {
	for _, c := range []struct {
		setting, want string // want "" is no such line
		do            func(o *Observation)
	}{
		{"NoNewPrivileges", "", func(o *Observation) { o.SetIDProgram = "/usr/bin/su" }},
		{"CapabilityBoundingSet", "CAP_CHOWN CAP_SETUID", func(o *Observation) { o.capability(unix.CAP_SETUID, "setuid"); o.capability(unix.CAP_CHOWN, "fchown") }},
		{"CapabilityBoundingSet", "", func(o *Observation) { o.capability(unix.CAP_SYS_ADMIN, "mmap") }},
		{"CapabilityBoundingSet", "CAP_SYS_ADMIN", func(o *Observation) { o.capability(unix.CAP_SYS_ADMIN, "mount") }},
		{"CapabilityBoundingSet", "-", func(o *Observation) { o.NoCapabilities = errors.New("too old") }},
		{"RestrictSUIDSGID", "-", func(o *Observation) { o.call("fchmod", 0o4000, 1) }},
		{"RestrictRealtime", "-", func(o *Observation) { o.call("sched_setscheduler", 1, 1) }},
		{"LockPersonality", "-", func(o *Observation) { o.call("personality", 8, 1) }},
		{"LockPersonality", "yes", func(o *Observation) { o.call("personality", askPersona, 1) }},
		{"MemoryDenyWriteExecute", "-", func(o *Observation) { o.call("mmap", protWrite|protExec, 1) }},
		{"MemoryDenyWriteExecute", "-", func(o *Observation) { o.call("mprotect", protExec, 1) }},
		{"MemoryDenyWriteExecute", "yes", func(o *Observation) { o.call("mmap", protExec, 1) }},
		{"RestrictNamespaces", "net mnt", func(o *Observation) { o.call("unshare", unix.CLONE_NEWNET|unix.CLONE_NEWNS, 1) }},
		{"RestrictAddressFamilies", "AF_INET AF_NETLINK AF_UNIX", func(o *Observation) { o.call("socket", 2, 1); o.call("socket", 16, 1) }},
		{"PrivateNetwork", "-", func(o *Observation) { o.call("socket", 10, 1) }},
		{"ProtectClock", "-", func(o *Observation) { o.call("clock_settime", 0, 1) }},
		{"ProtectHostname", "-", func(o *Observation) { o.call("sethostname", 0, 1) }},
		{"ProtectKernelModules", "-", func(o *Observation) { o.path(access{Call: "openat", Path: "/lib/modules/6/x.ko"}) }},
		{"ProtectKernelLogs", "-", func(o *Observation) { o.path(access{Call: "openat", Path: "/dev/kmsg"}) }},
		{"ProtectKernelTunables", "-", func(o *Observation) { o.path(access{Call: "openat", Path: "/proc/sys/vm/x", Write: true}) }},
		{"ProtectKernelTunables", "yes", func(o *Observation) { o.path(access{Call: "openat", Path: "/proc/sys/vm/x"}) }},
		{"ProtectControlGroups", "-", func(o *Observation) { o.path(access{Call: "mkdir", Path: "/sys/fs/cgroup/x", Write: true}) }},
		{"ProtectProc", "-", func(o *Observation) { o.path(access{Call: "openat", Path: "/proc/77/stat"}) }},
		{"ProtectProc", "invisible", func(o *Observation) { o.path(access{Call: "openat", Path: "/proc/77/stat", Self: true}) }},
		{"PrivateDevices", "-", func(o *Observation) { o.path(access{Call: "openat", Path: "/dev/sda"}) }},
		{"PrivateDevices", "yes", func(o *Observation) { o.path(access{Call: "openat", Path: "/dev/null", Write: true}) }},
		{"ProtectHome", "-", func(o *Observation) { o.path(access{Call: "openat", Path: "/home/ana/x", Write: true}) }},
		{"ProtectHome", "read-only", func(o *Observation) { o.path(access{Call: "stat", Path: "/root/.config"}) }},
		{"PrivateTmp", "-", func(o *Observation) { o.path(access{Call: "openat", Path: "/tmp/.X11-unix"}) }},
		{"PrivateTmp", "yes", func(o *Observation) {
			o.path(access{Call: "openat", Path: "/tmp/mine", Write: true})
			o.path(access{Call: "stat", Path: "/tmp/mine"})
		}},
		{"ReadWritePaths", "/etc /usr", func(o *Observation) {
			for _, p := range []string{"/etc/muster-none", "/usr/x", "/usr/lib/x", "/dev/x", "/sys/x", "/var/lib/own/x", "/nonexistent/dir/x"} {
				o.path(access{Call: "openat", Path: p, Write: true})
			}
		}},
	} {
		o := seen("read")
		c.do(o)
		got, ok := settings(Propose(o, Unit{Name: "a.service", Bounding: all, Own: []string{"/var/lib/own"}}))[c.setting]
		if want := strings.TrimPrefix(c.want, "-"); got != want || ok != (c.want != "-" && !(c.setting == "NoNewPrivileges")) {
			t.Errorf("%s=%s (%v), want %q", c.setting, got, ok, c.want)
		}
	}
}

// TestProposeTightens: what the unit has is not loosened.
func TestProposeTightens(t *testing.T) {
	o := seen("read", "mount", "socket")
	o.call("socket", 17, 1)
	o.capability(unix.CAP_CHOWN, "chown")
	got := settings(Propose(o, Unit{Name: "a.service", Bounding: 1 << unix.CAP_SETUID,
		Families: func(name string) bool { return name != "AF_PACKET" }, Calls: func(name string) bool { return name != "mount" && name != "readv" }}))
	if got["CapabilityBoundingSet"] != "" || got["RestrictAddressFamilies"] != "AF_UNIX" {
		t.Errorf("%q, %q", got["CapabilityBoundingSet"], got["RestrictAddressFamilies"])
	}
	if f := " " + got["SystemCallFilter"] + " "; strings.Contains(f, " mount ") || strings.Contains(f, "@basic-io") || !strings.Contains(f, " read ") {
		t.Errorf("SystemCallFilter=%s", f)
	}
}

// TestGroups: every call that was seen is allowed, and nothing that only the privileged have a use for.
func TestGroups(t *testing.T) {
	calls := map[string]uint64{"openat": 1, "mount": 1, "clone": 2, "epoll_wait": 1, "setuid": 1}
	list, single := Groups(calls, nil)
	allowed, unknown := seccomp.Expand(list)
	if len(unknown) > 0 || single != 1 {
		t.Errorf("%v: %d single, unknown %v", list, single, unknown)
	}
	have := map[string]bool{}
	for _, c := range allowed {
		have[c] = true
	}
	for c := range calls {
		if !have[c] {
			t.Errorf("%s is missing in %v", c, list)
		}
	}
	if have["umount2"] || have["reboot"] || have["bpf"] {
		t.Errorf("too much in %v", list)
	}
}

// TestDropIn: each line says how sure it is; what was not seen is said.
func TestDropIn(t *testing.T) {
	o := seen("read")
	o.Lost, o.NoCapabilities = 3, errors.New("no tracepoint")
	text := DropIn(o, Unit{Name: "a.service"}, Propose(o, Unit{Name: "a.service", Bounding: all}))
	for _, want := range []string{"watched it for 30s", "Not everything was seen: 3 paths", "Linux 6.14", "\n[Service]\n", "\nSystemCallFilter=\nSystemCallFilter=@default", "# medium; ", "not exercised: "} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	for _, line := range strings.Split(text, "\n") {
		if name, val, ok := strings.Cut(line, "="); ok && line[0] != '#' && (name == "" || strings.ContainsAny(val, "\n\\")) {
			t.Errorf("line %q", line)
		}
	}
}
