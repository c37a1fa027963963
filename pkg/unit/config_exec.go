package unit

import "github.com/muster-init/muster/pkg/unit/value"

// Exec is the block of systemd.exec(5), shared by services, sockets, mounts
// and swaps. What confines a process (name spaces, file system views,
// filters) is in Sandbox, which stays nil for most units.
type Exec struct {
	User                string
	Group               string
	SupplementaryGroups []string
	DynamicUser         bool
	SetLoginEnvironment Tristate
	PAMName             string

	WorkingDirectory          string // absolute; "" is the default
	WorkingDirectoryHome      bool   // "~": home of User=
	WorkingDirectoryMissingOK bool   // "-" prefix
	RootDirectory             string

	Environment      []string // NAME=VALUE, in order, later wins
	EnvironmentFiles []EnvironmentFile
	PassEnvironment  []string
	UnsetEnvironment []string // NAME or NAME=VALUE
	ExecSearchPath   []string

	StandardInput     Stdio
	StandardOutput    Stdio
	StandardError     Stdio
	StandardInputData []byte // StandardInputText= and StandardInputData=

	TTYPath          string
	TTYReset         bool
	TTYVHangup       bool
	TTYVTDisallocate bool
	TTYRows          uint32 // 2^32-1: unset
	TTYColumns       uint32

	SyslogIdentifier         string
	SyslogFacility           int32 // LOG_KERN is 0, LOG_DAEMON 3: not shifted
	SyslogLevel              int32
	SyslogLevelPrefix        bool
	LogLevelMax              int32 // -1: unset
	LogRateLimitIntervalUSec uint64
	LogRateLimitBurst        uint32
	LogExtraFields           []string // FIELD=VALUE, VALUE may hold any byte
	LogFilterPatterns        []LogFilterPattern
	LogNamespace             string

	Nice                     Opt[int32]
	OOMScoreAdjust           Opt[int32]
	CoredumpFilter           Opt[uint64]
	IOSchedulingClass        Opt[int32] // 0 none, 1 realtime, 2 best-effort, 3 idle
	IOSchedulingPriority     int32
	IOSchedulingSet          bool
	CPUSchedulingPolicy      int32 // SCHED_*
	CPUSchedulingPriority    int32
	CPUSchedulingSet         bool // any CPUScheduling…= was given
	CPUSchedulingResetOnFork bool
	CPUAffinity              []byte // bit mask, CPU 0 is bit 0 of byte 0; nil: unset
	CPUAffinityFromNUMA      bool
	NUMAPolicy               int32 // MPOL_*; -1: unset
	NUMAMask                 []byte
	TimerSlackNSec           uint64 // Infinity: unset
	UMask                    uint32
	Limits                   [RLimitMax]*value.Rlimit // indexed by RLimit…; nil: unset
	TimeoutCleanUSec         uint64
	IgnoreSIGPIPE            bool

	RuntimeDirectory         Directory
	StateDirectory           Directory
	CacheDirectory           Directory
	LogsDirectory            Directory
	ConfigurationDirectory   Directory
	RuntimeDirectoryPreserve string // no, yes, restart

	UtmpIdentifier string
	UtmpMode       string // init, login, user
	KeyringMode    string // inherit, private, shared

	CapabilityBoundingSet uint64 // bit per capability; all ones: unset
	AmbientCapabilities   uint64
	SecureBits            int32
	NoNewPrivileges       bool

	Sandbox *Sandbox

	inherited *[RLimitMax]value.Rlimit // limits where none is set; nil: not known
}

// Directory is one of the five directories a service can have made, e.g.
// RuntimeDirectory= with RuntimeDirectoryMode=.
type Directory struct {
	Items      []DirectoryItem
	Mode       uint32
	Accounting bool
	Quota      Quota
}

// DirectoryItem is a path relative to the root of its kind, with symlinks to
// make beside it.
type DirectoryItem struct {
	Path     string
	Symlinks []string
	ReadOnly bool
}

// Quota is a disk quota: bytes, or a share of the file system. Scale is a
// fraction of 2^32-1; Set false means off.
type Quota struct {
	Bytes uint64
	Scale uint32
	Set   bool
}

// EnvironmentFile is one EnvironmentFile=; Optional is the - prefix.
type EnvironmentFile struct {
	Path     string
	Optional bool
}

// Stdio says where a standard stream goes. Kind is the word of the
// directive: null, tty, tty-force, tty-fail, socket, fd, data, file, append,
// truncate, inherit, journal, kmsg, journal+console, kmsg+console. Arg is the
// path of file, append, truncate or the name of fd.
type Stdio struct {
	Kind string
	Arg  string
}

// LogFilterPattern is one LogFilterPatterns= expression; Deny is the ~ prefix.
type LogFilterPattern struct {
	Deny    bool
	Pattern string
}

// Indexes of Exec.Limits, in the order of getrlimit(2) on Linux.
const (
	RLimitCPU = iota
	RLimitFSIZE
	RLimitDATA
	RLimitSTACK
	RLimitCORE
	RLimitRSS
	RLimitNPROC
	RLimitNOFILE
	RLimitMEMLOCK
	RLimitAS
	RLimitLOCKS
	RLimitSIGPENDING
	RLimitMSGQUEUE
	RLimitNICE
	RLimitRTPRIO
	RLimitRTTIME
	RLimitMax
)

// RLimitNames has the names as in LimitNOFILE=, indexed like Exec.Limits.
var RLimitNames = [RLimitMax]string{
	"CPU", "FSIZE", "DATA", "STACK", "CORE", "RSS", "NPROC", "NOFILE",
	"MEMLOCK", "AS", "LOCKS", "SIGPENDING", "MSGQUEUE", "NICE", "RTPRIO", "RTTIME",
}
