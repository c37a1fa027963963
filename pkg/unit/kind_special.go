package unit

import (
	"strings"

	"github.com/muster-init/muster/pkg/unit/value"
)

// Notes of rows that have no effect yet.
const (
	cgroupNote  = "isn't written to the control group yet"
	laterNote   = "the unit type comes with the next issue"
	bpfNote     = "needs BPF programs, which come in a later issue"
	managerNote = "read into ManagerConfig; each takes effect with its part of the manager"
)

// hidden is for properties that answer when asked by name but aren't listed.
func hidden(r *Row) { r.Hidden = true }

// alias is for an old name of another directive.
func alias(r *Row) {
	r.Alias = true
	if !r.Hidden {
		r.Prop = ""
	}
}

// noBus is a kind without its properties.
func noBus[T any](k *kind[T]) *kind[T] {
	return &kind[T]{name: k.name, parse: k.parse, format: k.format}
}

// one1 is a list of one form.
func one1[T any](f form[T]) []form[T] { return []form[T]{f} }

var (
	kTristateNo    = kTristate(false)
	kTristateYes   = kTristate(true)
	kTristateNoBus = noBus(kTristateNo)
	kSecNoBus      = noBus(kSec)
	kUint32NoBus   = noBus(kUint32)

	kExec      = kCommands(false)
	kExecPlain = kCommands(true)

	kCapabilitiesNoBus  = noBus(kCapabilities(allBits))
	kNUMAPolicyNoBus    = noBus(kNUMAPolicy)
	kNUMAMaskNoBus      = noBus(kNUMAMask)
	kArchitecturesNoBus = noBus(kArchitectures)
	kEnvironmentNoBus   = noBus(kEnvironment)
)

// busEnum is a word shown and set as it is.
var busEnum = form[string]{sig: "s", write: busString.write,
	read: func(r BusReader, _ *string) ([]string, error) { return one(r.String()) }}

// kPrivateTmp is PrivateTmp=, whose "yes" the newer property calls connected.
var kPrivateTmp = kBoolEnum([]form[string]{busBoolEx[0], {suffix: "Ex", sig: "s",
	write: func(w BusWriter, v *string) {
		if *v == "yes" {
			w.String("connected")
			return
		}
		w.String(*v)
	},
	read: busEnum.read}}, "no", "yes", "disconnected", "connected>yes")

// kAccounting is a boolean that follows the manager's default until it is set.
var kAccounting = required(kTristateNo)

// kTimestamping is Timestamping=, where yes is ns.
var kTimestamping = simple("off, us or ns", func(c *Context, s string) (string, error) {
	if b, err := value.ParseBool(s); err == nil {
		if b {
			return "ns", nil
		}
		return "off", nil
	}
	return enumParser([]string{"off", "us", "ns", "usec>us", "µs>us", "nsec>ns"})(c, s)
}, same, busEnum)

// kBindIPv6 is BindIPv6Only=, where yes is ipv6-only.
var kBindIPv6 = simple("default, both or ipv6-only", func(c *Context, s string) (string, error) {
	if b, err := value.ParseBool(s); err == nil {
		if b {
			return "ipv6-only", nil
		}
		return "both", nil
	}
	return enumParser([]string{"default", "both", "ipv6-only"})(c, s)
}, same, busEnum)

// kOOMDuration is at least a second and not without end; empty text is the
// default of systemd-oomd.
var kOOMDuration = resets(usecKind("time span from 1s", func(s string) (value.USec, error) {
	v, err := parseSecPlain(s)
	if err == nil && (v < value.USecPerSec || v == value.Infinity) {
		err = errText("time span ", quoted(s), " is out of range")
	}
	return v, err
}), Infinity)

// kTriggered is the unit a timer or path activates, which can't be itself.
var kTriggered = func() *kind[string] {
	k := required(kUnitName(TypeInvalid))
	base := k.parse
	k.parse = func(c *Context, cur *string, text string) error {
		var name string
		if err := base(c, &name, text); err != nil {
			return err
		}
		if name == c.Unit.Name {
			return errText("unit can't activate itself")
		}
		*cur = name
		return nil
	}
	return k
}()

// kWatch is one of the pressure watch settings.
var kWatch = kBoolEnum(one1(busEnum), "auto", "no", "yes", "skip")

// kAutoBool is a boolean or "auto", without a property.
var kAutoBool = kBoolEnum(nil, "auto", "no", "yes")

// kAction is what the machine does on an event (systemd.unit(5),
// FailureAction=).
var kAction = kEnum("none", "reboot", "reboot-force", "reboot-immediate", "poweroff", "poweroff-force",
	"poweroff-immediate", "exit", "exit-force", "soft-reboot", "soft-reboot-force", "kexec", "kexec-force",
	"halt", "halt-force", "halt-immediate")

// kRebootArgument is text without anything but ASCII, as reboot(2) takes it.
var kRebootArgument = kChecked("reboot argument", func(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return value.TextIsValid(s)
}, false)

// kJobMode is a job mode as settings take it.
var kJobMode = kEnum("fail", "replace", "replace-irreversibly", "isolate", "flush", "ignore-dependencies",
	"ignore-requirements", "triggering", "restart-dependencies", "lenient")

// kIsolateBool is OnFailureIsolate=, which sets a job mode.
var kIsolateBool = simple("boolean", func(_ *Context, s string) (string, error) {
	b, err := value.ParseBool(s)
	if b {
		return "isolate", err
	}
	return "replace", err
}, func(v string) string { return value.FormatBool(v == "isolate") })

// unitTime is a time of UnitActions that also sets others.
func unitTime(name string, get func(u *UnitActions) uint64, set func(u *UnitActions, v uint64)) *kind[UnitActions] {
	return &kind[UnitActions]{
		name: name,
		parse: func(_ *Context, u *UnitActions, text string) error {
			v, err := value.ParseSecFixZero(text)
			if err == nil {
				set(u, uint64(v))
			}
			return err
		},
		format: func(u *UnitActions) []string { return []string{formatUSec(get(u))} },
		bus: []form[UnitActions]{{sig: "t",
			write: func(w BusWriter, u *UnitActions) { w.Uint64(get(u)) },
			read:  func(r BusReader, _ *UnitActions) ([]string, error) { return one(formatUSec(r.Uint64())) }}},
	}
}

var kJobTimeout = unitTime("time span, 0 for none", func(u *UnitActions) uint64 { return u.JobTimeoutUSec },
	func(u *UnitActions, v uint64) {
		u.JobTimeoutUSec = v
		if !u.JobRunningTimeoutSet {
			u.JobRunningTimeoutUSec = v
		}
	})

var kJobRunningTimeout = unitTime("time span, 0 for none", func(u *UnitActions) uint64 { return u.JobRunningTimeoutUSec },
	func(u *UnitActions, v uint64) { u.JobRunningTimeoutUSec, u.JobRunningTimeoutSet = v, true })

// kRawInstance is DefaultInstance=, checked once its specifiers are expanded
// by whoever installs or loads the template.
var kRawInstance = simple("instance", func(c *Context, s string) (string, error) {
	if s == "" {
		return "", nil
	}
	expanded, err := c.expandName(s)
	if err == nil && !ValidInstance(expanded) {
		err = errText("instance ", quoted(expanded), " is not valid")
	}
	return strings.Clone(expanded), err
}, same)

// serviceTime is a time of Service that also sets flags.
func serviceTime(resetsOnEmpty bool, parse func(s string) (value.USec, error), get func(b *Service) uint64, set func(b *Service, v uint64, empty bool)) *kind[Service] {
	return &kind[Service]{
		name: "time span",
		parse: func(_ *Context, b *Service, text string) error {
			if text == "" && resetsOnEmpty {
				set(b, 0, true)
				return nil
			}
			v, err := parse(text)
			if err == nil {
				set(b, uint64(v), false)
			}
			return err
		},
		format: func(b *Service) []string { return []string{formatUSec(get(b))} },
		bus: []form[Service]{{sig: "t",
			write: func(w BusWriter, b *Service) { w.Uint64(get(b)) },
			read:  func(r BusReader, _ *Service) ([]string, error) { return one(formatUSec(r.Uint64())) }}},
	}
}

func parseSecPlain(s string) (value.USec, error) { return value.ParseSec(s, value.USecPerSec) }

var kTimeoutStart = serviceTime(false, value.ParseSecFixZero, func(b *Service) uint64 { return b.TimeoutStartUSec },
	func(b *Service, v uint64, _ bool) { b.TimeoutStartUSec, b.TimeoutStartSet = v, true })

var kTimeoutBoth = noBus(serviceTime(false, value.ParseSecFixZero, func(b *Service) uint64 { return b.TimeoutStartUSec },
	func(b *Service, v uint64, _ bool) {
		b.TimeoutStartUSec, b.TimeoutStopUSec, b.TimeoutStartSet = v, v, true
	}))

// AbortTimeoutUSec is the timeout that holds after a watchdog abort.
func (b *Service) AbortTimeoutUSec() uint64 {
	if b.TimeoutAbortSet {
		return b.TimeoutAbortUSec
	}
	return b.TimeoutStopUSec
}

var kTimeoutAbort = serviceTime(true, parseSecPlain, (*Service).AbortTimeoutUSec, func(b *Service, v uint64, empty bool) {
	b.TimeoutAbortUSec, b.TimeoutAbortSet = v, !empty
})

var kDefaultTimeoutAbort = &kind[ManagerConfig]{
	name: "time span",
	parse: func(_ *Context, m *ManagerConfig, text string) error {
		if text == "" {
			m.DefaultTimeoutAbortSet = false
			return nil
		}
		v, err := parseSecPlain(text)
		if err == nil {
			m.DefaultTimeoutAbortUSec, m.DefaultTimeoutAbortSet = uint64(v), true
		}
		return err
	},
	format: func(m *ManagerConfig) []string { return []string{formatUSec(m.abortTimeout())} },
	bus: []form[ManagerConfig]{{sig: "t",
		write: func(w BusWriter, m *ManagerConfig) { w.Uint64(m.abortTimeout()) }}},
}

func (m *ManagerConfig) abortTimeout() uint64 {
	if m.DefaultTimeoutAbortSet {
		return m.DefaultTimeoutAbortUSec
	}
	return m.DefaultTimeoutStopUSec
}

// kNotifyAccess is NotifyAccess=.
var kNotifyAccess = func() *kind[Service] {
	word := kEnum("none", "main", "exec", "all")
	return &kind[Service]{
		name: word.name,
		parse: func(c *Context, b *Service, text string) error {
			err := word.parse(c, &b.NotifyAccess, text)
			b.NotifyAccessSet = b.NotifyAccessSet || err == nil
			return err
		},
		format: func(b *Service) []string { return []string{b.NotifyAccess} },
		bus: []form[Service]{{sig: "s",
			write: func(w BusWriter, b *Service) { w.String(b.NotifyAccess) },
			read:  func(r BusReader, _ *Service) ([]string, error) { return one(r.String()) }}},
	}
}()

// kRestartKillSignal is RestartKillSignal=, which falls back to KillSignal=.
var kRestartKillSignal = &kind[Kill]{
	name: kSignalOptional.name,
	parse: func(c *Context, k *Kill, text string) error {
		return kSignal.parse(c, &k.RestartKillSignal, text)
	},
	format: func(k *Kill) []string { return []string{formatSignal(k.RestartKillSignal)} },
	bus: []form[Kill]{{sig: "i",
		write: func(w BusWriter, k *Kill) { w.Int32(k.RestartSignal()) },
		read:  func(r BusReader, _ *Kill) ([]string, error) { return one(formatSignal(r.Int32())) }}},
}

// RestartSignal is the first signal of a stop that is part of a restart.
func (k *Kill) RestartSignal() int32 {
	if k.RestartKillSignal != 0 {
		return k.RestartKillSignal
	}
	return k.KillSignal
}

// patchVarRun moves paths below the old /var/run/ to /run/.
func (c *Context) patchVarRun(path string) string {
	rest, ok := strings.CutPrefix(path, "/var/run/")
	if !ok {
		return path
	}
	c.say(LevelNotice, c.row.Name+"= path "+quoted(path)+" is below the old directory /var/run/, /run/"+rest+" is used")
	return "/run/" + rest
}

// kPIDFile is PIDFile=; relative paths are below the runtime directory.
var kPIDFile = simple("path", func(c *Context, s string) (string, error) {
	if s == "" {
		return "", nil
	}
	s, err := c.expand(s)
	if err != nil {
		return "", err
	}
	if !value.PathIsAbsolute(s) {
		root := "/run"
		if c.Host != nil && c.Host.Specifiers != nil && c.Host.Specifiers.RuntimeRoot != "" {
			root = c.Host.Specifiers.RuntimeRoot
		}
		s = root + "/" + s
	}
	s, err = value.ParsePath(s, value.PathAbsolute|value.PathKeepDots)
	if err != nil {
		return "", err
	}
	if onAPIFileSystem(s) {
		return "", errText("path ", quoted(s), " is on a file system of the kernel")
	}
	return strings.Clone(c.patchVarRun(s)), nil
}, plainString, busString)

// onAPIFileSystem says whether a path is below /dev, /proc or /sys, where no
// service makes files.
func onAPIFileSystem(path string) bool {
	for _, dir := range [...]string{"/dev/", "/proc/", "/sys/"} {
		if strings.HasPrefix(path, dir) {
			return true
		}
	}
	return false
}

// busNameValid is the rule for well-known names of the D-Bus specification.
func busNameValid(s string) bool {
	const longest = 255
	if s == "" || len(s) > longest || s[0] == '.' || s[0] == ':' || strings.IndexByte(s, '.') < 0 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || label[0] >= '0' && label[0] <= '9' ||
			!onlyChars(label, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") {
			return false
		}
	}
	return true
}

// subgroupValid is the rule for names of control groups below a unit's own.
func subgroupValid(s string) bool {
	return value.FilenameIsValid(s) && value.TextIsValid(s) && !strings.HasPrefix(s, "cgroup.") && s != "release_agent"
}

// kRefreshOnReload is a boolean or a list of what is refreshed.
var kRefreshOnReload = &kind[[]string]{
	name: "boolean or list of extensions, credentials",
	parse: func(c *Context, cur *[]string, text string) error {
		all := []string{"extensions", "credentials"}
		if b, err := value.ParseBool(text); err == nil || text == "" {
			*cur = nil
			if b {
				*cur = all
			}
			return nil
		}
		rest, invert := strings.CutPrefix(text, "~")
		list, err := words(c, rest, value.WordUnquote, enumCheck(all))
		if invert && *cur == nil {
			*cur = all
		}
		for _, w := range list {
			if invert {
				*cur = dropName(*cur, w)
			} else {
				*cur = addName(*cur, w)
			}
		}
		return partial(err)
	},
	format: func(v *[]string) []string {
		if len(*v) == 0 {
			return []string{"no"}
		}
		return []string{strings.Join(*v, " ")}
	},
	bus: []form[[]string]{{sig: "as", write: busStrings.write,
		read: func(r BusReader, _ *[]string) ([]string, error) {
			return []string{"", strings.Join(readStrings(r), " ")}, nil
		}}},
}

func enumCheck(known []string) func(s string) (string, error) {
	return func(s string) (string, error) {
		for _, k := range known {
			if k == s {
				return k, nil
			}
		}
		return "", errText("value ", quoted(s), " is none of ", strings.Join(known, ", "))
	}
}

// kCountMax is a number or infinity.
var kCountMax = simple("number or infinity", func(_ *Context, s string) (uint32, error) {
	if s == "" || s == "infinity" {
		return unset32, nil
	}
	v, err := value.ParseUint(s, 32)
	return uint32(v), err
}, func(v uint32) string {
	if v == unset32 {
		return "infinity"
	}
	return formatUint32(v)
}, form[uint32]{sig: "u", write: func(w BusWriter, v *uint32) { w.Uint32(*v) }})

var kRootHash = hashKind("path or hexadecimal hash", func(s *Sandbox) *string { return &s.RootHashPath },
	func(s *Sandbox) *[]byte { return &s.RootHash }, func(s string) ([]byte, error) {
		const shortest = 16 // the UUIDs of data and hash partition are parts of it
		b, err := value.ParseHex(s)
		if err == nil && len(b) < shortest {
			err = errText("hash ", quoted(s), " is too short")
		}
		return b, err
	}, value.FormatHex)

var kRootHashSignature = hashKind("path or base64:DATA", func(s *Sandbox) *string { return &s.RootHashSignaturePath },
	func(s *Sandbox) *[]byte { return &s.RootHashSignature },
	func(s string) ([]byte, error) {
		data, ok := strings.CutPrefix(s, "base64:")
		if !ok {
			return nil, errText("signature ", quoted(s), " is neither a path nor starts with base64:")
		}
		return value.ParseBase64(data)
	}, func(b []byte) string { return "base64:" + value.FormatBase64(b) })

// kPrivateUsers is PrivateUsers=, whose "yes" is "self".
var kPrivateUsers = simple("boolean or one of self, identity, full", func(c *Context, s string) (string, error) {
	if b, err := value.ParseBool(s); err == nil {
		if b {
			return "self", nil
		}
		return "no", nil
	}
	return enumParser([]string{"off>no", "self", "identity", "full", "managed"})(c, s)
}, same, busBoolEx...)

// kManagerLogLevel is LogLevel=, shown as a word on the bus.
var kManagerLogLevel = &kind[int32]{name: kLogLevel.name, parse: kLogLevel.parse, format: kLogLevel.format,
	bus: []form[int32]{{sig: "s", write: func(w BusWriter, v *int32) { w.String(LogLevelName(*v)) }}}}

// LogLevelName gives the word for a syslog level.
func LogLevelName(n int32) string { return codeName(syslogLevels, n) }

// LogFacilityName gives the word for a syslog facility.
func LogFacilityName(n int32) string { return codeName(syslogFacilities, n) }

// kCrashVT is CrashChangeVT=: a boolean or the number of a terminal.
var kCrashVT = simple("boolean or number", func(_ *Context, s string) (int32, error) {
	if v, err := value.ParseIntRange(s, 2, 63); err == nil {
		return int32(v), nil
	}
	b, err := value.ParseBool(s)
	switch {
	case err != nil:
		return 0, errText("virtual terminal ", quoted(s), " is neither a boolean nor a number")
	case s == "1":
		return 1, nil
	case b:
		return 0, nil
	}
	return -1, nil
}, func(v int32) string {
	switch {
	case v < 0:
		return "no"
	case v == 0:
		return "yes"
	}
	return formatInt32(v)
})

// kCrashReboot is CrashReboot=, which sets CrashAction=.
var kCrashReboot = simple("boolean", func(_ *Context, s string) (string, error) {
	b, err := value.ParseBool(s)
	if b {
		return "reboot", err
	}
	return "freeze", err
}, func(v string) string { return value.FormatBool(v == "reboot") })

// kShowStatus is ShowStatus=.
var kShowStatus = kBoolEnum([]form[string]{{sig: "b",
	write: func(w BusWriter, v *string) { w.Bool(*v != "no" && *v != "") }}},
	"no", "error", "auto", "temporary", "yes")

// kWatchdog is a time, off, or default for what the device has.
var kWatchdog = simple("time span, off or default", func(_ *Context, s string) (uint64, error) {
	switch s {
	case "default":
		return Infinity, nil
	case "off":
		return 0, nil
	}
	v, err := parseSecPlain(s)
	return uint64(v), err
}, func(v uint64) string {
	switch v {
	case Infinity:
		return "default"
	case 0:
		return "off"
	}
	return formatUSec(v)
}, busUSec)

var kWatchdogNoBus = noBus(kWatchdog)

// kManagerAffinity is CPUAffinity= of the manager.
var kManagerAffinity = &kind[ManagerConfig]{
	name: "list of CPUs and ranges, or numa",
	parse: func(c *Context, m *ManagerConfig, text string) error {
		e := Exec{CPUAffinity: m.CPUAffinity, CPUAffinityFromNUMA: m.CPUAffinityFromNUMA}
		err := kCPUAffinity.parse(c, &e, text)
		m.CPUAffinity, m.CPUAffinityFromNUMA = e.CPUAffinity, e.CPUAffinityFromNUMA
		return err
	},
	format: func(m *ManagerConfig) []string {
		return kCPUAffinity.format(&Exec{CPUAffinity: m.CPUAffinity, CPUAffinityFromNUMA: m.CPUAffinityFromNUMA})
	},
}

// kTasksMaxRead is DefaultTasksMax=.
var kTasksMaxRead = kTasksMax(func(*Context) Limit { return DefaultManagerConfig(true).DefaultTasksMax })

// kOOMPolicy is OOMPolicy=, for services and for scopes.
func kOOMPolicy[T any](policy func(b *T) *string, set func(b *T) *bool) *kind[T] {
	word := kEnum("continue", "stop", "kill")
	return &kind[T]{
		name: word.name,
		parse: func(c *Context, b *T, text string) error {
			err := word.parse(c, policy(b), text)
			*set(b) = *set(b) || err == nil
			return err
		},
		format: func(b *T) []string { return []string{*policy(b)} },
		bus: []form[T]{{sig: "s",
			write: func(w BusWriter, b *T) { w.String(*policy(b)) },
			read:  func(r BusReader, _ *T) ([]string, error) { return one(r.String()) }}},
	}
}

var (
	kServiceOOMPolicy = kOOMPolicy(func(b *Service) *string { return &b.OOMPolicy }, func(b *Service) *bool { return &b.OOMPolicySet })
	kScopeOOMPolicy   = kOOMPolicy(func(b *Scope) *string { return &b.OOMPolicy }, func(b *Scope) *bool { return &b.OOMPolicySet })
)
