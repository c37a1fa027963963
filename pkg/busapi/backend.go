package busapi

import (
	"github.com/muster-init/muster/pkg/engine"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/loader"
	"github.com/muster-init/muster/pkg/unit"
)

// Backend is what the objects ask of the manager. All of it is called on the loop and nothing in it blocks.
type Backend interface {
	Engine() *engine.Engine
	// Submit hands an event to the engine and carries out what follows.
	Submit(ev machine.Event)
	// Request makes a number for an event's Reply; then is called on the loop when the engine answers, possibly before Submit returns.
	Request(then func(machine.SendReply)) machine.Reply
	// Work runs work off the loop and what it returns (which may be nil) on the loop afterwards. false: too busy.
	Work(work func() func()) bool
	Now() machine.Instant
	Log(level int, unit, text string)
	// Touched says that a client has output queued.
	Touched(c *Client)
	// PeerCredentials are those of a connection of the message bus, if they are known. AskCredentials asks the bus for them; done is called on
	// the loop, never before AskCredentials returns, also when the connection to the bus ends.
	PeerCredentials(name string) (Credentials, bool)
	AskCredentials(name string, done func(Credentials, error))

	// Loader finds unit files. NeedReload and the index may be used on the loop; ParseTransient makes the configuration of a transient unit.
	Loader() *loader.Loader

	Config() *unit.ManagerConfig
	Facts() Facts
	Runtime() Runtime

	// Environment is the environment block for services; SetEnvironment replaces it.
	Environment() []string
	SetEnvironment(env []string)
	SetLogLevel(level int)
	SetLogTarget(target string)
	SetShowStatus(mode string)
	SetServiceWatchdogs(on bool)
	SetExitCode(code uint8)
	SetWatchdog(which string, usec uint64) // RuntimeWatchdogUSec, RuntimeWatchdogPreUSec, RebootWatchdogUSec, KExecWatchdogUSec as changed by a client
	SetWatchdogGovernor(name string)

	// Reload re-reads what changed; done is called when it is finished.
	Reload(done func(err error))
	// Reexecute tries the next image and then ends the loop and replaces the image; the callers see their connections end. failed is called on the
	// loop when the image was not fit and everything stays.
	Reexecute(failed func(error))
	// Act takes an objective at once (the Exit, Reboot, PowerOff, Halt, KExec, SoftReboot methods): exit-force, reboot-force…
	Act(a machine.Act)
	SwitchRoot(root, init string) error

	// ControlGroup is the unit's cgroup as clients see it ("/system.slice/x.service"), "" without one.
	ControlGroup(unit string) string
	// CgroupOwner is whose the unit's cgroup is, or a group below it: the user it was delegated to. ok is false if there is none.
	CgroupOwner(unit, subgroup string) (uid uint32, ok bool)
	ControlGroupID(unit string) uint64
	// Processes lists the pids of a unit by cgroup path below the unit's own ("/" is the unit's).
	Processes(unit string) (map[string][]int, error)
	Usage(unit string) Usage
	Degraded(unit string) []Degraded
	// LiveMount mounts something into the view of a service's main process; done is called on the loop. CanLiveMount says whether that view is its
	// own, LiveMountResult how the last time ended.
	LiveMount(unit string, pid int32, m LiveMount, done func(error))
	CanLiveMount(unit string) bool
	LiveMountResult(unit string) string
	// UnitByPID finds the unit whose cgroup a process is in, "" none.
	UnitByPID(pid int) string
	// DynamicUsers lists the users of DynamicUser= that are in use, by number; ok is false in a user manager, which has none.
	DynamicUsers() (list []DynamicUser, ok bool)
	// StoredFDs describes the fd store of a unit.
	Handle(h machine.Handle) (fd int)
	// AddHandle takes over a descriptor.
	AddHandle(fd int) machine.Handle

	// WriteTransient writes the fragment of a transient unit below the transient directory and makes the loader know it; content is the whole
	// file. It touches only /run.
	WriteTransient(name, content string) error
	// WriteDropIn writes (or with empty content removes) a drop-in of SetUnitProperties below the control directory, on a worker for persistent
	// ones; done is called on the loop.
	WriteDropIn(name, file, content string, runtime bool, done func(error))
}

// LiveMount is what BindMountUnit and MountImageUnit ask for.
type LiveMount struct {
	Source, Destination string
	ReadOnly, Mkdir     bool
	Image               bool
	Options             [][2]string // of an image: partition and mount options
}

// Facts are constants of the machine and of this program.
type Facts struct {
	System                             bool
	UID                                uint32 // the manager's own
	Version, Features                  string
	Virtualization, ConfidentialVirt   string
	Architecture, Tainted, ControlRoot string
	MachineID                          string
	UnitPath                           []string
	Transient                          string // directory of transient units
}

// Runtime is what changes while the manager runs.
type Runtime struct {
	State                                       string // initializing, starting, running, degraded, maintenance, stopping
	Kernel, InitRD, Userspace, Finish           machine.Instant
	GeneratorsStart, GeneratorsFinish           machine.Instant
	UnitsLoadStart, UnitsLoadFinish             machine.Instant
	UnitsLoad, ShutdownStart                    machine.Instant
	Progress                                    float64
	LogLevel                                    int
	LogTarget                                   string
	ShowStatus                                  bool
	ServiceWatchdogs                            bool
	ConfirmSpawn                                bool
	ExitCode                                    uint8
	SoftRebootsCount, InstalledJobs, FailedJobs uint32
	RuntimeWatchdogUSec                         uint64
	RebootWatchdogUSec                          uint64
	KExecWatchdogUSec                           uint64
	RuntimeWatchdogPreUSec                      uint64
	WatchdogGovernor, WatchdogDevice            string
	WatchdogLastPing                            machine.Instant
	Reloading                                   bool
}
