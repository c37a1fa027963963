package plan

// The tiers. Tier 1 is a fixed list of system calls the op-list child makes
// with no Go in it; tier 2 goes through the executor.
const (
	TierOps      uint8 = 1
	TierExecutor uint8 = 2
)

// Console is the terminal of the machine.
const Console = "/dev/console"

// ConfirmDisabled is the file that says that a person wants no more questions (systemd.confirm_spawn= of kernel-command-line(7)).
const ConfirmDisabled = "/run/systemd/confirm_spawn_disabled"

// None is the value of a file descriptor field that holds none.
const None int32 = -1

// Plan is everything a child has to know between clone and execve.
type Plan struct {
	Unit     string
	Phase    string // ExecStart, ExecStartPre, …
	UserMode bool   // of a --user manager
	// SameGroup leaves the process in the manager's process group and session: what mounts over an automount point must not wait at it itself.
	SameGroup bool

	Confirm   string // the terminal where a person is asked before anything is done, "" nobody is
	ConfirmBy int32  // the manager's pid, which logs its jobs for that person

	Tier    uint8
	Reasons []string // the settings that ask for the executor

	Argv       []string
	Paths      []string // absolute candidates, tried in order until one executes
	ExpandArgv bool     // Argv holds variables that only the executor can expand
	ViaShell   bool     // "|": Paths and Argv[0] are replaced by the user's shell

	// Env is complete in tier 1. The executor puts the variables of the
	// resolved user and then SetEnv and EnvFiles over it and takes UnsetEnv
	// away.
	Env           []string
	PidVars       []string // names that get the pid of the executed process, or the inode number of its pidfd if they end in PIDFDID
	PidFDIDs      bool     // the kernel has such numbers
	SetEnv        []string
	EnvFiles      []EnvFile
	UnsetEnv      []string
	JournalStream bool   // JOURNAL_STREAM= is wanted when a stream is connected to the journal
	JournalID     string // "dev:inode" of the socket, filled in at the spawn

	FDs         []int32    // placed at 3, 4, … in the executed program
	SocketFDs   int32      // how many of them, from the first, NonBlocking is about
	NonBlocking bool       // O_NONBLOCK of FDs set, otherwise cleared
	OpenFiles   []OpenFile // opened by the executor and placed after FDs
	FDNames     []string   // of FDs, where there are OpenFiles
	IdleFD      int32      // wait until this is readable or closed, IdleUSec at most
	IdleUSec    uint64
	StatusFD    int32 // write end: closed by execve, or a Failure

	Stdin, Stdout, Stderr Stream
	StdinData             []byte
	Journal               JournalHeader
	TTY                   TTY

	UMask            uint32
	Nice             *int32
	OOMScoreAdjust   *int32
	CoredumpFilter   *uint64
	IOPriority       *int32 // class<<13 | priority
	Sched            *Sched
	CPUAffinity      []byte
	AffinityFromNUMA bool  // CPUAffinity=numa
	NUMAPolicy       int32 // MPOL_*, -1 unset
	NUMAMask         []byte
	TimerSlackNSec   *uint64
	MemoryKSM        *bool
	MemoryTHP        string // disable, madvise, system; "" is left alone
	Personality      *uint64
	Limits           []Limit
	IgnoreSIGPIPE    bool
	Keyring          string // inherit, private, shared
	InvocationID     []byte // 16 bytes, stored in the session keyring
	Utmp             *Utmp

	WorkingDirectory string
	WorkingHome      bool // "~"
	WorkingOptional  bool // "-"
	RootDirectory    string

	User                string
	Group               string
	SupplementaryGroups []string
	DynamicUser         bool
	PreserveRuntime     bool // RuntimeDirectoryPreserve= is not no
	SetLogin            bool // HOME, USER, LOGNAME, SHELL of the user
	ChangeUser          bool // Identity, or what User= and Group= resolve to, is taken on
	Identity            *Identity
	PAM                 *PAM

	Privileged  bool // "+": capabilities are left alone
	Bounding    uint64
	Ambient     uint64
	SecureBits  uint32
	NoNewPrivs  bool
	Filters     []Filter
	Labels      Labels
	Directories []Directory
	Prefixes    Prefixes
	Credentials *Credentials
	NFT         *NFT
	Cleanup     *Cleanup   // instead of executing anything
	Live        *LiveMount // likewise
	Sockets     *Sockets   // likewise
	Refresh     *Refresh   // likewise
	Sandbox     *Sandbox
}

// OwnRoot says whether the process has another root than the manager.
func (p *Plan) OwnRoot() bool {
	return p.RootDirectory != "" || p.Sandbox != nil && (p.Sandbox.RootImage != nil || p.Sandbox.RootMStack != nil)
}

// EnvFile is one EnvironmentFile=.
type EnvFile struct {
	Path     string
	Optional bool
}

// Labels are what security modules are told about the process.
type Labels struct{ SELinux, AppArmor, Smack Label }

// Label is one of them, "" none. Optional is the prefix "-".
type Label struct {
	Name     string
	Optional bool
}

// OpenFile is one OpenFile=: a file, or a socket to connect to.
type OpenFile struct {
	Path, Name string
	Flags      int32 // of open(2): access mode, O_APPEND, O_TRUNC
	Graceful   bool  // one that can't be opened is left out
}

// StreamKind says what a standard stream is connected to.
type StreamKind uint8

// The kinds. Keep leaves what the manager has there; Dup copies the stream
// before (standard input for output, standard output for error).
const (
	StreamNull StreamKind = iota
	StreamKeep
	StreamDup
	StreamTTY
	StreamFile
	StreamFD
	StreamData
	StreamJournal
)

// Stream is one standard stream.
type Stream struct {
	Kind  StreamKind
	Path  string // of a file
	Flags int32  // of open(2): access mode, O_APPEND, O_TRUNC, O_CREAT
	FD    int32  // of StreamFD; of StreamData and StreamJournal once the manager made it
	// ForwardKmsg and ForwardConsole of StreamJournal are for kmsg and …+console.
	ForwardKmsg    bool
	ForwardConsole bool
	Force          bool // tty-force
	Control        bool // StreamFD: if it is a terminal, it becomes the controlling one
	Fail           bool // tty-fail
}

// JournalHeader is what is said first on the journal's stream socket. Which
// streams go there is in their kinds.
type JournalHeader struct {
	Socket      string // path to connect to
	Identifier  string
	Unit        string
	Priority    int32
	LevelPrefix bool
}

// TTY is the terminal of the unit.
type TTY struct {
	Path          string
	Reset         bool
	VHangup       bool
	VTDisallocate bool
	Rows, Columns uint32 // 2^32-1 unset
}

// Sched is CPUScheduling*=.
type Sched struct {
	Policy, Priority int32
	ResetOnFork      bool
}

// Limit is one resource limit; Resource is the kernel's number.
type Limit struct {
	Resource   int32
	Soft, Hard uint64
	Name       string // as in LimitNOFILE=
}

// Utmp is a record for utmp and wtmp.
type Utmp struct {
	ID   string
	Mode string // init, login, user
	Line string // the terminal without /dev/
}

// Identity is a resolved user.
type Identity struct {
	Name        string
	UID, GID    uint32
	Groups      []uint32
	Home, Shell string
	// HasUID is false when only a group was asked for.
	HasUID bool
}

// PAM is PAMName=. A helper program opens the session and executes the executor
// again, which goes on behind that step.
type PAM struct {
	Service  string
	Helper   string // path of muster-pam
	TTY      string // the terminal for modules to know of
	UnsetEnv []string
	Image    int32 // descriptor of the executor, for the helper
	Done     bool
}

// Filter is one seccomp program. Setting is the directive it came from.
type Filter struct {
	Setting string
	Status  uint8
	Code    []Insn
}

// Insn is one classic BPF instruction (struct sock_filter).
type Insn struct {
	Code   uint16
	JT, JF uint8
	K      uint32
}

// DirectoryKind is one of the five kinds of directories made for a service.
type DirectoryKind uint8

// The kinds in the order in which they are made.
const (
	DirRuntime DirectoryKind = iota
	DirState
	DirCache
	DirLogs
	DirConfiguration
	DirKinds
)

// Directory are the directories of one kind.
type Directory struct {
	Kind  DirectoryKind
	Mode  uint32
	Items []DirectoryItem

	Accounting   bool
	QuotaSet     bool
	QuotaBytes   uint64
	QuotaScale   uint32 // not 0: a share of the file system, of 2^32-1
	FailDegraded bool   // DegradedPolicy=fail: where there are no quotas the start fails
}

// DirectoryItem is a path below the prefix of its kind.
type DirectoryItem struct {
	Path     string
	Symlinks []string
	ReadOnly bool
}

// Prefixes are the absolute directories the five kinds live in.
type Prefixes [DirKinds]string

var dirNames = [DirKinds]string{"RuntimeDirectory", "StateDirectory", "CacheDirectory", "LogsDirectory", "ConfigurationDirectory"}
var dirVars = [DirKinds]string{"RUNTIME_DIRECTORY", "STATE_DIRECTORY", "CACHE_DIRECTORY", "LOGS_DIRECTORY", "CONFIGURATION_DIRECTORY"}
var dirStatus = [DirKinds]uint8{ExitRuntimeDirectory, ExitStateDirectory, ExitCacheDirectory, ExitLogsDirectory, ExitConfigurationDirectory}

// Setting is the directive of the kind, RuntimeDirectory and so on.
func (k DirectoryKind) Setting() string { return dirNames[k] }

// Variable is the environment variable that lists the directories.
func (k DirectoryKind) Variable() string { return dirVars[k] }

// Status is the exit status when making one fails.
func (k DirectoryKind) Status() uint8 { return dirStatus[k] }
