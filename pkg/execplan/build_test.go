package execplan

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// fixture is a unit with blocks of its own and a context to start it in.
type fixture struct {
	u   *unit.Unit
	e   *unit.Exec
	s   *unit.Sandbox
	svc *unit.Service
	ctx Context
}

func newFixture() *fixture {
	u := unit.New("web.service", nil)
	e, s, svc := *u.GetExec(), *u.GetSandbox(), *u.GetService()
	e.Sandbox = &s
	u.Exec, u.Service = &e, &svc
	return &fixture{u, &e, &s, &svc, testContext()}
}

func (f *fixture) build(t *testing.T) *plan.Plan {
	t.Helper()
	p, err := Build(f.u, f.ctx)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestTier(t *testing.T) {
	for _, c := range []struct {
		name string
		set  func(f *fixture)
		want []string // reasons; none is tier 1
	}{
		{"plain", func(*fixture) {}, nil},
		{"common settings", func(f *fixture) {
			f.e.Environment, f.e.Nice, f.e.WorkingDirectory = []string{"A=b"}, unit.Some[int32](5), "/srv"
			f.e.NoNewPrivileges, f.e.CapabilityBoundingSet = true, 0
			f.e.StandardOutput = unit.Stdio{Kind: "append", Arg: "/var/log/web"}
		}, nil},
		{"User=root", func(f *fixture) { f.e.User = "root" }, nil},
		{"numeric group", func(f *fixture) { f.e.Group = "33" }, []string{"Group"}},
		{"filters", func(f *fixture) { f.s.LockPersonality, f.s.RestrictRealtime = true, true }, nil},
		{"numeric user", func(f *fixture) { f.e.User = "33" }, []string{"User"}},
		{"group", func(f *fixture) { f.e.Group = "www-data" }, []string{"Group"}},
		{"SupplementaryGroups", func(f *fixture) { f.e.SupplementaryGroups = []string{"1"} }, []string{"SupplementaryGroups"}},
		{"EnvironmentFile", func(f *fixture) { f.e.EnvironmentFiles = []unit.EnvironmentFile{{Path: "/x"}} }, []string{"EnvironmentFile"}},
		{"StateDirectory", func(f *fixture) { f.e.StateDirectory.Items = []unit.DirectoryItem{{Path: "web"}} }, []string{"StateDirectory"}},
		{"ProtectHome", func(f *fixture) { f.s.ProtectHome = "yes" }, []string{"mount namespace"}},
		{"PrivateNetwork", func(f *fixture) { f.s.PrivateNetwork = true }, []string{"namespace"}},
		{"TTYPath", func(f *fixture) { f.e.StandardInput.Kind = "tty" }, []string{"TTYPath"}},
		{"OOMScoreAdjust", func(f *fixture) { f.e.OOMScoreAdjust = unit.Some[int32](1) }, []string{"OOMScoreAdjust"}},
		{"child variable", func(f *fixture) { f.ctx.Command.Argv = append(f.ctx.Command.Argv, "$SYSTEMD_EXEC_PID") }, []string{"ExecStart with a variable only the child knows"}},
		{"+", func(f *fixture) {
			f.e.User, f.s.ProtectHome = "nobody", "yes"
			f.ctx.Command.Flags = value.CommandPrivileged
		}, []string{"User"}}, // still for its variables
	} {
		f := newFixture()
		c.set(f)
		p := f.build(t)
		if !slices.Equal(p.Reasons, c.want) || (p.Tier == plan.TierOps) != (len(c.want) == 0) {
			t.Errorf("%s: tier %d, reasons %q, want %q", c.name, p.Tier, p.Reasons, c.want)
		}
	}
}

func TestUnsupported(t *testing.T) {
	for _, name := range []struct {
		setting string
		set     func(f *fixture)
	}{
		{"PrivateUsers=managed: a range of users from systemd-nsresourced (io.systemd.NamespaceResource.AllocateUserRange)", func(f *fixture) { f.s.PrivateUsers = "managed" }},
		{"RuntimeDirectoryQuota=", func(f *fixture) { f.e.RuntimeDirectory.Quota.Set = true }},
	} {
		f := newFixture()
		name.set(f)
		_, err := Build(f.u, f.ctx)
		if !errors.Is(err, ErrUnsupported) || !strings.HasPrefix(err.Error(), "web.service: "+name.setting+": ") {
			t.Errorf("%s: %v", name.setting, err)
		}
	}
}

func TestEnvironmentLayers(t *testing.T) {
	f := newFixture()
	f.ctx.ManagerEnv = []string{"PATH=/m", "LANG=C", "A=manager"}
	f.ctx.Env = []string{"SERVICE_RESULT=success", "A=start"}
	f.ctx.OwnEnv = []string{"PASSED=own", "B=own"}
	f.e.PassEnvironment = []string{"PASSED", "B", "ABSENT"}
	f.e.Environment = []string{"B=unit", "C=unit", "SYSTEMD_EXEC_PID=mine"}
	f.e.UnsetEnvironment = []string{"LANG", "C=other", "LISTEN_PID"}
	f.ctx.FDs = []FD{{Number: 7, Name: "a"}, {Number: 8, Name: "b", Stored: true}}
	f.ctx.WatchdogUSec, f.ctx.MainPID = 1000, 42
	f.ctx.NotifySocket, f.svc.NotifyAccess, f.svc.PIDFile = "/run/notify", "main", "/run/web.pid"
	f.svc.FileDescriptorStoreMax = 3
	p := f.build(t)
	want := []string{
		"PATH=/m", "A=start", "NOTIFY_SOCKET=/run/notify", "FDSTORE=3", "MAINPID=42", "PIDFILE=/run/web.pid", "SERVICE_RESULT=success",
		"LISTEN_FDS=2", "LISTEN_FDNAMES=a:b", "WATCHDOG_USEC=1000", "INVOCATION_ID=01020300000000000000000000000000",
		"MEMORY_PRESSURE_WATCH=/sys/fs/cgroup/system.slice/bench.service/memory.pressure",
		"MEMORY_PRESSURE_WRITE=c29tZSAyMDAwMDAgMjAwMDAwMAA=", "PASSED=own", "B=unit", "C=unit", "SYSTEMD_EXEC_PID=mine",
	}
	slices.Sort(want)
	got := slices.Sorted(slices.Values(p.Env))
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"WATCHDOG_PID"}, p.PidVars); d != "" {
		t.Error(d)
	}
	if p.SocketFDs != 1 || !slices.Equal(p.FDs, []int32{7, 8}) || !p.JournalStream {
		t.Errorf("descriptors %v, sockets %d, journal stream %v", p.FDs, p.SocketFDs, p.JournalStream)
	}
}

func TestNotifySocket(t *testing.T) {
	for _, c := range []struct {
		access        string
		main, control bool
	}{{"none", false, false}, {"main", true, false}, {"exec", true, true}, {"all", true, true}} {
		for _, control := range []bool{false, true} {
			f := newFixture()
			f.ctx.NotifySocket, f.ctx.Control, f.svc.NotifyAccess, f.svc.NotifyAccessSet = "/run/notify", control, c.access, true
			_, got := plan.LookupEnv(f.build(t).Env, "NOTIFY_SOCKET")
			if want := c.main && !control || c.control && control; got != want {
				t.Errorf("NotifyAccess=%s control=%v: %v", c.access, control, got)
			}
		}
	}
}

func TestStreams(t *testing.T) {
	type kinds [3]plan.StreamKind
	for _, c := range []struct {
		in, out, err string
		phase        string
		away         bool // no journal
		want         kinds
	}{
		{"null", "journal", "inherit", "", false, kinds{plan.StreamNull, plan.StreamJournal, plan.StreamDup}},
		{"null", "inherit", "inherit", "", false, kinds{plan.StreamNull, plan.StreamJournal, plan.StreamDup}},
		{"null", "journal", "inherit", "", true, kinds{plan.StreamNull, plan.StreamNull, plan.StreamDup}},
		{"null", "null", "journal", "", false, kinds{plan.StreamNull, plan.StreamNull, plan.StreamJournal}},
		{"null", "journal", "journal", "", false, kinds{plan.StreamNull, plan.StreamJournal, plan.StreamDup}},
		{"null", "journal", "kmsg", "", false, kinds{plan.StreamNull, plan.StreamJournal, plan.StreamJournal}},
		{"tty", "inherit", "inherit", "", false, kinds{plan.StreamTTY, plan.StreamDup, plan.StreamDup}},
		{"tty", "tty", "journal", "", false, kinds{plan.StreamTTY, plan.StreamDup, plan.StreamJournal}},
		{"null", "tty", "inherit", "", false, kinds{plan.StreamNull, plan.StreamTTY, plan.StreamDup}},
		{"tty", "inherit", "inherit", "ExecStop", false, kinds{plan.StreamNull, plan.StreamTTY, plan.StreamDup}},
		{"tty", "inherit", "inherit", "ExecStartPre", false, kinds{plan.StreamTTY, plan.StreamDup, plan.StreamDup}},
		{"socket", "inherit", "journal", "", false, kinds{plan.StreamFD, plan.StreamDup, plan.StreamJournal}},
		{"socket", "socket", "inherit", "", false, kinds{plan.StreamFD, plan.StreamDup, plan.StreamDup}},
		{"null", "socket", "inherit", "", false, kinds{plan.StreamNull, plan.StreamFD, plan.StreamDup}},
		{"fd", "fd", "fd", "", false, kinds{plan.StreamFD, plan.StreamFD, plan.StreamDup}},
	} {
		f := newFixture()
		f.e.StandardInput.Kind, f.e.StandardOutput.Kind, f.e.StandardError.Kind = c.in, c.out, c.err
		if c.in == "fd" {
			for _, s := range []*unit.Stdio{&f.e.StandardInput, &f.e.StandardOutput, &f.e.StandardError} {
				s.Arg = "connection"
			}
		}
		f.ctx.Journal, f.ctx.FDs = !c.away, []FD{{Number: 9, Name: "connection"}}
		if c.phase != "" {
			f.ctx.Phase = c.phase
		}
		p := f.build(t)
		if got := (kinds{p.Stdin.Kind, p.Stdout.Kind, p.Stderr.Kind}); got != c.want {
			t.Errorf("%s %s %s in %s: %v, want %v", c.in, c.out, c.err, f.ctx.Phase, got, c.want)
		}
		if wantPassed := c.in != "socket" && c.out != "socket"; (len(p.FDs) > 0) != wantPassed {
			t.Errorf("%s %s: descriptors %v", c.in, c.out, p.FDs)
		}
	}
	f := newFixture()
	f.ctx.UserMode, f.ctx.DefaultOutput, f.e.StandardOutput.Kind = true, "inherit", "inherit"
	if p := f.build(t); p.Stdout.Kind != plan.StreamKeep || p.Stderr.Kind != plan.StreamKeep {
		t.Errorf("a user manager's own output is %v %v", p.Stdout.Kind, p.Stderr.Kind)
	}
}

func TestStreamErrors(t *testing.T) {
	f := newFixture()
	f.e.StandardInput.Kind = "socket"
	if _, err := Build(f.u, f.ctx); err == nil || !strings.Contains(err.Error(), "StandardInput=socket") {
		t.Error(err)
	}
	f = newFixture()
	f.e.StandardOutput = unit.Stdio{Kind: "fd", Arg: "gone"}
	if _, err := Build(f.u, f.ctx); err == nil || !strings.Contains(err.Error(), "fd:gone") {
		t.Error(err)
	}
}

func TestTerm(t *testing.T) {
	for path, want := range map[string]string{"": "xterm", "/dev/tty3": "linux", "/dev/ttyS0": "vt220", "/dev/pts/1": "vt220"} {
		f := newFixture()
		f.ctx.ConsoleTerm, f.e.TTYPath, f.e.StandardInput.Kind = "xterm", path, "tty"
		if got, _ := plan.LookupEnv(f.build(t).Env, "TERM"); got != want {
			t.Errorf("%q: TERM=%s, want %s", path, got, want)
		}
	}
	if _, has := plan.LookupEnv(newFixture().build(t).Env, "TERM"); has {
		t.Error("TERM without a terminal")
	}
}

func TestArguments(t *testing.T) {
	f := newFixture()
	f.e.Environment = []string{"WORDS=a  b", "ONE=x y"}
	f.ctx.Command.Argv = []string{"cmd", "$WORDS", "${ONE}", "pre$ONE", "$$HOME", "$GONE", "${GONE}"}
	want := []string{"cmd", "a", "b", "x y", "pre$ONE", "$HOME", ""}
	if d := cmp.Diff(want, f.build(t).Argv); d != "" {
		t.Error(d)
	}
	f.ctx.Command.Flags = value.CommandNoEnvExpand
	if d := cmp.Diff(f.ctx.Command.Argv, f.build(t).Argv); d != "" {
		t.Error(d)
	}
	f.ctx.Command = value.Command{Path: "cmd", Argv: []string{"cmd"}}
	f.ctx.ManagerEnv = []string{"PATH=/a:relative:/b/"}
	if d := cmp.Diff([]string{"/a/cmd", "/b/cmd"}, f.build(t).Paths); d != "" {
		t.Error(d)
	}
}

func TestScope(t *testing.T) {
	settings := func(f *fixture) {
		f.e.User, f.e.NoNewPrivileges, f.e.CapabilityBoundingSet, f.e.RootDirectory = "web", true, 1, "/srv/root"
		f.s.RestrictRealtime = true
	}
	f := newFixture()
	settings(f)
	p := f.build(t)
	if !p.ChangeUser || !p.NoNewPrivs || p.Bounding != 1 || p.RootDirectory == "" || len(p.Filters) != 1 || p.Sandbox == nil || !p.Sandbox.MountAPIVFS {
		t.Errorf("plain: %+v", p)
	}
	f.ctx.Command.Flags = value.CommandNoSetuid
	if p = f.build(t); p.ChangeUser || !p.NoNewPrivs || !p.SetLogin {
		t.Errorf("!: %+v", p)
	}
	f.ctx.Command.Flags = value.CommandPrivileged
	if p = f.build(t); p.ChangeUser || p.NoNewPrivs || p.Bounding != ^uint64(0) || len(p.Filters) != 0 || p.Sandbox != nil || p.RootDirectory == "" {
		t.Errorf("+: %+v", p)
	}
	f.ctx.Command.Flags, f.svc.RootDirectoryStartOnly, f.ctx.Phase = 0, true, "ExecStartPre"
	if p = f.build(t); p.RootDirectory != "" {
		t.Error("RootDirectoryStartOnly= has no effect")
	}
}

func TestImpliedBySandbox(t *testing.T) {
	f := newFixture()
	f.s.ProtectClock, f.s.PrivateDevices, f.s.ProtectKernelLogs, f.s.ProtectKernelModules = true, true, true, true
	p := f.build(t)
	if gone := ^p.Bounding; gone != 1<<16|1<<17|1<<25|1<<27|1<<34|1<<35 {
		t.Errorf("dropped %#x", gone)
	}
	f = newFixture()
	f.e.DynamicUser = true
	p = f.build(t)
	s := p.Sandbox
	if s == nil || s.ProtectSystem != "strict" || s.ProtectHome != "read-only" || s.PrivateTmp != "yes" || !p.NoNewPrivs || p.User != "web" || p.Group != "web" {
		t.Errorf("DynamicUser=: %+v of %s", s, p.User)
	}
	if !slices.ContainsFunc(p.Filters, func(f plan.Filter) bool { return f.Setting == "RestrictSUIDSGID" }) {
		t.Error("DynamicUser= without RestrictSUIDSGID=")
	}
}

func TestFilterOrder(t *testing.T) {
	f := newFixture()
	f.s.SystemCallFilter = unit.FilterList{Set: true, Allow: true, Names: []string{"@system-service", "~@privileged", "getcwd:ENOENT"}}
	f.s.RestrictAddressFamilies = unit.FilterList{Set: true, Allow: true, Names: []string{"AF_UNIX"}}
	f.s.LockPersonality = true
	p := f.build(t)
	if n := len(p.Filters); n != 3 || p.Filters[n-1].Setting != "SystemCallFilter" || p.Filters[0].Status != plan.ExitAddressFamilies {
		t.Errorf("%d filters", n)
	}
	if p.NoNewPrivs {
		t.Error("a system manager needs no no_new_privs")
	}
	f.ctx.UserMode = true
	if !f.build(t).NoNewPrivs {
		t.Error("a user manager does")
	}
	f.s.SystemCallFilter.Names = []string{"read:EBOGUS"}
	if _, err := Build(f.u, f.ctx); err == nil {
		t.Error("a bad errno is accepted")
	}
}

func TestDynamicName(t *testing.T) {
	for in, want := range map[string]string{"web.service": "web", "foo@x.service": "foo", "a-b_c.service": "a-b_c"} {
		if got := unit.DynamicUserName(in); got != want {
			t.Errorf("%s: %s", in, got)
		}
	}
	for _, in := range []string{"0day.service", "very-long-name-that-can-be-no-user-name.service", "ä.service"} {
		got := unit.DynamicUserName(in)
		if !strings.HasPrefix(got, "_du") || len(got) != len("_du")+16 || got != unit.DynamicUserName(in) {
			t.Errorf("%s: %s", in, got)
		}
	}
}

func TestDirectories(t *testing.T) {
	f := newFixture()
	f.e.StateDirectory.Items = []unit.DirectoryItem{{Path: "a"}, {Path: "b/c"}}
	f.e.RuntimeDirectory.Items = []unit.DirectoryItem{{Path: "r"}}
	f.e.DynamicUser = true
	env := f.build(t).Env
	if v, _ := plan.LookupEnv(env, "STATE_DIRECTORY"); v != "/var/lib/a:/var/lib/b/c" {
		t.Error(v)
	}
	if v, _ := plan.LookupEnv(env, "RUNTIME_DIRECTORY"); v != "/run/r" {
		t.Error(v)
	}
	f.e.RuntimeDirectoryPreserve = "yes"
	if v, _ := plan.LookupEnv(f.build(t).Env, "RUNTIME_DIRECTORY"); v != "/run/r" {
		t.Error(v)
	}
}

func TestCleanup(t *testing.T) {
	if p := Cleanup(newFixture().u, Context{}, false); p != nil {
		t.Errorf("a plain unit leaves %+v", p.Cleanup)
	}
	f := newFixture()
	f.e.RuntimeDirectory.Items, f.e.RuntimeDirectoryPreserve = []unit.DirectoryItem{{Path: "r"}}, "restart"
	if p := Cleanup(f.u, Context{}, true); p != nil {
		t.Errorf("a restart takes away %+v", p.Cleanup)
	}
	p := Cleanup(f.u, Context{}, false)
	if p == nil || len(p.Cleanup.Directories) != 1 || p.Cleanup.Directories[0].Prefix != "/run" {
		t.Errorf("%+v", p)
	}
	if Clean(f.u, Context{}, []string{"state", "cache"}) != nil || Clean(f.u, Context{}, []string{"all"}) == nil {
		t.Error("Clean has the wrong kinds")
	}
}
