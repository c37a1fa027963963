package manager

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/cgroup/bpf"
	"github.com/muster-init/muster/pkg/unit"
)

// programs knows whether programs can be attached to control groups, and whom the answer was told.
type programs struct {
	probed  bool
	failure error
	warned  map[string]bool // settings
}

// available tries it once, when the first unit asks.
func (c *cgroups) programsAvailable() error {
	p := &c.programs
	if p.probed {
		return p.failure
	}
	p.probed, p.warned = true, map[string]bool{}
	fd, err := c.tree.DirFD("init.scope")
	if err == nil {
		err = bpf.Probe(fd)
	}
	p.failure = err
	return err
}

// attachPrograms gives a group the programs that its unit asks for.
//
// DEVIATION: where programs can be attached, a unit whose program can't be made doesn't start: systemd logs that and starts it without. Where none can
// (a container without CAP_BPF, a user's manager), systemd.resource-control(5) says that the settings have no effect, and so it is: it is said once.
func (c *cgroups) attachPrograms(u *unit.Unit, p string, g *group) error {
	s, missing := c.programSettings(u)
	if g.programs == nil && !g.created && s.Empty() && c.programs.failure != nil {
		return nil
	}
	if g.programs != nil && g.programs.Equal(&s) || g.programs == nil && g.created && s.Empty() {
		return nil
	}
	if err := c.programsAvailable(); err != nil {
		if !s.Empty() {
			c.withoutPrograms(u.Name, &s, err)
		}
		return nil
	}
	for _, text := range missing {
		c.m.log.warning(u.Name, "%s", text)
	}
	fd, err := c.tree.DirFD(p)
	if err != nil {
		return err
	}
	old := g.programs
	if old == nil && g.created {
		old = &bpf.Settings{}
	}
	if err := errors.Join(bpf.Apply(fd, old, &s)...); err != nil {
		g.programs = nil
		return err
	}
	g.programs = &s
	return nil
}

// withoutPrograms says which settings have no effect on this machine, each once.
func (c *cgroups) withoutPrograms(name string, s *bpf.Settings, err error) {
	var names []string
	for _, n := range s.Names() {
		if !c.programs.warned[n] {
			c.programs.warned[n] = true
			names = append(names, n+"=")
		}
	}
	if len(names) == 0 {
		return
	}
	say := c.m.log.warning
	if !c.m.system {
		say = c.m.log.debug // no user may attach programs: nobody is surprised
	}
	say(name, "%s: no effect on this machine (said once): %v", strings.Join(names, " "), err)
}

// programSettings translates a unit's configuration. missing says in sentences what of it isn't there. A slice has no processes, so its addresses filter
// the units inside, whose own lists can make exceptions.
func (c *cgroups) programSettings(u *unit.Unit) (s bpf.Settings, missing []string) {
	cfg := u.GetCgroup()
	s.Devices, s.LimitDevices = deviceRules(cfg)
	s.Count = cfg.IPAccounting.Or(false)
	if u.Type != unit.TypeSlice {
		s.Allow, s.Deny = cfg.IPAddressAllow, cfg.IPAddressDeny
		for _, above := range c.slicesOf(u) {
			s.Allow, s.Deny = joinLists(s.Allow, above.IPAddressAllow), joinLists(s.Deny, above.IPAddressDeny)
		}
	}
	s.BindAllow, s.BindDeny = bindRules(cfg.SocketBindAllow), bindRules(cfg.SocketBindDeny)
	if list := cfg.RestrictNetworkInterfaces; list.Set {
		s.LimitInterfaces, s.DenyInterfaces = true, !list.Allow
		for _, name := range list.Names {
			if index := interfaceIndex(name); index != 0 {
				s.Interfaces = append(s.Interfaces, index)
			} else {
				missing = append(missing, "RestrictNetworkInterfaces=: there is no interface "+name+".")
			}
		}
	}
	if name := cfg.BindNetworkInterface; name != "" {
		if s.BoundInterface = interfaceIndex(name); s.BoundInterface == 0 {
			s.BoundInterface = absentInterface // sockets that are bound to what isn't there reach nobody
			missing = append(missing, "BindNetworkInterface=: there is no interface "+name+".")
		}
	}
	for _, path := range cfg.IPIngressFilterPath {
		s.Foreign = append(s.Foreign, bpf.Foreign{Attach: "ingress", Path: path})
	}
	for _, path := range cfg.IPEgressFilterPath {
		s.Foreign = append(s.Foreign, bpf.Foreign{Attach: "egress", Path: path})
	}
	for _, p := range cfg.BPFProgram {
		s.Foreign = append(s.Foreign, bpf.Foreign{Attach: p.AttachType, Path: p.Path})
	}
	return s, missing
}

// absentInterface is an index that no interface has.
const absentInterface = 1<<31 - 1

// joinLists appends without writing into the first list, which is shared.
func joinLists[T any](a, b []T) []T {
	if len(b) == 0 {
		return a
	}
	return append(a[:len(a):len(a)], b...)
}

func bindRules(list []unit.SocketBindRule) (out []bpf.BindRule) {
	for _, r := range list {
		out = append(out, bpf.BindRule{Family: r.Family, Protocol: r.Protocol, Count: r.Count, Port: r.Port})
	}
	return out
}

// interfaceIndex asks the kernel for the index of an interface by its name or one of its alternative names; 0 if there is none.
func interfaceIndex(name string) uint32 {
	request, err := unix.NewIfreq(name)
	if err != nil {
		return 0
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	defer unix.Close(fd)
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, request); err != nil {
		return 0
	}
	return request.Uint32()
}

// slicesOf lists the settings of the slices that a unit lies in, the innermost first.
func (c *cgroups) slicesOf(u *unit.Unit) (list []*unit.Cgroup) {
	for range unitDepthMax {
		name := c.sliceOf(u)
		if name == "" {
			return list
		}
		above := c.m.eng.Config(name)
		if above == nil {
			return list
		}
		list = append(list, above.GetCgroup())
		u = above
	}
	return list
}

// traffic reads what was counted for a unit since it was started.
func (c *cgroups) traffic(name string) (bpf.Traffic, bool) {
	g, p := c.inner[name], c.paths[name]
	if g == nil || g.programs == nil || !g.programs.Count {
		return bpf.Traffic{}, false
	}
	fd, err := c.tree.DirFD(p)
	if err != nil {
		return bpf.Traffic{}, false
	}
	t, err := bpf.Counted(fd)
	return t, err == nil
}
