package manager

import (
	"errors"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/busapi"
	"github.com/muster-init/muster/pkg/cgroup/bpf"
	"github.com/muster-init/muster/pkg/kernel"
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

// missingPrograms are the settings of a unit that would take programs, where none can be attached.
func (c *cgroups) missingPrograms(u *unit.Unit) (list []busapi.Degraded) {
	if c.programs.failure == nil || !u.Type.HasCgroup() {
		return nil
	}
	s, _ := c.programSettings(u)
	for _, name := range s.Names() {
		list = append(list, busapi.Degraded{Setting: name, Reason: "BPF programs can't be attached to control groups here"})
	}
	return list
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
	for _, pinned := range cfg.IPIngressFilterPath {
		s.Foreign = append(s.Foreign, bpf.Foreign{Attach: "ingress", Path: pinned})
	}
	for _, pinned := range cfg.IPEgressFilterPath {
		s.Foreign = append(s.Foreign, bpf.Foreign{Attach: "egress", Path: pinned})
	}
	for _, p := range cfg.BPFProgram {
		s.Foreign = append(s.Foreign, bpf.Foreign{Attach: p.AttachType, Path: p.Path})
	}
	return s, missing
}

// filtersSockets says whether programs of its group or of a slice above are about the sockets of a unit.
func (c *cgroups) filtersSockets(u *unit.Unit) bool {
	if c.tree == nil || !c.tree.Status().Writable {
		return false
	}
	s, _ := c.programSettings(u)
	wanted := s.Count || len(s.Allow)+len(s.Deny)+len(s.BindAllow)+len(s.BindDeny)+len(s.Foreign) > 0 || s.LimitInterfaces || s.BoundInterface != 0
	for _, above := range c.slicesOf(u) {
		wanted = wanted || above.IPAccounting.Or(false) || above.RestrictNetworkInterfaces.Set || above.BindNetworkInterface != "" ||
			len(above.SocketBindAllow)+len(above.SocketBindDeny)+len(above.IPIngressFilterPath)+len(above.IPEgressFilterPath)+len(above.BPFProgram) > 0
	}
	return wanted && c.programsAvailable() == nil
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

// procDevicesMax bounds /proc/devices.
const procDevicesMax = 1 << 20

// pseudoDevices may be used under DevicePolicy=closed.
var pseudoDevices = []bpf.DeviceRule{
	{Kind: bpf.Character, Major: 1, Minor: 3, Access: bpf.Read | bpf.Write | bpf.Mknod}, // null
	{Kind: bpf.Character, Major: 1, Minor: 5, Access: bpf.Read | bpf.Write | bpf.Mknod}, // zero
	{Kind: bpf.Character, Major: 1, Minor: 7, Access: bpf.Read | bpf.Write | bpf.Mknod}, // full
	{Kind: bpf.Character, Major: 1, Minor: 8, Access: bpf.Read | bpf.Write | bpf.Mknod}, // random
	{Kind: bpf.Character, Major: 1, Minor: 9, Access: bpf.Read | bpf.Write | bpf.Mknod}, // urandom
	{Kind: bpf.Character, Major: 5, Minor: 0, Access: bpf.Read | bpf.Write | bpf.Mknod}, // tty
	{Kind: bpf.Character, Major: 5, Minor: 2, Access: bpf.Read | bpf.Write | bpf.Mknod}, // ptmx
	{Kind: bpf.Character, Major: 136, AnyMinor: true, Access: bpf.Read | bpf.Write},     // what ptmx hands out
	{Kind: bpf.Block, Access: bpf.Mknod},                                                // 0:0, what InaccessiblePaths= is made of
}

// deviceRules translates DevicePolicy= and DeviceAllow=; limit is false where every device may be used. A class or node that isn't there (yet) allows
// nothing.
func deviceRules(c *unit.Cgroup) (rules []bpf.DeviceRule, limit bool) {
	policy := c.DevicePolicy
	if policy == "auto" || policy == "" {
		if len(c.DeviceAllow) == 0 {
			return nil, false
		}
		policy = "closed"
	}
	if policy == "closed" {
		rules = append(rules, pseudoDevices...)
	}
	classes := ""
	for _, a := range c.DeviceAllow {
		access := deviceAccess(a.Access)
		kind, pattern, isClass := deviceClass(a.Path)
		switch {
		case !isClass:
			if r, ok := deviceNode(a.Path); ok {
				r.Access = access
				rules = append(rules, r)
			}
			continue
		case pattern == "*":
			rules = append(rules, bpf.DeviceRule{Kind: kind, Access: access, AnyMajor: true})
			continue
		case classes == "":
			text, _ := kernel.ReadKernelFile("/proc/devices", procDevicesMax)
			classes = string(text)
		}
		for _, major := range majors(classes, kind, pattern) {
			rules = append(rules, bpf.DeviceRule{Kind: kind, Access: access, Major: major, AnyMinor: true})
		}
	}
	return rules, true
}

// deviceAccess reads letters of rwm; none is all.
func deviceAccess(letters string) (mask uint8) {
	for _, l := range letters {
		switch l {
		case 'r':
			mask |= bpf.Read
		case 'w':
			mask |= bpf.Write
		case 'm':
			mask |= bpf.Mknod
		}
	}
	if mask == 0 {
		return bpf.Read | bpf.Write | bpf.Mknod
	}
	return mask
}

// deviceClass splits "char-PATTERN" and "block-PATTERN".
func deviceClass(name string) (kind uint8, pattern string, ok bool) {
	if p, ok := strings.CutPrefix(name, "char-"); ok {
		return bpf.Character, p, true
	}
	if p, ok := strings.CutPrefix(name, "block-"); ok {
		return bpf.Block, p, true
	}
	return 0, "", false
}

// deviceNode finds the numbers of a node. They may be in the name (/dev/char/1:3), else the node is looked at: /dev/ is the kernel's own file system, so
// that doesn't hang.
func deviceNode(name string) (bpf.DeviceRule, bool) {
	for prefix, kind := range map[string]uint8{"/dev/char/": bpf.Character, "/dev/block/": bpf.Block} { // order-free: at most one matches
		if numbers, ok := strings.CutPrefix(name, prefix); ok {
			major, minor, ok := deviceNumbers(numbers)
			return bpf.DeviceRule{Kind: kind, Major: major, Minor: minor}, ok
		}
	}
	clean := path.Clean(name)
	if !strings.HasPrefix(clean, "/dev/") && !strings.HasPrefix(clean, "/run/systemd/inaccessible/") {
		return bpf.DeviceRule{}, false
	}
	var st unix.Stat_t
	if err := unix.Fstatat(unix.AT_FDCWD, clean, &st, unix.AT_NO_AUTOMOUNT); err != nil {
		return bpf.DeviceRule{}, false
	}
	r := bpf.DeviceRule{Kind: bpf.Character, Major: unix.Major(st.Rdev), Minor: unix.Minor(st.Rdev)}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFBLK:
		r.Kind = bpf.Block
		return r, true
	case unix.S_IFCHR:
		return r, true
	}
	return bpf.DeviceRule{}, false
}

func deviceNumbers(text string) (major, minor uint32, ok bool) {
	a, b, found := strings.Cut(text, ":")
	n, err1 := strconv.ParseUint(a, 10, 32)
	k, err2 := strconv.ParseUint(b, 10, 32)
	return uint32(n), uint32(k), found && err1 == nil && err2 == nil
}

// majors lists the major numbers of the classes in /proc/devices that a shell pattern matches; a slash is a character like others.
func majors(classes string, kind uint8, pattern string) (list []uint32) {
	flat := func(s string) string { return strings.ReplaceAll(s, "/", "\x01") }
	pattern = flat(pattern)
	section := uint8(0)
	for line := range strings.Lines(classes) {
		switch line = strings.TrimSpace(line); line {
		case "Character devices:":
			section = bpf.Character
			continue
		case "Block devices:":
			section = bpf.Block
			continue
		}
		number, name, ok := strings.Cut(line, " ")
		if !ok || section != kind {
			continue
		}
		major, err := strconv.ParseUint(number, 10, 32)
		if err != nil {
			continue
		}
		if match, err := path.Match(pattern, flat(strings.TrimSpace(name))); err == nil && match {
			list = append(list, uint32(major))
		}
	}
	return list
}
