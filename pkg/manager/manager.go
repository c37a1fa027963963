package manager

import (
	"github.com/muster-init/muster/pkg/condition"
	"github.com/muster-init/muster/pkg/engine"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/kernel"
	"github.com/muster-init/muster/pkg/loader"
	"github.com/muster-init/muster/pkg/manager/statelog"
	"github.com/muster-init/muster/pkg/unit"
)

// Version is what the Version property and `musterctl --version` say behind the program's name. The number in front is the release of systemd
// whose interfaces are served, because clients compare it.
const Version = "257 (muster 0.1)"

// Manager is the state of the shell. Everything in it belongs to the loop; workers get copies.
type Manager struct {
	opt       Options
	system    bool // PID 1 or --system; else a user manager
	container bool
	initrd    bool   // of the initramfs: told once, every look at the dependencies asks for it
	guid      string // of the private bus
	cfg       *unit.ManagerConfig
	facts     *condition.Facts
	host      *unit.SpecifierContext
	dirs      directories
	log       *logger
	console   *console
	memlog    *memoryLog

	liveMounts  int               // executors that mount something into running services
	liveResults map[string]string // of the units whose last one failed

	src          *loader.Loader
	eng          *engine.Engine
	cg           *cgroups
	poll         *kernel.Poller
	sources      *sources
	work         *workers
	helpers      *helpers
	fds          *handles
	bus          *busSource
	varlink      *varlinks
	notifySocket *kernel.DatagramSocket
	clocks       *clocks
	stampFiles   *stampQueue
	mounts       *mountSource
	swaps        *swapSource
	watches      map[string]*pathWatch // of path units
	expiring     map[string]bool       // automount units whose expiry is being looked at
	noDevices    bool                  // there can be no device units
	idlePipe     *idlePipe
	spawner      spawner
	sharing      *sharing
	used         accounts

	state    *statelog.Log
	stateFDs [2]int
	records  map[string][]byte // of the last image, until they are restored
	restored shellState
	keptFDs  map[string]int
	exits    []kernel.Exit // that the last image reaped, or was about to
	crashes  []uint64
	box      *blackbox     // what a crash leaves behind; nil: there is none
	suspect  suspicion     // what the last crash was about
	handling machine.Event // that the engine is at
	trial    *proof        // of the next image, nil if there is none
	alarms   alarms

	watch            *watchdogs // nil: there is none to feed (containers, user managers)
	watchdogOverride watchdogOverride
	ownVariables     []string // that ManagerEnvironment= has set
	reloadLimit      rateLimit
	turnLimit        rateLimit
	began            uint64          // when this image began to guard itself (monotonic µs)
	events           []machine.Event // answers and follow-ups that wait for Step
	draining         bool
	replies          map[machine.Reply]func(machine.SendReply)
	nextReply        machine.Reply

	queries       map[machine.Token]func()    // open slow queries and how to cancel them
	slow          map[machine.Token]slowQuery // those of them that are given up some time
	slowAt        uint64                      // when the next of them is
	sock          sockets
	watched       map[int32]int // pid → pidfd of processes that aren't our children
	childrenEnded bool
	signalFD      int
	asked         uint64 // monotonic µs, when a signal last asked for a re-execution

	environment       []string // the manager's environment block for services
	clientEnvironment []string // what clients have set on top of the configured one
	// generatedEnvironment is what environment generators gave at the last boot or reload.
	generatedEnvironment []string
	memoryTotal          uint64 // bytes
	pidsTotal            uint64
	consoleTerm          string

	objective      objective
	exitStatus     int
	rebootArgument string
	newRoot        string // of objectiveSwitchRoot
	newInit        string // to execute there, "" this program
	softReboots    uint32

	ctrlAltDelStart uint64
	ctrlAltDelCount int
	booted          bool // the initial transaction has ended
	reloading       bool
	reloadAgain     bool
	reloadWaiters   []func(error)
	reloads         uint32
	installedJobs   uint32
	failedJobs      uint32
	stamps          timestamps
	trim            trim
}

// directories are the places that differ between the system manager and a user manager.
type directories struct {
	runtime string // /run, or $XDG_RUNTIME_DIR
	private string // the private bus socket
	notify  string // the notify socket
	bus     string // the message bus' socket
}

// timestamps of the boot as the bus shows them.
type timestamps struct {
	Kernel, InitRD, Userspace, Finish    machine.Instant
	GeneratorsStart, GeneratorsFinish    machine.Instant
	UnitsLoadStart, UnitsLoadFinish      machine.Instant
	UnitsLoad, ShutdownStart, ReloadedAt machine.Instant
}

// submit delivers an event to the engine and carries out everything that follows from it. Called while effects are being carried out it only
// queues: the answer to a query is delivered before any event from outside, but after the effects that stand behind the query.
func (m *Manager) submit(ev machine.Event) {
	m.events = append(m.events, ev)
	if m.draining {
		return
	}
	m.draining = true
	for len(m.events) > 0 {
		ev := m.events[0]
		m.events[0] = nil
		m.events = m.events[1:]
		for _, effect := range m.step(ev) {
			m.perform(effect)
		}
		if m.bus != nil {
			m.bus.api.Flush()
		}
	}
	m.events = m.events[:0]
	m.draining = false
	m.trim.steps++
	m.export()
}

// request makes a reply number; then is called on the loop with the answer.
func (m *Manager) request(then func(machine.SendReply)) machine.Reply {
	m.nextReply++
	m.replies[m.nextReply] = then
	return m.nextReply
}

// perform carries out one effect.
func (m *Manager) perform(effect machine.Effect) {
	switch e := effect.(type) {
	case machine.Spawn:
		m.spawn(e)
	case machine.Kill:
		m.kill(e)
	case machine.TestConditions:
		m.testConditions(e)
	case machine.ReadPIDFile:
		m.readPIDFile(e)
	case machine.GuessMainPID:
		m.guessMainPID(e)
	case machine.AttachPIDs:
		m.attachPIDs(e)
	case machine.CheckCgroup:
		m.checkCgroup(e)
	case machine.CheckPID:
		m.checkPID(e)
	case machine.RemoveDirectories:
		m.removeDirectories(e)
	case machine.OpenAutomount:
		m.openAutomount(e)
	case machine.WatchAutomount:
		m.watchAutomount(e)
	case machine.AckAutomount:
		m.ackAutomount(e)
	case machine.ExpireAutomount:
		m.expireAutomount(e)
	case machine.CloseAutomount:
		m.closeAutomount(e)
	case machine.WatchPaths:
		m.watchPaths(e)
	case machine.UnwatchPaths:
		m.unwatchPaths(e.Unit)
	case machine.PrepareMount:
		m.prepareMount(e)
	case machine.ReadStamp:
		m.readStamp(e)
	case machine.WriteStamp:
		m.writeStamp(e)
	case machine.RemoveStamp:
		m.removeStamp(e)
	case machine.CancelQuery:
		m.cancelQuery(e.Token)
	case machine.RealizeCgroup:
		m.cg.realize(e.Unit)
	case machine.UpdateCgroup:
		m.cg.update(e.Unit)
	case machine.ReleaseCgroup:
		m.cg.release(e.Unit)
	case machine.FreezeCgroup:
		m.freezeCgroup(e)
	case machine.WatchPID:
		m.watchPID(e.PID)
	case machine.UnwatchPID:
		m.unwatchPID(e.PID)
	case machine.CloseHandle:
		m.closeHandle(e.Handle)
	case machine.PollHandle:
		m.pollHandle(e.Handle)
	case machine.ReleaseRuntime:
		m.releaseRuntime(e)
	case machine.UnlinkPIDFile:
		m.unlinkPIDFile(e)
	case machine.Act:
		m.act(e)
	case machine.OpenSockets:
		m.openSockets(e)
	case machine.ChownSockets:
		m.chownSockets(e)
	case machine.CloseSockets:
		m.closeSockets(e)
	case machine.WatchSockets:
		m.watchSockets(e)
	case machine.UnwatchSockets:
		m.unwatchSockets(e)
	case machine.FlushSockets:
		m.flushSockets(e)
	default:
		m.announce(effect)
	}
}

// announce feeds the bus, the log and the console.
func (m *Manager) announce(effect machine.Effect) {
	switch e := effect.(type) {
	case machine.SendReply:
		if then := m.replies[e.Reply]; then != nil {
			delete(m.replies, e.Reply)
			then(e)
		}
	case machine.Log:
		m.logEffect(e)
	case machine.WatchName:
		m.bus.watchName(e.Name)
	case machine.UnwatchName:
		m.bus.unwatchName(e.Name)
	default:
		m.bus.announce(effect)
		m.afterAnnounce(effect)
	}
}

// export writes the records of what has changed to the state log. It runs after every event from outside, so a crash at any moment finds the
// state after the last whole event.
func (m *Manager) export() {
	clear(m.used.down)
	if m.state == nil {
		return
	}
	m.fds.export(func(key string, record []byte) {
		if err := m.state.Put(key, record); err != nil {
			m.log.err("", "%v", err)
		}
	}, func(key string) { _ = m.state.Delete(key) })
	for _, key := range m.eng.Dirty() {
		var err error
		if record := m.eng.Record(key); record == nil {
			err = m.state.Delete(key)
		} else {
			err = m.state.Put(key, record)
		}
		if err != nil {
			m.log.err("", "%v", err)
		}
	}
	if err := m.state.Flush(); err != nil {
		m.log.err("", "%v", err)
	}
}
