package unit

import (
	"github.com/muster-init/muster/pkg/unit/value"
)

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
