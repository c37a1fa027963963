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
	for _, part := range [][]verb{jobVerbs(), queryVerbs(), unitVerbs(), fileVerbs(), managerVerbs(), powerVerbs(), ownVerbs()} {
		list = append(list, part...)
	}
	return list
}

func queryVerbs() []verb {
	return []verb{
		{name: "list-units", max: -1, online: true, args: "[PATTERN...]", doc: "list the units in memory", units: "units", run: listUnits},
		{name: "is-active", min: 1, max: -1, online: true, args: "PATTERN...", doc: "tell whether units are active", units: "units", run: isActive},
		{name: "check", min: 1, max: -1, online: true, hidden: true, run: isActive},
		{name: "is-failed", max: -1, online: true, args: "[PATTERN...]", doc: "tell whether units, or any unit, have failed", units: "units", run: isFailed},
		{name: "status", max: -1, online: true, args: "[PATTERN...|PID...]", doc: "show what units do, with their newest log lines", units: "units", run: status},
		{name: "show", max: -1, online: true, args: "[PATTERN...|JOB...]", doc: "show properties of units, jobs or the manager", units: "units", run: show},
		{name: "is-system-running", max: 0, args: "", doc: "tell the state of the system", run: isSystemRunning},
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
		start("restart", "stop and start units, or start them", "units"),
		start("reload", "make units read their configuration again", "active"),
		start("try-restart", "restart units that are active", "active"),
		start("reload-or-restart", "reload units that can, restart the others", "units"),
		start("try-reload-or-restart", "the same, for active units only", "active"),
		old("condstop"), old("condrestart"), old("condreload"), old("force-reload"), old("reload-or-try-restart"),
		{name: "isolate", min: 1, max: 1, online: true, args: "UNIT", doc: "start a unit and stop all others", units: "isolatable", run: startUnits},
	}
	// With --marked these name no unit.
	for i := range list {
		if list[i].name == "restart" || list[i].name == "reload-or-restart" {
			list[i].min = 0
		}
	}
	return list
}

func unitVerbs() []verb { return nil }
func fileVerbs() []verb { return nil }

func managerVerbs() []verb {
	return []verb{
		{name: "daemon-reload", max: 0, online: true, doc: "make the manager read all unit files again", run: daemonReload},
		{name: "daemon-reexec", max: 0, online: true, doc: "make the manager execute itself again", run: daemonReload},
	}
}

func powerVerbs() []verb {
	return []verb{
		{name: "poweroff", max: 0, online: true, doc: "shut down and switch off", run: power},
		{name: "reboot", max: 1, online: true, doc: "shut down and restart", run: power},
		{name: "halt", max: 0, online: true, doc: "shut down and halt", run: power},
	}
}

func ownVerbs() []verb { return nil }

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
