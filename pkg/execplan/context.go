package execplan

import (
	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/unit/value"
)

// Phases with rules of their own. The strings are those of machine.Phase.
const (
	phaseCondition = "ExecCondition"
	phaseStartPre  = "ExecStartPre"
	phaseStart     = "ExecStart"
)

// DefaultPath is PATH where the manager has none.
const DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"

// Defaults of DefaultLimitNOFILE= and DefaultLimitMEMLOCK=, which hold even
// when the manager itself runs with others (systemd-system.conf(5)).
const (
	defaultNOFILESoft = 1024
	defaultNOFILEHard = 524288
	defaultMEMLOCK    = 8 << 20
)

// FD is a descriptor of the manager to pass to the program.
type FD struct {
	Number int32
	Name   string
	Stored bool // from the fd store, not a socket
}

// Context is what is known at one start besides the unit's configuration.
type Context struct {
	Phase   string // ExecStart, ExecStopPost, …
	Command value.Command
	Control bool // a control process, not the main one

	Env        []string // assignments for this start: MAINPID=, SERVICE_RESULT=, …
	ManagerEnv []string // what every unit gets
	OwnEnv     []string // of the manager's process, for PassEnvironment=

	InvocationID [16]byte // zero: none
	NotifySocket string
	WatchdogUSec uint64 // 0: none
	MainPID      int32  // 0: unknown
	ManagerPID   int32
	// The inode numbers of their pidfds, 0: unknown, or the kernel has none.
	MainPIDFDID, ManagerPIDFDID uint64

	FDs      []FD
	Stdio    [3]int32 // in place of StandardInput= and its kin, 0: those hold
	IdleFD   int32    // 0: none; Type=idle waits until it is readable, IdleUSec at most
	IdleUSec uint64
	StatusFD int32 // always None; spawn fills it in

	KeepUsers []string // names of dynamic users that other units still use

	PAMHelper    string // path of muster-pam, "" is the installed one
	VerityHelper string // path of muster-verity, likewise

	UserMode bool   // a --user manager
	UID      uint32 // the manager's own
	Prefixes plan.Prefixes

	Journal       bool   // journald can be connected to
	JournalSocket string // "" is /run/systemd/journal/stdout
	// LogFD gives what takes the output for the journal when there is none, 0 for nothing; nil: nothing. Only called where there is such output.
	LogFD         func() int32
	DefaultOutput string // DefaultStandardOutput=, "" is journal
	DefaultError  string // DefaultStandardError=, "" is inherit

	KeepNFT       bool      // for Cleanup: sets of nftables are left as they are
	CgroupDir     string    // of the unit, absolute, "" if there is none
	Console       string    // "" is /dev/console
	Confirm       string    // the terminal where a person is asked first, "" nobody is
	ConsoleTerm   string    // TERM for it, "" is vt220
	Architecture  string    // as in SystemCallArchitectures=, "" is the build's
	BootID        [16]byte  // of the running kernel, part of the names of PrivateTmp= directories
	PrivateTmpDir [2]string // as it was made, perhaps by another unit; empty: PrivateTmpDirs
	TmpInUse      bool      // at the end: another unit still uses it
	// Sockets that keep the network and the IPC namespace of the unit, 0: none, each process makes its own.
	NetStore, IPCStore [2]int32

	WarnDegraded bool // DegradedPolicy=warn: where the kernel forbids namespaces, go on without what only protects

	Filters *FilterCache // nil: every filter is made anew
}

// SystemPrefixes are where a system manager makes directories.
var SystemPrefixes = plan.Prefixes{"/run", "/var/lib", "/var/cache", "/var/log", "/etc"}

const journalSocket = "/run/systemd/journal/stdout"
