package unit

import (
	"strings"

	"github.com/muster-init/muster/pkg/unit/value"
)

// laterNote is the note of rows that have no effect yet.
const laterNote = "the unit type comes with the next issue"

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

// subgroupValid is the rule for names of control groups below a unit's own.
func subgroupValid(s string) bool {
	return value.FilenameIsValid(s) && value.TextIsValid(s) && !strings.HasPrefix(s, "cgroup.") && s != "release_agent"
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
