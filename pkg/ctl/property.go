package ctl

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math"
	"net/netip"
	"sort"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/unit/value"
)

// propertyFormat turns properties into the text that show prints.
type propertyFormat struct {
	all       bool // empty values too
	timestamp value.TimestampStyle
	zone      *time.Location
}

// lines gives the texts of a property: none for an empty value that isn't to be shown, several for a list of structures.
func (f propertyFormat) lines(p busProperty) []string {
	if special, ok := structProperties[p.name]; ok {
		return special(f, p)
	}
	switch v := p.value.(type) {
	case []byte:
		return f.one(bytesProperty(p.name, v))
	case [][]any:
		return f.structs(p, v)
	case []any:
		return f.structure(p, v)
	case []string:
		return f.one(quoteWords(v))
	case []uint32, []int32, []uint64:
		return f.one(joinNumbers(v))
	case map[string]any, []bus.DictEntry, map[string]string, map[string]bus.Variant:
		return f.unprintable()
	}
	return f.basic(p)
}

func (f propertyFormat) one(text string) []string {
	if text == "" && !f.all {
		return nil
	}
	return []string{text}
}

func (f propertyFormat) unprintable() []string {
	if f.all {
		return []string{"[unprintable]"}
	}
	return nil
}

// basic formats strings, booleans and numbers.
func (f propertyFormat) basic(p busProperty) []string {
	switch v := p.value.(type) {
	case string:
		return f.one(strings.ReplaceAll(v, "\n", " "))
	case bool:
		return []string{yesNo(v)}
	case bus.ObjectPath:
		return f.one(string(v))
	case uint64:
		return f.one(f.number64(p.name, v))
	case int64:
		return []string{strconv.FormatInt(v, 10)}
	case uint32:
		return []string{number32(p.name, v)}
	case int32:
		if name, ok := numaPolicies[p.name][v]; ok {
			return []string{name}
		}
		if v == -1 && strings.HasSuffix(p.name, "ActionExitStatus") {
			if f.all {
				return []string{"[not set]"}
			}
			return nil
		}
		return []string{strconv.Itoa(int(v))}
	case float64:
		return []string{strconv.FormatFloat(v, 'g', 6, 64)}
	}
	return f.unprintable()
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// number64 formats type t by what the name says it is.
func (f propertyFormat) number64(name string, n uint64) string {
	switch {
	case strings.HasSuffix(name, "Timestamp") || name == "NextElapseUSecRealtime" || name == "LastTriggerUSec" || name == "TimeUSec" || name == "RTCTimeUSec":
		return value.FormatTimestamp(value.USec(n), f.timestamp, f.zone)
	case name == "ManagedOOMMemoryPressureDurationUSec" && n == math.MaxUint64:
		return "[not set]"
	case strings.Contains(name, "USec") && !strings.HasSuffix(name, "TimestampMonotonic"):
		return value.FormatSpan(value.USec(n), 1)
	case name == "CoredumpFilter":
		return fmt.Sprintf("0x%x", n)
	case name == "RestrictNamespaces":
		return namespaces(n)
	case name == "DelegateNamespaces":
		return namespaces(n)
	case name == "MountFlags":
		return propagation(n)
	case name == "CapabilityBoundingSet" || name == "AmbientCapabilities":
		return strings.Join(value.CapabilitySet(n).Limit(len(value.CapabilityNames())-1).Names(), " ")
	case n == math.MaxUint64:
		return infinite(name)
	case n == 0 && (name == "CPUWeight" || name == "StartupCPUWeight"):
		return "idle"
	}
	return strconv.FormatUint(n, 10)
}

// infinite is the largest number, which is a limit that there isn't, or a value that isn't known.
func infinite(name string) string {
	switch {
	case strings.HasPrefix(name, "IPIngress") || strings.HasPrefix(name, "IPEgress"):
		return "[no data]"
	case strings.HasSuffix(name, "Weight") || strings.HasSuffix(name, "Shares"), strings.HasSuffix(name, "Current"), strings.HasSuffix(name, "Peak"),
		strings.HasPrefix(name, "IORead"), strings.HasPrefix(name, "IOWrite"), strings.HasSuffix(name, "NSec"), name == "MemoryAvailable":
		return "[not set]"
	case strings.HasPrefix(name, "Memory"), strings.HasPrefix(name, "StartupMemory"), strings.HasPrefix(name, "EffectiveMemory"), strings.HasPrefix(name, "DefaultMemory"), strings.HasPrefix(name, "DefaultStartupMemory"),
		strings.HasSuffix(name, "TasksMax"), strings.HasPrefix(name, "Limit"), strings.HasPrefix(name, "DefaultLimit"):
		return "infinity"
	}
	return strconv.FormatUint(math.MaxUint64, 10)
}

func number32(name string, n uint32) string {
	switch {
	case name == "UMask" || strings.HasSuffix(name, "Mode"):
		return fmt.Sprintf("%04o", n)
	case (name == "UID" || name == "GID") && n == math.MaxUint32:
		return "[not set]"
	}
	return strconv.FormatUint(uint64(n), 10)
}

// namespaces gives the kinds of namespaces that may be used, no where that's all.
func namespaces(n uint64) string {
	flags := value.NamespaceFlags(n) & value.NamespaceAll
	switch flags {
	case value.NamespaceAll:
		return "no"
	case 0:
		return "yes"
	}
	return flags.String()
}

func propagation(n uint64) string {
	switch {
	case n&unix.MS_SHARED != 0:
		return "shared"
	case n&unix.MS_SLAVE != 0:
		return "slave"
	case n&unix.MS_PRIVATE != 0:
		return "private"
	}
	return ""
}

// quoteWords joins a list, quoting what a shell would split.
func quoteWords(list []string) string {
	out := make([]string, len(list))
	for i, w := range list {
		out[i] = value.ShellMaybeQuote(w)
	}
	return strings.Join(out, " ")
}

func joinNumbers(v any) string {
	return strings.Trim(fmt.Sprint(v), "[]")
}

func bytesProperty(name string, v []byte) string {
	switch name {
	case "InvocationID":
		if len(v) == 16 && string(v) != string(make([]byte, 16)) {
			return hex.EncodeToString(v)
		}
		return ""
	case "CPUAffinity", "NUMAMask", "EffectiveCPUs", "EffectiveMemoryNodes", "AllowedCPUs", "StartupAllowedCPUs", "AllowedMemoryNodes", "StartupAllowedMemoryNodes":
		if set, err := value.IndexSetFromBytes(v); err == nil {
			return strings.ReplaceAll(set.FormatKernel(), ",", " ")
		}
	case "StandardInputData":
		return base64.StdEncoding.EncodeToString(v)
	}
	return hex.EncodeToString(v)
}

// structure formats a single structure.
func (f propertyFormat) structure(p busProperty, v []any) []string {
	switch p.sig {
	case "(uo)": // Job
		if n := toUint(v[0]); n != 0 {
			return []string{strconv.FormatUint(n, 10)}
		}
		return f.one("")
	case "(so)": // Unit of a job
		return f.one(text(v[0]))
	case "(ss)": // LoadError
		if p.name != "LoadError" {
			return f.unprintable()
		}
		if text(v[0]) == "" && text(v[1]) == "" {
			return f.one("")
		}
		return []string{fmt.Sprintf("%s \"%s\"", text(v[0]), text(v[1]))}
	case "(bas)":
		allow, _ := v[0].(bool)
		list, _ := v[1].([]string)
		line := strings.Join(list, " ")
		if !allow && (line != "" || f.all) {
			line = "~" + line
		}
		return f.one(line)
	case "(bs)":
		line := text(v[1])
		if ignore, _ := v[0].(bool); ignore && line != "" {
			line = "-" + line
		}
		return f.one(line)
	case "(aiai)":
		return f.one(exitStatuses(v))
	}
	return f.unprintable()
}

// exitStatuses formats a set of exit statuses and signals.
func exitStatuses(v []any) string {
	var out []string
	statuses, _ := v[0].([]int32)
	signals, _ := v[1].([]int32)
	sort.Slice(statuses, func(i, j int) bool { return statuses[i] < statuses[j] })
	sort.Slice(signals, func(i, j int) bool { return signals[i] < signals[j] })
	for _, n := range statuses {
		out = append(out, strconv.Itoa(int(n)))
	}
	for _, n := range signals {
		out = append(out, strings.TrimPrefix(value.Signal(n).String(), "SIG"))
	}
	return strings.Join(out, " ")
}

func text(v any) string {
	switch t := v.(type) {
	case string:
		return t
	case bus.ObjectPath:
		return string(t)
	}
	return ""
}

// structs formats a list of structures by its signature.
func (f propertyFormat) structs(p busProperty, list [][]any) []string {
	if format, ok := structFormats[p.sig]; ok {
		out := make([]string, 0, len(list))
		for _, v := range list {
			out = append(out, format(f, p.name, v))
		}
		return out
	}
	return f.unprintable()
}

// structFormats are the formats of lists of structures that have a line for each element.
var structFormats = map[string]func(f propertyFormat, name string, v []any) string{
	"a(sasbttttuii)":  formatExec,
	"a(sasasttttuii)": formatExec,
	"a(sb)": func(_ propertyFormat, _ string, v []any) string {
		ignore, _ := v[1].(bool)
		return fmt.Sprintf("%s (ignore_errors=%s)", text(v[0]), yesNo(ignore))
	},
	"a(stt)": formatMonotonicTimer,
	"a(sst)": formatStringsNumber,
	"a(ss)":  formatPair,
	"a(st)": func(_ propertyFormat, name string, v []any) string {
		if strings.HasSuffix(name, "USec") {
			return text(v[0]) + " " + value.FormatSpan(value.USec(toUint(v[1])), 1)
		}
		return fmt.Sprintf("%s %d", text(v[0]), toUint(v[1]))
	},
	"a(bs)": func(_ propertyFormat, _ string, v []any) string {
		if allow, _ := v[0].(bool); !allow {
			return "~" + text(v[1])
		}
		return text(v[1])
	},
	"a(iiqq)": formatSocketBind,
}

func formatMonotonicTimer(_ propertyFormat, _ string, v []any) string {
	return fmt.Sprintf("{ %s=%s ; next_elapse=%s }", text(v[0]), value.FormatSpan(value.USec(toUint(v[1])), 1), value.FormatSpan(value.USec(toUint(v[2])), 1))
}

func formatStringsNumber(f propertyFormat, name string, v []any) string {
	a, b, n := text(v[0]), text(v[1]), toUint(v[2])
	switch {
	case name == "TimersCalendar":
		next := value.FormatTimestamp(value.USec(n), f.timestamp, f.zone)
		if next == "" {
			next = "(null)"
		}
		return fmt.Sprintf("{ %s=%s ; next_elapse=%s }", a, b, next)
	case name == "OpenFile":
		return joinNonEmpty(":", a, b, openFileFlags(n))
	case strings.HasSuffix(name, "DirectorySymlink"):
		line := a + ":" + b
		if n&1 != 0 {
			line += ":ro"
		}
		return line
	}
	return fmt.Sprintf("%s %s %d", a, b, n)
}

func openFileFlags(n uint64) string {
	var out []string
	for i, w := range []string{"read-only", "append", "truncate", "graceful"} {
		if n&(1<<i) != 0 {
			out = append(out, w)
		}
	}
	return strings.Join(out, ",")
}

func joinNonEmpty(separator string, parts ...string) string {
	var out []string
	for _, p := range parts {
		if p != "" {
			out = append(out, p)
		}
	}
	return strings.Join(out, separator)
}

// formatPair formats (ss) by what the two strings are.
func formatPair(_ propertyFormat, name string, v []any) string {
	a, b := text(v[0]), text(v[1])
	switch name {
	case "Paths":
		return fmt.Sprintf("%s (%s)", b, a)
	case "Listen":
		return fmt.Sprintf("%s (%s)", b, a)
	case "DeviceAllow":
		return a + " " + b
	}
	return a + ":" + b
}

func formatSocketBind(_ propertyFormat, _ string, v []any) string {
	family, protocol := toUint(v[0]), toUint(v[1])
	ports, port := toUint(v[2]), toUint(v[3])
	line := ""
	switch family {
	case unix.AF_INET:
		line = "ipv4:"
	case unix.AF_INET6:
		line = "ipv6:"
	}
	switch protocol {
	case unix.IPPROTO_TCP:
		line += "tcp"
	case unix.IPPROTO_UDP:
		line += "udp"
	}
	switch {
	case ports == 0:
		return line + "any"
	case ports == 1:
		return line + strconv.FormatUint(port, 10)
	}
	return fmt.Sprintf("%s%d-%d", line, port, port+ports-1)
}

// formatExec formats a command of Exec*=, with what came of it.
func formatExec(f propertyFormat, _ string, v []any) string {
	argv, _ := v[1].([]string)
	flags := ""
	switch x := v[2].(type) {
	case bool:
		flags = "ignore_errors=" + yesNo(x)
	case []string:
		flags = "flags=" + strings.Join(x, " ")
	}
	stamp := func(v any) string {
		return orDefault(value.FormatTimestamp(value.USec(toUint(v)), f.timestamp, f.zone), "n/a")
	}
	code, status := toUint(v[8]), toUint(v[9])
	return fmt.Sprintf("{ path=%s ; argv[]=%s ; %s ; start_time=[%s] ; stop_time=[%s] ; pid=%d ; code=%s ; status=%d%s }",
		text(v[0]), strings.Join(argv, " "), flags, stamp(v[3]), stamp(v[5]), toUint(v[7]), orDefault(codeName(code), "(null)"), status, signalSuffix(code, status))
}

// codeName is a CLD_… code of waitid(2) as a word.
func codeName(code uint64) string {
	switch code {
	case 1:
		return "exited"
	case 2:
		return "killed"
	case 3:
		return "dumped"
	case 4:
		return "trapped"
	case 5:
		return "stopped"
	case 6:
		return "continued"
	}
	return ""
}

func signalSuffix(code, status uint64) string {
	if code == 1 || status == 0 {
		if code == 1 || code == 0 {
			return map[bool]string{true: "/0", false: ""}[code == 0]
		}
	}
	return "/" + strings.TrimPrefix(value.Signal(status).String(), "SIG")
}

// structProperties are those whose lines are put together otherwise.
var structProperties = map[string]func(f propertyFormat, p busProperty) []string{
	"BindPaths":           formatBinds,
	"BindReadOnlyPaths":   formatBinds,
	"TemporaryFileSystem": formatPairsInLine,
	"RootImageOptions":    formatPairsInLine,
	"NFTSet":              unprintableProperty,
	"MountImages":         formatImages,
	"ExtensionImages":     formatImages,
	"LogExtraFields": func(f propertyFormat, p busProperty) []string {
		list, _ := p.value.([]any)
		var out []string
		for _, x := range list {
			b, _ := x.([]byte)
			out = append(out, string(b))
		}
		return f.one(strings.Join(out, " "))
	},
	"IPAddressAllow":     formatPrefixes,
	"IPAddressDeny":      formatPrefixes,
	"Conditions":         unprintableProperty,
	"ImportCredentialEx": unprintableProperty,
	"Asserts":            unprintableProperty,
	"ActivationDetails":  unprintableProperty,
	"SetCredential":      unprintableProperty, "SetCredentialEncrypted": unprintableProperty, "LoadCredential": unprintableProperty, "LoadCredentialEncrypted": unprintableProperty,
}

func unprintableProperty(f propertyFormat, _ busProperty) []string { return f.unprintable() }

func formatBinds(f propertyFormat, p busProperty) []string {
	list, _ := p.value.([][]any)
	var out []string
	for _, v := range list {
		if len(v) != 4 {
			continue
		}
		line := text(v[0]) + ":" + text(v[1])
		if ignore, _ := v[2].(bool); ignore {
			line = "-" + line
		}
		if toUint(v[3])&unix.MS_REC != 0 {
			line += ":rbind"
		}
		out = append(out, line)
	}
	return f.one(strings.Join(out, " "))
}

func formatPairsInLine(f propertyFormat, p busProperty) []string {
	list, _ := p.value.([][]any)
	if len(list) == 0 && p.name == "RootImageOptions" {
		return nil
	}
	var out []string
	for _, v := range list {
		out = append(out, joinNonEmpty(":", text(v[0]), text(v[1])))
	}
	return f.one(strings.Join(out, " "))
}

// formatImages formats (s[s]ba(ss)): source, destination where there is one, whether it may be missing, mount options by partition.
func formatImages(f propertyFormat, p busProperty) []string {
	list, _ := p.value.([][]any)
	var out []string
	for _, v := range list {
		line := ""
		for _, x := range v {
			switch t := x.(type) {
			case string:
				line = joinNonEmpty(":", line, t)
			case bool:
				if t {
					line = "-" + line
				}
			case [][]any:
				for _, o := range t {
					line += ":" + joinNonEmpty(":", text(o[0]), text(o[1]))
				}
			}
		}
		out = append(out, line)
	}
	return f.one(strings.Join(out, " "))
}

func formatPrefixes(f propertyFormat, p busProperty) []string {
	list, _ := p.value.([][]any)
	var out []string
	for _, v := range list {
		b, _ := v[1].([]byte)
		if addr, ok := netip.AddrFromSlice(b); ok {
			out = append(out, netip.PrefixFrom(addr, int(toUint(v[2]))).String())
		}
	}
	return f.one(strings.Join(out, " "))
}

// numaPolicies are the words for set_mempolicy(2)'s modes.
var numaPolicies = map[string]map[int32]string{
	"NUMAPolicy": {-1: "n/a", 0: "default", 1: "preferred", 2: "bind", 3: "interleave", 4: "local"},
}
