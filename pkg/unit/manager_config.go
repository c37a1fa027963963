package unit

import "github.com/muster-init/muster/pkg/unit/value"

// ManagerConfig is system.conf or user.conf with its drop-ins
// (systemd-system.conf(5)). It is parsed with the rows of section [Manager]
// of the directive table.
type ManagerConfig struct {
	System bool // system.conf, not user.conf

	LogLevel                       int32
	LogTarget                      string
	LogColor                       Tristate
	LogLocation                    bool
	LogTime                        bool
	ShowStatus                     string // no, error, auto, temporary, yes; "" unset
	StatusUnitFormat               string // name, description, combined
	DegradedPolicy                 string // fail, warn: what a start does that asks for protection which can't be had here
	DumpCore                       bool
	CrashAction                    string // freeze, reboot, poweroff
	CrashChangeVT                  int32  // -1: off, 0: kernel's choice
	CrashShell                     bool
	CtrlAltDelBurstAction          string
	DefaultEnvironment             []string
	ManagerEnvironment             []string
	TimerSlackNSec                 uint64
	CapabilityBoundingSet          uint64
	NoNewPrivileges                bool
	ProtectSystem                  string // auto, yes, no
	SystemCallArchitectures        []string
	CPUAffinity                    []byte
	CPUAffinityFromNUMA            bool
	NUMAPolicy                     int32
	NUMAMask                       []byte
	RuntimeWatchdogUSec            uint64 // 0 off, Infinity the device's own
	RuntimeWatchdogPreUSec         uint64
	RuntimeWatchdogPreGovernor     string
	RebootWatchdogUSec             uint64
	KExecWatchdogUSec              uint64
	WatchdogDevice                 string
	ReloadLimitIntervalUSec        uint64
	ReloadLimitBurst               uint32
	EventLoopRateLimitIntervalUSec uint64
	EventLoopRateLimitBurst        uint32
	MinimumUptimeUSec              uint64
	RestrictFileSystemAccess       string

	DefaultTimerAccuracyUSec           uint64
	DefaultStandardOutput              string
	DefaultStandardError               string
	DefaultTimeoutStartUSec            uint64
	DefaultTimeoutStopUSec             uint64
	DefaultTimeoutAbortUSec            uint64
	DefaultTimeoutAbortSet             bool
	DefaultDeviceTimeoutUSec           uint64
	DefaultRestartUSec                 uint64
	DefaultStartLimitIntervalUSec      uint64
	DefaultStartLimitBurst             uint32
	DefaultCPUAccounting               Tristate
	DefaultMemoryAccounting            Tristate
	DefaultTasksAccounting             Tristate
	DefaultIOAccounting                Tristate
	DefaultIPAccounting                Tristate
	DefaultBlockIOAccounting           Tristate
	DefaultTasksMax                    Limit
	DefaultLimits                      [RLimitMax]*value.Rlimit
	DefaultOOMPolicy                   string
	DefaultOOMScoreAdjust              Opt[int32]
	DefaultMemoryPressureWatch         string
	DefaultMemoryPressureThresholdUSec uint64
	DefaultCPUPressureWatch            string
	DefaultCPUPressureThresholdUSec    uint64
	DefaultIOPressureWatch             string
	DefaultIOPressureThresholdUSec     uint64
	DefaultMemoryZSwapWriteback        bool
	DefaultRestrictSUIDSGID            bool
	DefaultSmackProcessLabel           string
}

// DefaultManagerConfig is what holds when no file says anything; system says
// whether for PID 1 or a user manager.
func DefaultManagerConfig(system bool) *ManagerConfig {
	const defaultTimeoutUSec = 90 * usecPerSec
	m := &ManagerConfig{
		System:                             system,
		LogLevel:                           syslogInfo,
		LogTarget:                          "journal-or-kmsg",
		StatusUnitFormat:                   "combined",
		DegradedPolicy:                     "fail",
		DumpCore:                           true,
		CrashAction:                        "freeze",
		CrashChangeVT:                      -1,
		CtrlAltDelBurstAction:              "reboot-force",
		TimerSlackNSec:                     Infinity,
		CapabilityBoundingSet:              allBits,
		ProtectSystem:                      "auto",
		NUMAPolicy:                         -1,
		RebootWatchdogUSec:                 10 * 60 * usecPerSec,
		ReloadLimitIntervalUSec:            0,
		EventLoopRateLimitIntervalUSec:     1 * usecPerSec,
		EventLoopRateLimitBurst:            50000,
		DefaultTimerAccuracyUSec:           60 * usecPerSec,
		DefaultStandardOutput:              "journal",
		DefaultStandardError:               "inherit",
		DefaultTimeoutStartUSec:            defaultTimeoutUSec,
		DefaultTimeoutStopUSec:             defaultTimeoutUSec,
		DefaultTimeoutAbortUSec:            defaultTimeoutUSec,
		DefaultDeviceTimeoutUSec:           defaultTimeoutUSec,
		DefaultRestartUSec:                 100 * 1000,
		DefaultStartLimitIntervalUSec:      10 * usecPerSec,
		DefaultStartLimitBurst:             5,
		DefaultCPUAccounting:               Yes,
		DefaultMemoryAccounting:            Yes,
		DefaultTasksAccounting:             Yes,
		DefaultTasksMax:                    Limit{Scale: uint32(uint64(1<<32-1) * tasksMaxPct / 100)},
		DefaultOOMPolicy:                   "stop",
		DefaultMemoryPressureWatch:         "auto",
		DefaultMemoryPressureThresholdUSec: 200 * 1000,
		DefaultCPUPressureWatch:            "auto",
		DefaultCPUPressureThresholdUSec:    200 * 1000,
		DefaultIOPressureWatch:             "auto",
		DefaultIOPressureThresholdUSec:     200 * 1000,
		DefaultMemoryZSwapWriteback:        true,
	}
	return m
}

// ResolveShares fills in what percentages of the settings are of: tasksTotal
// is the most tasks the kernel allows. Call it before NewDefaults.
func (m *ManagerConfig) ResolveShares(tasksTotal uint64) {
	if m.DefaultTasksMax.Scale != 0 {
		m.DefaultTasksMax.Value = m.DefaultTasksMax.Resolve(tasksTotal)
	}
}
