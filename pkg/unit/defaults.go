package unit

import "github.com/muster-init/muster/pkg/unit/value"

// Defaults has one of each block as it is when no directive is set, under
// given manager settings. It is read-only once made and shared by all units.
type Defaults struct {
	Unit      UnitSection
	Service   Service
	Socket    Socket
	Timer     Timer
	Path      Path
	Mount     Mount
	Automount Automount
	Swap      Swap
	Scope     Scope
	Slice     Slice
	Exec      Exec
	Sandbox   Sandbox
	Kill      Kill
	Cgroup    Cgroup
	Install   Install

	// Slices have no limit of tasks unless set; what isn't a service shares the
	// session keyring.
	sliceCgroup Cgroup
	otherExec   Exec
}

// cgroupOf gives the resource control defaults of a type.
func (d *Defaults) cgroupOf(t Type) *Cgroup {
	if t == TypeSlice {
		return &d.sliceCgroup
	}
	return &d.Cgroup
}

// execOf gives the exec defaults of a type.
func (d *Defaults) execOf(t Type) *Exec {
	if t == TypeService || t == TypeInvalid {
		return &d.Exec
	}
	return &d.otherExec
}

// SetInheritedLimits tells the resource limits of the manager's own process,
// which are those of processes of units that set none; indexed like
// Exec.Limits. Only the bus shows them.
func (d *Defaults) SetInheritedLimits(limits [RLimitMax]value.Rlimit) {
	d.Exec.inherited, d.otherExec.inherited = &limits, &limits
}

// Signal numbers of defaults; they are the same on every architecture Go and
// systemd run on, except MIPS and Alpha, where neither is supported here.
const (
	sigHUP  = 1
	sigABRT = 6
	sigKILL = 9
	sigTERM = 15
)

const (
	unset32      = 1<<32 - 1
	usecPerSec   = 1000000
	secondUSec   = usecPerSec
	tasksMaxPct  = 15
	allBits      = 1<<64 - 1
	syslogDaemon = 3
	syslogInfo   = 6
)

var builtinDefaults = NewDefaults(DefaultManagerConfig(true))

// BuiltinDefaults gives the defaults of a system manager without any
// configuration.
func BuiltinDefaults() *Defaults { return builtinDefaults }

// NewDefaults derives the defaults of units from the manager's settings.
func NewDefaults(m *ManagerConfig) *Defaults {
	d := &Defaults{
		Unit: UnitSection{
			UnitActions: &UnitActions{
				OnFailureJobMode:        "replace",
				OnSuccessJobMode:        "fail",
				StartLimitAction:        "none",
				FailureAction:           "none",
				SuccessAction:           "none",
				JobTimeoutAction:        "none",
				CollectMode:             "inactive",
				JobTimeoutUSec:          Infinity,
				JobRunningTimeoutUSec:   Infinity,
				SuccessActionExitStatus: -1,
				FailureActionExitStatus: -1,
			},
			StartLimitIntervalUSec: m.DefaultStartLimitIntervalUSec,
			StartLimitBurst:        m.DefaultStartLimitBurst,
			DefaultDependencies:    true,
		},
		Service: defaultService(m),
		Socket:  defaultSocket(m),
		Timer: Timer{
			AccuracyUSec:      m.DefaultTimerAccuracyUSec,
			RemainAfterElapse: true,
		},
		Path:      Path{DirectoryMode: 0o755, TriggerLimitIntervalUSec: Infinity, TriggerLimitBurst: unset32},
		Mount:     Mount{DirectoryMode: 0o755, TimeoutUSec: m.DefaultTimeoutStartUSec},
		Automount: Automount{DirectoryMode: 0o755},
		Swap:      Swap{TimeoutUSec: m.DefaultTimeoutStartUSec},
		Scope: Scope{
			OOMPolicy:       m.DefaultOOMPolicy,
			TimeoutStopUSec: m.DefaultTimeoutStopUSec,
			RuntimeMaxUSec:  Infinity,
		},
		Slice:   Slice{ConcurrencyHardMax: unset32, ConcurrencySoftMax: unset32, ActivatingConcurrencyMax: unset32},
		Exec:    defaultExec(m),
		Sandbox: defaultSandbox(m),
		Kill: Kill{
			KillMode:        "control-group",
			KillSignal:      sigTERM,
			FinalKillSignal: sigKILL,
			WatchdogSignal:  sigABRT,
			SendSIGKILL:     true,
		},
		Cgroup: defaultCgroup(m),
	}
	d.sliceCgroup, d.otherExec = d.Cgroup, d.Exec
	d.sliceCgroup.TasksMax = Limit{Value: Infinity}
	if m.System {
		d.otherExec.KeyringMode = "shared"
	}
	return d
}

func defaultService(m *ManagerConfig) Service {
	return Service{
		ServiceCommands: &ServiceCommands{},
		ServiceSettings: &ServiceSettings{
			Restart:          "no",
			NotifyAccess:     "none",
			OOMPolicy:        m.DefaultOOMPolicy,
			TimeoutStartUSec: m.DefaultTimeoutStartUSec,
			TimeoutStopUSec:  m.DefaultTimeoutStopUSec,
			TimeoutAbortUSec: m.DefaultTimeoutAbortUSec,
			TimeoutAbortSet:  m.DefaultTimeoutAbortSet,
			RestartUSec:      m.DefaultRestartUSec,
			GuessMainPID:     true,
		},
		ServiceExtra: &ServiceExtra{
			ExitType:                    "main",
			RestartMode:                 "normal",
			FileDescriptorStorePreserve: "restart",
			TimeoutStartFailureMode:     "terminate",
			TimeoutStopFailureMode:      "terminate",
			RestartMaxDelayUSec:         Infinity,
			RuntimeMaxUSec:              Infinity,
			ReloadSignal:                sigHUP,
		},
	}
}

func defaultSocket(m *ManagerConfig) Socket {
	return Socket{
		SocketMode:               0o666,
		DirectoryMode:            0o755,
		BindIPv6Only:             "default",
		Backlog:                  1<<31 - 1,
		MaxConnections:           64,
		Priority:                 -1,
		Mark:                     -1,
		IPTOS:                    -1,
		IPTTL:                    -1,
		Timestamping:             "off",
		TriggerLimitIntervalUSec: Infinity,
		TriggerLimitBurst:        unset32,
		PollLimitIntervalUSec:    Infinity,
		PollLimitBurst:           unset32,
		DeferTrigger:             "no",
		AcceptFileDescriptors:    true,
		DeferTriggerMaxUSec:      Infinity,
		TimeoutUSec:              m.DefaultTimeoutStartUSec,
	}
}

func defaultExec(m *ManagerConfig) Exec {
	dir := Directory{Mode: 0o755}
	e := Exec{
		StandardInput:            Stdio{Kind: "null"},
		StandardOutput:           Stdio{Kind: m.DefaultStandardOutput},
		StandardError:            Stdio{Kind: m.DefaultStandardError},
		TTYRows:                  unset32,
		TTYColumns:               unset32,
		SyslogFacility:           syslogDaemon,
		SyslogLevel:              syslogInfo,
		SyslogLevelPrefix:        true,
		IOSchedulingPriority:     ioPriorityNormal,
		LogLevelMax:              -1,
		NUMAPolicy:               -1,
		TimerSlackNSec:           Infinity,
		UMask:                    0o022,
		TimeoutCleanUSec:         Infinity,
		IgnoreSIGPIPE:            true,
		RuntimeDirectory:         dir,
		StateDirectory:           dir,
		CacheDirectory:           dir,
		LogsDirectory:            dir,
		ConfigurationDirectory:   dir,
		RuntimeDirectoryPreserve: "no",
		UtmpMode:                 "init",
		KeyringMode:              "private",
		CapabilityBoundingSet:    allBits,
		Limits:                   m.DefaultLimits,
	}
	if !m.System {
		e.KeyringMode = "inherit"
	}
	if m.DefaultOOMScoreAdjust.Set {
		e.OOMScoreAdjust = m.DefaultOOMScoreAdjust
	}
	return e
}

func defaultSandbox(m *ManagerConfig) Sandbox {
	s := Sandbox{
		PrivateTmp:            "no",
		PrivateUsers:          "no",
		PrivatePIDs:           "no",
		PrivateBPF:            "no",
		ProtectHome:           "no",
		ProtectSystem:         "no",
		ProtectProc:           "default",
		ProcSubset:            "all",
		ProtectControlGroups:  "no",
		ProtectHostname:       "no",
		MemoryTHP:             "inherit",
		RestrictSUIDSGID:      m.DefaultRestrictSUIDSGID,
		RestrictNamespaces:    allBits,
		SystemCallErrorNumber: SyscallKill,
		RootImagePolicy:       defaultImagePolicy,
		MountImagePolicy:      defaultImagePolicy,
		ExtensionImagePolicy:  defaultImagePolicy,
		DelegateNamespaces:    allBits,
	}
	if m.DefaultSmackProcessLabel != "" {
		s.SmackProcessLabel = Label{Label: m.DefaultSmackProcessLabel}
	}
	return s
}

// defaultImagePolicy is what systemd allows of the partitions of an image when
// nothing is said (systemd.image-policy(7)).
const defaultImagePolicy = "root=verity+signed+encrypted+unprotected+absent:usr=verity+signed+encrypted+unprotected+absent:" +
	"home=encrypted+unprotected+absent:srv=encrypted+unprotected+absent:tmp=encrypted+unprotected+absent:" +
	"var=encrypted+unprotected+absent"

func defaultCgroup(m *ManagerConfig) Cgroup {
	unlimited := Limit{Value: Infinity}
	return Cgroup{
		CPUAccounting:                        m.DefaultCPUAccounting,
		MemoryAccounting:                     m.DefaultMemoryAccounting,
		TasksAccounting:                      m.DefaultTasksAccounting,
		IOAccounting:                         m.DefaultIOAccounting,
		IPAccounting:                         m.DefaultIPAccounting,
		BlockIOAccounting:                    m.DefaultBlockIOAccounting,
		CPUWeight:                            Infinity,
		StartupCPUWeight:                     Infinity,
		CPUShares:                            Infinity,
		StartupCPUShares:                     Infinity,
		CPUQuotaPerSecUSec:                   Infinity,
		CPUQuotaPeriodUSec:                   Infinity,
		CPUSetPartition:                      "member",
		MemoryHigh:                           unlimited,
		MemoryMax:                            unlimited,
		MemorySwapMax:                        unlimited,
		MemoryZSwapMax:                       unlimited,
		MemoryLimit:                          unlimited,
		MemoryZSwapWriteback:                 m.DefaultMemoryZSwapWriteback,
		TasksMax:                             m.DefaultTasksMax,
		IOWeight:                             Infinity,
		StartupIOWeight:                      Infinity,
		BlockIOWeight:                        Infinity,
		StartupBlockIOWeight:                 Infinity,
		DevicePolicy:                         "auto",
		ManagedOOMSwap:                       "auto",
		ManagedOOMMemoryPressure:             "auto",
		ManagedOOMMemoryPressureDurationUSec: Infinity,
		ManagedOOMPreference:                 "none",
		MemoryPressureWatch:                  m.DefaultMemoryPressureWatch,
		CPUPressureWatch:                     m.DefaultCPUPressureWatch,
		IOPressureWatch:                      m.DefaultIOPressureWatch,
		MemoryPressureThresholdUSec:          m.DefaultMemoryPressureThresholdUSec,
		CPUPressureThresholdUSec:             m.DefaultCPUPressureThresholdUSec,
		IOPressureThresholdUSec:              m.DefaultIOPressureThresholdUSec,
	}
}
