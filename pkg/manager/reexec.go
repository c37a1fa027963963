package manager

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/engine"
	"github.com/muster-init/muster/pkg/kernel"
	"github.com/muster-init/muster/pkg/manager/statelog"
	"github.com/muster-init/muster/pkg/unit/value"
)

// Keys of the shell's own records in the state log; the engine's keys have no such prefix.
const (
	keyShellPrefix = "shell/"

	keyShell   = "shell/state"
	keyHandles = "shell/handles"
)

// shellState is what the shell itself must find again after an execve: descriptors that were kept open and what clients have set.
type shellState struct {
	Kept           map[string]int   `json:"kept"` // listening sockets by name
	Environment    []string         `json:"environment,omitempty"`
	Generated      []string         `json:"generated_environment,omitempty"`
	LogLevel       *int             `json:"log_level,omitempty"` // set at run time
	LogTarget      string           `json:"log_target,omitempty"`
	ShowStatus     string           `json:"show_status,omitempty"`
	ExitStatus     int              `json:"exit_status,omitempty"`
	Booted         bool             `json:"booted,omitempty"`
	Stamps         timestamps       `json:"stamps"`
	Crashes        []uint64         `json:"crashes,omitempty"` // moments of crashes (monotonic µs) of images that lived for a moment only, the newest last
	Began          uint64           `json:"began,omitempty"`   // when the image began (monotonic µs)
	Suspect        suspicion        `json:"suspect,omitzero"`
	WatchdogDevice string           `json:"watchdog_device,omitempty"`
	Watchdogs      watchdogOverride `json:"watchdogs,omitzero"`
	GUID           string           `json:"guid"`
	SoftReboots    uint32           `json:"soft_reboots,omitempty"`
	RebootArgument string           `json:"reboot_argument,omitempty"`
}

// openState opens the state log: the one that the last image left, or a new one.
func (m *Manager) openState() (records map[string][]byte, err error) {
	if m.opt.Deserialize {
		m.stateFDs = m.opt.StateFDs
		files := [2]*os.File{os.NewFile(uintptr(m.stateFDs[0]), "state-a"), os.NewFile(uintptr(m.stateFDs[1]), "state-b")}
		log, records, torn, err := statelog.Open(files[0], files[1])
		if err == nil {
			err = readable(records)
		}
		if err == nil {
			if torn > 0 {
				m.log.warning("", "The last %d bytes of the state were torn and given up.", torn)
			}
			m.state = log
			return records, nil
		}
		if m.opt.Returned {
			records, spareErr := m.spareState(files)
			if spareErr == nil {
				m.log.warning("", "The state of the last image can't be read, the one from before it is used: %v", err)
				return records, nil
			}
			err = errors.Join(err, spareErr)
		}
		m.log.err("", "The state of the last image can't be read, its units are taken as stopped: %v", err)
	}
	return nil, m.newState()
}

func (m *Manager) newState() (err error) {
	var files [2]*os.File
	for i := range files {
		fd, err := kernel.NewMemfd(fmt.Sprintf("muster-state-%d", i), false)
		if err != nil {
			return err
		}
		// Kept over an execve of any kind, also one that a signal handler does.
		if err := kernel.SetCloexec(fd, false); err != nil {
			return err
		}
		m.stateFDs[i] = fd
		files[i] = os.NewFile(uintptr(fd), "state")
	}
	m.state, err = statelog.Create(files[0], files[1])
	return err
}

// restoreShell takes over what the last image recorded about itself.
func (m *Manager) restoreShell(records map[string][]byte) {
	var s shellState
	if data := records[keyShell]; data != nil {
		if err := json.Unmarshal(data, &s); err != nil {
			m.log.err("", "state: %v", err)
		}
	}
	var h handleState
	if data := records[keyHandles]; data != nil {
		if err := json.Unmarshal(data, &h); err != nil {
			m.log.err("", "state: fd table: %v", err)
		}
	}
	m.fds.restore(h, records)
	m.sharing.restore(records)
	m.used.restore(records)
	m.exits = takeExits(records)
	m.cg.takeOver(records)
	m.keptFDs, m.booted, m.stamps = s.Kept, s.Booted, s.Stamps
	m.crashes, m.exitStatus, m.rebootArgument = s.Crashes, s.ExitStatus, s.RebootArgument
	m.clientEnvironment, m.generatedEnvironment, m.restored, m.suspect = s.Environment, s.Generated, s, s.Suspect
	m.environment = value.MergeEnvironment(m.defaultEnvironment(), m.clientEnvironment)
	m.watchdogOverride, m.softReboots = s.Watchdogs, s.SoftReboots
	if m.opt.SwitchedRoot {
		m.stamps = timestamps{Kernel: s.Stamps.Kernel, InitRD: s.Stamps.InitRD, Userspace: m.now()}
	}
	if s.GUID != "" {
		m.guid = s.GUID
	}
	if s.LogLevel != nil {
		m.log.setLevel(*s.LogLevel)
	}
	if s.LogTarget != "" {
		m.log.setTarget(s.LogTarget)
	}
	if s.ShowStatus != "" {
		m.console.setStatus(s.ShowStatus)
	}
	delete(records, keyShell)
	delete(records, keyHandles)
}

// kept gives a listening socket of the last image, -1 if there is none.
func (m *Manager) kept(name string) int {
	if fd, ok := m.keptFDs[name]; ok {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			return fd
		}
	}
	return -1
}

// saveShell records the shell's own state. Called whenever something in it changes; writing it is a few µs.
func (m *Manager) saveShell() {
	if m.state == nil {
		return
	}
	s := shellState{
		Kept: map[string]int{}, Began: m.began, Environment: m.clientEnvironment, Generated: m.generatedEnvironment, ExitStatus: m.exitStatus, Booted: m.booted, Stamps: m.stamps, Crashes: m.crashes,
		GUID: m.guid, SoftReboots: m.softReboots, RebootArgument: m.rebootArgument, Suspect: m.suspect, Watchdogs: m.watchdogOverride, LogLevel: m.log.override, LogTarget: m.log.targetOverride, ShowStatus: m.console.override,
	}
	for name, fd := range m.keptFDs {
		s.Kept[name] = fd // not taken over yet: a crash until then must not lose it
	}
	if m.notifySocket != nil {
		s.Kept["notify"] = m.notifySocket.FD()
		_ = kernel.SetCloexec(m.notifySocket.FD(), false)
	}
	if m.watch != nil && m.watch.fd >= 0 {
		s.Kept["watchdog"], s.WatchdogDevice = m.watch.fd, m.watch.device
	}
	if m.bus != nil && m.bus.listen >= 0 {
		if m.varlink != nil {
			m.varlink.keep(s.Kept)
		}
		s.Kept["private"] = m.bus.listen
		_ = kernel.SetCloexec(m.bus.listen, false)
	}
	m.putRecord(keyShell, s)
	m.putRecord(keyHandles, m.fds.state())
	if err := m.state.Flush(); err != nil {
		m.log.err("", "%v", err)
	}
}

func (m *Manager) putRecord(key string, v any) {
	data, err := json.Marshal(v)
	if err == nil {
		err = m.state.Put(key, data)
	}
	if err != nil {
		m.log.err("", "state: %s: %v", key, err)
	}
}

// ownArguments are the options that an image gives the next one; they are not handed on.
var ownArguments = []string{"--deserialize", "--crashed", "--crash-record", "--fallback", "--returned", "--switched-root", "--executor"}

// reexecArguments are argv of the next image.
func (m *Manager) reexecArguments(crashed bool) []string {
	args := []string{os.Args[0]}
	for _, a := range os.Args[1:] {
		name, _, _ := strings.Cut(a, "=")
		if !slices.Contains(ownArguments, name) {
			args = append(args, a)
		}
	}
	args = append(args, "--deserialize="+strconv.Itoa(m.stateFDs[0])+","+strconv.Itoa(m.stateFDs[1]))
	if m.box != nil {
		args = append(args, "--crash-record="+strconv.Itoa(m.box.memory.FD()))
	} else if m.opt.CrashRecord >= 0 {
		args = append(args, "--crash-record="+strconv.Itoa(m.opt.CrashRecord))
	}
	if crashed {
		args = append(args, "--crashed")
	}
	return args
}

// reexecute replaces this image by the program that has proved itself, with all state. It returns only if that failed.
func (m *Manager) reexecute() {
	if !m.awaitCalm() {
		return
	}
	m.endProbation()
	m.log.info("", "Reexecuting.")
	path := ""
	if m.trial != nil {
		path = m.trial.path
		if id, err := identify(path); err != nil || id != m.trial.id {
			m.refuseReexec(errors.Join(errors.New("the file was replaced since it was tried"), err))
			return
		}
	}
	back := noFallback
	if m.trial == nil || !m.trial.same {
		back = m.openFallback()
	}
	args := m.reexecArguments(false)
	if back.Image >= 0 {
		args = append(args, "--fallback="+back.String())
	}
	m.notifyReloading()
	m.saveShell()
	m.cg.handOver()
	m.export()
	m.bus.flush()
	back.keep(true)
	err := unix.Exec(path, args, m.ownEnvironment())
	m.cg.keep()
	back.close()
	m.refuseReexec(err)
}

const (
	// calmMSec is how long no signal must have asked for a re-execution, if one did in the last recentUSec; calmTries bounds the wait.
	calmMSec   = 10
	calmTries  = 100
	recentUSec = 100_000
)

// awaitCalm lets a burst of signals that ask for a re-execution pass: those that come now are answered by the one that is about to be, but for
// some hundred µs at the start of the next image the Go runtime has handlers of its own, whose answer to SIGTERM is the end of the process (see
// package early). It is false if a signal asked for something else that goes first.
func (m *Manager) awaitCalm() bool {
	for range calmTries {
		if m.asked == 0 || kernel.Monotonic()-m.asked > recentUSec {
			return m.objective == objectiveReexec
		}
		fds := []unix.PollFd{{Fd: int32(m.signalFD), Events: unix.POLLIN}}
		if n, err := unix.Poll(fds, calmMSec); n == 0 && err == nil {
			break
		}
		for {
			s, ok := kernel.ReadSignal(m.signalFD)
			if !ok {
				break
			}
			switch sig := int(s.Signo); {
			case s.Signo == unix.SIGCHLD:
				m.childrenEnded = true
			case m.system && (sig == sigRTMin+25 || s.Signo == unix.SIGTERM && !m.inPod()):
				m.asked = kernel.Monotonic()
			default:
				m.onSignal(s)
			}
		}
	}
	return m.objective == objectiveReexec
}

// trimDeleted takes off what the kernel appends to the name of a removed file.
func trimDeleted(exe string) string {
	const mark = " (deleted)"
	if len(exe) > len(mark) && exe[len(exe)-len(mark):] == mark {
		return exe[:len(exe)-len(mark)]
	}
	return exe
}

// heartbeatUSec is how often the loop must come by while it has something to do.
var heartbeatUSec uint64 = 30_000_000

const (
	// crashWindowUSec and crashesMax bound the crashes after which the manager stops trying and only keeps the system alive. An image that
	// has worked for crashLifeUSec is one that is of use: its crash doesn't count.
	crashWindowUSec = 60_000_000
	crashLifeUSec   = 1_000_000
	crashesMax      = 5
	crashesKept     = 32
)

// guardAgainstCrashes arms what re-executes this image if it crashes. The state is in memory files at any moment, so this comes as early as those are
// there. Hangs are watched for only once the loop runs.
func (m *Manager) guardAgainstCrashes() error {
	box, err := openBlackbox(m.opt.CrashRecord)
	if err != nil {
		m.log.warning("", "A crash can't be traced to a unit: %v", err)
	} else {
		m.box = box
		m.blame()
	}
	m.returned()
	err = m.crashHook()
	m.began = kernel.Monotonic()
	if m.opt.Crashed {
		m.log.emergency("", "The manager crashed and was re-executed with its state.")
		if m.began-m.restored.Began < crashLifeUSec {
			m.crashes = append(m.crashes, m.began)
		}
		if len(m.crashes) > crashesKept {
			m.crashes = m.crashes[len(m.crashes)-crashesKept:]
		}
	}
	if m.opt.Deserialize {
		m.saveShell()
	}
	if m.crashLoop() {
		m.minimal()
	}
	return err
}

// crashLoop reports whether the manager crashed so often within a minute that it should not manage any more.
func (m *Manager) crashLoop() bool {
	now := kernel.Monotonic()
	recent := 0
	for _, t := range m.crashes {
		if now-t < crashWindowUSec {
			recent++
		}
	}
	return recent >= crashesMax
}

// restoreOrStart begins the loop's work: with the state of the last image, or with the job that boots the system.
func (m *Manager) restoreOrStart() error {
	defer debug.SetGCPercent(steadyPercent)
	if len(m.records) > 0 {
		m.box.beginNamed("Restore")
		m.readAhead()
		err := m.eng.Restore(m.records)
		m.src.StopAhead()
		if err != nil {
			return err
		}
		m.records = nil
		m.adopt()
		m.box.end()
		m.openTables()
		if m.opt.SwitchedRoot {
			m.startDefault() // what goes on has been taken over, and now the system boots
		}
		m.openDevices()
		if m.booted {
			m.notifyReady("Ready.")
		}
		return nil
	}
	m.eng.SetWatchdogs(m.opt.ServiceWatchdogs)
	m.cg.slices()
	m.openTables()
	m.startDefault()
	m.openDevices()
	return nil
}

// readAhead lets a worker read the files of the units that are about to be restored.
func (m *Manager) readAhead() {
	prefix := engine.UnitKey("")
	var names []string
	for key := range m.records {
		if name, ok := strings.CutPrefix(key, prefix); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	ahead := m.src.Ahead(names)
	m.work.add(func() func() {
		ahead.Run()
		return nil
	})
}

// adopt lets the sources replay the present after a restore: processes that have ended, cgroups that are empty, names that changed hands.
func (m *Manager) adopt() {
	for _, effect := range m.eng.CatchUp(m.now()) {
		m.perform(effect)
	}
	for _, exit := range m.exits {
		m.childEnded(exit) // what is still a zombie is reaped later, and then nobody's
	}
	m.exits = nil
	m.childrenEnded = true
	for _, name := range []string{"dbus.service", "dbus-broker.service"} {
		if u := m.eng.Unit(name); u != nil && u.ActiveState().IsActiveOrReloading() {
			m.bus.connectBroker() // the connection to the message bus ended with the last image
		}
	}
	m.cg.rescan()
}
