package plan

// Sandbox is what confines the process beyond its credentials. It exists only
// when a mount, network, IPC, UTS or user namespace is needed.
type Sandbox struct {
	ReadWritePaths    []PathRule
	ReadOnlyPaths     []PathRule
	InaccessiblePaths []PathRule
	ExecPaths         []PathRule
	NoExecPaths       []PathRule
	Binds             []Bind
	Tmpfs             []Tmpfs

	MountNamespace   bool
	MountSettings    string // what the mount namespace is for, "PrivateTmp=, ProtectSystem=", for messages
	FailDegraded     bool   // DegradedPolicy=fail: where a namespace is forbidden the start fails
	MountPropagation uint64 // MS_SHARED, MS_SLAVE, MS_PRIVATE at the end
	PrivateTmp       string // no, yes, disconnected
	PrivateDevices   bool
	PrivateNetwork   bool
	PrivateIPC       bool
	PrivateUsers     string // no, self, identity, full
	UsersPath        string // UserNamespacePath=
	Delegated        uint64 // CLONE_NEW… that belong to the user namespace
	PrivatePIDs      bool
	PrivateBPF       bool
	BPFOptions       []MountOption // what the file system of PrivateBPF= delegates
	PressurePath     string        // stays writable in control groups that aren't: memory.pressure of the unit
	NetworkPath      string
	IPCPath          string
	// The pairs of sockets that keep the namespaces of PrivateNetwork= and PrivateIPC= for all processes of the unit; 0: none.
	NetStore, IPCStore [2]int32

	ProtectSystem         string // no, yes, full, strict
	ProtectHome           string // no, yes, read-only, tmpfs
	ProtectControlGroups  string // no, yes
	ProtectHostname       string // no, yes, private
	Hostname              string
	ProtectProc           string
	ProcSubset            string
	ProtectKernelTunables bool
	ProtectKernelModules  bool
	ProtectKernelLogs     bool
	MountAPIVFS           bool
	BindLogSockets        bool
	TmpDirs               [2]string // what is mounted at /tmp and /var/tmp for PrivateTmp=yes

	FileSystems *FileSystems // RestrictFileSystems=, nil for all

	RootImage            *Image
	RootMStack           *Image // of which only Path, Policy and VerityHelper count
	EphemeralDir         string // RootEphemeral=: where the copy of the root is made, "" none
	MountImages          []Image
	ExtensionImages      []Image
	ExtensionDirectories []PathRule
}

// MountOption is one option of a file system, and the setting that it is of.
type MountOption struct{ Name, Value, Setting string }

// FileSystems are those that files may be opened on, or with Allow false may not, by their magic numbers.
type FileSystems struct {
	Allow     bool
	Magic     []uint32
	CgroupDir string // of the unit, "" if there is none
}

// Image is a disk image to mount.
type Image struct {
	Path, Destination string
	IgnoreMissing     bool
	ReadOnly          bool
	Policy            string // systemd.image-policy(7)
	Options           []ImageOption
	// What is known for dm-verity, beyond what is found beside the image.
	RootHash, Signature         []byte
	RootHashPath, SignaturePath string
	HashTree                    string
	VerityHelper                string // path of muster-verity
}

// ImageOption are mount options for one partition of an image.
type ImageOption struct{ Partition, Options string }

// PathRule is a path of ReadWritePaths= and its like.
type PathRule struct {
	Path          string
	IgnoreMissing bool // "-"
	RootPrefixed  bool // "+": below RootDirectory=
}

// Bind is one BindPaths= or BindReadOnlyPaths=.
type Bind struct {
	Source, Destination string
	ReadOnly            bool
	IgnoreMissing       bool
	Recursive           bool
}

// Tmpfs is one TemporaryFileSystem=.
type Tmpfs struct {
	Path    string
	Options string
}
