package manager

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/condition"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/kernel"
)

// threadsReserved are made before the loop starts: a thread that can't be made later, when pids have run out, would end the process.
const threadsReserved = 8

// step is one step of the boot. The list in Main is the order; a step that fails with fatal stops the boot in the emergency shell.
type step struct {
	name  string
	run   func(*Manager) error
	fatal bool
}

var bootSteps = []step{
	{"prepare the process", (*Manager).prepareProcess, false},
	{"mount kernel file systems", (*Manager).mountKernelFileSystems, true},
	{"learn about the machine", (*Manager).learnFacts, false},
	{"read the kernel command line", (*Manager).readKernelCommandLine, false},
	{"read the configuration", (*Manager).readConfiguration, false},
	{"set clock, random seed and core pattern", (*Manager).setEarly, false},
	{"confine the manager", (*Manager).confine, false},
	{"set host name and machine ID", (*Manager).setIdentity, false},
	{"make runtime directories", (*Manager).makeDirectories, true},
	{"import credentials", (*Manager).importCredentials, false},
	{"open the cgroup tree", (*Manager).openCgroups, false},
	{"prepare spawning", (*Manager).prepareSpawning, true},
	{"open the state", (*Manager).recoverState, false},
	{"guard against crashes", (*Manager).guardAgainstCrashes, false},
	{"open the sources", (*Manager).openSources, true},
	{"run the generators", (*Manager).runGenerators, false},
	{"load units", (*Manager).openLoader, true},
	{"serve the private bus", (*Manager).openBus, true},
	{"restore or start", (*Manager).restoreOrStart, true},
	// The last, because only the loop feeds it, and generators may take longer than it waits.
	{"feed the hardware watchdog", (*Manager).openWatchdog, false},
}

// Main runs the manager and returns its exit status; as PID 1 it doesn't return.
func Main(o Options) int {
	m := newManager(o)
	if o.Test {
		return m.test()
	}
	if o.Deserialize {
		// The state is in the memory files already: a crash before they are read again has to lead to another try.
		m.stateFDs = o.StateFDs
		if err := m.crashHook(); err == nil && o.Fallback.Image >= 0 {
			_ = kernel.Heartbeat(heartbeatUSec) // a hang before the loop runs leads back, too
			_ = planted("boot")
		}
	}
	for _, s := range bootSteps {
		kernel.Beat()
		if err := s.run(m); err != nil {
			m.log.err("", "boot: %s: %v", s.name, err)
			if s.fatal {
				return m.emergency(fmt.Errorf("%s: %w", s.name, err))
			}
		}
	}
	return m.serve()
}

// test shows what a boot would start, in the order in which the jobs would be queued, and starts nothing (--test). Nothing outside is touched: no
// generator runs, no socket, control group or file is made.
func (m *Manager) test() int {
	for _, err := range []error{m.learnFacts(), m.readKernelCommandLine(), m.readConfiguration()} {
		if err != nil {
			fmt.Fprintln(os.Stderr, "muster:", err)
		}
	}
	m.clocks = &clocks{m: m, zones: newZones()}
	m.makeEngine()
	wished := m.opt.Unit
	if wished == "" {
		wished = "default.target"
	}
	plan := m.eng.Plan(wished, job.Start, job.Replace)
	if plan.Err != nil {
		fmt.Fprintf(os.Stderr, "muster: %s: %s\n", wished, plan.Err.Message)
		return 1
	}
	fmt.Println("-> By units:")
	for _, u := range m.eng.Units() {
		cfg := u.Config()
		fmt.Printf("\t-> Unit %s:\n\t\tDescription: %s\n\t\tUnit Load State: %s\n", u.Name(), cfg.Unit.Description, cfg.LoadState)
		if cfg.FragmentPath != "" {
			fmt.Printf("\t\tFragment Path: %s\n", cfg.FragmentPath)
		}
	}
	fmt.Println("-> By jobs:")
	for i, p := range plan.Jobs {
		fmt.Printf("\t-> Job %d:\n\t\tAction: %s -> %s\n\t\tForced: no\n\t\tRequired: %t\n", i+1, p.Unit, p.Type, p.Required)
	}
	for _, d := range plan.Dropped {
		fmt.Printf("\t-> Given up: %+v\n", d)
	}
	return 0
}

func newManager(o Options) *Manager {
	con := &console{show: "yes", colour: true}
	m := &Manager{
		opt: o, system: !o.User, console: con, log: newLogger(!o.User, con),
		fds: newHandles(), used: newAccounts(), liveResults: map[string]string{}, sharing: &sharing{of: map[string]*shared{}}, replies: map[machine.Reply]func(machine.SendReply){}, queries: map[machine.Token]func(){}, watches: map[string]*pathWatch{}, expiring: map[string]bool{}, watched: map[int32]int{},
		helpers: newHelpers(), sock: newSockets(), idlePipe: newIdlePipe(), stateFDs: [2]int{-1, -1},
	}
	m.sharing.m = m
	m.stamps.Userspace = m.now()
	if m.system {
		con.path = "/dev/console"
		m.dirs = directories{runtime: "/run", private: "/run/systemd/private", notify: "/run/systemd/notify", bus: systemBusSocket}
	} else {
		run := os.Getenv("XDG_RUNTIME_DIR")
		m.dirs = directories{runtime: run, private: run + "/systemd/private", notify: run + "/systemd/notify", bus: run + "/bus"}
	}
	m.guid = randomID()
	return m
}

func randomID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// Percents of the garbage collector. What a restore makes is nearly all to stay, so that looking for garbage meanwhile is in vain.
const (
	steadyPercent  = 50
	restorePercent = 500
	busyPercent    = 300 // see trimWhenIdle
)

// prepareProcess sets what every child would inherit and what keeps PID 1 alive.
func (m *Manager) prepareProcess() error {
	if m.opt.Deserialize {
		debug.SetGCPercent(restorePercent) // until it is over: see restoreOrStart
	} else {
		debug.SetGCPercent(steadyPercent)
	}
	kernel.IgnoreBrokenPipes()
	raiseFileLimit()
	unix.Umask(0)
	if !m.system {
		unix.Umask(0o022)
		if m.dirs.runtime == "" {
			return errors.New("XDG_RUNTIME_DIR is not set: a user manager needs it")
		}
		return kernel.SetChildSubreaper()
	}
	if os.Getpid() != 1 {
		return errors.New("not running as PID 1: orphans go elsewhere (use --user for a user manager)")
	}
	_ = unix.Chdir("/")
	if os.Getenv("PATH") == "" {
		_ = os.Setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin")
	}
	if !m.opt.Deserialize {
		_, _ = unix.Setsid()
	}
	return nil
}

func (m *Manager) mountKernelFileSystems() error {
	if !m.system || m.opt.Deserialize && !m.opt.SwitchedRoot {
		m.container = m.system && kernel.InContainer()
		return nil
	}
	m.container = kernel.InContainer()
	notes, err := mountAPI(m.container)
	if !m.container {
		loadAutofs()
	}
	for _, n := range notes {
		m.log.info("", "%s", n)
	}
	return err
}

func (m *Manager) learnFacts() error {
	virt, _ := kernel.DetectVirtualization()
	cmdline, err := kernel.CommandLine()
	m.host = specifierContext(m)
	m.initrd = inInitrd()
	m.facts = &condition.Facts{
		Root: "/", User: !m.system, Virtualization: virt.ID, Container: virt.Container, CommandLine: cmdline, Version: Version[:3],
		CgroupRoot: "/sys/fs/cgroup", Credentials: os.Getenv("CREDENTIALS_DIRECTORY"), FirstBoot: firstBoot(),
	}
	return err
}

// firstBoot follows machine-id(5): no file, an empty one, or "uninitialized" mean that the system boots for the first time.
func firstBoot() bool {
	data, err := os.ReadFile("/etc/machine-id")
	text := strings.TrimSpace(string(data))
	return errors.Is(err, os.ErrNotExist) || err == nil && text == "uninitialized"
}

func (m *Manager) readKernelCommandLine() error {
	o := DefaultOptions()
	o.User, o.Deserialize, o.StateFDs, o.Crashed = m.opt.User, m.opt.Deserialize, m.opt.StateFDs, m.opt.Crashed
	problems := []string{}
	if m.system {
		problems = o.ApplyKernelCommandLine(m.facts.CommandLine, m.initrd)
	}
	if err := o.ApplyEnvironment(); err != nil {
		problems = append(problems, err.Error())
	}
	if err := ParseArguments(&o, os.Args[1:]); err != nil {
		problems = append(problems, err.Error())
	}
	m.opt = o
	if len(problems) > 0 {
		return errors.New(strings.Join(problems, "; "))
	}
	return nil
}

func (m *Manager) makeDirectories() error {
	if m.system {
		return makeRuntimeDirectories(func(p string) string { return p })
	}
	return makeRuntimeDirectories(func(p string) string {
		if rest, ok := strings.CutPrefix(p, "/run/systemd"); ok && rest != "/system" {
			return m.dirs.runtime + "/systemd" + rest
		}
		return ""
	})
}

// openSources opens everything that the loop listens to. It comes before the generators, so that a client can ask from the first moment on.
func (m *Manager) openSources() error {
	poll, err := kernel.NewPoller()
	if err != nil {
		return err
	}
	m.poll, m.sources = poll, newSources(poll)
	waker, err := kernel.NewWaker()
	if err != nil {
		return err
	}
	m.work = &workers{waker: waker, fault: func(what string) { m.work.post(func() { m.log.err("", "%s", what) }) }}
	if err := m.sources.add(waker.FD(), unix.EPOLLIN, prioWorkers, sourceFunc(func(uint32) {
		waker.Drain()
		for _, then := range m.work.take() {
			then()
		}
	})); err != nil {
		return err
	}
	kernel.ReserveThreads(threadsReserved)
	if m.opt.Deserialize {
		_ = m.openWatchdog() // it ticks already
	}
	if err := m.openSignals(); err != nil {
		return err
	}
	m.stampFiles = &stampQueue{m: m}
	if err := m.openClocks(); err != nil {
		return err
	}
	return m.openNotify()
}

// openWatchdog begins to feed the hardware watchdog, the one of the last image if it had one open.
func (m *Manager) openWatchdog() error {
	if !m.system || m.container || m.watch != nil {
		return nil
	}
	m.watch = newWatchdogs(m)
	if fd := m.kept("watchdog"); fd >= 0 {
		m.watch.fd, m.watch.device = fd, m.restored.WatchdogDevice
	}
	m.watch.apply(settingsOf(m.cfg))
	return nil
}

func (m *Manager) openSignals() error {
	set := kernel.ManagerSignals()
	fd, err := kernel.InstallSignals(set)
	if err != nil {
		return err
	}
	if m.system && !m.container {
		_ = kernel.SetCtrlAltDel(false)
	}
	s := &signalSource{m: m, fd: fd}
	m.signalFD = fd
	m.childrenEnded = true // whatever ended before the handlers were there
	return m.sources.add(fd, unix.EPOLLIN, prioChild, s)
}

const notifyBufferBytes = 8 << 20

func (m *Manager) openNotify() error {
	var err error
	if kept := m.kept("notify"); kept >= 0 {
		m.notifySocket, err = kernel.NewDatagramSocket(kept)
	} else {
		m.notifySocket, err = kernel.ListenDatagram(m.dirs.notify, 0o777, notifyBufferBytes)
	}
	if err != nil {
		return err
	}
	return m.sources.add(m.notifySocket.FD(), unix.EPOLLIN, prioNotify, sourceFunc(func(uint32) { m.readNotify() }))
}

// startDefault queues the job that boots the system. If the wished unit can't be loaded, rescue.target is tried, and an emergency shell after that.
func (m *Manager) startDefault() {
	wished := m.opt.Unit
	if wished == "" {
		wished = "default.target"
		if m.initrd {
			wished = "initrd.target"
		}
	}
	for _, try := range []struct {
		name string
		mode job.Mode
	}{{wished, job.Isolate}, {wished, job.Replace}, {"rescue.target", job.Isolate}, {"emergency.target", job.Isolate}} {
		var refusal *machine.Error
		m.submit(machine.Enqueue{Unit: try.name, Type: job.Start, Mode: try.mode, Cause: machine.Cause{Kind: machine.CauseBoot},
			Reply: m.request(func(r machine.SendReply) { refusal = r.Err })})
		if refusal == nil {
			return
		}
		if try.mode == job.Isolate && refusal.Name == string(bus.ErrNoIsolation) {
			continue // an unusual unit to boot, but it may be started beside whatever there is
		}
		m.log.err(try.name, "The unit to boot can't be started: %s", refusal.Message)
		m.console.status("failed", "Failed to start %s: %s", try.name, refusal.Message)
	}
	m.emergency(errors.New("neither the default unit nor rescue.target nor emergency.target can be started"))
}

// serve runs the loop until its end, and then what the objective asks for.
func (m *Manager) serve() int {
	for {
		m.run()
		if m.objective == objectiveReexec {
			m.reexecute()
			if m.objective == objectiveReexec {
				m.objective = objectiveRun // it could not be done: go on with what there is
			}
			continue
		}
		break
	}
	m.bus.shutdown()
	return m.finish()
}

// Limits of open files that programs get which are no service: more than the soft one breaks those that use select(2).
const (
	helperFilesSoft = 1024
	helperFilesHard = 512 << 10
)

// raiseFileLimit lets the manager hold as many descriptors as the kernel allows: one unit may listen on tens of thousands of addresses.
// What it starts gets limits of its own (DefaultLimitNOFILE=).
func raiseFileLimit() {
	limit := uint64(1 << 20)
	if data, err := os.ReadFile("/proc/sys/fs/nr_open"); err == nil {
		if n, err := strconv.ParseUint(strings.TrimSpace(string(data)), 10, 64); err == nil {
			limit = n
		}
	}
	if unix.Prlimit(0, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: limit, Max: limit}, nil) == nil {
		return
	}
	// Not allowed to go beyond what it was given (a container): that, then.
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) == nil {
		l.Cur = l.Max
		_ = unix.Prlimit(0, unix.RLIMIT_NOFILE, &l, nil)
	}
}

// helperLimits gives a helper the limits of an ordinary program.
func helperLimits(list *kernel.OpList) {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) == nil {
		list.Setrlimit(generatorStatus, unix.RLIMIT_NOFILE, min(helperFilesSoft, l.Max), min(helperFilesHard, l.Max))
	}
}
