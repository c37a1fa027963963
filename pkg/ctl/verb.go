package ctl

// verb is one row of the verbs.
type verb struct {
	name     string
	min, max int  // number of arguments; max < 0 is any
	online   bool // ignored without a manager to talk to: in a chroot, or with --root=
	own      bool // muster's own: not there when called as systemctl
	hidden   bool // an old name
	args     string
	doc      string
	units    string // what arguments complete to: units, active, files, jobs, …
	run      func(s *systemctl, name string, args []string) int
}

// verbs is the table of all verbs.
func verbs() []verb {
	var list []verb
	for _, g := range verbGroups() {
		list = append(list, g.verbs...)
	}
	return list
}

func queryVerbs() []verb {
	return []verb{
		{name: "list-units", max: -1, online: true, args: "[PATTERN...]", doc: "list the units in memory", units: "units", run: listUnits},
		{name: "list-automounts", max: -1, online: true, args: "[PATTERN...]", doc: "list automounts by path", units: "automounts", run: listType},
		{name: "list-paths", max: -1, online: true, args: "[PATTERN...]", doc: "list path units by path", units: "paths", run: listType},
		{name: "list-sockets", max: -1, online: true, args: "[PATTERN...]", doc: "list sockets by address", units: "sockets", run: listType},
		{name: "list-timers", max: -1, online: true, args: "[PATTERN...]", doc: "list timers by when they elapse", units: "timers", run: listType},
		{name: "list-dependencies", max: -1, online: true, args: "[UNIT...]", doc: "show what units depend on, as a tree", units: "units", run: listDependencies},
		{name: "is-active", min: 1, max: -1, online: true, args: "PATTERN...", doc: "tell whether units are active", units: "units", run: isActive},
		{name: "check", min: 1, max: -1, online: true, hidden: true, run: isActive},
		{name: "is-failed", max: -1, online: true, args: "[PATTERN...]", doc: "tell whether units, or any unit, have failed", units: "units", run: isFailed},
		{name: "status", max: -1, online: true, args: "[PATTERN...|PID...]", doc: "show what units do, with their newest log lines", units: "units", run: status},
		{name: "show", max: -1, online: true, args: "[PATTERN...|JOB...]", doc: "show properties of units, jobs or the manager", units: "units", run: show},
		{name: "cat", min: 1, max: -1, args: "PATTERN...", doc: "show the files of units", units: "units", run: catUnits},
		{name: "help", min: 1, max: -1, online: true, args: "PATTERN...", doc: "show the manual pages of units", units: "units", run: helpUnits},
		{name: "is-system-running", max: 0, doc: "tell the state of the system", run: isSystemRunning},
	}
}

func jobVerbs() []verb {
	start := func(name, doc, units string) verb {
		return verb{name: name, min: 1, max: -1, online: true, args: "UNIT...", doc: doc, units: units, run: startUnits}
	}
	old := func(name string) verb {
		return verb{name: name, min: 1, max: -1, online: true, hidden: true, run: startUnits}
	}
	list := []verb{
		start("start", "start units", "inactive"),
		start("stop", "stop units", "active"),
		old("condstop"),
		start("reload", "make units read their configuration again", "active"),
		start("restart", "stop and start units, or start them", "units"),
		start("try-restart", "restart units that are active", "active"),
		start("reload-or-restart", "reload units that can, restart the others", "units"),
		start("try-reload-or-restart", "the same, for active units only", "active"),
		old("reload-or-try-restart"), old("force-reload"), old("condreload"), old("condrestart"),
		{name: "isolate", min: 1, max: 1, online: true, args: "UNIT", doc: "start a unit and stop all others", units: "targets", run: startUnits},
		{name: "list-jobs", max: -1, online: true, args: "[PATTERN...]", doc: "list jobs", units: "units", run: listJobs},
		{name: "cancel", max: -1, online: true, args: "[JOB...]", doc: "cancel jobs, or all", units: "jobs", run: cancelJobs},
		{name: "clear-jobs", max: 0, online: true, hidden: true, run: cancelJobs},
		{name: "list-machines", max: -1, online: true, args: "[PATTERN...]", doc: "list this machine", run: listMachines},
	}
	// With --marked these name no unit.
	for i := range list {
		if list[i].name == "reload-or-restart" || list[i].name == "restart" {
			list[i].min = 0
		}
	}
	return list
}

func unitVerbs() []verb {
	return []verb{
		{name: "kill", min: 1, max: -1, online: true, args: "PATTERN...", doc: "send a signal to processes of units", units: "active", run: killUnits},
		{name: "clean", min: 1, max: -1, online: true, args: "PATTERN...", doc: "remove runtime, cache, state … of units", units: "inactive", run: cleanUnits},
		{name: "freeze", min: 1, max: -1, online: true, args: "PATTERN...", doc: "suspend the processes of units", units: "active", run: freezeUnits},
		{name: "thaw", min: 1, max: -1, online: true, args: "PATTERN...", doc: "resume the processes of units", units: "active", run: freezeUnits},
		{name: "set-property", min: 2, max: -1, online: true, args: "UNIT PROPERTY=VALUE...", doc: "change settings of a unit", units: "units", run: setUnitProperties},
		{name: "bind", min: 2, max: 3, online: true, args: "UNIT PATH [PATH]", doc: "mount a path into a unit's namespace", units: "active", run: bindMount},
		{name: "mount-image", min: 3, max: 4, online: true, args: "UNIT IMAGE PATH [OPTIONS]", doc: "mount an image into a unit's namespace", units: "active", run: bindMount},
		{name: "service-log-level", min: 1, max: 2, online: true, args: "SERVICE [LEVEL]", doc: "show or set the log level of a service", units: "active", run: serviceLog},
		{name: "service-log-target", min: 1, max: 2, online: true, args: "SERVICE [TARGET]", doc: "show or set the log target of a service", units: "active", run: serviceLog},
		{name: "reset-failed", max: -1, online: true, args: "[PATTERN...]", doc: "forget that units, or all, have failed", units: "failed", run: resetFailed},
		{name: "whoami", max: -1, online: true, args: "[PID...]", doc: "show which units processes belong to", run: whoAmI},
	}
}

func fileVerbs() []verb {
	change := func(name, args, doc string, min int) verb {
		return verb{name: name, min: min, max: -1, args: args, doc: doc, units: "files", run: changeFiles}
	}
	list := []verb{
		{name: "list-unit-files", max: -1, args: "[PATTERN...]", doc: "list unit files", units: "files", run: listUnitFiles},
		change("enable", "[UNIT...|PATH...]", "make the links that start units at boot", 1),
		change("disable", "UNIT...", "remove those links", 1),
		change("reenable", "UNIT...", "remove them and make them again", 1),
		change("preset", "UNIT...", "enable or disable units as the presets say", 1),
		change("preset-all", "", "the same for every unit file", 0),
		{name: "is-enabled", min: 1, max: -1, args: "UNIT...", doc: "tell whether units are enabled", units: "files", run: isEnabled},
		change("mask", "UNIT...", "keep units from being started at all", 1),
		change("unmask", "UNIT...", "undo mask", 1),
		change("link", "PATH...", "link unit files into the search path", 1),
		change("revert", "UNIT...", "undo what was put over the packages' unit files", 1),
		change("add-wants", "TARGET UNIT...", "make a unit want units", 2),
		change("add-requires", "TARGET UNIT...", "make a unit require units", 2),
		{name: "edit", min: 1, max: -1, args: "UNIT...", doc: "edit a drop-in, or with --full the file, of units", units: "files", run: edit},
		{name: "get-default", max: 0, doc: "show the default target", run: getDefault},
		change("set-default", "TARGET", "set the default target", 1),
	}
	for i := range list {
		switch list[i].name {
		case "preset-all":
			list[i].max = 0
		case "set-default":
			list[i].max = 1
		}
	}
	return list
}

func managerVerbs() []verb {
	return []verb{
		{name: "show-environment", max: 0, online: true, doc: "show the manager's environment block", run: showEnvironment},
		{name: "set-environment", min: 1, max: -1, online: true, args: "VARIABLE=VALUE...", doc: "set variables for services", run: setEnvironment},
		{name: "unset-environment", min: 1, max: -1, online: true, args: "VARIABLE...", doc: "remove variables", run: setEnvironment},
		{name: "import-environment", max: -1, online: true, args: "VARIABLE...", doc: "set variables as they are here", run: importEnvironment},
		{name: "daemon-reload", max: 0, online: true, doc: "make the manager read all unit files again", run: daemonReload},
		{name: "daemon-reexec", max: 0, online: true, doc: "make the manager execute itself again", run: daemonReload},
		{name: "log-level", max: 1, online: true, args: "[LEVEL]", doc: "show or set the manager's log level", run: logLevel},
		{name: "log-target", max: 1, online: true, args: "[TARGET]", doc: "show or set where the manager logs", run: logLevel},
		{name: "service-watchdogs", max: 1, online: true, args: "[BOOL]", doc: "show or set whether watchdogs of services are heeded", run: serviceWatchdogs},
	}
}

func powerVerbs() []verb {
	list := []verb{
		{name: "default", doc: "enter the default target"},
		{name: "rescue", doc: "enter rescue mode"},
		{name: "emergency", doc: "enter emergency mode"},
		{name: "halt", doc: "shut down and halt"},
		{name: "poweroff", doc: "shut down and switch off"},
		{name: "reboot", doc: "shut down and restart"},
		{name: "kexec", doc: "shut down and start another kernel"},
		{name: "soft-reboot", doc: "restart userspace only"},
		{name: "exit", max: 1, args: "[EXIT_CODE]", doc: "end the manager"},
		{name: "sleep", doc: "sleep in the way that is configured"},
		{name: "suspend", doc: "suspend to memory"},
		{name: "hibernate", doc: "suspend to disk"},
		{name: "hybrid-sleep", doc: "suspend to both"},
		{name: "suspend-then-hibernate", doc: "suspend, and hibernate after a while"},
		{name: "switch-root", max: 2, args: "[ROOT [INIT]]", doc: "change to another root"},
	}
	for i := range list {
		list[i].online, list[i].run = true, power
		if list[i].name == "switch-root" {
			list[i].run = switchRoot
		}
	}
	return list
}

func findVerb(name string, own bool) *verb {
	for _, v := range verbs() {
		if v.name == name && (own || !v.own) {
			return &v
		}
	}
	return nil
}

func verbNames(own bool) []string {
	var out []string
	for _, v := range verbs() {
		if own || !v.own {
			out = append(out, v.name)
		}
	}
	return out
}
