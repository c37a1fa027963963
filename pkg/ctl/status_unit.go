package ctl

import (
	"fmt"
	"math"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/unit/value"
)

// printStatus writes what status shows of a unit, field by field.
func (s *systemctl) printStatus(name string, p properties, list []busProperty) {
	s.statusHead(p)
	s.statusLoaded(p)
	s.statusActive(p)
	s.statusTriggers(p)
	s.statusConditions(p)
	s.statusDegraded(orDefault(p.str("Id"), name))
	s.statusMount(p)
	s.statusField("Docs", p.strings("Documentation"))
	s.statusSocket(p)
	s.statusProcesses(p, list)
	s.statusUsage(p)
	s.statusTree(name, p)
	s.printLogs(orDefault(p.str("Id"), name), p)
}

// field writes "   Label: " so that the colons stand under each other.
func (s *systemctl) field(label string) { s.printf("%11s: ", label) }

func (s *systemctl) statusField(label string, values []string) {
	for i, v := range values {
		if i == 0 {
			s.field(label)
		} else {
			s.printf("%13s", "")
		}
		s.printf("%s\n", v)
	}
}

// activeColor is the colour of an active state.
func activeColor(state string) color {
	switch state {
	case "failed":
		return colorBrightRed
	case "active", "reloading", "refreshing":
		return colorBrightGreen
	}
	return colorNone
}

func (s *systemctl) statusHead(p properties) {
	state := p.str("ActiveState")
	s.printf("%s %s", s.in(activeColor(state), s.glyph(state)), p.str("Id"))
	if d := p.str("Description"); d != "" && d != p.str("Id") {
		s.printf(" - %s", d)
	}
	s.printf("\n")
	if f := p.str("Following"); f != "" {
		s.field("Follows")
		s.printf("unit currently follows state of %s\n", f)
	}
}

func (s *systemctl) statusLoaded(p properties) {
	load := p.str("LoadState")
	c := colorNone
	switch load {
	case "error", "bad-setting", "not-found":
		c = colorBrightRed
	}
	file := orDefault(p.str("SourcePath"), p.str("FragmentPath"))
	s.field("Loaded")
	s.printf("%s", s.in(c, load))
	reason := ""
	if pair, ok := p["LoadError"].([]any); ok && len(pair) == 2 {
		reason = text(pair[1])
	}
	switch {
	case load != "loaded" && reason != "":
		s.printf(" (Reason: %s)\n", reason)
	case file != "" && p.str("UnitFileState") != "":
		s.printf(" (%s; %s%s)\n", file, s.inFileState(p.str("UnitFileState")), s.presetText(p))
	case file != "":
		s.printf(" (%s)\n", file)
	default:
		s.printf("\n")
	}
	if p.boolean("Transient") {
		s.field("Transient")
		s.printf("yes\n")
	}
	s.statusDropIns(p.strings("DropInPaths"))
}

// presetText is what a preset says of a unit that can be enabled.
func (s *systemctl) presetText(p properties) string {
	preset := p.str("UnitFilePreset")
	switch p.str("UnitFileState") {
	case "enabled", "enabled-runtime", "disabled", "linked", "linked-runtime", "indirect":
		if preset != "" {
			return "; preset: " + s.inFileState(preset)
		}
	}
	if preset == "enabled" && s.colors() {
		// systemctl switches to the colour of the preset it doesn't show.
		return string(s.palette(colorBrightGreen)) + colorReset
	}
	return ""
}

// inFileState colours the state of a unit file.
func (s *systemctl) inFileState(state string) string {
	switch state {
	case "enabled":
		return s.in(colorBrightGreen, state)
	case "disabled":
		return s.in(colorBrightYellow, state)
	case "bad", "masked", "masked-runtime":
		return s.in(colorBrightRed, state)
	}
	return state
}

// statusDropIns lists drop-ins by directory.
func (s *systemctl) statusDropIns(paths []string) {
	first, dir := true, ""
	for i, file := range paths {
		if d := path.Dir(file); d != dir {
			dir = d
			if first {
				s.field("Drop-In")
			} else {
				s.printf("%13s", "")
			}
			first = false
			s.printf("%s\n%13s└─", dir, "")
		}
		s.printf("%s", path.Base(file))
		if i+1 < len(paths) && path.Dir(paths[i+1]) == dir {
			s.printf(", ")
		} else {
			s.printf("\n")
		}
	}
}

func (s *systemctl) statusActive(p properties) {
	state, sub := p.str("ActiveState"), p.str("SubState")
	what := state
	if sub != "" && sub != state {
		what += " (" + sub + ")"
	}
	s.field("Active")
	// A failed unit has its state in colour without the sub-state, which says the same.
	s.printf("%s", s.in(activeColor(state), what))
	if f := p.str("FreezerState"); f != "" && f != "running" {
		s.printf(" %s", s.in(colorBrightBlue, "("+f+")"))
	}
	if r := p.str("Result"); r != "" && r != "success" {
		s.printf(" (Result: %s)", r)
	}
	stamp := ""
	switch state {
	case "active", "reloading", "refreshing":
		stamp = "ActiveEnterTimestamp"
	case "inactive", "failed":
		stamp = "InactiveEnterTimestamp"
	case "activating":
		stamp = "InactiveExitTimestamp"
	default:
		stamp = "ActiveExitTimestamp"
	}
	since := value.USec(p.number(stamp))
	if since != 0 {
		s.printf(" since %s; %s\n", value.FormatTimestamp(since, s.o.timestamp, s.Location), value.FormatRelative(since, s.now()))
	} else {
		s.printf("\n")
	}
	s.statusTimes(p, state)
	if id := s.jobID(p); id != 0 {
		s.field("Job")
		s.printf("%d\n", id)
	}
	if id := bytesProperty("InvocationID", bytesOf(p["InvocationID"])); id != "" {
		s.field("Invocation")
		s.printf("%s\n", id)
	}
}

func bytesOf(v any) []byte {
	b, _ := v.([]byte)
	return b
}

func (s *systemctl) jobID(p properties) uint64 {
	if pair, ok := p["Job"].([]any); ok && len(pair) == 2 {
		return toUint(pair[0])
	}
	return 0
}

// statusTimes tells until when an active unit may run, or how long an ended one did.
func (s *systemctl) statusTimes(p properties, state string) {
	if limit := p.number("RuntimeMaxUSec"); state == "active" && limit != 0 && limit != math.MaxUint64 && p.number("ActiveEnterTimestamp") != 0 {
		until := value.USec(p.number("ActiveEnterTimestamp") + limit + p.number("RuntimeRandomizedExtraUSec"))
		s.field("Until")
		s.printf("%s; %s\n", value.FormatTimestamp(until, s.o.timestamp, s.Location), value.FormatRelative(until, s.now()))
	}
	enter, exit := p.number("ActiveEnterTimestampMonotonic"), p.number("ActiveExitTimestampMonotonic")
	if (state == "inactive" || state == "failed") && enter != 0 && exit >= enter {
		s.field("Duration")
		s.printf("%s\n", value.FormatSpan(value.USec(exit-enter), value.USecPerMSec))
	}
}

// statusTriggers tells what starts the unit and what it starts.
func (s *systemctl) statusTriggers(p properties) {
	s.statusUnits("TriggeredBy", p.strings("TriggeredBy"))
	if strings.HasSuffix(p.str("Id"), ".timer") {
		s.field("Trigger")
		next := s.nextElapse(p.number("NextElapseUSecRealtime"), p.number("NextElapseUSecMonotonic"))
		if next == 0 {
			s.printf("n/a\n")
		} else {
			s.printf("%s; %s\n", value.FormatTimestamp(next, s.o.timestamp, s.Location), value.FormatRelative(next, s.now()))
		}
	}
	s.statusUnits("Triggers", p.strings("Triggers"))
}

// nextElapse is the earlier of two points in time, one of them of the monotonic clock, as µs since the epoch; 0 is never.
func (s *systemctl) nextElapse(realtime, monotonic uint64) value.USec {
	next := value.USec(0)
	if monotonic != 0 && monotonic != math.MaxUint64 {
		next = s.now() + value.USec(monotonic) - value.USec(s.monotonic())
	}
	if realtime != 0 && realtime != math.MaxUint64 && (next == 0 || value.USec(realtime) < next) {
		next = value.USec(realtime)
	}
	return next
}

// monotonic is CLOCK_MONOTONIC in µs.
func (s *systemctl) monotonic() uint64 {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) != nil {
		return 0
	}
	return uint64(t.Sec)*1000000 + uint64(t.Nsec)/1000
}

func (s *systemctl) statusUnits(label string, names []string) {
	var lines []string
	for _, n := range names {
		state, err := s.unitString(n, "ActiveState")
		load, _ := s.unitString(n, "LoadState")
		if err != nil {
			state = ""
		}
		glyph := s.glyph(state)
		if load != "loaded" || state == "inactive" {
			glyph = "●"
		}
		lines = append(lines, s.in(activeColor(state), glyph)+" "+n)
	}
	s.statusField(label, lines)
}

// statusConditions tells of conditions that kept the unit from being started.
func (s *systemctl) statusConditions(p properties) {
	s.statusTests(p, "Condition", "start "+s.in(colorBrightYellow, "condition unmet"))
	s.statusTests(p, "Assert", "start "+s.in(colorBrightRed, "assertion failed"))
}

func (s *systemctl) statusTests(p properties, kind, words string) {
	at := p.number(kind + "Timestamp")
	if p.boolean(kind+"Result") || at == 0 || p.str("ActiveState") != "inactive" {
		return
	}
	s.field(kind)
	s.printf("%s at %s; %s\n", words, value.FormatTimestamp(value.USec(at), s.o.timestamp, s.Location), value.FormatRelative(value.USec(at), s.now()))
	list, _ := p[kind+"s"].([][]any)
	var lines []string
	for _, c := range list {
		if len(c) != 5 {
			continue
		}
		trigger, _ := c[1].(bool)
		negate, _ := c[2].(bool)
		if result, _ := c[4].(int32); result < 0 {
			lines = append(lines, text(c[0])+"="+mark(trigger, "|")+mark(negate, "!")+text(c[3])+" was not met")
		}
	}
	for i, l := range lines {
		branch := "├─ "
		switch {
		case len(lines) == 1 && kind == "Assert":
			branch = ""
		case i == len(lines)-1:
			branch = "└─ "
		}
		s.printf("%13s%s%s\n", "", branch, l)
	}
}

func mark(on bool, s string) string {
	if on {
		return s
	}
	return ""
}

func (s *systemctl) statusMount(p properties) {
	for _, f := range []struct{ label, property string }{{"Device", "SysFSPath"}, {"Where", "Where"}, {"What", "What"}} {
		if v := p.str(f.property); v != "" {
			s.field(f.label)
			s.printf("%s\n", v)
		}
	}
}

func (s *systemctl) statusSocket(p properties) {
	list, _ := p["Listen"].([][]any)
	var lines []string
	for _, l := range list {
		lines = append(lines, fmt.Sprintf("%s (%s)", text(l[1]), text(l[0])))
	}
	s.statusField("Listen", lines)
	if p.boolean("Accept") {
		s.field("Accepted")
		s.printf("%d; Connected: %d;", p.number("NAccepted"), p.number("NConnections"))
		if n := p.number("NRefused"); n > 0 {
			s.printf("; Refused: %d", n)
		}
		s.printf("\n")
	}
}

// statusProcesses tells of the commands that have ended and of the main and control process.
func (s *systemctl) statusProcesses(p properties, list []busProperty) {
	for _, prop := range list {
		if prop.sig != "a(sasbttttuii)" {
			continue
		}
		commands, _ := prop.value.([][]any)
		for _, c := range commands {
			s.statusCommand(prop.name, c)
		}
	}
	main, control := p.number("MainPID"), p.number("ControlPID")
	exited := p.number("ExecMainPID")
	if main == 0 && control == 0 && exited == 0 {
		return
	}
	line := ""
	switch {
	case main != 0:
		line = fmt.Sprintf("Main PID: %d%s", main, s.commOf(main))
	case exited != 0 && p.number("ExecMainExitTimestamp") != 0:
		line = fmt.Sprintf("Main PID: %d (%s)", exited, endText(p.number("ExecMainCode"), p.number("ExecMainStatus")))
	}
	if control != 0 {
		if line != "" {
			line += "; "
		}
		if line == "" {
			line = "Cntrl PID: "
		} else {
			line += "Control PID: "
		}
		line += fmt.Sprintf("%d%s", control, s.commOf(control))
	}
	if line != "" {
		label, rest, _ := strings.Cut(line, ": ")
		s.field(label)
		s.printf("%s\n", rest)
	}
	if t := p.str("StatusText"); t != "" {
		s.field("Status")
		s.printf("\"%s\"\n", s.in(colorCyanBright, t))
	}
	if n := p.number("StatusErrno"); n > 0 {
		s.field("Error")
		s.printf("%d (%s)\n", n, errnoText(unix.Errno(n)))
	}
}

// commOf is the name of a process in brackets.
func (s *systemctl) commOf(pid uint64) string {
	if c := s.readFile("/proc/" + strconv.FormatUint(pid, 10) + "/comm"); c != "" {
		return " (" + c + ")"
	}
	return ""
}

// endText says how a process ended.
func endText(code, status uint64) string {
	name := codeName(code)
	if code == 1 {
		line := fmt.Sprintf("code=%s, status=%d", name, status)
		if e := value.ExitStatus(status); status < 256 && e.Name() != "" && (e.Class() == value.ExitClassLibc || e.Class() == value.ExitClassSystemd) {
			line += "/" + e.Name()
		}
		return line
	}
	return fmt.Sprintf("code=%s, signal=%s", name, strings.TrimPrefix(value.Signal(status).String(), "SIG"))
}

// statusCommand tells of one command of Exec*= that has ended.
func (s *systemctl) statusCommand(directive string, c []any) {
	if len(c) != 10 || toUint(c[3]) == 0 || toUint(c[5]) == 0 {
		return
	}
	argv, _ := c[1].([]string)
	code, status := toUint(c[8]), toUint(c[9])
	ignore, _ := c[2].(bool)
	how := colorNone
	if !(code == 1 && status == 0 || (code == 2 && isCleanSignal(status))) {
		how = colorBrightRed
		if ignore {
			how = colorBrightYellow
		}
	}
	s.field("Process")
	s.printf("%d %s=%s %s\n", toUint(c[7]), directive, strings.Join(argv, " "), s.in(how, "("+endText(code, status)+")"))
}

// isCleanSignal says that a daemon may end by a signal without having failed.
func isCleanSignal(n uint64) bool {
	switch unix.Signal(n) {
	case unix.SIGHUP, unix.SIGINT, unix.SIGTERM, unix.SIGPIPE:
		return true
	}
	return false
}

func known(n uint64) bool { return n != math.MaxUint64 }

// statusUsage tells of resources, as far as they are accounted.
func (s *systemctl) statusUsage(p properties) {
	if in, out := p.number("IPIngressBytes"), p.number("IPEgressBytes"); p.has("IPIngressBytes") && known(in) && known(out) {
		s.field("IP")
		s.printf("%s in, %s out\n", value.FormatBytes(in), value.FormatBytes(out))
	}
	if r, w := p.number("IOReadBytes"), p.number("IOWriteBytes"); p.has("IOReadBytes") && known(r) && known(w) {
		s.field("IO")
		s.printf("%s read, %s written\n", value.FormatBytes(r), value.FormatBytes(w))
	}
	if n := p.number("TasksCurrent"); p.has("TasksCurrent") && known(n) {
		s.field("Tasks")
		s.printf("%d", n)
		if limit := p.number("EffectiveTasksMax"); p.has("EffectiveTasksMax") && known(limit) {
			s.printf("%s", s.in(colorGrey, fmt.Sprintf(" (limit: %d)", limit)))
		} else if limit := p.number("TasksMax"); known(limit) {
			s.printf("%s", s.in(colorGrey, fmt.Sprintf(" (limit: %d)", limit)))
		}
		s.printf("\n")
	}
	if n, limit := p.number("NFileDescriptorStore"), p.number("FileDescriptorStoreMax"); n > 0 || limit > 0 {
		s.field("FD Store")
		s.printf("%d%s\n", n, s.in(colorGrey, fmt.Sprintf(" (limit: %d)", limit)))
	}
	s.statusMemory(p)
	if n := p.number("CPUUsageNSec"); p.has("CPUUsageNSec") && known(n) {
		s.field("CPU")
		s.printf("%s\n", value.FormatSpan(value.USec(n/1000), value.USecPerMSec))
	}
}

func (s *systemctl) statusMemory(p properties) {
	n := p.number("MemoryCurrent")
	if !p.has("MemoryCurrent") || !known(n) {
		return
	}
	s.field("Memory")
	s.printf("%s", value.FormatBytes(n))
	var parts []string
	add := func(label, property string, show func(n uint64) bool) {
		if v := p.number(property); p.has(property) && show(v) {
			parts = append(parts, label+": "+value.FormatBytes(v))
		}
	}
	positive := func(n uint64) bool { return n > 0 && known(n) }
	add("min", "MemoryMin", positive)
	add("low", "MemoryLow", positive)
	add("high", "MemoryHigh", known)
	add("max", "MemoryMax", known)
	add("swap max", "MemorySwapMax", known)
	add("zswap max", "MemoryZSwapMax", known)
	limited := known(p.number("MemoryHigh")) || known(p.number("MemoryMax"))
	add("available", "MemoryAvailable", func(n uint64) bool { return limited && known(n) })
	add("peak", "MemoryPeak", positive)
	add("swap", "MemorySwapCurrent", positive)
	add("swap peak", "MemorySwapPeak", positive)
	add("zswap", "MemoryZSwapCurrent", positive)
	if len(parts) > 0 {
		s.printf(" (%s)", strings.Join(parts, " "))
	}
	s.printf("\n")
}

// statusTree shows the unit's processes.
func (s *systemctl) statusTree(name string, p properties) {
	group := p.str("ControlGroup")
	if group == "" {
		return
	}
	processes, err := s.fetchProcesses(name)
	if err != nil {
		if !hasName(err, bus.ErrUnknownMethod) {
			s.warnf("Failed to dump process list for '%s', ignoring: %s", name, errorText(err))
		}
		return
	}
	if len(processes) == 0 && p.number("MainPID") == 0 && !p.has("ControlGroup") {
		return
	}
	s.field("CGroup")
	s.printf("%s\n", group)
	tree, extra := buildTree(group, processes)
	s.printTree(tree, extra, treeStyle{prefix: spaces(13), width: s.lineWidth()})
}
