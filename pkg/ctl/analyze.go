package ctl

import (
	"fmt"
	"sort"
	"strconv"
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
	table, detailed bool // plot
	scale           float64
	watchFor        value.USec // sandbox
	applyLearned    bool
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
		{"plot", "", "draw the boot as SVG", 0, 0, true, analyzePlot},
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
		{"sandbox", "UNIT", "watch a service and propose the tightest sandbox (muster's own)", 1, 1, false, analyzeSandbox},
		{"fdstore", "UNIT...", "list descriptors in the stores of services", 1, -1, true, analyzeFDStore},
		{"smbios11", "", "list strings passed in by the host of a virtual machine", 0, 0, false, analyzeSMBIOS11},
		{"has-tpm2", "", "tell what there is of a TPM", 0, 0, false, analyzeTPM2},
		{"help", "", "", 0, -1, false, nil},
		{"malloc", "", "", 0, -1, false, absentVerb("malloc")},
		{"inspect-elf", "", "", 1, -1, false, absentVerb("inspect-elf")},
		{"dlopen-metadata", "", "", 1, 1, false, absentVerb("dlopen-metadata")},
		{"image-policy", "", "", 1, 1, false, absentVerb("image-policy")},
		{"pcrs", "", "", 0, -1, false, absentVerb("pcrs")},
		{"srk", "", "", 0, 0, false, absentVerb("srk")},
		{"chid", "", "", 0, 0, false, absentVerb("chid")},
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
		a.machineOption(),
		{long: "order", doc: "dot: only ordering dependencies", set: func(string) error { a.order, a.require = true, false; return nil }},
		{long: "require", doc: "dot: only requirement dependencies", set: func(string) error { a.order, a.require = false, true; return nil }},
		{long: "from-pattern", arg: needsArgument, name: "PATTERN", doc: "dot: only edges from units that match", set: appendString(&a.fromPatterns)},
		{long: "to-pattern", arg: needsArgument, name: "PATTERN", doc: "dot: only edges to units that match", set: appendString(&a.toPatterns)},
		{long: "fuzz", arg: needsArgument, name: "SPAN", doc: "critical-chain: also units that were ready this much earlier", set: func(v string) error {
			n, err := value.ParseSec(v, value.USecPerSec)
			if err != nil {
				return errQuiet
			}
			a.fuzz = n
			return nil
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
		{long: "no-legend", doc: "print no headers", set: func(string) error { o.noLegend, o.noLegendGiven = true, true; return nil }},
		{long: "tldr", doc: "cat-config: without comments and empty lines", set: setBool(&o.terse, true)},
		{long: "for", arg: needsArgument, name: "SPAN", doc: "sandbox: how long the service is watched", set: func(v string) error {
			n, err := value.ParseSec(v, value.USecPerSec)
			if err != nil || n == 0 {
				return usageError("Failed to parse --for= parameter: " + v)
			}
			a.watchFor = n
			return nil
		}},
		{long: "apply", doc: "sandbox: keep the proposal as a drop-in", set: setBool(&a.applyLearned, true)},
		{long: "table", doc: "plot: print a table", set: setBool(&a.table, true)},
		{long: "detailed", doc: "plot: with all times of units as comments", set: setBool(&a.detailed, true)},
		{long: "scale-svg", arg: needsArgument, name: "FACTOR", doc: "plot: stretch the drawing", set: func(v string) error {
			f, err := strconv.ParseFloat(v, 64)
			if err != nil || !(f > 0 && f < 1000) {
				return fmt.Errorf("Failed to parse --scale-svg= argument '%s'", v)
			}
			a.scale = f
			return nil
		}},
		{long: "generators", arg: mayHaveArgument, name: "BOOL", doc: "verify: whether units of generators are read too", set: func(v string) error {
			_, err := value.ParseBool(orDefault(v, "yes"))
			return err
		}},
		{long: "image-policy", arg: needsArgument, set: setString(new(string))},
	}, a.securityOptions()...)
}

// analyzeTool is systemd-analyze.
func analyzeTool(e *Env, args []string) int {
	a := &analyze{systemctl: newSystemctl(e), iterations: 1, threshold: 100, scale: 1, man: true, watchFor: learnFor, instance: "test_instance", recursiveErrors: "yes"}
	defer a.close()
	usage := "systemd-analyze [OPTIONS...] VERB ...\n\nLook at boots, units, and the words of unit files.\n\nVerbs:\n" + analyzeHelp() + "\nOptions:\n"
	words, status, done := e.parseTool(usage, a.options(), args, false)
	if done {
		return status
	}
	name := "time"
	if len(words) > 0 {
		name, words = words[0], words[1:]
	}
	if name == "help" {
		_, status, _ = e.parseTool(usage, a.options(), []string{"--help"}, false)
		return status
	}
	if status := a.checkOptions(); status != 0 {
		return status
	}
	if text := a.misused(name); text != "" {
		e.errorf("%s", text)
		return exitFailure
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

// misused says which option was given to a verb that doesn't have it.
func (a *analyze) misused(verb string) string {
	switch {
	case strings.HasPrefix(a.o.output, "json") && !contains([]string{"security", "inspect-elf", "plot", "fdstore", "pcrs", "architectures", "capability", "exit-status", "smbios11"}, verb):
		return "Option --json= is only supported for security, inspect-elf, plot, fdstore, pcrs, architectures, capability, exit-status right now."
	case a.o.root != "" && !contains([]string{"cat-config", "verify", "condition"}, verb) && !(verb == "security" && a.offline):
		return "Options --root= and --image= are only supported for cat-config, verify, condition and security when used with --offline= right now."
	case a.o.noLegendGiven && !(verb == "plot" && (a.table || strings.HasPrefix(a.o.output, "json"))):
		return "Option --no-legend is only supported for plot with either --table or --json=."
	case a.table && verb != "plot":
		return "Option --table is only supported for plot right now."
	case a.unit != "" && verb != "condition":
		return "Option --unit= is only supported for condition"
	}
	return ""
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
