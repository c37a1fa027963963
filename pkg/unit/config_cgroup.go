package unit

import "net/netip"

// Limit is a size or count that may be given as a share of what the machine
// has: with Scale > 0 it is total*Scale/(2^32-1). Value then is that share of
// what the host had when the file was read, 0 if that wasn't known.
type Limit struct {
	Value uint64 // Infinity: no limit
	Scale uint32
}

// Resolve gives the value for a machine that has total.
func (l Limit) Resolve(total uint64) uint64 {
	if l.Scale == 0 {
		return l.Value
	}
	return mulDiv(total, uint64(l.Scale), 1<<32-1)
}

// Cgroup is the block of systemd.resource-control(5), shared by services,
// sockets, mounts, swaps, slices and scopes. Weights and shares are Infinity
// when unset; CPUWeight 0 is "idle".
type Cgroup struct {
	Slice string // "" is the default slice

	Delegate            bool
	DelegateControllers []string // with Delegate; nil and DelegateAll: every controller
	DelegateAll         bool
	DelegateSubgroup    string
	DisableControllers  []string

	CPUAccounting     Tristate
	MemoryAccounting  Tristate
	TasksAccounting   Tristate
	IOAccounting      Tristate
	IPAccounting      Tristate
	BlockIOAccounting Tristate // legacy

	CPUWeight                 uint64
	StartupCPUWeight          uint64
	CPUShares                 uint64 // legacy
	StartupCPUShares          uint64 // legacy
	CPUQuotaPerSecUSec        uint64 // µs of CPU time per second of wall time; Infinity: unset
	CPUQuotaPeriodUSec        uint64
	AllowedCPUs               []byte // bit mask as CPUAffinity
	StartupAllowedCPUs        []byte
	AllowedMemoryNodes        []byte
	StartupAllowedMemoryNodes []byte
	CPUSetPartition           string

	MemoryMin               Opt[Limit]
	MemoryLow               Opt[Limit]
	StartupMemoryLow        Opt[Limit]
	DefaultMemoryMin        Opt[Limit]
	DefaultMemoryLow        Opt[Limit]
	DefaultStartupMemoryLow Opt[Limit]
	MemoryHigh              Limit
	MemoryMax               Limit
	MemorySwapMax           Limit
	MemoryZSwapMax          Limit
	MemoryLimit             Limit // legacy
	StartupMemoryHigh       Opt[Limit]
	StartupMemoryMax        Opt[Limit]
	StartupMemorySwapMax    Opt[Limit]
	StartupMemoryZSwapMax   Opt[Limit]
	MemoryZSwapWriteback    bool
	TasksMax                Limit

	IOWeight                  uint64
	StartupIOWeight           uint64
	BlockIOWeight             uint64 // legacy
	StartupBlockIOWeight      uint64 // legacy
	IODeviceWeight            []DeviceValue
	IODeviceLatencyTargetUSec []DeviceValue
	IOReadBandwidthMax        []DeviceValue // bytes/s
	IOWriteBandwidthMax       []DeviceValue
	IOReadIOPSMax             []DeviceValue
	IOWriteIOPSMax            []DeviceValue
	BlockIODeviceWeight       []DeviceValue // legacy
	BlockIOReadBandwidth      []DeviceValue // legacy
	BlockIOWriteBandwidth     []DeviceValue // legacy

	DevicePolicy string // auto, closed, strict
	DeviceAllow  []DeviceRule

	IPAddressAllow            []netip.Prefix
	IPAddressDeny             []netip.Prefix
	IPIngressFilterPath       []string
	IPEgressFilterPath        []string
	BPFProgram                []BPFProgram
	SocketBindAllow           []SocketBindRule
	SocketBindDeny            []SocketBindRule
	RestrictNetworkInterfaces FilterList
	NFTSet                    []NFTSet
	BindNetworkInterface      string

	ManagedOOMSwap                       string // auto, kill
	ManagedOOMMemoryPressure             string // auto, kill
	ManagedOOMMemoryPressureLimit        uint32 // fraction of 2^32-1; 0: unset
	ManagedOOMMemoryPressureDurationUSec uint64 // Infinity: unset
	ManagedOOMPreference                 string // none, avoid, omit
	OOMRules                             []string

	MemoryPressureWatch         string // no, yes, auto, skip; "" is the manager's default
	CPUPressureWatch            string
	IOPressureWatch             string
	MemoryPressureThresholdUSec uint64 // Infinity: the manager's default
	CPUPressureThresholdUSec    uint64
	IOPressureThresholdUSec     uint64

	CoredumpReceive bool
}

// DeviceValue is a device node or path on a file system, and a weight, a
// rate or a time in µs.
type DeviceValue struct {
	Path  string
	Value uint64
}

// DeviceRule is one DeviceAllow= entry: a node, char-GLOB or block-GLOB, and
// letters of rwm.
type DeviceRule struct {
	Path   string
	Access string
}

// BPFProgram is one BPFProgram= entry: attach type and path of a pinned program.
type BPFProgram struct {
	AttachType string
	Path       string
}

// SocketBindRule is one SocketBindAllow=/SocketBindDeny= rule. Family is
// AF_INET, AF_INET6 or 0 for any, Protocol IPPROTO_TCP, IPPROTO_UDP or 0,
// Count 0 with Port 0 means every port.
type SocketBindRule struct {
	Family   int32
	Protocol int32
	Count    uint16
	Port     uint16
}

// NFTSet is one NFTSet= entry, with the numbers the bus uses. Source: 3
// cgroup, 4 user, 5 group. Family: NFPROTO_*.
type NFTSet struct {
	Source int32
	Family int32
	Table  string
	Set    string
}

// mulDiv is a*b/c without overflow in between; b is below 2^32 and c isn't 0.
func mulDiv(a, b, c uint64) uint64 {
	q, r := a/c, a%c
	return q*b + r*b/c
}
