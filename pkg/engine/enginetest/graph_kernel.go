package enginetest

import (
	"fmt"

	"github.com/muster-init/muster/pkg/unit"
)

// spanUSec is a random span up to so many seconds.
func spanUSec(r *Random, seconds int) uint64 { return uint64(1+r.N(seconds*1000)) * 1000 }

func randomTimer(r *Random, u *unit.Unit) {
	t := *u.GetTimer()
	for range 1 + r.N(3) {
		s := unit.TimerSpec{Base: pick(r, "Active", "Boot", "Startup", "UnitActive", "UnitInactive", "Calendar", "Calendar", "Calendar"), USec: spanUSec(r, 30)}
		if s.Base == "Calendar" {
			s.USec, s.Calendar = 0, pick(r, "*-*-* *:*:00/10", "*-*-* *:*:00", "*-*-* *:00:00", "*-*-* 00:00:00", "2020-01-01 00:00:00", "2023-11-14 22:14:00")
		}
		t.Timers = append(t.Timers, s)
	}
	if r.P(40) {
		// One kind of line only, so that the rules of that kind are judged by themselves.
		t.Timers = t.Timers[:1]
	}
	t.AccuracyUSec = pick(r, uint64(1), 100_000, 5_000_000)
	if r.P(15) {
		t.RandomizedDelayUSec = spanUSec(r, 10)
		t.FixedRandomDelay = r.P(50)
	}
	if r.P(10) {
		t.RandomizedOffsetUSec = spanUSec(r, 10)
	}
	t.OnClockChange, t.OnTimezoneChange = r.P(10), r.P(10)
	t.Persistent, t.WakeSystem = r.P(30), r.P(15)
	t.RemainAfterElapse, t.DeferReactivation = r.P(70), r.P(10)
	u.Timer = &t
}

func randomPath(r *Random, u *unit.Unit) {
	p := *u.GetPath()
	for range 1 + r.N(3) {
		p.Paths = append(p.Paths, unit.PathSpec{Type: pick(r, "PathExists", "PathExistsGlob", "PathChanged", "PathModified", "DirectoryNotEmpty"),
			Path: pick(r, fileNames...)})
	}
	p.MakeDirectory = r.P(10)
	p.TriggerLimitIntervalUSec, p.TriggerLimitBurst = unit.Infinity, ^uint32(0)
	if r.P(40) {
		p.TriggerLimitIntervalUSec, p.TriggerLimitBurst = 2_000_000, uint32(1+r.N(4))
	}
	u.Path = &p
}

// pathOf is the path in the name of a mount, automount or swap.
func pathOf(name string) string {
	p, err := unit.NameToPath(name)
	if err != nil {
		return "/broken"
	}
	return p
}

func randomMount(r *Random, u *unit.Unit) {
	m := *u.GetMount()
	m.Where, m.What, m.Type = pathOf(u.Name), "tmpfs", "tmpfs"
	if r.P(50) {
		m.What, m.Type = deviceNode(r.N(devicesMax)), "ext4"
		if r.P(60) {
			m.Options = "x-systemd.device-bound"
			u.Deps = append(u.Deps, unit.Dep{Type: unit.DepBindsTo, Name: nodeName(m.What)}, unit.Dep{Type: unit.DepAfter, Name: nodeName(m.What)})
		}
	}
	m.LazyUnmount, m.ForceUnmount = r.P(10), r.P(10)
	m.TimeoutUSec = spanUSec(r, 10)
	u.Mount = &m
	k := *u.GetKill()
	k.SendSIGKILL = !r.P(10)
	u.Kill = &k
}

func randomAutomount(r *Random, u *unit.Unit) {
	a := *u.GetAutomount()
	a.Where = pathOf(u.Name)
	a.TimeoutIdleUSec = pick(r, uint64(0), 5_000_000, 20_000_000)
	u.Automount = &a
}

func randomSwap(r *Random, u *unit.Unit) {
	s := *u.GetSwap()
	s.What = pathOf(u.Name)
	s.TimeoutUSec = spanUSec(r, 10)
	if r.P(30) {
		s.Priority = unit.Opt[int32]{Value: int32(r.N(10)), Set: true}
	}
	u.Swap = &s
}

// nodeName is the device unit of a node.
func nodeName(node string) string {
	name, err := unit.NameFromPath(node, ".device")
	if err != nil {
		panic(fmt.Sprintf("%s: %v", node, err))
	}
	return name
}
