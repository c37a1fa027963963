package unit

import "github.com/muster-init/muster/pkg/unit/value"

// Service is the [Service] section, without the shared exec, kill and cgroup
// settings (systemd.service(5)).
type Service struct {
	ExecStart []value.Command

	// What most services have nothing of, shared with the defaults until one does.
	*ServiceCommands
	// What many services have the same of: the loader keeps one of those that are equal.
	*ServiceSettings
	// What few services set, shared with the defaults until one does.
	*ServiceExtra
}

// ServiceCommands are the commands of a service beside its main one, and the
// names it is known by.
type ServiceCommands struct {
	ExecStartPre  []value.Command
	ExecStartPost []value.Command
	ExecReload    []value.Command
	ExecStop      []value.Command
	ExecStopPost  []value.Command

	PIDFile string
	BusName string
}

// ServiceSettings are the settings of [Service] that are numbers, flags and
// words of the program, so that equal ones are equal byte by byte.
type ServiceSettings struct {
	Type            string // simple, exec, forking, oneshot, dbus, notify, notify-reload, idle; "" before defaults apply
	Restart         string // no, on-success, on-failure, on-abnormal, on-watchdog, on-abort, always
	NotifyAccess    string // none, main, exec, all
	NotifyAccessSet bool   // NotifyAccess= was given
	OOMPolicySet    bool   // OOMPolicy= was given
	OOMPolicy       string // continue, stop, kill

	TimeoutStartUSec uint64
	TimeoutStopUSec  uint64
	TimeoutAbortUSec uint64 // meaningful with TimeoutAbortSet, else TimeoutStopUSec counts
	TimeoutStartSet  bool   // TimeoutStartSec= or TimeoutSec= was given; a oneshot has no start timeout otherwise
	TimeoutAbortSet  bool
	RestartUSec      uint64
	WatchdogUSec     uint64 // 0: off

	GuessMainPID           bool
	NonBlocking            bool
	RemainAfterExit        bool
	RootDirectoryStartOnly bool
	PermissionsStartOnly   bool // legacy
}

// ServiceExtra are settings of [Service] that few units have.
type ServiceExtra struct {
	ExitType                    string // main, cgroup
	RestartMode                 string // normal, direct, debug
	FileDescriptorStorePreserve string // no, restart, yes
	TimeoutStartFailureMode     string // terminate, abort, kill
	TimeoutStopFailureMode      string // terminate, abort, kill

	ExecCondition  []value.Command
	ExecReloadPost []value.Command

	RestartMaxDelayUSec        uint64 // Infinity: unset
	RestartRandomizedDelayUSec uint64
	RuntimeMaxUSec             uint64
	RuntimeRandomizedExtraUSec uint64
	RestartSteps               uint32
	FileDescriptorStoreMax     uint32
	ReloadSignal               int32

	SuccessExitStatus        value.ExitStatusSet
	RestartPreventExitStatus value.ExitStatusSet
	RestartForceExitStatus   value.ExitStatusSet

	Sockets                []string
	OpenFile               []OpenFile
	USBFunctionDescriptors string
	USBFunctionStrings     string
	RefreshOnReload        []string // extensions, credentials
	LUOSession             []string
}

// OpenFile is one OpenFile= entry: a file or socket opened by the manager and
// passed to the service.
type OpenFile struct {
	Path   string
	FDName string
	Flags  uint64 // OpenFile… bits
}

// Flags of OpenFile, with the values the bus uses.
const (
	OpenFileReadOnly uint64 = 1 << iota
	OpenFileAppend
	OpenFileTruncate
	OpenFileGraceful
)

// Scope is the [Scope] section without kill and cgroup settings.
type Scope struct {
	OOMPolicy                  string
	OOMPolicySet               bool
	TimeoutStopUSec            uint64
	RuntimeMaxUSec             uint64
	RuntimeRandomizedExtraUSec uint64
	PIDs                       []uint32 // transient only: processes to take over
	User                       string   // transient only: owner of a delegated control group
	Group                      string
	Controller                 string // transient only: bus name that is told to stop the scope
}

// Slice is the [Slice] section without cgroup settings.
type Slice struct {
	ConcurrencyHardMax       uint32 // 2^32-1: unset
	ConcurrencySoftMax       uint32
	ActivatingConcurrencyMax uint32
}

// Kill is the block of systemd.kill(5), shared by services, sockets, mounts,
// swaps and scopes. Signals are numbers of the running architecture.
type Kill struct {
	KillMode          string // control-group, process, mixed, none
	KillSignal        int32
	RestartKillSignal int32 // 0: KillSignal
	FinalKillSignal   int32
	WatchdogSignal    int32
	SendSIGKILL       bool
	SendSIGHUP        bool
}
