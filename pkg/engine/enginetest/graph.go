package enginetest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// Graph makes a random set of units of all types and names that do not exist, with random dependencies between them. Cycles and
// contradictions are wanted. Each unit follows from seed, n and its own name alone.
func Graph(seed uint64, n int) Source {
	src := Source{}
	r := NewRandom(seed)
	names := make([]string, 0, 2*n)
	for i := range n {
		switch k := r.N(100); {
		case k < 12:
			names = append(names, fmt.Sprintf("t%d.target", i))
		case k < 16:
			names = append(names, fmt.Sprintf("s%d.slice", i))
		case k < 32:
			names = append(names, fmt.Sprintf("m%d.mount", i))
			if r.P(60) {
				names = append(names, fmt.Sprintf("m%d.automount", i))
			}
		case k < 38:
			names = append(names, fmt.Sprintf("w%d.swap", i))
		default:
			names = append(names, fmt.Sprintf("u%d.service", i))
			for _, suffix := range []string{"socket", "timer", "path"} {
				if r.P(18) {
					names = append(names, fmt.Sprintf("u%d.%s", i, suffix))
				}
			}
			if r.P(10) {
				names = append(names, fmt.Sprintf("u%d@.service", i))
			}
		}
	}
	others := append(slices.Clone(names), "missing.service", deviceName(0), deviceName(1))
	others = slices.DeleteFunc(others, func(n string) bool { return strings.Contains(n, "@") })
	for i, name := range names {
		src.Put(RandomUnit(NewRandom(seed*7919+uint64(i)), name, others))
	}
	for _, name := range []string{"shutdown.target", "basic.target"} {
		u := unit.New(name, nil)
		u.LoadState = unit.StateLoaded
		u.Unit.DefaultDependencies = false
		u.Unit.AllowIsolate = true
		src.Put(u)
	}
	return src
}

// depTypes are the types that random units use, the common ones more often.
var depTypes = []unit.DepType{
	unit.DepRequires, unit.DepRequires, unit.DepWants, unit.DepWants, unit.DepWants, unit.DepRequisite, unit.DepBindsTo, unit.DepPartOf,
	unit.DepConflicts, unit.DepAfter, unit.DepAfter, unit.DepAfter, unit.DepBefore, unit.DepBefore, unit.DepOnFailure, unit.DepOnSuccess,
	unit.DepPropagatesReloadTo, unit.DepReloadPropagatedFrom, unit.DepPropagatesStopTo, unit.DepStopPropagatedFrom, unit.DepReferences,
	unit.DepJoinsNamespaceOf, unit.DepUpholds,
}

// RandomUnit makes the configuration of one unit.
func RandomUnit(r *Random, name string, names []string) *unit.Unit {
	u := unit.New(name, nil)
	u.LoadState = unit.StateLoaded
	u.FragmentPath = "/etc/systemd/system/" + name
	c := &u.Unit
	c.Description = name
	c.DefaultDependencies = r.P(30)
	if u.Type == unit.TypeTarget {
		c.DefaultDependencies = r.P(70)
	}
	c.AllowIsolate = r.P(20)
	c.IgnoreOnIsolate = r.P(10)
	c.RefuseManualStart = r.P(3)
	c.RefuseManualStop = r.P(3)
	c.StopWhenUnneeded = r.P(8)
	if r.P(10) {
		c.JobTimeoutUSec = uint64(1+r.N(20)) * 1_000_000
	}
	if r.P(10) {
		c.JobRunningTimeoutUSec = uint64(1+r.N(20)) * 1_000_000
	}
	if r.P(10) {
		c.CollectMode = "inactive-or-failed"
	}
	if r.P(20) {
		c.StartLimitBurst = uint32(1 + r.N(3))
	}
	if r.P(5) {
		c.FailureAction = "exit"
	}
	if r.P(10) {
		c.JobTimeoutAction = pick(r, "none", "reboot", "exit-force")
		c.StartLimitAction = pick(r, "none", "reboot")
	}
	if r.P(20) {
		c.OnFailureJobMode = pick(r, "replace", "fail", "isolate", "ignore-dependencies", "replace-irreversibly", "flush")
		c.OnSuccessJobMode = pick(r, "replace", "fail", "replace-irreversibly")
	}
	for range r.N(6) {
		t := pick(r, depTypes...)
		u.Deps = append(u.Deps, unit.Dep{Type: t, Name: pick(r, names...), Origin: unit.Pos{Line: uint32(r.N(50))}})
		if r.P(50) && (t == unit.DepRequires || t == unit.DepWants || t == unit.DepBindsTo) {
			u.Deps = append(u.Deps, unit.Dep{Type: unit.DepAfter, Name: u.Deps[len(u.Deps)-1].Name})
		}
	}
	if r.P(15) {
		u.Conditions = append(u.Conditions, unit.Condition{Type: "ConditionPathExists", Param: "/c"})
	}
	if r.P(8) {
		u.Asserts = append(u.Asserts, unit.Condition{Type: "AssertPathExists", Param: "/a"})
	}
	switch u.Type {
	case unit.TypeService:
		randomService(r, u)
	case unit.TypeSocket:
		randomSocket(r, u)
	case unit.TypeTimer:
		randomTimer(r, u)
	case unit.TypePath:
		randomPath(r, u)
	case unit.TypeMount:
		randomMount(r, u)
	case unit.TypeAutomount:
		randomAutomount(r, u)
	case unit.TypeSwap:
		randomSwap(r, u)
	}
	switch {
	case r.P(3):
		u.LoadState = unit.StateMasked
	case r.P(2):
		u.LoadState = unit.StateBadSetting
	}
	return u
}

// commands makes a list of up to n commands.
func commands(r *Random, n int) []value.Command {
	var out []value.Command
	for range r.N(n + 1) {
		out = append(out, value.Command{Path: "/bin/x", Argv: []string{"x"}})
	}
	return out
}

func randomService(r *Random, u *unit.Unit) {
	s := *u.GetService()
	s.Type = pick(r, "simple", "exec", "forking", "oneshot", "notify", "notify-reload", "idle", "dbus")
	s.Restart = pick(r, "no", "no", "no", "on-success", "on-failure", "on-abnormal", "on-watchdog", "on-abort", "always")
	s.RestartMode = pick(r, "normal", "normal", "direct")
	s.RestartUSec = uint64(r.N(3000)) * 1000
	if s.Type == "oneshot" && (s.Restart == "always" || s.Restart == "on-success") {
		s.Restart = "no"
	}
	s.ExecStart = []value.Command{{Path: "/bin/main", Argv: []string{"main"}}}
	if s.Type == "oneshot" {
		s.ExecStart = append(s.ExecStart, commands(r, 2)...)
	}
	if r.P(10) {
		s.ExecCondition = commands(r, 1)
	}
	if r.P(25) {
		s.ExecStartPre = commands(r, 2)
	}
	if r.P(20) {
		s.ExecStartPost = commands(r, 2)
	}
	if r.P(30) {
		s.ExecReload = commands(r, 2)
	}
	if r.P(25) {
		s.ExecStop = commands(r, 2)
	}
	if r.P(20) {
		s.ExecStopPost = commands(r, 2)
	}
	if s.Type == "dbus" {
		s.BusName = "org.example." + u.Name
	}
	if s.Type == "notify" || s.Type == "notify-reload" {
		s.NotifyAccess = pick(r, "main", "all", "exec")
	}
	if s.Type == "forking" && r.P(50) {
		s.PIDFile = "/run/" + u.Name + ".pid"
	}
	if r.P(20) {
		s.ExitType = "cgroup"
	}
	s.RemainAfterExit = r.P(20)
	s.TimeoutStartUSec = uint64(1+r.N(10)) * 1_000_000
	s.TimeoutStartSet = true
	s.TimeoutStopUSec = uint64(1+r.N(10)) * 1_000_000
	if r.P(10) {
		s.RuntimeMaxUSec = uint64(1+r.N(20)) * 1_000_000
	}
	if r.P(15) {
		s.WatchdogUSec = uint64(1+r.N(10)) * 1_000_000
	}
	if r.P(10) {
		s.FileDescriptorStoreMax = uint32(1 + r.N(3))
		s.FileDescriptorStorePreserve = pick(r, "no", "yes", "restart")
	}
	u.Service = &s
	k := *u.GetKill()
	k.KillMode = pick(r, "control-group", "control-group", "control-group", "mixed", "process", "none")
	k.SendSIGHUP = r.P(10)
	k.SendSIGKILL = !r.P(5)
	u.Kill = &k
}
