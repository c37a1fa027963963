package unit

// Sandbox is the part of systemd.exec(5) that confines a process.
type Sandbox struct {
	RootImage             string
	RootImageOptions      []ImageOption
	RootImagePolicy       string
	RootHash              []byte
	RootHashPath          string
	RootHashSignature     []byte
	RootHashSignaturePath string
	RootVerity            string
	RootMStack            string
	RootEphemeral         bool
	MountImages           []MountImage
	MountImagePolicy      string
	ExtensionImages       []MountImage
	ExtensionImagePolicy  string
	ExtensionDirectories  []string

	ReadWritePaths      []string // prefixes - and + kept
	ReadOnlyPaths       []string
	InaccessiblePaths   []string
	ExecPaths           []string
	NoExecPaths         []string
	BindPaths           []BindPath // both BindPaths= and BindReadOnlyPaths=
	TemporaryFileSystem []TemporaryFileSystem

	PrivateTmp            string // no, yes, disconnected
	PrivateUsers          string // no, self, identity, full
	PrivatePIDs           string // no, yes
	PrivateBPF            string // no, yes
	PrivateDevices        bool
	PrivateNetwork        bool
	PrivateIPC            bool
	PrivateMounts         Tristate
	MountAPIVFS           Tristate
	BindLogSockets        Tristate
	MountFlags            uint64 // MS_SHARED, MS_SLAVE, MS_PRIVATE; 0: unset
	NetworkNamespacePath  string
	IPCNamespacePath      string
	UserNamespacePath     string
	ProtectHome           string // no, yes, read-only, tmpfs
	ProtectSystem         string // no, yes, full, strict
	ProtectProc           string // default, noaccess, invisible, ptraceable
	ProcSubset            string // all, pid
	ProtectControlGroups  string // no, yes, private, strict
	ProtectHostname       string // no, yes, private
	PrivateHostname       string // name behind "private:"
	ProtectClock          bool
	ProtectKernelTunables bool
	ProtectKernelModules  bool
	ProtectKernelLogs     bool

	MemoryDenyWriteExecute  bool
	MemoryKSM               Tristate
	MemoryTHP               string // inherit, disable, madvise, system
	RestrictRealtime        bool
	RestrictSUIDSGID        bool
	LockPersonality         bool
	Personality             string
	RemoveIPC               bool
	RestrictNamespaces      uint64 // CLONE_NEW* that stay allowed; all ones: unset
	DelegateNamespaces      uint64 // all ones: unset
	RestrictAddressFamilies FilterList
	RestrictFileSystems     FilterList
	SystemCallFilter        FilterList
	SystemCallLog           FilterList
	SystemCallArchitectures []string
	SystemCallErrorNumber   int32 // SyscallKill: kill

	SELinuxContext    Label
	AppArmorProfile   Label
	SmackProcessLabel Label

	LoadCredential          []Credential
	LoadCredentialEncrypted []Credential
	SetCredential           []CredentialData
	SetCredentialEncrypted  []CredentialData
	ImportCredential        []ImportCredential

	BPFDelegateCommands    string
	BPFDelegateMaps        string
	BPFDelegatePrograms    string
	BPFDelegateAttachments string
}

// FilterList is a list of names that is either what is allowed or, with
// Allow false, what is denied. Set distinguishes an empty allow list from
// none. Names of SystemCallFilter= may end in :errno.
type FilterList struct {
	Set   bool
	Allow bool
	Names []string
}

// Label is a security label; IgnoreFailure is the - prefix.
type Label struct {
	Label         string
	IgnoreFailure bool
}

// BindPath is one entry of BindPaths= or BindReadOnlyPaths=.
type BindPath struct {
	Source        string
	Destination   string
	ReadOnly      bool
	IgnoreMissing bool // - prefix
	Recursive     bool // rbind, the default
}

// TemporaryFileSystem is a path with tmpfs options.
type TemporaryFileSystem struct {
	Path    string
	Options string
}

// ImageOption is a mount option string for one partition of an image.
type ImageOption struct {
	Partition string
	Options   string
}

// MountImage is one MountImages= or ExtensionImages= entry; extensions have
// no Destination.
type MountImage struct {
	Source        string
	Destination   string
	IgnoreMissing bool
	Options       []ImageOption
}

// Credential is ID[:PATH] of LoadCredential=; Path is ID when it wasn't given.
type Credential struct {
	ID   string
	Path string
}

// CredentialData is ID:VALUE of SetCredential=.
type CredentialData struct {
	ID   string
	Data []byte
}

// ImportCredential is a glob and an optional new name.
type ImportCredential struct {
	Glob   string
	Rename string
}

// HasCredentials says whether a unit with it has a credentials directory.
func (s *Sandbox) HasCredentials() bool {
	return len(s.LoadCredential)+len(s.SetCredential)+len(s.ImportCredential)+len(s.LoadCredentialEncrypted)+len(s.SetCredentialEncrypted) > 0
}
