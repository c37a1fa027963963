package depend

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-init/muster/pkg/unit"
)

// edit makes a loaded unit and lets f change it.
func edit(name string, f func(u *unit.Unit)) *unit.Unit {
	u := unit.New(name, nil)
	u.LoadState = unit.StateLoaded
	if f != nil {
		f(u)
	}
	return u
}

// text is the edges as "Type=name" lines, sorted, without those of a plain unit of the type if minus is given.
func text(u *unit.Unit, env *Env, minus *unit.Unit) string {
	lines := func(u *unit.Unit) []string {
		var out []string
		for _, x := range Edges(nil, u, env) {
			out = append(out, x.Type.String()+"="+x.Name)
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
	out := lines(u)
	if minus != nil {
		base := lines(minus)
		out = slices.DeleteFunc(out, func(s string) bool { return slices.Contains(base, s) })
	}
	return strings.Join(out, " ")
}

var (
	system = &Env{System: true}
	user   = &Env{}
)

// TestDefaults follows the rows of kind default of compat/implicit_dependencies.tsv, and Slice=.
func TestDefaults(t *testing.T) {
	const early = " Requires=sysinit.target"
	for _, c := range []struct {
		name string
		env  *Env
		f    func(u *unit.Unit)
		want string
	}{
		{"a.service", system, nil, "After=basic.target After=sysinit.target After=system.slice After=systemd-journald.socket " +
			"Before=shutdown.target Conflicts=shutdown.target InSlice=system.slice Requires=sysinit.target Requires=system.slice"},
		{"a.service", user, nil, "After=app.slice After=basic.target Before=shutdown.target Conflicts=shutdown.target InSlice=app.slice " +
			"Requires=app.slice Requires=basic.target"},
		{"a.service", system, func(u *unit.Unit) { u.Unit.DefaultDependencies = false },
			"After=system.slice After=systemd-journald.socket InSlice=system.slice Requires=system.slice"},
		{"a@i.service", system, func(u *unit.Unit) { u.Unit.DefaultDependencies = false },
			"After=system-a.slice After=systemd-journald.socket InSlice=system-a.slice Requires=system-a.slice"},
		{"a-b@i.service", user, func(u *unit.Unit) { u.Unit.DefaultDependencies = false },
			`After=app-a\x2db.slice InSlice=app-a\x2db.slice Requires=app-a\x2db.slice`},
		{"a.target", system, nil, "Before=shutdown.target Conflicts=shutdown.target"},
		{"shutdown.target", system, nil, ""},
		{"a-b.slice", system, nil, "After=a.slice Before=shutdown.target Conflicts=shutdown.target InSlice=a.slice Requires=a.slice"},
		{"a.slice", system, nil, "After=-.slice Before=shutdown.target Conflicts=shutdown.target InSlice=-.slice Requires=-.slice"},
		{"-.slice", system, func(u *unit.Unit) { u.Unit.DefaultDependencies = false }, ""},
		{"a.scope", system, nil, "After=system.slice Before=shutdown.target Conflicts=shutdown.target InSlice=system.slice Requires=system.slice"},
		{"a.timer", system, nil, "After=sysinit.target Before=a.service Before=shutdown.target Before=timers.target Conflicts=shutdown.target" +
			early + " Triggers=a.service"},
		{"a.timer", user, nil, "Before=a.service Before=shutdown.target Before=timers.target Conflicts=shutdown.target Triggers=a.service"},
		{"a.timer", system, func(u *unit.Unit) {
			u.Unit.DefaultDependencies = false
			u.Timer = &unit.Timer{Unit: "b.service", Timers: []unit.TimerSpec{{Base: "Calendar"}}}
		}, "Before=b.service Triggers=b.service"},
		{"a.timer", system, func(u *unit.Unit) { u.Timer = &unit.Timer{Timers: []unit.TimerSpec{{Base: "Calendar"}}} },
			"After=sysinit.target After=time-set.target After=time-sync.target Before=a.service Before=shutdown.target " +
				"Before=timers.target Conflicts=shutdown.target" + early + " Triggers=a.service"},
		{"a.path", system, nil, "After=sysinit.target Before=a.service Before=paths.target Before=shutdown.target Conflicts=shutdown.target" +
			early + " Triggers=a.service"},
		{"a.automount", system, nil, "After=local-fs-pre.target Before=a.mount Before=local-fs.target Before=umount.target " +
			"Conflicts=umount.target Triggers=a.mount"},
	} {
		if got := text(edit(c.name, c.f), c.env, nil); got != c.want {
			t.Errorf("%s (system %v):\n%s", c.name, c.env.System, cmp.Diff(strings.Fields(c.want), strings.Fields(got)))
		}
	}
}

// TestImplicit follows the rows of kind implicit: what one setting adds.
func TestImplicit(t *testing.T) {
	exec := func(f func(e *unit.Exec, s *unit.Sandbox)) func(u *unit.Unit) {
		return func(u *unit.Unit) {
			e, s := *u.GetExec(), *u.GetSandbox()
			f(&e, &s)
			e.Sandbox = &s
			u.Exec = &e
		}
	}
	service := func(f func(s *unit.Service)) func(u *unit.Unit) {
		return func(u *unit.Unit) {
			s := *u.GetService()
			f(&s)
			u.Service = &s
		}
	}
	for _, c := range []struct {
		what string
		name string
		env  *Env
		f    func(u *unit.Unit)
		want string
	}{
		{"Type=dbus", "a.service", system, service(func(s *unit.Service) { s.Type = "dbus" }), "After=dbus.socket Requires=dbus.socket"},
		{"Sockets=", "a.service", system, service(func(s *unit.Service) { s.Sockets = []string{"x.socket"} }),
			"After=x.socket TriggeredBy=x.socket Wants=x.socket"},
		{"LogNamespace=", "a.service", system, exec(func(e *unit.Exec, _ *unit.Sandbox) { e.LogNamespace = "n" }),
			"After=systemd-journald-varlink@n.socket After=systemd-journald@n.socket Requires=systemd-journald-varlink@n.socket Requires=systemd-journald@n.socket"},
		{"PrivateTmp=", "a.service", system, exec(func(_ *unit.Exec, s *unit.Sandbox) { s.PrivateTmp = "yes" }),
			"After=systemd-tmpfiles-setup.service"},
		{"StateDirectory=", "a.service", system, exec(func(e *unit.Exec, _ *unit.Sandbox) {
			e.StateDirectory.Items = []unit.DirectoryItem{{Path: "x"}}
		}), "After=systemd-remount-fs.service"},
		{"RootImage=", "a.service", system, exec(func(_ *unit.Exec, s *unit.Sandbox) { s.RootImage = "/x" }), "After=systemd-udevd.service"},
		{"RootImage= and DeviceAllow=", "a.service", system, func(u *unit.Unit) {
			exec(func(_ *unit.Exec, s *unit.Sandbox) { s.RootImage = "/x" })(u)
			g := *u.GetCgroup()
			g.DevicePolicy = "closed"
			u.Cgroup = &g
		}, "After=modprobe@dm_mod.service After=modprobe@dm_verity.service After=modprobe@loop.service After=systemd-udevd.service " +
			"Wants=modprobe@dm_mod.service Wants=modprobe@dm_verity.service Wants=modprobe@loop.service"},
		{"ManagedOOMSwap=", "a.slice", system, func(u *unit.Unit) {
			g := *u.GetCgroup()
			g.ManagedOOMSwap = "kill"
			u.Cgroup = &g
		}, "After=systemd-oomd.service Wants=systemd-oomd.service"},
		{"BindToDevice=", "a.socket", system, func(u *unit.Unit) {
			s := *u.GetSocket()
			s.BindToDevice = "eth0"
			u.Socket = &s
		}, "After=sys-subsystem-net-devices-eth0.device BindsTo=sys-subsystem-net-devices-eth0.device"},
		{"Slice=", "a.service", system, func(u *unit.Unit) {
			g := *u.GetCgroup()
			g.Slice = "z.slice"
			u.Cgroup = &g
		}, "After=z.slice InSlice=z.slice Requires=z.slice"},
	} {
		if got := text(edit(c.name, c.f), c.env, edit(c.name, nil)); got != c.want {
			t.Errorf("%s:\n%s", c.what, cmp.Diff(strings.Fields(c.want), strings.Fields(got)))
		}
	}
}

func TestMount(t *testing.T) {
	mount := func(m unit.Mount) func(u *unit.Unit) {
		return func(u *unit.Unit) {
			u.Mount = &m
			g := *u.GetCgroup()
			g.Slice = unit.RootSlice // leave the slice out of the picture
			u.Cgroup = &g
			e := *u.GetExec()
			e.StandardOutput.Kind = "null"
			u.Exec = &e
		}
	}
	const slice = "After=-.slice InSlice=-.slice Requires=-.slice"
	for _, c := range []struct {
		m    unit.Mount
		want string
	}{
		{unit.Mount{What: "/dev/sda1", Where: "/data", Type: "ext4"},
			"After=blockdev@dev-sda1.target After=dev-sda1.device After=local-fs-pre.target Before=local-fs.target Before=umount.target " +
				"Conflicts=umount.target Requires=dev-sda1.device StopPropagatedFrom=dev-sda1.device"},
		{unit.Mount{What: "/dev/sda1", Where: "/data", Type: "ext4", Options: "nofail,x-systemd.device-bound"},
			"After=blockdev@dev-sda1.target After=dev-sda1.device After=local-fs-pre.target Before=umount.target BindsTo=dev-sda1.device " +
				"Conflicts=umount.target StopPropagatedFrom=dev-sda1.device"},
		{unit.Mount{What: "host:/x", Where: "/data", Type: "nfs"},
			"After=network-online.target After=network.target After=remote-fs-pre.target Before=remote-fs.target Before=umount.target " +
				"Conflicts=umount.target Wants=network-online.target"},
		{unit.Mount{What: "tmpfs", Where: "/data", Type: "tmpfs"},
			"After=local-fs-pre.target After=swap.target Before=local-fs.target Before=umount.target Conflicts=umount.target"},
		{unit.Mount{What: "/dev/sda1", Where: "/"},
			"After=blockdev@dev-sda1.target After=dev-sda1.device Requires=dev-sda1.device StopPropagatedFrom=dev-sda1.device"},
		{unit.Mount{What: "/a", Where: "/b", Options: "bind"},
			"After=local-fs-pre.target Before=local-fs.target Before=umount.target Conflicts=umount.target"},
	} {
		got := strings.Fields(text(edit("x.mount", mount(c.m)), system, nil))
		want := append(strings.Fields(c.want), strings.Fields(slice)...)
		slices.Sort(want)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%+v: %s", c.m, d)
		}
	}
}

func TestPaths(t *testing.T) {
	u := edit("a.service", func(u *unit.Unit) {
		u.RequiresMountsFor = []unit.PathDep{{Path: "/r", Origin: unit.Pos{Line: 3}}}
		u.WantsMountsFor = []unit.PathDep{{Path: "/w"}}
		e, s := *u.GetExec(), *u.GetSandbox()
		e.WorkingDirectory = "/wd"
		e.StateDirectory.Items = []unit.DirectoryItem{{Path: "st"}}
		e.RuntimeDirectory.Items = []unit.DirectoryItem{{Path: "rt"}}
		s.PrivateTmp = "yes"
		e.Sandbox = &s
		u.Exec = &e
	})
	var got []string
	for _, p := range Paths(nil, u, system) {
		kind := " wants "
		if p.Required {
			kind = " requires "
		}
		got = append(got, p.Cause+kind+p.Path)
	}
	want := []string{" requires /r", " wants /w", "WorkingDirectory= requires /wd", "RuntimeDirectory= requires /run/rt",
		"StateDirectory= requires /var/lib/st", "PrivateTmp= wants /tmp", "PrivateTmp= wants /var/tmp"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	m := edit("b.mount", func(u *unit.Unit) { u.Mount = &unit.Mount{What: "/img", Where: "/a/b", Options: "loop"} })
	got = nil
	for _, p := range Paths(nil, m, system) {
		got = append(got, p.Cause+" "+p.Path)
	}
	if d := cmp.Diff([]string{"Where= /a", "What= /img"}, got); d != "" {
		t.Error(d)
	}
}

func TestMountNames(t *testing.T) {
	for path, want := range map[string]string{
		"/":         "-.mount",
		"/var":      "-.mount var.mount",
		"/var/lib/": "-.mount var.mount var-lib.mount",
		"/a-b/c":    `-.mount a\x2db.mount a\x2db-c.mount`,
	} {
		if got := strings.Join(MountNames(nil, path), " "); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

// Units that could not be read have no dependencies, those with a bad setting only what is written.
func TestUnloaded(t *testing.T) {
	for state, want := range map[unit.LoadState]int{
		unit.StateNotFound: 0, unit.StateMasked: 0, unit.StateError: 0, unit.StateBadSetting: 1,
	} {
		u := edit("a.service", func(u *unit.Unit) {
			u.LoadState = state
			u.Deps = []unit.Dep{{Type: unit.DepWants, Name: "b.service"}, {Type: unit.DepWants, Name: "a.service"}}
		})
		if got := len(Edges(nil, u, system)); got != want {
			t.Errorf("%s: %d edges, want %d", state, got, want)
		}
	}
}

func TestMask(t *testing.T) {
	for d := range unit.DepTypeMax {
		if got := Of(d).Inverse(); got != Of(d.Inverse()) {
			t.Errorf("inverse of %s is %v", d, got.Types())
		}
		if !Of(d).Has(d) || len(Of(d).Types()) != 1 {
			t.Errorf("set of %s is %v", d, Of(d).Types())
		}
	}
	if Needs.Inverse() != NeededBy || Upholds.Inverse() != UpheldBy || Bound.Inverse() != Binds {
		t.Error("atoms that are each other's other side")
	}
}

// Every dependency type that does more than order or point has a reader.
func TestEachTypeHasAnAtom(t *testing.T) {
	all := PullInStart | PullInStartIgnored | PullInVerify | PullInStop | PullInStopIgnored | PropagateStop | PropagateStopOnly |
		PropagateReload | PropagateStartFailure | NeededBy | UpheldBy | OnFailure | OnSuccess | Triggers | TriggeredBy | After | Before |
		TargetOrder
	all |= all.Inverse()
	passive := Of(unit.DepReferences, unit.DepReferencedBy, unit.DepInSlice, unit.DepSliceOf, unit.DepJoinsNamespaceOf)
	for d := range unit.DepTypeMax {
		if !all.Has(d) && !passive.Has(d) {
			t.Errorf("%s does nothing", d)
		}
	}
}
