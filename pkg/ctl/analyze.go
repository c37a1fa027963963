package ctl

import (
	"sort"
	"strings"

	"github.com/muster-init/muster/pkg/unit/value"
)

// analyze is one run of systemd-analyze(1).
type analyze struct {
	*systemctl
	iterations      int
	baseTime        value.USec
	mask, man       bool
	recursiveErrors string
	unit, instance  string
	order, require  bool
	fromPatterns    []string
	toPatterns      []string
	fuzz            value.USec
	global          bool
	offline         bool // security
	threshold       int
	policy, profile string
	says            map[string]policyWords
}

// analyzeVerb is one row of its verbs.
type analyzeVerb struct {
	name, args, doc string
	min, max        int
	online          bool
	run             func(a *analyze, args []string) int
}

func analyzeVerbs() []analyzeVerb {
	manager := func(verb string) func(a *analyze, args []string) int {
		return func(a *analyze, args []string) int {
			if verb == "service-watchdogs" {
				return serviceWatchdogs(a.systemctl, verb, args)
			}
			return logLevel(a.systemctl, verb, args)
		}
	}
	return []analyzeVerb{
		{"time", "", "show how long the boot took", 0, 0, true, analyzeTime},
		{"blame", "", "list units by how long they took to start", 0, 0, true, analyzeBlame},
		{"critical-chain", "[UNIT...]", "show the units that others had to wait for", 0, -1, true, analyzeChain},
		{"dot", "[PATTERN...]", "print the graph of units for graphviz", 0, -1, true, analyzeDot},
		{"dump", "[PATTERN...]", "print the state of the manager", 0, -1, true, analyzeDump},
		{"cat-config", "NAME|PATH...", "show configuration files with their drop-ins", 1, -1, false, analyzeCatConfig},
		{"unit-files", "[PATTERN...]", "list unit files and their aliases", 0, -1, false, analyzeUnitFiles},
		{"unit-paths", "", "list the directories of unit files", 0, 0, false, analyzeUnitPaths},
		{"exit-status", "[STATUS...]", "list exit statuses", 0, -1, false, analyzeExitStatus},
		{"capability", "[CAPABILITY...]", "list capabilities", 0, -1, false, analyzeCapability},
		{"syscall-filter", "[SET...]", "list system calls of sets", 0, -1, false, analyzeSyscalls},
		{"filesystems", "[SET...]", "list file systems of sets", 0, -1, false, analyzeFilesystems},
		{"architectures", "[NAME...]", "list architectures", 0, -1, false, analyzeArchitectures},
		{"condition", "CONDITION...", "test conditions and asserts", 0, -1, false, analyzeCondition},
		{"compare-versions", "VERSION [OP] VERSION", "compare two versions", 2, 3, false, analyzeVersions},
		{"verify", "FILE...", "check unit files", 1, -1, false, analyzeVerify},
		{"calendar", "EVENT...", "show when calendar events elapse", 1, -1, false, analyzeCalendar},
		{"timestamp", "TIMESTAMP...", "show points in time", 1, -1, false, analyzeTimestamp},
		{"timespan", "SPAN...", "show time spans", 1, -1, false, analyzeTimespan},
		{"security", "[UNIT...]", "rate how exposed services are", 0, -1, false, analyzeSecurity},
		{"fdstore", "UNIT...", "list descriptors in the stores of services", 1, -1, true, analyzeFDStore},
		{"log-level", "[LEVEL]", "show or set the manager's log level", 0, 1, true, manager("log-level")},
		{"log-target", "[TARGET]", "show or set where the manager logs", 0, 1, true, manager("log-target")},
		{"service-watchdogs", "[BOOL]", "show or set whether watchdogs of services are heeded", 0, 1, true, manager("service-watchdogs")},
		{"get-log-level", "", "", 0, 0, true, manager("log-level")},
		{"get-log-target", "", "", 0, 0, true, manager("log-target")},
		{"set-log-level", "LEVEL", "", 1, 1, true, manager("log-level")},
		{"set-log-target", "TARGET", "", 1, 1, true, manager("log-target")},
	}
}

func (a *analyze) options() []option {
	o := &a.o
	return append([]option{
		{long: "user", doc: "about the caller's own manager", set: func(string) error { o.scope = scopeUser; return nil }},
		{long: "system", doc: "about the manager of the system", set: func(string) error { o.scope = scopeSystem; return nil }},
		{long: "global", doc: "about the managers of all users", set: func(string) error { o.scope = scopeGlobal; return nil }},
		{long: "host", short: 'H', arg: needsArgument, set: setString(&o.host)},
		{long: "machine", short: 'M', arg: needsArgument, set: setString(&o.machine)},
		{long: "order", doc: "dot: only ordering dependencies", set: setBool(&a.order, true)},
		{long: "require", doc: "dot: only requirement dependencies", set: setBool(&a.require, true)},
		{long: "from-pattern", arg: needsArgument, name: "PATTERN", doc: "dot: only edges from units that match", set: appendString(&a.fromPatterns)},
		{long: "to-pattern", arg: needsArgument, name: "PATTERN", doc: "dot: only edges to units that match", set: appendString(&a.toPatterns)},
		{long: "fuzz", arg: needsArgument, name: "SPAN", doc: "critical-chain: also units that were ready this much earlier", set: func(v string) error {
			n, err := value.ParseSec(v, value.USecPerSec)
			a.fuzz = n
			return err
		}},
		{long: "man", arg: mayHaveArgument, name: "BOOL", doc: "verify: whether manual pages are looked for", set: func(v string) error {
			if v == "" {
				v = "yes"
			}
			b, err := value.ParseBool(v)
			a.man = b
			return err
		}},
		{long: "instance", arg: needsArgument, name: "NAME", doc: "verify: instance of templates", set: setString(&a.instance)},
		{long: "recursive-errors", arg: needsArgument, name: "MODE", doc: "verify: whose faults count: no, one, yes", set: func(v string) error {
			if v != "no" && v != "one" && v != "yes" {
				return usageError("Unknown mode passed to --recursive-errors='" + v + "'.")
			}
			a.recursiveErrors = v
			return nil
		}},
		{long: "iterations", arg: needsArgument, name: "NUMBER", doc: "calendar: how often", set: func(v string) error {
			n, err := value.ParseUint(v, 31)
			if err != nil {
				return usageError("Failed to parse iterations: " + v)
			}
			a.iterations = int(n)
			return nil
		}},
		{long: "base-time", arg: needsArgument, name: "TIMESTAMP", doc: "calendar: from when", set: func(v string) error {
			t, err := value.ParseTimestamp(v, a.now(), a.Location, zoneByName)
			if err != nil {
				return usageError("Failed to parse --base-time= parameter: " + v)
			}
			a.baseTime = t
			return nil
		}},
		{long: "unit", short: 0, arg: needsArgument, name: "UNIT", doc: "condition: those of a unit", set: setString(&a.unit)},
		{long: "mask", short: 'm', doc: "capability: the argument is a mask", set: setBool(&a.mask, true)},
		{long: "root", arg: needsArgument, name: "DIRECTORY", doc: "look at the files of another root", set: a.setRoot},
		{long: "image", arg: needsArgument, set: setString(&o.image)},
		{long: "json", arg: needsArgument, name: "MODE", doc: "lists as JSON: short, pretty, off", set: a.setJSON},
		{long: "quiet", short: 'q', doc: "print less", set: setBool(&o.quiet, true)},
		{long: "no-pager", doc: "don't pipe output into a pager", set: setBool(&o.noPager, true)},
		{long: "no-legend", doc: "print no headers", set: setBool(&o.noLegend, true)},
	}, a.securityOptions()...)
}

// analyzeTool is systemd-analyze.
func analyzeTool(e *Env, args []string) int {
	a := &analyze{systemctl: newSystemctl(e), iterations: 1, threshold: 100, man: true, instance: "test_instance", recursiveErrors: "yes"}
	defer a.close()
	usage := "systemd-analyze [OPTIONS...] VERB ...\n\nLook at boots, units, and the words of unit files.\n\nVerbs:\n" + analyzeHelp() + "\nOptions:\n"
	words, status, done := e.parseTool(usage, a.options(), args, false)
	if done {
		return status
	}
	if status := a.checkOptions(); status != 0 {
		return status
	}
	name := "time"
	if len(words) > 0 {
		name, words = words[0], words[1:]
	}
	var names []string
	for _, v := range analyzeVerbs() {
		names = append(names, v.name)
		if v.name != name {
			continue
		}
		switch {
		case len(words) < v.min:
			e.errorf("Too few arguments.")
			return exitFailure
		case v.max >= 0 && len(words) > v.max:
			e.errorf("Too many arguments.")
			return exitFailure
		case v.online && !a.online():
			return exitFailure
		}
		return v.run(a, words)
	}
	if hint := nearest(name, names); hint != "" {
		e.errorf("Unknown command verb '%s', did you mean '%s'?", name, hint)
	} else {
		e.errorf("Unknown command verb '%s'.", name)
	}
	return exitFailure
}

func analyzeHelp() string {
	var b strings.Builder
	for _, v := range analyzeVerbs() {
		if v.doc == "" {
			continue
		}
		left := "  " + strings.TrimSpace(v.name+" "+v.args)
		b.WriteString(left + spaces(max(38-len(left), 1)) + v.doc + "\n")
	}
	return b.String()
}

// sortedByFold sorts without regard to case.
func sortedByFold(list []string) {
	sort.Slice(list, func(i, j int) bool { return strings.ToLower(list[i]) < strings.ToLower(list[j]) })
}
