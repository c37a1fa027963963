package value

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// unitDump says what the dump of a unit with one setting would have, by our own
// parsers. nil lines means that only the error counts.
type unitDump func(value string) (lines []string, err error)

func dumpOne[T any](key string, parse func(string) (T, error), format func(T) string) unitDump {
	return func(value string) ([]string, error) {
		v, err := parse(value)
		if err != nil {
			return nil, err
		}
		return []string{key + ": " + format(v)}, nil
	}
}

func dumpWords(key string, parse func(string, Expander) ([]string, error)) unitDump {
	return func(value string) ([]string, error) {
		words, err := parse(value, percentOnly)
		lines := make([]string, len(words))
		for i, w := range words {
			lines[i] = key + ": " + w
		}
		return lines, err
	}
}

func decimal[T ~int | ~uint64](v T) string {
	if v < 0 {
		return strconv.FormatInt(int64(v), 10)
	}
	return strconv.FormatUint(uint64(v), 10)
}

// percentOnly expands what needs no unit to be known.
func percentOnly(word string) (string, error) { return strings.ReplaceAll(word, "%%", "%"), nil }

func dumpLimit(r Resource) unitDump {
	return func(value string) ([]string, error) {
		l, err := ParseRlimit(r, value)
		if err != nil {
			return nil, err
		}
		name := "Limit" + string(r)
		return []string{name + ": " + decimal(l.Hard), name + "Soft: " + decimal(l.Soft)}, nil
	}
}

func dumpIndexes(key string) unitDump {
	return func(value string) ([]string, error) {
		set, err := ParseIndexSet(value)
		if set == nil {
			return nil, err
		}
		return []string{key + ": " + set.String()}, err
	}
}

func dumpCommands(value string) ([]string, error) {
	commands, err := ParseCommand(value, percentOnly)
	lines := []string{"-> ExecStartPre:"}
	for _, c := range commands {
		lines = append(lines, "Command Line: "+ShellQuoteCommandLine(c.Argv))
	}
	if len(commands) == 0 {
		lines = nil
	}
	return lines, err
}

func dumpDevice[T interface{ String() string }](key string, parse func(string, Expander) (T, error)) unitDump {
	return dumpOne(key, func(s string) (T, error) { return parse(s, nil) }, func(v T) string {
		return strings.ReplaceAll(v.String(), `"`, "")
	})
}

func dumpCapabilities(key string, initial CapabilitySet) unitDump {
	return func(value string) ([]string, error) {
		set, _ := MergeCapabilitySet(initial, initial, value) // systemd says nothing about unknown ones
		return []string{key + ": " + strings.Join(set.Limit(40).Names(), " ")}, nil
	}
}

func dumpPaths(key string) unitDump {
	return func(value string) ([]string, error) {
		entries, err := ParsePathEntries(value, percentOnly)
		var lines []string
		for _, p := range entries {
			lines = append(lines, p.String())
		}
		if lines == nil {
			return nil, err
		}
		return []string{key + ": " + strings.Join(lines, " ")}, err
	}
}

var unitDumps = map[string]unitDump{
	"Environment": func(value string) ([]string, error) {
		pairs, err := ParseEnvAssignments(value, percentOnly)
		var lines []string
		for _, p := range pairs {
			lines = append(lines, strings.Split("Environment: "+p.String(), "\n")...)
		}
		return lines, err
	},
	"PassEnvironment":          dumpWords("PassEnvironment", ParseEnvNames),
	"UnsetEnvironment":         dumpWords("UnsetEnvironment", ParseEnvNamesOrAssignments),
	"SuccessExitStatus":        func(value string) ([]string, error) { _, err := ParseExitStatusSet(value); return nil, err },
	"RestartPreventExitStatus": func(value string) ([]string, error) { _, err := ParseExitStatusSet(value); return nil, err },
	"CapabilityBoundingSet":    dumpCapabilities("CapabilityBoundingSet", CapabilityAll),
	"AmbientCapabilities":      dumpCapabilities("AmbientCapabilities", 0),
	"SecureBits": func(value string) ([]string, error) {
		bits, _ := ParseSecureBits(value)
		// The dump has an order of its own.
		words := strings.Fields(bits.String())
		slices.SortStableFunc(words, func(a, b string) int { return slices.Index(secureDumpOrder, a) - slices.Index(secureDumpOrder, b) })
		return []string{"Secure Bits: " + strings.Join(words, " ")}, nil
	},
	"UMask":                dumpOne("UMask", ParseMode, Mode.String),
	"RuntimeDirectoryMode": dumpOne("RuntimeDirectoryMode", ParseMode, Mode.String),
	"Nice":                 dumpOne("Nice", ParseNice, decimal[int]),
	"OOMScoreAdjust": dumpOne("OOMScoreAdjust", func(s string) (int, error) {
		n, err := ParseIntRange(s, -1000, 1000)
		return int(n), err
	}, decimal[int]),
	"LimitNOFILE":        dumpLimit(ResourceNOFILE),
	"LimitFSIZE":         dumpLimit(ResourceFSIZE),
	"LimitCPU":           dumpLimit(ResourceCPU),
	"LimitRTTIME":        dumpLimit(ResourceRTTIME),
	"LimitNICE":          dumpLimit(ResourceNICE),
	"LimitCORE":          dumpLimit(ResourceCORE),
	"LimitNPROC":         dumpLimit(ResourceNPROC),
	"LimitRTPRIO":        dumpLimit(ResourceRTPRIO),
	"CPUAffinity":        dumpIndexes("CPUAffinity"),
	"AllowedCPUs":        dumpIndexes("AllowedCPUs"),
	"AllowedMemoryNodes": dumpIndexes("AllowedMemoryNodes"),
	"NUMAPolicy":         dumpOne("NUMAPolicy", ParseNUMAPolicy, NUMAPolicy.String),
	"IOSchedulingClass": dumpOne("IOSchedulingClass", ParseIOClass, func(c IOClass) string {
		if c == 0 {
			c = 2 // none is shown as what it amounts to
		}
		return c.String()
	}),
	"CPUSchedulingPolicy": dumpOne("CPUSchedulingPolicy", ParseCPUPolicy, CPUPolicy.String),
	"SyslogLevel":         dumpOne("SyslogLevel", ParseLogLevel, LogLevel.String),
	"SyslogFacility":      dumpOne("SyslogFacility", ParseLogFacility, LogFacility.String),
	"KillSignal":          dumpOne("KillSignal", ParseSignal, Signal.String),
	"TasksMax":            dumpOne("TasksMax", ParseTasksLimit, func(l Limit) string { n, _ := l.Resolve(32768, 1); return decimal(n) }),
	"CPUQuota": dumpOne("CPUQuotaPerSecSec", func(s string) (Permyriad, error) {
		p, err := ParsePermyriadUnbounded(s)
		if p == 0 {
			err = errors.Join(err, ErrRange) // the directive's own rule
		}
		return p, err
	}, func(p Permyriad) string { return (USec(p) * 100).String() }),
	"MemoryMax": dumpOne("MemoryMax", func(s string) (Limit, error) {
		l, err := ParseMemoryLimit(s)
		if n, _ := l.Resolve(1<<34, 1<<12); n == 0 {
			err = errors.Join(err, ErrRange) // the directive's own rule
		}
		return l, err
	}, func(l Limit) string {
		n, _ := l.Resolve(recordedMemory, 1<<12)
		return decimal(n)
	}),
	"SystemCallErrorNumber": dumpOne("SystemCallErrorNumber", func(s string) (Errno, error) {
		e, err := ParseErrno(s)
		if err == nil && e == 0 {
			err = ErrRange // the directive's own rule, as is the word kill
		}
		if s == "kill" {
			return 0, nil
		}
		return e, err
	}, Errno.String),
	"CPUWeight":                dumpOne("CPUWeight", ParseCPUWeight, decimal[Weight]),
	"IOWeight":                 dumpOne("IOWeight", ParseWeight, decimal[Weight]),
	"IODeviceWeight":           dumpDevice("IODeviceWeight", ParseDeviceWeight),
	"IODeviceLatencyTargetSec": dumpDevice("IODeviceLatencyTargetSec", ParseDeviceLatency),
	"DeviceAllow":              dumpDevice("DeviceAllow", ParseDeviceRule),
	"IOReadBandwidthMax": dumpOne("IOReadBandwidthMax", func(s string) (DeviceLimit, error) { return ParseDeviceLimit(s, nil) },
		func(d DeviceLimit) string { return d.Path + " " + FormatBytes(d.Limit) }),
	"IPAddressAllow": func(value string) ([]string, error) {
		prefixes, err := ParseAddressPrefixes(value)
		var lines []string
		for _, p := range prefixes {
			lines = append(lines, "IPAddressAllow: "+p.String())
		}
		return lines, err
	},
	"SocketBindAllow": dumpOne("SocketBindAllow", ParseSocketBindRule, SocketBindRule.String),
	"Personality": dumpOne("Personality", func(s string) (string, error) {
		_, err := ParsePersonality(s, "x86-64")
		return s, err
	}, strings.Clone),
	"TimerSlackNSec":    dumpOne("TimerSlackNSec", ParseNSec, func(n NSec) string { return decimal(uint64(n)) }),
	"ReadWritePaths":    dumpPaths("ReadWritePaths"),
	"InaccessiblePaths": dumpPaths("InaccessiblePaths"),
	"RestartSec":        dumpOne("RestartSec", func(s string) (USec, error) { return ParseSec(s, USecPerSec) }, USec.String),
	"RuntimeMaxSec":     dumpOne("RuntimeMaxSec", func(s string) (USec, error) { return ParseSec(s, USecPerSec) }, USec.String),
	"TimeoutStopSec":    dumpOne("TimeoutStopSec", ParseSecFixZero, USec.String),
	"CPUQuotaPeriodSec": dumpOne("CPUQuotaPeriodSec", ParseSecDefaultInfinity, USec.String),
	"RemainAfterExit":   dumpOne("RemainAfterExit", ParseBool, FormatBool),
	"ExecStartPre":      dumpCommands,
	"RestrictNamespaces": func(value string) ([]string, error) {
		if b, err := ParseBool(value); err == nil {
			if b {
				return []string{"RestrictNamespaces: n/a"}, nil
			}
			return nil, nil
		}
		list, invert := strings.CutPrefix(value, "~")
		set, err := ParseNamespaces(list)
		if err != nil {
			return nil, err
		}
		if invert {
			set = NamespaceAll &^ set
		}
		if invert {
			set &^= 0x80 // 252 leaves time out when it inverts
		}
		return []string{"RestrictNamespaces: " + set.String()}, nil
	},
}

// recordedMemory is what the machine of the recording had, in bytes.
const recordedMemory = 25276502016

var secureDumpOrder = []string{"keep-caps", "keep-caps-locked", "no-setuid-fixup", "no-setuid-fixup-locked", "noroot", "noroot-locked"}

func TestUnitRecording(t *testing.T) {
	seen := map[string]int{}
	// Where 252 and 257 differ it is 257, whose file comes later, that we follow.
	newest := map[string][]string{}
	for _, row := range recording(t, "unit") {
		newest[row[0]+"="+row[1]] = row
	}
	for _, row := range newest {
		directive, value := row[0], lexed(unquote(t, row[1]))
		dump, ok := unitDumps[directive]
		if !ok || value == "" && directive != "RestartSec" || strings.Contains(value, "%n") || strings.Contains(value, "%q") ||
			strings.HasPrefix(value, "|") { // a prefix only since 258
			continue
		}
		seen[directive]++
		lines, err := dump(value)
		if warned := row[2] == "warned"; warned != (err != nil) {
			t.Errorf("%s=%s: systemd is %s, we say %v", directive, value, row[2], err)
			continue
		}
		var fatal *CommandError
		if bad := errors.As(err, &fatal) && fatal.Fatal; bad != (row[3] == "bad-setting") {
			t.Errorf("%s=%s: systemd has it %s, we say %v", directive, value, row[3], err)
		}
		if row[3] != "loaded" || lines == nil {
			continue
		}
		compareDump(t, directive, value, lines, row[4:])
	}
	for directive := range unitDumps {
		if seen[directive] == 0 {
			t.Errorf("%s: nothing recorded", directive)
		}
	}
}

// compareDump wants lines that are in the dump, unless they are what the dump of
// every unit has, and none of the same key that we do not have.
func compareDump(t *testing.T, directive, value string, lines, quoted []string) {
	t.Helper()
	var dumped []string
	for _, q := range quoted {
		dumped = append(dumped, unquote(t, q))
	}
	for _, line := range lines {
		key, _, _ := strings.Cut(line, ":")
		keyed := slices.ContainsFunc(dumped, func(d string) bool { return strings.HasPrefix(d, key+":") })
		if !slices.Contains(dumped, line) && keyed && line != "Command Line: /bin/true" { // in every dump
			t.Errorf("%s=%s: we have %q, systemd %q", directive, value, line, dumped)
		}
	}
	for _, d := range dumped {
		key, _, _ := strings.Cut(d, ":")
		if strings.HasPrefix(key, directive) && !slices.Contains(lines, d) && key == directive {
			t.Errorf("%s=%s: systemd has %q, we %q", directive, value, d, lines)
		}
		if strings.HasPrefix(d, "Command Line: ") && !slices.Contains(lines, d) {
			t.Errorf("%s=%s: systemd has %q, we %q", directive, value, d, lines)
		}
	}
}

// lexed is the value as the file reader hands it over: continuation lines
// joined, white space around it gone.
func lexed(value string) string {
	value = strings.ReplaceAll(value, "\\\n", " ")
	if trimmed := strings.TrimRight(value, "\\"); (len(value)-len(trimmed))%2 == 1 {
		value = value[:len(value)-1]
	}
	return strings.Trim(value, whitespace)
}
