package unit

import "github.com/muster-init/muster/pkg/unit/value"

// Socket is the [Socket] section without the shared blocks
// (systemd.socket(5)).
type Socket struct {
	Listen      []Listen
	Accept      bool
	Service     string // "" is the service of the same name
	Symlinks    []string
	SocketUser  string
	SocketGroup string

	SocketMode     uint32
	DirectoryMode  uint32
	BindIPv6Only   string // default, both, ipv6-only
	BindToDevice   string
	SocketProtocol int32 // IPPROTO_*; 0: unset
	Backlog        uint32

	MaxConnections          uint32
	MaxConnectionsPerSource uint32
	KeepAliveProbes         uint32
	KeepAliveTimeUSec       uint64
	KeepAliveIntervalUSec   uint64
	DeferAcceptUSec         uint64
	Priority                int32 // -1: unset
	Mark                    int32
	IPTOS                   int32
	IPTTL                   int32
	PipeSize                uint64
	ReceiveBuffer           uint64
	SendBuffer              uint64
	MessageQueueMaxMessages int64
	MessageQueueMessageSize int64
	TCPCongestion           string
	Timestamping            string // off, us, ns
	SmackLabel              string
	SmackLabelIPIn          string
	SmackLabelIPOut         string
	FileDescriptorName      string

	TriggerLimitIntervalUSec uint64 // Infinity: by Accept=
	TriggerLimitBurst        uint32 // 2^32-1: by Accept=
	PollLimitIntervalUSec    uint64
	PollLimitBurst           uint32
	DeferTrigger             string // no, yes, patient
	DeferTriggerMaxUSec      uint64
	TimeoutUSec              uint64
	XAttrEntryPoint          []string
	XAttrListen              []string
	XAttrAccept              []string

	ExecStartPre  []value.Command
	ExecStartPost []value.Command
	ExecStopPre   []value.Command
	ExecStopPost  []value.Command

	KeepAlive                 bool
	NoDelay                   bool
	FreeBind                  bool
	Transparent               bool
	Broadcast                 bool
	PassCredentials           bool
	PassPIDFD                 bool
	PassSecurity              bool
	PassPacketInfo            bool
	AcceptFileDescriptors     bool
	ReusePort                 bool
	RemoveOnStop              bool
	Writable                  bool
	FlushPending              bool
	PassFileDescriptorsToExec bool
	SELinuxContextFromNet     bool
}

// Listen is one Listen…= line. Kind is the word of the bus: Stream, Datagram,
// SequentialPacket, Netlink, FIFO, Special, MessageQueue, USBFunction.
type Listen struct {
	Kind    string
	Address string
}

// Timer is the [Timer] section (systemd.timer(5)).
type Timer struct {
	Timers               []TimerSpec
	Unit                 string // "" is the service of the same name
	AccuracyUSec         uint64
	RandomizedDelayUSec  uint64
	RandomizedOffsetUSec uint64
	OnClockChange        bool
	OnTimezoneChange     bool
	Persistent           bool
	WakeSystem           bool
	RemainAfterElapse    bool
	FixedRandomDelay     bool
	DeferReactivation    bool
}

// TimerSpec is one On…= line: Base is Active, Boot, Startup, UnitActive,
// UnitInactive or Calendar. Calendar holds the normalised expression of the
// last, USec the span of the others.
type TimerSpec struct {
	Base     string
	USec     uint64
	Calendar string
}

// Path is the [Path] section (systemd.path(5)).
type Path struct {
	Paths                    []PathSpec
	Unit                     string // "" is the service of the same name
	MakeDirectory            bool
	DirectoryMode            uint32
	TriggerLimitIntervalUSec uint64 // Infinity: default
	TriggerLimitBurst        uint32 // 2^32-1: default
}

// PathSpec is one watched path; Type is the directive: PathExists,
// PathExistsGlob, PathChanged, PathModified, DirectoryNotEmpty.
type PathSpec struct {
	Type string
	Path string
}

// Mount is the [Mount] section (systemd.mount(5)).
type Mount struct {
	What          string
	Where         string
	Type          string
	Options       string
	DirectoryMode uint32
	TimeoutUSec   uint64
	SloppyOptions bool
	LazyUnmount   bool
	ForceUnmount  bool
	ReadWriteOnly bool
}

// Automount is the [Automount] section (systemd.automount(5)).
type Automount struct {
	Where           string
	ExtraOptions    string
	DirectoryMode   uint32
	TimeoutIdleUSec uint64 // 0 and Infinity: never
}

// Swap is the [Swap] section (systemd.swap(5)).
type Swap struct {
	What        string
	Options     string
	Priority    Opt[int32]
	TimeoutUSec uint64
}
