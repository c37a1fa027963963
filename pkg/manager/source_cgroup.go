package manager

import (
	"errors"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/cgroup"
	"github.com/muster-init/muster/pkg/cgroup/bpf"
	"github.com/muster-init/muster/pkg/depend"
	"github.com/muster-init/muster/pkg/engine"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/execplan"
	"github.com/muster-init/muster/pkg/kernel"
	"github.com/muster-init/muster/pkg/manager/nftset"
	"github.com/muster-init/muster/pkg/manager/oomd"
	"github.com/muster-init/muster/pkg/unit"
)

// processesMax bounds how many pids of one unit are listed at a time.
const processesMax = 1 << 17

// cgroups joins units with their groups. Without a writable hierarchy it makes nothing, and units are tracked by their processes alone.
type cgroups struct {
	m     *Manager
	tree  *cgroup.Tree // nil: no hierarchy at all
	paths map[string]string
	units map[string]string
	inner map[string]*group

	programs programs
	sets     nftset.Queue
	handed   *handedGroups // by the last image; nil: nothing is known
	// left are paths of groups that changed and are looked at in the next turn.
	left []string
	// awaited counts the answers of the system's manager that are to bring processes into a unit's group: until then it is not empty.
	awaited map[string]int
	// unwatched are units with a new group whose events nobody waits for yet, see [cgroups.watchLater].
	unwatched map[string]struct{}

	trimming map[string]*atomic.Bool // units whose groups a worker removes; set: it is to stop
}

// group is what is known about a realized group.
type group struct {
	created     bool // by this image: nothing was attached to it before
	resources   cgroup.Resources
	mask        cgroup.Mask
	disabled    cgroup.Mask
	devices     map[string]string // numbers of the devices of IO…= settings, by path
	devicePaths []string
	programs    *bpf.Settings // nil: not known what is attached
	fault       error
	marked      *groupMarks  // its extended attributes; nil: not known
	owned       *unit.Cgroup // the settings whose pressure files were given to the user
	invocation  string
	migrate     bool
	frozen      bool // as the engine was told
	frozenKnown bool // nothing was asked for since
	oomKill     uint64
	sets        []unit.NFTSet // that its id was put into
	id          uint64
	filters     string // LogFilterPatterns= as journald was told
}

// openCgroups finds the hierarchy, moves the manager into init.scope and watches for events.
func (m *Manager) openCgroups() error {
	m.cg = &cgroups{m: m, paths: map[string]string{}, units: map[string]string{}, inner: map[string]*group{}, unwatched: map[string]struct{}{}, trimming: map[string]*atomic.Bool{}}
	m.cg.sets = nftset.Queue{Work: func(job func() func()) bool { return m.work.add(job) }, Failed: m.cg.setNotChanged}
	status := cgroup.Detect()
	if status.Reason != "" {
		m.log.notice("", "cgroups: %s", status.Reason)
	}
	if status.Mode == cgroup.ModeNone {
		return nil
	}
	tree, err := cgroup.OpenStatus(status)
	if err != nil {
		return err
	}
	m.cg.tree = tree
	m.facts.Controllers, m.facts.CgroupRoot = status.Controllers.Names(), tree.Dir("")
	if !status.Writable {
		return nil
	}
	if _, err := tree.Realize("init.scope", 0); err != nil {
		return err
	}
	return tree.Migrate("", "init.scope")
}

// watch adds the one descriptor that reports all groups; it needs the poller.
func (c *cgroups) watch() error {
	if c.tree == nil || !c.tree.Status().Writable {
		return nil
	}
	fd, err := c.tree.EventFD()
	if err != nil {
		return err
	}
	return c.m.sources.add(fd, unix.EPOLLIN, prioEmpty, sourceFunc(func(uint32) { c.events() }))
}

// events tells the engine what changed. Each may be the end of a unit with all that follows, so there is a bound to how long it takes.
func (c *cgroups) events() {
	if len(c.left) > 0 {
		return // these come first
	}
	events, err := c.tree.Events()
	if err != nil {
		c.m.log.err("", "cgroup events: %v", err)
	}
	begin := kernel.Monotonic()
	for i, ev := range events {
		if i > 0 && kernel.Monotonic()-begin > sourceBatchUSec {
			for _, rest := range events[i:] {
				c.left = append(c.left, rest.Path)
			}
			break
		}
		if name, ok := c.units[ev.Path]; ok {
			c.event(name, ev)
		}
	}
}

// goOn handles what events has left for this turn, as it is by now.
func (c *cgroups) goOn() {
	begin := kernel.Monotonic()
	for len(c.left) > 0 && kernel.Monotonic()-begin <= sourceBatchUSec {
		path := c.left[0]
		if c.left = c.left[1:]; len(c.left) == 0 {
			c.left = nil
		}
		if name, ok := c.units[path]; ok {
			c.event(name, c.tree.Look(path))
		}
	}
}

func (c *cgroups) event(name string, ev cgroup.Event) {
	if g := c.inner[name]; g != nil && ev.OOMKill > g.oomKill {
		count := ev.OOMKill - g.oomKill
		g.oomKill = ev.OOMKill
		c.m.submit(machine.OOMKill{Unit: name, Count: count})
	}
	g := c.inner[name]
	if g == nil || !g.frozenKnown || g.frozen != ev.Frozen {
		c.m.submit(machine.CgroupFrozen{Unit: name, Frozen: ev.Frozen})
		if g != nil {
			g.frozen, g.frozenKnown = ev.Frozen, true
		}
	}
	if !ev.Populated && c.awaited[name] == 0 {
		// The exits of the last processes may still wait to be reaped: they come first. Handling them may start new ones.
		c.m.reap()
		if p, ok := c.paths[name]; ok {
			if now, err := c.tree.State(p); err == nil && now.Populated {
				return
			}
		}
		c.m.submit(machine.CgroupEmpty{Unit: name})
	}
}

// path is the group of a unit relative to the manager's root; ok is false for units without one.
func (c *cgroups) path(name string) (string, bool) {
	if p, ok := c.paths[name]; ok {
		return p, true
	}
	u := c.m.eng.Unit(name)
	if u == nil {
		return "", false
	}
	return c.pathOf(u.Config())
}

func (c *cgroups) pathOf(u *unit.Unit) (string, bool) {
	switch u.Type {
	case unit.TypeService, unit.TypeScope, unit.TypeSlice, unit.TypeSocket, unit.TypeMount, unit.TypeSwap:
	default:
		return "", false
	}
	if u.Name == "init.scope" {
		return "init.scope", true
	}
	p, err := cgroup.UnitPath(depend.Slice(u, c.m.dependEnv()), u.Name)
	return p, err == nil
}

// procPath is the path as /proc/PID/cgroup shows it, "" without one.
func (c *cgroups) procPath(name string) string {
	p, ok := c.path(name)
	if !ok || c.tree == nil {
		return ""
	}
	return c.tree.Absolute(p)
}

// realize makes the group of a unit, writes its limits and attaches its programs. Whatever fails is said in the log; a unit runs without its group if
// need be, but see [cgroups.fault].
func (c *cgroups) realize(name string) (ok bool) {
	u := c.m.eng.Unit(name)
	if u == nil || c.tree == nil || !c.tree.Status().Writable {
		return false
	}
	p, ok := c.pathOf(u.Config())
	if !ok {
		return false
	}
	if c.keepBelow(name) {
		_ = cgroup.Trim(c.tree.Dir(p), trimmedNow, nil) // what the last run left; what is too much for this is found by the service
	}
	cfg := u.Config().GetCgroup()
	g := c.inner[name]
	r := resourcesOf(cfg, c.slicesOf(u.Config()), c.m.totals(), c.startup())
	r.MemoryOOMGroup = diesTogether(u.Config())
	if name == "init.scope" {
		// DEVIATION: TasksMax= and DefaultTasksMax= are shown and not enforced on init.scope: a runtime that gets no further thread ends PID 1.
		r.TasksMax = cgroup.Infinity
	}
	if g != nil {
		r.IODevices = ioDevices(cfg, g.devices)
	}
	mask := r.Needs() | controllersFor(u.Config(), cfg, c.tree.Status().Controllers)
	if g == nil || g.mask != mask || c.paths[name] != p || !g.resources.Equal(r) || g.migrate || !c.tree.Realized(p) {
		got, err := c.tree.Realize(p, mask)
		if err != nil {
			c.m.log.warning(name, "Failed to make the cgroup %s: %v", p, err)
			return false
		}
		for _, e := range got.Errors {
			c.m.log.debug(name, "%v", e)
		}
		if g == nil || got.Created {
			g = c.begin(u, p, got)
			r.IODevices = ioDevices(cfg, g.devices)
		}
		c.apply(name, p, cgroup.Changes(g.resources, r), got.Controllers)
		g.mask, g.resources, g.migrate = mask, r, got.Migrate
		c.paths[name], c.units[p] = p, name
	}
	c.mark(g, marksOf(cfg), p)
	if g.owned != cfg {
		c.ownPressureFiles(u.Config(), p)
		g.owned = cfg
	}
	c.tellFilters(g, p, execplan.LogFilters(u.Config()))
	c.disable(g, cfg, name, p)
	c.resolveDevices(g, cfg, name)
	c.tellOOM(u.Config())
	c.fillSets(name, g, cfg.NFTSet)
	g.fault = c.attachPrograms(u.Config(), p, g)
	if id := u.Invocation(); id != g.invocation {
		c.countAnew(name, g)
		c.newInvocation(g, p, id)
	}
	return true
}

// begin remembers a group that was made, or that another image of the manager has made.
func (c *cgroups) begin(u *engine.Unit, p string, got cgroup.Realized) *group {
	name, cfg := u.Name(), u.Config().GetCgroup()
	g := &group{created: got.Created, frozenKnown: got.Created, resources: cgroup.NoResources()}
	if got.Created {
		g.marked = &groupMarks{}
	}
	if old := c.inner[name]; old != nil {
		g.devices, g.devicePaths = old.devices, old.devicePaths
	}
	c.inner[name] = g
	if !c.watchLater(u.Config(), got) {
		c.watchNow(name, p)
	}
	if got.Controllers&cgroup.Memory != 0 {
		_ = c.tree.WatchMemory(p)
	}
	if u.Config().Unit.SurviveFinalKillSignal {
		_ = c.tree.SetXattr(p, cgroup.XattrSurviveFinal, "1")
	}
	if cfg.Delegate {
		c.delegate(u.Config(), p)
	}
	return g
}

// watchLater puts off watching a new group: a watch, its event and its removal take a fifth of what the start of a short-lived process does, and as long
// as the process that it was made for has not ended, the group can't become empty. So the watch is made when that process has ended and the unit still
// has its group, when there is something else to wait for, or when the loop has nothing better to do.
func (c *cgroups) watchLater(u *unit.Unit, got cgroup.Realized) bool {
	if !got.Created || u.Type == unit.TypeScope || u.Type == unit.TypeSlice {
		return false
	}
	c.unwatched[u.Name] = struct{}{}
	return true
}

func (c *cgroups) watchNow(name, p string) {
	delete(c.unwatched, name)
	if err := c.tree.Watch(p); err != nil {
		c.m.log.warning(name, "%v", err)
	}
}

// watchUnit watches the group of a unit from now on, if that was put off, and looks at it in the next turn.
func (c *cgroups) watchUnit(name string) {
	if p, ok := c.watchPutOff(name); ok {
		c.left = append(c.left, p)
	}
}

// watchPutOff makes the watch of a unit's group that was put off; ok is false if there is none to make.
func (c *cgroups) watchPutOff(name string) (p string, ok bool) {
	if _, ok := c.unwatched[name]; !ok {
		return "", false
	}
	if p, ok = c.paths[name]; !ok {
		delete(c.unwatched, name)
		return "", false
	}
	c.watchNow(name, p)
	return p, true
}

// idleWatches is how many groups are watched in a turn that has nothing else to do.
const idleWatches = 16

// watchIdle makes watches that were put off. No process of these units has ended, so none is looked at for being empty.
func (c *cgroups) watchIdle() {
	n := 0
	for name := range c.unwatched {
		if n++; n > idleWatches {
			return
		}
		p, ok := c.watchPutOff(name)
		if !ok {
			continue
		}
		if ev := c.tree.Look(p); ev.Frozen {
			ev.Populated = true
			c.event(name, ev)
		}
	}
}

// watchBelow is watchUnit for a unit and, if it is a slice, all in it: who is frozen is told by an event of each.
func (c *cgroups) watchBelow(name, p string) {
	c.watchUnit(name)
	if !strings.HasSuffix(name, ".slice") {
		return
	}
	for other := range c.unwatched {
		if strings.HasPrefix(c.paths[other], p+"/") {
			c.watchUnit(other)
		}
	}
}

// newInvocation marks a group with the activation that it now is of, and lets its traffic count from zero, unless another image of the manager has
// begun with it.
func (c *cgroups) newInvocation(g *group, p, id string) {
	if id != "" {
		_ = c.tree.SetXattr(p, cgroup.XattrInvocationID, id)
		_ = c.tree.SetXattr(p, cgroup.XattrUserInvocation, id)
	}
	if g.invocation != "" && g.programs != nil && g.programs.Count {
		if fd, err := c.tree.DirFD(p); err == nil {
			_ = bpf.ResetCounted(fd)
		}
	}
	g.invocation = id
}

// tellFilters lets journald know LogFilterPatterns=; it reads them from the group of the sender.
func (c *cgroups) tellFilters(g *group, p, filters string) {
	if g.filters == filters {
		return
	}
	g.filters = filters
	_ = c.tree.SetXattr(p, cgroup.XattrLogFilters, filters)
}

// ownPressureFiles gives the files that a service is told to watch to the service's user, because only their owner may set a threshold. A control group
// without such a file (the kernel may be made without) is what the service finds out by itself.
func (c *cgroups) ownPressureFiles(u *unit.Unit, p string) {
	watched := execplan.Pressures(u)
	if len(watched) == 0 {
		return
	}
	uid, gid, ok := ownerOf(u)
	if !ok {
		return
	}
	for _, w := range watched {
		if w.File == "" {
			continue
		}
		if err := c.tree.Own(p, w.File, uid, gid); err != nil {
			c.m.log.debug(u.Name, "%v", err)
		}
	}
}

// disable carries DisableControllers= out.
func (c *cgroups) disable(g *group, cfg *unit.Cgroup, name, p string) {
	mask := cgroup.ParseMask(strings.Join(cfg.DisableControllers, " "))
	if mask == g.disabled {
		return
	}
	if err := c.tree.SetDisabled(p, mask); err != nil {
		c.m.log.warning(name, "DisableControllers=: %v", err)
		return
	}
	g.disabled = mask
}

// fault is why a process of the unit must not be started: a program that confines it could not be attached.
func (c *cgroups) fault(name string) error {
	if g := c.inner[name]; g != nil {
		return g.fault
	}
	return nil
}

// startup reports whether the Startup…= settings hold: during boot and shutdown.
func (c *cgroups) startup() bool { return !c.m.booted || c.m.shuttingDown() }

// refresh writes again what may have changed for every group below p: by the end of the boot, or by the settings of a slice.
func (c *cgroups) refresh(p string) {
	if c.tree == nil {
		return
	}
	var names []string
	for name, path := range c.paths {
		if p == "" || strings.HasPrefix(path, p+"/") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		c.realize(name)
	}
}

// sliceOf is the slice that a unit lies in, "" for the root.
func (c *cgroups) sliceOf(u *unit.Unit) string { return depend.Slice(u, c.m.dependEnv()) }

// delegate gives a group to the unit's user (Delegate= with User=).
func (c *cgroups) delegate(u *unit.Unit, p string) {
	uid, gid, ok := ownerOf(u)
	if !ok {
		return // root, or the start will fail by itself if there is no such user
	}
	if err := c.tree.Delegate(p, uid, gid); err != nil {
		c.m.log.warning(u.Name, "%v", err)
	}
}

// ownerOf finds the numbers of the unit's user; ok is false for root and for one that isn't known.
func ownerOf(u *unit.Unit) (uid, gid uint32, ok bool) {
	user := u.GetExec().User
	if user == "" || user == "root" || user == "0" {
		return 0, 0, false
	}
	a, b := uint64(0), uint64(0)
	if fields := passwdOf(user); fields != nil {
		a, _ = strconv.ParseUint(fields[2], 10, 32)
		b, _ = strconv.ParseUint(fields[3], 10, 32)
	} else if n, err := strconv.ParseUint(user, 10, 32); err == nil {
		a, b = n, n
	}
	return uint32(a), uint32(b), a != 0
}

// spawnPath is the group that processes of a unit are born in: DelegateSubgroup= puts them below.
func (c *cgroups) spawnPath(u *unit.Unit) string {
	p := c.paths[u.Name]
	cfg := u.GetCgroup()
	if p == "" || !cfg.Delegate || cfg.DelegateSubgroup == "" {
		return p
	}
	sub := p + "/" + cfg.DelegateSubgroup
	if _, err := c.tree.Realize(sub, 0); err != nil {
		c.m.log.warning(u.Name, "DelegateSubgroup=%s: %v", cfg.DelegateSubgroup, err)
		return p
	}
	c.delegate(u, sub)
	return sub
}

func (c *cgroups) update(name string) {
	if _, ok := c.inner[name]; !ok {
		if u := c.m.eng.Config(name); u != nil && u.Name == "-.slice" {
			c.tellOOM(u) // its group is the manager's own, and not realized
		}
		return
	}
	c.realize(name)
	if u := c.m.eng.Config(name); u != nil && u.Type == unit.TypeSlice {
		c.refresh(c.paths[name])
	}
}

// release removes the group of a stopped unit. Processes that are left keep it; the event that it is empty tries again.
func (c *cgroups) release(name string) {
	p, ok := c.paths[name]
	if !ok || c.tree == nil {
		return
	}
	c.keepUsage(name)
	if c.populated(name) {
		return // it was started again meanwhile: what is empty in there is its own
	}
	c.m.varlink.report(name, oomd.Setting{})
	if g := c.inner[name]; g != nil {
		c.fillSets(name, g, nil)
	}
	c.releaseSubgroup(name, p)
	if err := c.tree.Release(p); err != nil {
		if errors.Is(err, cgroup.ErrBusy) {
			c.watchUnit(name)
			c.trim(name, p)
			return
		}
		c.m.log.debug(name, "%v", err)
	}
	c.tree.Unwatch(p)
	delete(c.unwatched, name)
	delete(c.paths, name)
	delete(c.units, p)
	delete(c.inner, name)
}

// trimmedMax bounds the groups of one unit that a worker looks at in one go.
const trimmedMax = 1 << 20

// keepBelow stops the removal of groups below a unit's, if there is one: somebody will make new ones there.
func (c *cgroups) keepBelow(name string) bool {
	stop := c.trimming[name]
	if stop != nil {
		stop.Store(true)
	}
	return stop != nil
}

// trimmedNow bounds those that are removed on the loop because the unit starts again: some 20 ms.
const trimmedNow = 2048

// trim has a worker take away the many empty groups that a delegated service has left, then tries again to release the unit's.
func (c *cgroups) trim(name, p string) {
	if s, err := c.tree.State(p); err != nil || s.Populated || c.trimming[name] != nil {
		return // cgroup.events will say when it is empty
	}
	dir, stop := c.tree.Dir(p), &atomic.Bool{}
	added := c.m.work.add(func() func() {
		err := cgroup.Trim(dir, trimmedMax, stop)
		return func() {
			delete(c.trimming, name)
			if err == nil && !stop.Load() && c.paths[name] == p {
				c.release(name)
			}
		}
	})
	if added {
		c.trimming[name] = stop
	}
}

// releaseSubgroup takes away the group of DelegateSubgroup=, which is a group of ours as well.
func (c *cgroups) releaseSubgroup(name, path string) {
	u := c.m.eng.Config(name)
	if u == nil || !u.Type.HasCgroup() {
		return
	}
	if cfg := u.GetCgroup(); cfg.Delegate && cfg.DelegateSubgroup != "" {
		if err := c.tree.Release(path + "/" + cfg.DelegateSubgroup); err != nil {
			c.m.log.debug(name, "%v", err)
		}
	}
}

// dirFD gives the group for CLONE_INTO_CGROUP; migrate: the child has to move itself.
func (c *cgroups) dirFD(name string) (fd int, migrate bool) {
	u := c.m.eng.Config(name)
	if _, ok := c.paths[name]; !ok || c.tree == nil || u == nil {
		return -1, false
	}
	c.keepBelow(name)
	fd, err := c.tree.DirFD(c.spawnPath(u))
	if err != nil {
		c.m.log.warning(name, "%v", err)
		return -1, false
	}
	return fd, c.inner[name].migrate
}

// processes lists the pids in a unit's group and below; only those in subgroup if one is named.
func (c *cgroups) processes(name, subgroup string) ([]int32, error) {
	p, ok := c.path(name)
	if !ok || c.tree == nil {
		return nil, unix.ENOENT
	}
	if subgroup != "" {
		p = path.Join(p, path.Clean("/"+subgroup))
	}
	var out []int32
	err := c.tree.ProcsRecursive(p, processesMax, func(_ string, pids []int) {
		for _, pid := range pids {
			out = append(out, int32(pid))
		}
	})
	return out, err
}

// kill ends every process of a unit at once.
func (c *cgroups) kill(name string) error {
	p, ok := c.paths[name]
	if !ok || c.tree == nil {
		return unix.ENOENT
	}
	if g := c.inner[name]; g != nil {
		g.migrate = true
	}
	return c.tree.Kill(p)
}

// populated says whether there is a process in a unit's group or below.
func (c *cgroups) populated(name string) bool {
	p, ok := c.paths[name]
	if !ok || c.tree == nil {
		return false
	}
	s, err := c.tree.State(p)
	return err == nil && s.Populated
}

// unitOfPID finds the unit whose group a process is in.
func (c *cgroups) unitOfPID(pid int32) string {
	if c.tree == nil {
		return ""
	}
	abs, err := cgroup.PathOfPid(int(pid))
	if err != nil {
		return ""
	}
	rel, ok := c.tree.Relative(abs)
	if !ok {
		return ""
	}
	for p := rel; p != "" && p != "."; p = path.Dir(p) {
		if name, ok := c.units[p]; ok {
			return name
		}
	}
	name, _, _ := cgroup.UnitOf(rel)
	if c.m.eng.Unit(name) == nil {
		return ""
	}
	return name
}

// contains reports whether a process is in the group of a unit or below.
func (c *cgroups) contains(name string, pid int32) bool {
	have, err := cgroup.PathOfPid(int(pid))
	group := c.procPath(name)
	return err == nil && group != "" && (have == group || strings.HasPrefix(have, group+"/"))
}

// oomKills looks for out-of-memory kills before the exits of killed processes are delivered: SIGKILL alone doesn't tell who sent it.
func (c *cgroups) oomKills(ended []kernel.Exit) {
	if c.tree == nil || c.tree.Status().Controllers&cgroup.ParseMask("memory") == 0 {
		return
	}
	for _, exit := range ended {
		u := c.m.eng.UnitByPID(int32(exit.Pid))
		if u == nil || exit.Code != kernel.CLDKilled || exit.Status != int(unix.SIGKILL) {
			continue
		}
		g, p := c.inner[u.Name()], c.paths[u.Name()]
		if g == nil {
			continue
		}
		if n := c.tree.OOMKills(p); n != unit.Infinity && n > g.oomKill {
			count := n - g.oomKill
			g.oomKill = n
			c.m.submit(machine.OOMKill{Unit: u.Name(), Count: count})
		}
	}
}
