package ctl

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// Words of the manager's enumerations, in the order in which `help` lists them.
var (
	unitTypes  = []string{"service", "mount", "swap", "socket", "target", "device", "automount", "timer", "path", "slice", "scope"}
	loadStates = []string{"stub", "loaded", "not-found", "bad-setting", "error", "merged", "masked"}
	jobModes   = []string{"fail", "lenient", "replace", "replace-irreversibly", "isolate", "flush", "ignore-dependencies", "ignore-requirements", "triggering", "restart-dependencies"}
	outputs    = []string{"short", "short-full", "short-iso", "short-iso-precise", "short-precise", "short-monotonic", "short-delta", "short-unix",
		"verbose", "export", "json", "json-pretty", "json-sse", "json-seq", "cat", "with-unit"}
	presetModes = []string{"full", "enable-only", "disable-only"}
	whoms       = []string{"main", "control", "all", "main-fail", "control-fail", "all-fail", "cgroup", "cgroup-fail"}
	resources   = []string{"runtime", "state", "cache", "logs", "configuration", "fdstore", "all"}
	timestamps  = []string{"pretty", "us", "utc", "us+utc", "unix"}
)

// options is the table of systemctl's options.
func (s *systemctl) options() []option {
	return append(append(s.queryOptions(), s.jobOptions()...), s.fileOptions()...)
}

func (s *systemctl) queryOptions() []option {
	o := &s.o
	return []option{
		{long: "help", short: 'h', doc: "show this help", set: func(string) error { s.help(); return errDone }},
		{long: "version", doc: "show the version", set: func(string) error { s.printf("%s\n", versionText()); return errDone }},
		{long: "system", doc: "talk to the manager of the system", set: func(string) error { o.scope = scopeSystem; return nil }},
		{long: "user", doc: "talk to the caller's own manager", set: func(string) error { o.scope = scopeUser; return nil }},
		{long: "host", short: 'H', arg: needsArgument, name: "[USER@]HOST", doc: "talk to the manager of another machine, by ssh", set: setString(&o.host)},
		s.machineOption(),
		s.capsuleOption(),
		{long: "type", short: 't', arg: needsArgument, name: "TYPE", doc: "only units of these types, comma separated", values: constant(unitTypes), set: s.setType},
		{long: "state", arg: needsArgument, name: "STATE", doc: "only units with one of these load, active or sub states", values: allStates, set: s.setState},
		{long: "failed", doc: "only failed units", set: func(string) error { o.states = append(o.states, "failed"); return nil }},
		{long: "property", short: 'p', arg: needsArgument, name: "NAME", doc: "show only these properties", set: s.setProperty},
		{short: 'P', arg: needsArgument, name: "NAME", doc: "show only the values of these properties", set: func(v string) error { o.value = true; return s.setProperty(v) }},
		{long: "value", doc: "show values without names", set: setBool(&o.value, true)},
		{long: "all", short: 'a', doc: "also units that are inactive, and properties that are empty", set: setBool(&o.all, true)},
		{long: "full", short: 'l', doc: "don't cut long names and descriptions", set: setBool(&o.full, true)},
		{long: "recursive", short: 'r', doc: "also units of containers", set: setBool(&o.recursive, true)},
		{long: "reverse", doc: "list-dependencies: what depends on the unit", set: func(string) error { o.follow = "reverse"; return nil }},
		{long: "after", doc: "list-dependencies, list-jobs: what is ordered before the unit, what the job waits for", set: func(string) error { o.after, o.follow = true, "after"; return nil }},
		{long: "before", doc: "list-dependencies, list-jobs: what is ordered after the unit, what waits for the job", set: func(string) error { o.before, o.follow = true, "before"; return nil }},
		{long: "with-dependencies", doc: "also the units that the named ones depend on", set: setBool(&o.withDependencies, true)},
		{long: "show-types", doc: "list-sockets: show what kind each socket is", set: setBool(&o.showTypes, true)},
		{long: "plain", doc: "a list instead of a tree, and no dots", set: setBool(&o.plain, true)},
		{long: "legend", arg: needsArgument, name: "BOOL", doc: "print headers and hints", set: func(v string) error {
			b, err := value.ParseBool(v)
			if err != nil {
				return fmt.Errorf("Failed to parse boolean argument to --legend: %s.", v)
			}
			o.noLegend = !b
			return nil
		}},
		{long: "no-legend", doc: "print no headers and hints", set: setBool(&o.noLegend, true)},
		{long: "no-pager", doc: "don't pipe output into a pager", set: setBool(&o.noPager, true)},
		{long: "output", short: 'o', arg: needsArgument, name: "MODE", doc: "form of log lines and lists: short, cat, json, json-pretty …", values: constant(outputs), set: s.setOutput},
		{long: "json", arg: needsArgument, name: "MODE", doc: "lists as JSON: short, pretty, off", values: constant([]string{"short", "pretty", "off"}), set: s.setJSON},
		{long: "lines", short: 'n', arg: needsArgument, name: "NUMBER", doc: "log lines that status shows", set: func(v string) error {
			n, err := value.ParseUint(v, 31)
			if err != nil {
				return fmt.Errorf("Failed to parse lines '%s'", v)
			}
			o.lines, o.linesSet = int(n), true
			return nil
		}},
		{long: "timestamp", arg: needsArgument, name: "FORM", doc: "form of time stamps: pretty, us, utc, us+utc, unix", values: constant(timestamps), set: func(v string) error {
			if v == "help" {
				return s.listWords(timestamps)
			}
			t, err := value.ParseTimestampStyle(v)
			if err != nil {
				return fmt.Errorf("Invalid value: %s.", v)
			}
			o.timestamp = t
			return nil
		}},
		{long: "quiet", short: 'q', doc: "print less", set: setBool(&o.quiet, true)},
		{long: "no-warn", doc: "print no warnings", set: setBool(&o.noWarn, true)},
	}
}

func (s *systemctl) jobOptions() []option {
	o := &s.o
	mode := func(m string) func(string) error { return func(string) error { o.jobMode = m; return nil } }
	return []option{
		{long: "job-mode", arg: needsArgument, name: "MODE", doc: "what happens to jobs in the way", values: constant(jobModes), set: func(v string) error {
			return mode(v)("")
		}},
		{long: "fail", set: mode("fail")},
		{long: "irreversible", set: mode("replace-irreversibly")},
		{long: "ignore-dependencies", set: mode("ignore-dependencies")},
		{long: "show-transaction", short: 'T', doc: "show the jobs that an operation makes", set: setBool(&o.showTransaction, true)},
		{long: "no-block", doc: "don't wait for jobs to end", set: setBool(&o.noBlock, true)},
		{long: "wait", doc: "start: wait until the units have stopped again; is-system-running: until the system is up", set: setBool(&o.wait, true)},
		{long: "dry-run", doc: "only say what would be done", set: setBool(&o.dryRun, true)},
		{long: "marked", doc: "restart, reload: the units marked for it", set: setBool(&o.marked, true)},
		{long: "signal", short: 's', arg: needsArgument, name: "SIGNAL", doc: "kill: the signal", values: signalNames, set: s.setSignal},
		{long: "kill-whom", arg: needsArgument, name: "WHOM", doc: "kill: main, control, all or cgroup", values: constant(whoms[:3]), set: setString(&o.killWhom)},
		{long: "kill-who", arg: needsArgument, set: setString(&o.killWhom)},
		{long: "kill-value", arg: needsArgument, name: "INTEGER", doc: "kill: queue the signal with this value", set: func(v string) error {
			n, err := value.ParseInt(v, 32)
			if err != nil {
				return fmt.Errorf("Unable to parse signal queue value: %s", v)
			}
			o.killValue = &n
			return nil
		}},
		{long: "what", arg: needsArgument, name: "WHAT", doc: "clean: runtime, state, cache, logs, configuration, fdstore, all", values: constant(resources), set: func(v string) error {
			for _, w := range splitList(v) {
				if w == "help" {
					return s.listWords(resources)
				}
				o.what = append(o.what, w)
			}
			return nil
		}},
		{long: "no-wall", doc: "don't tell users of a shutdown", set: setBool(&o.noWall, true)},
		{long: "message", arg: needsArgument, name: "TEXT", doc: "why the system goes down", set: setString(&o.message)},
		{long: "when", arg: needsArgument, name: "TIME", doc: "shut down at a time", set: setString(&o.when)},
		{long: "reboot-argument", arg: needsArgument, name: "TEXT", doc: "argument of reboot(2)", set: setString(&o.rebootArgument)},
		{long: "check-inhibitors", arg: needsArgument, name: "MODE", doc: "heed locks against shutdown: auto, yes, no", values: constant([]string{"auto", "yes", "no"}), set: func(v string) error {
			if _, err := value.ParseBool(v); err != nil && v != "auto" {
				return fmt.Errorf("Failed to parse --check-inhibitors= argument: %s", v)
			}
			o.checkInhibitors = v
			return nil
		}},
		{short: 'i', doc: "same as --check-inhibitors=no", set: func(string) error { o.checkInhibitors = "no"; return nil }},
		{long: "ignore-inhibitors", set: func(string) error { o.checkInhibitors = "no"; return nil }},
		{long: "firmware-setup", doc: "reboot into the firmware's menu", set: setBool(&o.firmwareSetup, true)},
		{long: "boot-loader-menu", arg: needsArgument, name: "TIME", doc: "reboot into the boot loader's menu", set: setString(&o.bootLoaderMenu)},
		{long: "boot-loader-entry", arg: needsArgument, name: "NAME", doc: "reboot into an entry of the boot loader", set: setString(&o.bootLoaderEntry)},
		{long: "no-ask-password", doc: "don't ask for passwords", set: setBool(&o.noAskPassword, true)},
	}
}

func (s *systemctl) fileOptions() []option {
	o := &s.o
	return []option{
		{long: "global", doc: "unit files of all users' managers", set: func(string) error { o.scope = scopeGlobal; return nil }},
		{long: "runtime", doc: "only until the next boot", set: setBool(&o.runtime, true)},
		{long: "now", doc: "enable, disable, mask: start or stop the units too", set: setBool(&o.now, true)},
		{long: "no-reload", doc: "don't reload the manager after changing unit files", set: setBool(&o.noReload, true)},
		{long: "force", short: 'f', doc: "replace links that are in the way; shutdown: don't stop units first, twice: don't ask the manager", set: func(string) error { o.force++; return nil }},
		{long: "preset-mode", arg: needsArgument, name: "MODE", doc: "full, enable-only or disable-only", values: constant(presetModes), set: func(v string) error {
			if v == "help" {
				return s.listWords(presetModes)
			}
			if !contains(presetModes, v) {
				return fmt.Errorf("Failed to parse preset mode: %s.", v)
			}
			o.presetMode = v
			return nil
		}},
		{long: "root", arg: needsArgument, name: "DIRECTORY", doc: "work on the unit files of another root", set: s.setRoot},
		{long: "image", arg: needsArgument, name: "FILE", set: setString(&o.image)},
		{long: "image-policy", arg: needsArgument, name: "POLICY", set: setString(new(string))},
		{long: "drop-in", arg: needsArgument, name: "NAME", doc: "edit: name of the drop-in", set: s.setDropIn},
		{long: "stdin", doc: "edit: new content from standard input", set: setBool(&o.stdin, true)},
		{long: "mkdir", doc: "bind: make the directory", set: setBool(&o.mkdir, true)},
		{long: "read-only", doc: "bind: read-only", set: setBool(&o.readOnly, true)},
	}
}

func constant(list []string) func() []string { return func() []string { return list } }

// listWords prints what an option takes and ends the tool.
func (s *systemctl) listWords(list []string) error {
	for _, w := range list {
		s.printf("%s\n", w)
	}
	return errDone
}

func (s *systemctl) setType(v string) error {
	if v == "" {
		return fmt.Errorf("--type= requires arguments.")
	}
	for _, t := range splitList(v) {
		switch {
		case t == "help":
			if !s.o.noLegend {
				s.printf("Available unit types:\n")
			}
			return s.listWords(unitTypes)
		case contains(unitTypes, t):
			s.o.types = append(s.o.types, t)
		case contains(loadStates, t):
			s.o.states = append(s.o.states, t)
		default:
			return fmt.Errorf("Unknown unit type or load state '%s'.\nUse -t help to see a list of allowed values.", t)
		}
	}
	return nil
}

func (s *systemctl) setState(v string) error {
	if v == "" {
		return fmt.Errorf("--state= requires arguments.")
	}
	for _, t := range splitList(v) {
		if t == "help" {
			s.stateHelp()
			return errDone
		}
		s.o.states = append(s.o.states, t)
	}
	return nil
}

func (s *systemctl) setProperty(v string) error {
	if v == "" {
		// An empty list that is given means no property at all.
		s.o.properties = append(s.o.properties, "")
	}
	s.o.properties = append(s.o.properties, splitList(v)...)
	return nil
}

func (s *systemctl) setOutput(v string) error {
	if v == "help" {
		return s.listWords(outputs)
	}
	if !contains(outputs, v) {
		return fmt.Errorf("Unknown output '%s'.", v)
	}
	s.o.output = v
	if strings.HasPrefix(v, "json") || v == "export" {
		s.o.noLegend = true
	}
	return nil
}

func (s *systemctl) setJSON(v string) error {
	switch v {
	case "short":
		return s.setOutput("json")
	case "pretty":
		return s.setOutput("json-pretty")
	case "off":
		s.o.output = "short"
		return nil
	case "help":
		return s.listWords([]string{"pretty", "short", "off"})
	}
	return fmt.Errorf("Unknown argument to --json= switch: %s", v)
}

func (s *systemctl) setSignal(v string) error {
	switch v {
	case "help":
		return s.listWords(append([]string{"0"}, signalNames()...))
	case "list":
		return s.listSignals()
	}
	sig, err := value.ParseSignal(v)
	if err != nil {
		return fmt.Errorf("Failed to parse signal string \"%s\".", v)
	}
	s.o.signal, s.o.signalSet = sig, true
	return nil
}

func signalNames() []string {
	var out []string
	for _, sig := range value.Signals() {
		out = append(out, strings.TrimPrefix(sig.String(), "SIG"))
	}
	return out
}

func (s *systemctl) listSignals() error {
	t := newTable("SIGNAL", "NAME")
	for _, sig := range value.Signals() {
		t.row(textCell(strconv.Itoa(int(sig))), textCell(sig.String()))
	}
	t.print(s.Env, tableStyle{header: s.o.legend(), full: true})
	return errDone
}

func (s *systemctl) setRoot(v string) error {
	root, err := absolutePath(v)
	if err != nil {
		return fmt.Errorf("Failed to parse root directory path '%s': %s", v, err)
	}
	s.o.rootGiven = true
	if root == "/" {
		root = ""
	}
	s.o.root = root
	return nil
}

func (s *systemctl) setDropIn(v string) error {
	switch {
	case v == "":
		s.o.dropIn = ""
		return nil
	case !strings.HasSuffix(v, ".conf"):
		v += ".conf"
	}
	if !value.FilenameIsValid(v) {
		return fmt.Errorf("Invalid drop-in file name '%s'.", v)
	}
	s.o.dropIn = v
	return nil
}

// allStates are the words of --state=, for completion.
func allStates() []string {
	out := append([]string{}, loadStates...)
	for _, group := range stateGroups() {
		for _, w := range group.words {
			if !contains(out, w) {
				out = append(out, w)
			}
		}
	}
	return out
}

func hasSuffixOf(name string, types []string) bool {
	if len(types) == 0 {
		return true
	}
	return contains(types, unit.TypeOf(name).String())
}
