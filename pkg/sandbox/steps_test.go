package sandbox_test

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

func expect(t *testing.T, got, want string) {
	t.Helper()
	if strings.TrimSpace(got) != want {
		t.Errorf("got %q, want %q", strings.TrimSpace(got), want)
	}
}

func TestPlain(t *testing.T) {
	both(t, func(t *testing.T, force func(*start)) {
		s := newStart(t, `echo "$SYSTEMD_EXEC_PID $$ $PWD"; ls /proc/self/fd`)
		force(s)
		out := s.ok()
		var a, b int
		var pwd string
		if _, err := fmt.Sscan(out, &a, &b, &pwd); err != nil || a != b || a == 0 || pwd != "/" {
			t.Errorf("output %q", out)
		}
		// ls itself has the directory open at 3.
		if fds := strings.Fields(out)[3:]; strings.Join(fds, " ") != "0 1 2 3" {
			t.Errorf("descriptors %v", fds)
		}
	})
}

func TestAttributes(t *testing.T) {
	cases := []struct {
		name, script, want string
		set                func(e *unit.Exec)
	}{
		{"UMask", `umask`, "0027", func(e *unit.Exec) { e.UMask = 0o27 }},
		{"Nice", `cut -d" " -f19 /proc/self/stat`, "7", func(e *unit.Exec) { e.Nice = unit.Some[int32](7) }},
		{"LimitNOFILE", `ulimit -Sn; ulimit -Hn`, "111\n222", func(e *unit.Exec) { e.Limits[unit.RLimitNOFILE] = &value.Rlimit{Soft: 111, Hard: 222} }},
		{"LimitNOFILE small", `ulimit -n`, "4", func(e *unit.Exec) { e.Limits[unit.RLimitNOFILE] = &value.Rlimit{Soft: 4, Hard: 4} }},
		{"LimitAS", `ulimit -v`, "20000", func(e *unit.Exec) { e.Limits[unit.RLimitAS] = &value.Rlimit{Soft: 20000 << 10, Hard: 20000 << 10} }},
		{"default NOFILE", `ulimit -Sn`, "1024", func(*unit.Exec) {}},
		{"CPUAffinity", `grep Cpus_allowed_list /proc/self/status | cut -f2`, "1", func(e *unit.Exec) { e.CPUAffinity = []byte{2} }},
		{"CPUSchedulingPolicy", `cut -d" " -f41 /proc/self/stat`, "3", func(e *unit.Exec) { e.CPUSchedulingSet, e.CPUSchedulingPolicy = true, 3 }},
		{"CPUSchedulingPolicy fifo", `cut -d" " -f40,41 /proc/self/stat`, "9 1", func(e *unit.Exec) {
			e.CPUSchedulingSet, e.CPUSchedulingPolicy, e.CPUSchedulingPriority = true, 1, 9
		}},
		{"IOSchedulingClass", `ionice`, "idle", func(e *unit.Exec) { e.IOSchedulingSet, e.IOSchedulingClass = true, unit.Some[int32](3) }},
		{"IOSchedulingClass=none", `ionice`, "best-effort: prio 4", func(e *unit.Exec) {
			e.IOSchedulingSet, e.IOSchedulingClass, e.IOSchedulingPriority = true, unit.Some[int32](0), 4
		}},
		{"TimerSlackNSec", `cat /proc/self/timerslack_ns`, "12345", func(e *unit.Exec) { e.TimerSlackNSec = 12345 }},
		{"Personality", `uname -m`, "i686", func(e *unit.Exec) { e.Sandbox = sandboxWith(func(s *unit.Sandbox) { s.Personality = "x86" }) }},
		{"WorkingDirectory", `pwd`, "/usr", func(e *unit.Exec) { e.WorkingDirectory = "/usr" }},
		{"WorkingDirectory optional", `pwd`, "/", func(e *unit.Exec) { e.WorkingDirectory, e.WorkingDirectoryMissingOK = "/nonexistent", true }},
		{"IgnoreSIGPIPE", `grep SigIgn /proc/self/status | cut -f2`, "0000000000001000", func(*unit.Exec) {}},
		{"IgnoreSIGPIPE=no", `grep SigIgn /proc/self/status | cut -f2`, "0000000000000000", func(e *unit.Exec) { e.IgnoreSIGPIPE = false }},
		{"signal mask", `grep SigBlk /proc/self/status | cut -f2`, "0000000000000000", func(*unit.Exec) {}},
		{"NoNewPrivileges", `grep NoNewPrivs /proc/self/status | cut -f2`, "1", func(e *unit.Exec) { e.NoNewPrivileges = true }},
		{"CapabilityBoundingSet", `grep -e CapBnd -e CapEff /proc/self/status | cut -f2`, "0000000000000c00\n0000000000000c00", func(e *unit.Exec) { e.CapabilityBoundingSet = 0xc00 }},
		{"SecureBits", `capsh --print 2>/dev/null | grep -o 'no-root=.*' || echo none`, "none", func(e *unit.Exec) {}},
		{"session", `test "$(cut -d" " -f6 /proc/self/stat)" = $$ && echo leader`, "leader", func(*unit.Exec) {}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			both(t, func(t *testing.T, force func(*start)) {
				s := newStart(t, c.script)
				c.set(s.exec)
				force(s)
				expect(t, s.ok(), c.want)
			})
		})
	}
}

// TestSharedMemory is about what the kernel keeps with the memory: the op-list
// child shares it with the manager, which must not be changed.
func TestSharedMemory(t *testing.T) {
	own := func(name string) string {
		text, err := os.ReadFile("/proc/self/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(text))
	}
	score, filter := own("oom_score_adj"), own("coredump_filter")
	s := newStart(t, `cat /proc/self/oom_score_adj /proc/self/coredump_filter`)
	s.exec.OOMScoreAdjust, s.exec.CoredumpFilter = unit.Some[int32](321), unit.Some[uint64](0x31)
	expect(t, s.ok(), "321\n00000031")
	s.tier(plan.TierExecutor)
	if own("oom_score_adj") != score || own("coredump_filter") != filter {
		t.Errorf("the manager's own: %s and %s, were %s and %s", own("oom_score_adj"), own("coredump_filter"), score, filter)
	}
}

func sandboxWith(set func(*unit.Sandbox)) *unit.Sandbox {
	s := unit.BuiltinDefaults().Sandbox
	set(&s)
	return &s
}

func TestUser(t *testing.T) {
	const who = `id -u; id -g; id -G; echo "$USER $LOGNAME $HOME $SHELL"; grep Cap /proc/self/status | cut -f2 | sort -u | tr '\n' ' '`
	s := newStart(t, who)
	s.exec.User = "nobody"
	out := strings.Split(s.ok(), "\n")
	s.tier(plan.TierExecutor)
	if out[0] != "65534" || out[1] != "65534" || out[2] != "65534" {
		t.Errorf("ids %q", out)
	}
	expect(t, out[3], "nobody nobody")

	s = newStart(t, who)
	s.exec.User, s.exec.Group, s.exec.SupplementaryGroups = "daemon", "bin", []string{"adm", "tty"}
	out = strings.Split(s.ok(), "\n")
	if out[0] != "1" || out[1] != "2" || out[2] != "2 4 5" {
		t.Errorf("ids %q", out)
	}
	if !strings.HasPrefix(out[3], "daemon daemon /usr/sbin") {
		t.Errorf("login variables %q", out[3])
	}

	s = newStart(t, who)
	s.exec.User = "root"
	out = strings.Split(s.ok(), "\n")
	s.tier(plan.TierOps)
	if out[0] != "0" || out[1] != "0" || out[3] != "root root /root /bin/sh" {
		t.Errorf("ids %q", out)
	}

	s = newStart(t, who)
	s.exec.Group = "7"
	out = strings.Split(s.ok(), "\n")
	s.tier(plan.TierExecutor)
	if out[0] != "0" || out[1] != "7" {
		t.Errorf("ids %q", out)
	}
}

func TestUserCapabilities(t *testing.T) {
	const caps = `for c in Inh Prm Eff Amb; do grep Cap$c /proc/self/status | cut -f2; done`
	s := newStart(t, caps)
	s.exec.User = "nobody"
	expect(t, s.ok(), strings.Repeat("0000000000000000\n", 3)+"0000000000000000")

	s = newStart(t, caps)
	s.exec.User, s.exec.AmbientCapabilities = "nobody", 0x400
	expect(t, s.ok(), strings.Repeat("0000000000000400\n", 3)+"0000000000000400")

	s = newStart(t, `id -u; grep CapEff /proc/self/status | cut -f2`)
	s.exec.User, s.exec.AmbientCapabilities, s.exec.SecureBits = "nobody", 0x400, 1<<2
	expect(t, s.ok(), "65534\n0000000000000400")
}

func TestPrefixes(t *testing.T) {
	s := newStart(t, `id -u; grep NoNewPrivs /proc/self/status | cut -f2`)
	s.exec.User, s.exec.NoNewPrivileges = "nobody", true
	s.ctx.Command.Flags |= value.CommandPrivileged
	expect(t, s.ok(), "0\n0")

	s = newStart(t, `id -u; grep NoNewPrivs /proc/self/status | cut -f2; echo $USER`)
	s.exec.User, s.exec.NoNewPrivileges = "nobody", true
	s.ctx.Command.Flags |= value.CommandNoSetuid
	expect(t, s.ok(), "0\n1\nnobody")
}

func TestFailures(t *testing.T) {
	missing := "/nonexistent/x"
	cases := []struct {
		name   string
		status uint8
		// setting is what the message names.
		setting string
		set     func(s *start)
	}{
		{"200", plan.ExitChdir, "WorkingDirectory", func(s *start) { s.exec.WorkingDirectory = missing }},
		{"203", plan.ExitExec, "ExecStart", func(s *start) { s.ctx.Command.Path = missing }},
		{"203 search", plan.ExitExec, "ExecStart", func(s *start) { s.ctx.Command.Path = "no-such-program" }},
		{"208", plan.ExitStdin, "StandardInput", func(s *start) { s.exec.StandardInput = unit.Stdio{Kind: "file", Arg: missing} }},
		{"209", plan.ExitStdout, "StandardOutput", func(s *start) { s.exec.StandardOutput = unit.Stdio{Kind: "append", Arg: missing} }},
		{"222", plan.ExitStderr, "StandardError", func(s *start) { s.exec.StandardError = unit.Stdio{Kind: "file", Arg: missing} }},
		{"210", plan.ExitChroot, "RootDirectory", func(s *start) {
			s.exec.RootDirectory = missing
			s.ctx.Command.Flags |= value.CommandPrivileged
		}},
		{"214", plan.ExitSetScheduler, "CPUSchedulingPolicy", func(s *start) {
			s.exec.CPUSchedulingSet, s.exec.CPUSchedulingPolicy, s.exec.CPUSchedulingPriority = true, 0, 50
		}},
		{"215", plan.ExitCPUAffinity, "CPUAffinity", func(s *start) { s.exec.CPUAffinity = []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80} }},
		{"211", plan.ExitIOPrio, "IOSchedulingClass", func(s *start) {
			s.exec.IOSchedulingSet, s.exec.IOSchedulingClass = true, unit.Some[int32](6)
		}},
		{"213", plan.ExitSecureBits, "SecureBits", func(s *start) { s.exec.SecureBits = 1 << 20 }},
		{"242", plan.ExitNUMAPolicy, "NUMAPolicy", func(s *start) { s.exec.NUMAPolicy = 77 }},
		{"218", plan.ExitCapabilities, "AmbientCapabilities", func(s *start) { s.exec.AmbientCapabilities = 1 << 62 }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			both(t, func(t *testing.T, force func(*start)) {
				s := newStart(t, "true")
				c.set(s)
				force(s)
				s.fails(c.status, c.setting)
			})
		})
	}
}

func TestExecutorFailures(t *testing.T) {
	cases := []struct {
		name    string
		status  uint8
		setting string
		set     func(s *start)
	}{
		{"205", plan.ExitLimits, "CoredumpFilter", func(s *start) { s.exec.CoredumpFilter = unit.Some[uint64](1 << 40) }},
		{"206", plan.ExitOOMAdjust, "OOMScoreAdjust", func(s *start) { s.exec.OOMScoreAdjust = unit.Some[int32](5000) }},
		{"210 namespace", plan.ExitChroot, "RootDirectory", func(s *start) { s.exec.RootDirectory = "/nonexistent/x" }},
		{"217", plan.ExitUser, "User", func(s *start) { s.exec.User = "no-such-user" }},
		{"217 number", plan.ExitUser, "User", func(s *start) { s.exec.User = "54321" }},
		{"216", plan.ExitGroup, "Group", func(s *start) { s.exec.Group = "no-such-group" }},
		{"216 supplementary", plan.ExitGroup, "SupplementaryGroups", func(s *start) { s.exec.SupplementaryGroups = []string{"no-such-group"} }},
		{"200 home", plan.ExitChdir, "WorkingDirectory", func(s *start) { s.exec.WorkingDirectoryHome = true }},
		{"200 user", plan.ExitChdir, "WorkingDirectory", func(s *start) {
			private := filepath.Join(s.dir, "private")
			if err := os.Mkdir(private, 0o700); err != nil {
				s.t.Fatal(err)
			}
			s.exec.User, s.exec.WorkingDirectory, s.exec.AmbientCapabilities = "nobody", private, 0x400
		}},
		{"203 user", plan.ExitExec, "ExecStart", func(s *start) {
			program := filepath.Join(s.dir, "program")
			if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o700); err != nil {
				s.t.Fatal(err)
			}
			s.exec.User, s.ctx.Command.Path, s.exec.AmbientCapabilities = "nobody", program, 0x400
		}},
		{"233", plan.ExitRuntimeDirectory, "RuntimeDirectory", func(s *start) { blockedDir(s, plan.DirRuntime, &s.exec.RuntimeDirectory) }},
		{"238", plan.ExitStateDirectory, "StateDirectory", func(s *start) { blockedDir(s, plan.DirState, &s.exec.StateDirectory) }},
		{"239", plan.ExitCacheDirectory, "CacheDirectory", func(s *start) { blockedDir(s, plan.DirCache, &s.exec.CacheDirectory) }},
		{"240", plan.ExitLogsDirectory, "LogsDirectory", func(s *start) { blockedDir(s, plan.DirLogs, &s.exec.LogsDirectory) }},
		{"241", plan.ExitConfigurationDirectory, "ConfigurationDirectory", func(s *start) { blockedDir(s, plan.DirConfiguration, &s.exec.ConfigurationDirectory) }},
		{"208 tty", plan.ExitStdin, "StandardInput", func(s *start) {
			s.exec.StandardInput, s.exec.TTYPath = unit.Stdio{Kind: "tty"}, "/nonexistent/tty"
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newStart(t, "true")
			c.set(s)
			s.fails(c.status, c.setting)
			s.tier(plan.TierExecutor)
		})
	}
	s := newStart(t, "true")
	s.exec.EnvironmentFiles = []unit.EnvironmentFile{{Path: "/nonexistent/env"}}
	s.fails(plan.ExitException, "EnvironmentFile")
	if s.failure == nil || !s.failure.Resources {
		t.Errorf("failure %+v is not about resources", s.failure)
	}
}

// blockedDir puts a file where the directory should be.
func blockedDir(s *start, kind plan.DirectoryKind, d *unit.Directory) {
	prefixes := s.prefixes()
	if err := os.WriteFile(prefixes[kind]+"/in-the-way", nil, 0o644); err != nil {
		s.t.Fatal(err)
	}
	d.Items = []unit.DirectoryItem{{Path: "in-the-way"}}
}

// prefixes makes directories of its own for the five kinds.
func (s *start) prefixes() plan.Prefixes {
	var p plan.Prefixes
	for i := range p {
		p[i] = filepath.Join(s.dir, fmt.Sprintf("prefix%d", i))
		if err := os.Mkdir(p[i], 0o755); err != nil {
			s.t.Fatal(err)
		}
	}
	s.ctx.Prefixes = p
	return p
}

// TestIgnoredSignals: what the manager was started with is not handed down.
func TestIgnoredSignals(t *testing.T) {
	signal.Ignore(syscall.SIGUSR1, syscall.SIGHUP)
	defer signal.Reset(syscall.SIGUSR1, syscall.SIGHUP)
	both(t, func(t *testing.T, force func(*start)) {
		s := newStart(t, `grep SigIgn /proc/self/status | cut -f2`)
		force(s)
		expect(t, s.ok(), "0000000000001000")
	})
}
