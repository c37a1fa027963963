package manager

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/busapi"
	"github.com/muster-init/muster/pkg/cgroup"
	"github.com/muster-init/muster/pkg/depend"
	"github.com/muster-init/muster/pkg/engine"
	"github.com/muster-init/muster/pkg/engine/automount"
	"github.com/muster-init/muster/pkg/engine/device"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/engine/mount"
	"github.com/muster-init/muster/pkg/engine/path"
	"github.com/muster-init/muster/pkg/engine/scope"
	"github.com/muster-init/muster/pkg/engine/service"
	"github.com/muster-init/muster/pkg/engine/socket"
	"github.com/muster-init/muster/pkg/engine/swap"
	"github.com/muster-init/muster/pkg/engine/timer"
	"github.com/muster-init/muster/pkg/execplan"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/kernel"
	"github.com/muster-init/muster/pkg/loader"
	"github.com/muster-init/muster/pkg/notify"
	"github.com/muster-init/muster/pkg/spawn"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// recoverState opens the state log and takes over what the last image said about itself.
func (m *Manager) recoverState() error {
	records, err := m.openState()
	if err != nil {
		return err
	}
	if records != nil {
		m.restoreShell(records)
		m.records = records
		m.applyConfig(m.cfg)
	}
	return nil
}

// openLoader lists the unit directories and makes the engine.
func (m *Manager) openLoader() error {
	m.stamps.UnitsLoadStart = m.now()
	m.makeEngine()
	m.stamps.UnitsLoadFinish = m.now()
	return m.cg.watch()
}

// makeEngine lists the unit directories and makes the engine over them.
func (m *Manager) makeEngine() {
	m.noDevices = !devicesSupported()
	path := loader.SystemPath()
	if !m.system {
		path = loader.UserPath(os.Getenv)
	}
	host := &unit.Host{Specifiers: m.host, User: !m.system, MemoryTotal: m.memoryTotal, TasksTotal: m.pidsTotal}
	m.src = loader.New(path, loader.Scan(path), host, m.unitDefaults(), m.unitMessage)
	m.eng = engine.New(safeSource{m}, engine.Options{
		Depend: *m.dependEnv(), Types: m.unitTypes(), Seed: randomSeed(),
		StatusUnitFormat: m.cfg.StatusUnitFormat, Startup: m.startup(), MachineID: m.host.MachineID, Perturb: wakePerturb(m.host.BootID),
		CalendarNext: m.clocks.zones.next, DeviceTimeoutUSec: m.cfg.DefaultDeviceTimeoutUSec, Trace: m.trace,
	})
}

// safeSource is the loader with a net below: a file that crashes a parser costs its unit, not the manager.
type safeSource struct{ m *Manager }

func (s safeSource) Load(name string) (u *unit.Unit) {
	defer func() {
		if r := recover(); r != nil {
			s.m.log.err(name, "%s: its files crash the loader: %v", name, r)
			u = unit.New(name, nil)
			u.LoadState = unit.StateError
			u.LoadError = &unit.LoadError{Name: string(bus.ErrFailed), Message: fmt.Sprintf("%s: its files crash the loader: %v", name, r)}
		}
	}()
	return s.m.src.Load(name)
}

// unitTypes lists the unit types beside those that the engine has itself.
func (m *Manager) unitTypes() []machine.Descriptor {
	return []machine.Descriptor{
		service.Descriptor(), scope.Descriptor(), socket.Descriptor(), timer.Descriptor(), mount.Descriptor(), path.Descriptor(), device.Descriptor(!m.noDevices), automount.Descriptor(m.automountsSupported()),
		swap.Descriptor(m.swapsSupported()),
	}
}

// unitDefaults are what holds for units that set nothing: the manager's configuration, and the limits of its own process.
func (m *Manager) unitDefaults() *unit.Defaults {
	d := unit.NewDefaults(m.cfg)
	var limits [unit.RLimitMax]value.Rlimit
	for i := range limits {
		var l unix.Rlimit
		if unix.Getrlimit(i, &l) == nil {
			limits[i] = value.Rlimit{Soft: l.Cur, Hard: l.Max}
		}
		if l := execplan.DefaultLimit(i); l != nil {
			limits[i] = *l
		}
	}
	d.SetInheritedLimits(limits)
	return d
}

// unitMessage logs what is wrong with a unit file.
func (m *Manager) unitMessage(msg unit.Message) {
	m.log.write(int(msg.Level), "", nil, "%s", msg.String())
}

func (m *Manager) dependEnv() *depend.Env {
	noMemory := m.cg != nil && (m.cg.tree == nil || m.cg.tree.Status().Controllers&cgroup.Memory == 0)
	return &depend.Env{System: m.system, Initrd: m.initrd, Container: m.container, NoDevices: m.noDevices, NoMemory: noMemory}
}

func (m *Manager) openBus() error {
	m.memlog = newMemoryLog(m)
	m.log.memory = m.memlog.manager
	m.bus = &busSource{m: m, listen: -1, clients: map[*busapi.Client]struct{}{}, dirty: map[*busapi.Client]struct{}{}, greeting: map[*busapi.Client]struct{}{}, names: map[string]int{}}
	m.bus.api = busapi.New(backend{m})
	if err := m.bus.openPrivate(m.dirs.private, m.kept("private")); err != nil {
		return err
	}
	if err := m.openVarlink(); err != nil {
		m.log.err("", "Dynamic users have no names, or systemd-oomd nobody to ask: %v", err)
	}
	m.saveShell()
	return nil
}

// later runs something in the next turn of the loop.
func (m *Manager) later(then func()) { m.work.post(then) }

// attachPIDs moves processes into a unit's cgroup.
func (m *Manager) attachPIDs(e machine.AttachPIDs) {
	ev := machine.ProcessesAttached{Token: e.Token}
	var errs []error
	var denied []int32
	m.cg.realize(e.Unit)
	m.cg.watchUnit(e.Unit)
	for _, pid := range e.PIDs {
		if err := m.cg.attachTo(e.Unit, e.Subgroup, int(pid)); err != nil {
			errs = append(errs, fmt.Errorf("pid %d: %w", pid, err))
			if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
				denied = append(denied, pid)
			}
		}
	}
	all := len(errs) == len(e.PIDs) && len(errs) > 0
	if all {
		ev.Message = errors.Join(errs...).Error()
	}
	if len(denied) > 0 && !m.system && m.attachBySystem(e, ev, denied, all) {
		return
	}
	m.submit(ev)
}

// attachBySystem has processes moved by the system's manager, into a group of what was delegated to this one: those of a session are in a group
// that a user's manager may not take them out of. ev is the answer so far, which an error is added to if all processes were denied. It is
// false when nobody can be asked.
func (m *Manager) attachBySystem(e machine.AttachPIDs, ev machine.ProcessesAttached, pids []int32, all bool) bool {
	group, ok := m.cg.path(e.Unit)
	if !ok {
		return false
	}
	if group = "/" + group; e.Subgroup != "" {
		group += "/" + e.Subgroup
	}
	late := ev
	late.Message = "the system's manager gives no answer"
	m.openSlow(e.Token, slowQueryUSec, late)
	if m.cg.awaited == nil {
		m.cg.awaited = map[string]int{}
	}
	m.cg.awaited[e.Unit]++
	queued := m.work.add(func() func() {
		err := askToAttach(group, pids)
		return func() {
			m.attachAnswered(e.Unit)
			switch {
			case err == nil:
				ev.Message = ""
			case all:
				ev.Message += "; the system's manager: " + err.Error()
			}
			m.answer(e.Token, ev)
		}
	})
	if !queued {
		m.attachAnswered(e.Unit)
		m.answer(e.Token, ev)
	}
	return true
}

// attachAnswered lets the unit's group be empty again, if it is by now.
func (m *Manager) attachAnswered(name string) {
	if m.cg.awaited[name]--; m.cg.awaited[name] <= 0 {
		delete(m.cg.awaited, name)
	}
	if p, ok := m.cg.paths[name]; ok {
		m.cg.left = append(m.cg.left, p)
	}
}

// askToAttach calls the system's manager; the empty name stands for the unit that the caller runs in.
func askToAttach(group string, pids []int32) error {
	c, err := bus.DialSystem()
	if err != nil {
		return err
	}
	defer c.Close()
	msg := bus.NewCall("org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "AttachProcessesToUnit")
	var b bus.Encoder
	b.String("")
	b.String(group)
	list := b.BeginArray('u')
	for _, pid := range pids {
		b.Uint32(uint32(pid))
	}
	b.EndArray(list)
	msg.SetBody("ssau", &b)
	_, err = c.Call(msg)
	return err
}

// checkCgroup answers whether a process is left in a unit's cgroup.
func (m *Manager) checkCgroup(e machine.CheckCgroup) {
	pids, _ := m.cg.processes(e.Unit, "")
	if e.Leftovers {
		for _, pid := range pids {
			m.log.warning(e.Unit, "Found left-over process %d (%s) in control group while starting unit. Ignoring.", pid, comm(pid))
		}
	}
	m.submit(machine.CgroupChecked{Token: e.Token, Populated: len(pids) > 0})
}

// checkPID answers whether a process may become a unit's main process.
func (m *Manager) checkPID(e machine.CheckPID) {
	state := processState(e.PID)
	m.submit(machine.PIDChecked{
		Token: e.Token, Alive: state != 0 && state != 'Z' && state != 'X', Manager: e.PID == 1 || int(e.PID) == os.Getpid(),
		InUnit: m.cg.contains(e.Unit, e.PID),
	})
}

// removeDirectories lets the executor remove exec directories of an inactive unit: it follows no links, and what hangs holds up only itself.
func (m *Manager) removeDirectories(e machine.RemoveDirectories) {
	answer := func(message string) {
		if message != "" {
			m.log.warning(e.Unit, "%s", message)
		}
		if e.Token != 0 {
			m.answer(e.Token, machine.DirectoriesRemoved{Token: e.Token, Message: message})
		}
	}
	if e.Token != 0 {
		m.open(e.Token, nil)
	}
	u := m.eng.Config(e.Unit)
	if u == nil {
		answer("")
		return
	}
	p := execplan.Clean(u, m.spawner.cleanupContext(), e.Kinds)
	if p == nil {
		answer("")
		return
	}
	c, err := m.spawner.start.Start(p, spawn.Options{NoPidFD: true})
	if err != nil {
		answer(fmt.Sprintf("The directories can't be removed: %v", err))
		return
	}
	m.spawner.keep(int32(c.Pid), &child{Child: c, unit: e.Unit, done: answer})
}

func (m *Manager) freezeCgroup(e machine.FreezeCgroup) {
	p, ok := m.cg.paths[e.Unit]
	if !ok || m.cg.tree == nil {
		m.log.warning(e.Unit, "There is no cgroup to freeze.")
		return
	}
	m.cg.watchBelow(e.Unit, p)
	if g := m.cg.inner[e.Unit]; g != nil {
		g.frozenKnown = false // whatever comes of it is an answer
	}
	var err error
	if e.Thaw {
		err = m.cg.tree.Thaw(p)
	} else {
		err = m.cg.tree.Freeze(p)
	}
	if err != nil {
		m.log.err(e.Unit, "%v", err)
	}
}

// attach moves a process that could not be cloned into its group.
func (c *cgroups) attach(name string, pid int) {
	if err := c.attachTo(name, "", pid); err != nil {
		c.m.log.warning(name, "pid %d: %v", pid, err)
	}
}

func (c *cgroups) attachTo(name, subgroup string, pid int) error {
	p, ok := c.path(name)
	if !ok || c.tree == nil {
		return unix.ENOENT
	}
	if subgroup != "" {
		// One that is there belongs to whom the unit was delegated to: it is used as it is.
		p += "/" + subgroup
		if err := c.tree.AttachPid(p, pid); !errors.Is(err, unix.ENOENT) {
			return err
		}
		if _, err := c.tree.Realize(p, 0); err != nil {
			return err
		}
	}
	return c.tree.AttachPid(p, pid)
}

// startShutdownUnit queues an ordered shutdown; if even that can't be queued the objective is taken at once.
func (m *Manager) startShutdownUnit(name string, a machine.Act) {
	if m.stamps.ShutdownStart.IsZero() {
		m.stamps.ShutdownStart = m.now()
	}
	m.submit(machine.Enqueue{Unit: name, Type: job.Start, Mode: job.ReplaceIrreversibly,
		Cause: machine.Cause{Kind: machine.CauseAction, Unit: a.Unit, Directive: a.Action},
		Reply: m.request(func(r machine.SendReply) {
			if r.Err == nil {
				return
			}
			m.log.err(a.Unit, "%s can't be started (%s): the action is taken without stopping units.", name, r.Err.Message)
			m.setObjective(actions[a.Action+"-force"].objective)
		})})
}

// reconnectBus is SIGUSR1: connect to the message bus again, or start it.
func (m *Manager) reconnectBus() {
	if u := m.eng.Unit("dbus.service"); u != nil && u.ActiveState().IsActiveOrReloading() {
		m.bus.connectBroker()
		return
	}
	m.startDBus()
}

// dump writes the whole state to the log (SIGUSR2).
func (m *Manager) dump() {
	for _, line := range splitLines(m.bus.api.DumpText(nil)) {
		m.log.info("", "%s", line)
	}
}

func (m *Manager) dumpJobs() {
	for _, j := range m.eng.Jobs() {
		m.log.info(j.Unit.Name(), "Job %d: %s, %s.", j.ID, j.Type, j.State)
	}
}

func splitLines(s string) (lines []string) {
	start := 0
	for i := range len(s) {
		if s[i] == '\n' {
			lines = append(lines, s[start:i])
			start = i + 1
		}
	}
	return lines
}

// memoryText describes the heap (SIGRTMIN+18 with 0x301).
func memoryText() string {
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return fmt.Sprintf("Heap: %d bytes live in %d objects, %d bytes from the kernel, %d collections.", s.HeapAlloc, s.HeapObjects, s.Sys, s.NumGC)
}

// processState is the letter of /proc/PID/stat, 0 if there is no such process.
func processState(pid int32) byte {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	for i := len(data) - 1; i > 0; i-- {
		if data[i] == ')' && i+2 < len(data) {
			return data[i+2]
		}
	}
	return 0
}

// notifySupervisor tells whoever started this manager (a container manager, or the system's manager for that of a user) about its state.
func (m *Manager) notifySupervisor(text ...string) {
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return
	}
	s, err := notify.Open(socket)
	if err == nil {
		defer s.Close()
		err = s.Send(text...)
	}
	if err != nil {
		m.log.debug("", "%v", err)
	}
}

func (m *Manager) notifyReady(status string) { m.notifySupervisor("READY=1", "STATUS="+status) }

// notifyReloading announces a reload or a re-execution, which notifyReady ends: Type=notify-reload of user@.service counts on both.
func (m *Manager) notifyReloading() {
	m.notifySupervisor("RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", kernel.Monotonic()), "STATUS=Reloading configuration.")
}
