package ctl

import (
	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/unit"
)

// startAction is what a verb asks the manager for.
type startAction struct{ verb, method, jobType, mode, target string }

// startActions are the verbs that make jobs; those with a target act on one fixed unit.
var startActions = []startAction{
	{"start", "StartUnit", "start", "", ""},
	{"stop", "StopUnit", "stop", "", ""},
	{"condstop", "StopUnit", "stop", "", ""},
	{"reload", "ReloadUnit", "reload", "", ""},
	{"restart", "RestartUnit", "restart", "", ""},
	{"try-restart", "TryRestartUnit", "try-restart", "", ""},
	{"condrestart", "TryRestartUnit", "try-restart", "", ""},
	{"reload-or-restart", "ReloadOrRestartUnit", "reload-or-restart", "", ""},
	{"try-reload-or-restart", "ReloadOrTryRestartUnit", "reload-or-try-restart", "", ""},
	{"reload-or-try-restart", "ReloadOrTryRestartUnit", "reload-or-try-restart", "", ""},
	{"condreload", "ReloadOrTryRestartUnit", "reload-or-try-restart", "", ""},
	{"force-reload", "ReloadOrTryRestartUnit", "reload-or-try-restart", "", ""},
	{"isolate", "StartUnit", "start", "isolate", ""},
	{"default", "StartUnit", "start", "isolate", "default.target"},
	{"rescue", "StartUnit", "start", "isolate", "rescue.target"},
	{"emergency", "StartUnit", "start", "isolate", "emergency.target"},
	{"poweroff", "StartUnit", "start", "replace-irreversibly", "poweroff.target"},
	{"reboot", "StartUnit", "start", "replace-irreversibly", "reboot.target"},
	{"halt", "StartUnit", "start", "replace-irreversibly", "halt.target"},
	{"kexec", "StartUnit", "start", "replace-irreversibly", "kexec.target"},
	{"soft-reboot", "StartUnit", "start", "replace-irreversibly", "soft-reboot.target"},
	{"exit", "StartUnit", "start", "replace-irreversibly", "exit.target"},
	{"sleep", "StartUnit", "start", "replace-irreversibly", "sleep.target"},
	{"suspend", "StartUnit", "start", "replace-irreversibly", "suspend.target"},
	{"hibernate", "StartUnit", "start", "replace-irreversibly", "hibernate.target"},
	{"hybrid-sleep", "StartUnit", "start", "replace-irreversibly", "hybrid-sleep.target"},
	{"suspend-then-hibernate", "StartUnit", "start", "replace-irreversibly", "suspend-then-hibernate.target"},
}

func findAction(verb string) startAction {
	for _, a := range startActions {
		if a.verb == verb {
			return a
		}
	}
	return startActions[0]
}

// startUnits is start, stop, restart, isolate and their like.
func startUnits(s *systemctl, name string, args []string) int {
	if s.o.wait && s.o.noBlock {
		s.errorf("--wait may not be combined with --no-block.")
		return exitFailure
	}
	if s.o.marked {
		return s.startMarked(name, args)
	}
	a := findAction(name)
	if len(args) == 0 && a.target == "" {
		switch name {
		case "reload-or-restart":
			s.errorf("List of units to restart/reload is required.")
		default:
			s.errorf("Too few arguments.")
		}
		return exitFailure
	}
	if !s.online() {
		return exitFailure
	}
	names, status, ok := s.startNames(a, name, args)
	if !ok {
		return exitFailure
	}
	mode := s.o.jobMode
	if a.mode != "" {
		mode = a.mode
	}
	return s.runJobs(a, mode, names, status)
}

// startNames makes the units of what was typed.
func (s *systemctl) startNames(a startAction, verb string, args []string) (names []string, status int, ok bool) {
	if a.target != "" {
		return []string{a.target}, 0, true
	}
	suffix := ".service"
	if verb == "isolate" {
		suffix = ".target"
	}
	names, globbed, ok := s.expandNames(args, suffix)
	if globbed && a.method == "StartUnit" && !s.o.all && !s.o.quiet {
		s.notef("Warning: %s %s called with a glob pattern.\n"+
			"Hint: unit globs expand to loaded units, so start will usually have no effect.\n"+
			"      Passing --all will also load units which are pulled in by other units.\n"+
			"      See systemctl(1) for more details.", "systemctl", verb)
	}
	return names, 0, ok
}

// runJobs makes the jobs and waits for them.
func (s *systemctl) runJobs(a startAction, mode string, names []string, status int) int {
	if !s.o.noBlock {
		if err := s.watchJobs(); err != nil {
			s.errorf("Could not watch jobs: %s", errorText(err))
			return exitFailure
		}
	}
	if s.o.wait {
		if err := s.watchUnits(); err != nil {
			s.errorf("Failed to watch unit: %s", errorText(err))
			return exitFailure
		}
	}
	var jobs []waitingJob
	var made []string
	for _, n := range names {
		path, err := s.makeJob(a, mode, n)
		if err != nil {
			status = s.reportStart(a, n, err)
			continue
		}
		made = append(made, n)
		jobs = append(jobs, waitingJob{path: path, unit: n, verb: a.jobType})
	}
	if !s.o.noBlock {
		if r := s.waitJobs(jobs); r != 0 {
			status = r
		}
	}
	if s.o.wait && status == 0 {
		status = s.waitInactive(made)
	}
	if a.method == "StopUnit" && !s.o.noWarn && !s.o.quiet {
		for _, n := range made {
			s.warnTriggering(n, "Stopping")
		}
	}
	return status
}

// makeJob asks for one job.
func (s *systemctl) makeJob(a startAction, mode, name string) (bus.ObjectPath, error) {
	var path bus.ObjectPath
	if s.o.showTransaction {
		var err error
		if path, err = s.enqueue(a, mode, name); err != nil || path != "" {
			return path, err
		}
	}
	text, err := s.callString(a.method, name, mode)
	if err != nil {
		return "", err
	}
	s.warnChanged(name)
	return bus.ObjectPath(text), nil
}

// enqueue makes a job by EnqueueUnitJob and shows the whole transaction. The path is empty where the manager doesn't know that call.
func (s *systemctl) enqueue(a startAction, mode, name string) (bus.ObjectPath, error) {
	r, err := s.call("EnqueueUnitJob", name, a.jobType, mode)
	if hasName(err, bus.ErrUnknownMethod) {
		s.notef("--show-transaction not supported by this service manager, proceeding without.")
		return "", nil
	}
	if err != nil {
		return "", err
	}
	d, err := r.Args("uososa(uosos)")
	if err != nil {
		return "", err
	}
	id, path, anchor := d.Uint32(), d.ObjectPath(), d.String()
	d.ObjectPath()
	jobType := d.String()
	s.warnChanged(name)
	if !s.o.quiet {
		s.notef("Enqueued anchor job %d %s/%s.", id, anchor, jobType)
	}
	for arr := d.BeginArray('('); d.More(arr); {
		d.Struct()
		id := d.Uint32()
		d.ObjectPath()
		u := d.String()
		d.ObjectPath()
		t := d.String()
		if !s.o.quiet {
			s.notef("Enqueued auxiliary job %d %s/%s.", id, u, t)
		}
	}
	return path, d.Err()
}

// warnChanged warns of unit files that are newer than what the manager has read.
func (s *systemctl) warnChanged(name string) {
	v, err := s.unitProperty(name, "NeedDaemonReload")
	if need, _ := v.(bool); err != nil || !need || s.o.quiet {
		return
	}
	s.warnUnitChanged(name)
}

func (s *systemctl) warnUnitChanged(name string) {
	option := ""
	if s.o.scope == scopeUser {
		option = " --user"
	}
	s.warnf("Warning: The unit file, source configuration file or drop-ins of %s changed on disk. Run 'systemctl%s daemon-reload' to reload units.", name, option)
}

// reportStart says why there is no job, and gives the exit status for it.
func (s *systemctl) reportStart(a startAction, name string, err error) int {
	s.errorf("Failed to %s %s: %s", a.jobType, name, errorText(err))
	if !hasName(err, bus.ErrNoSuchUnit, bus.ErrUnitMasked, bus.ErrJobTypeNotApplicable) {
		who := "system"
		if s.o.scope == scopeUser {
			who = "user"
		}
		s.errorf("See %s logs and '%s status %s' for details.", who, s.ctlName(), name)
	}
	return startStatus(err)
}

// startStatus maps what the manager refused a job for to the exit statuses of init scripts.
func startStatus(err error) int {
	switch {
	case hasName(err, bus.ErrAccessDenied, bus.ErrOnlyByDependency, bus.ErrNoIsolation, bus.ErrTransactionIsDestructive):
		return exitNoPermission
	case hasName(err, bus.ErrNoSuchUnit):
		return exitNotInstalled
	case hasName(err, bus.ErrJobTypeNotApplicable, bus.ErrNotSupported):
		return 3
	case hasName(err, bus.ErrLoadFailed):
		return 6
	}
	return exitFailure
}

// warnTriggering names the active units that will start the unit again.
func (s *systemctl) warnTriggering(name, doing string) {
	load, err := s.unitString(name, "LoadState")
	if err != nil || load == "masked" {
		return
	}
	v, err := s.unitProperty(name, "TriggeredBy")
	if err != nil {
		return
	}
	list, _ := v.([]string)
	first := true
	for _, t := range list {
		active, err := s.unitString(t, "ActiveState")
		if err != nil || active == "inactive" || active == "failed" {
			continue
		}
		if first {
			s.warnf("%s '%s', but its triggering units are still active:", doing, name)
			first = false
		}
		s.warnf("%s", t)
	}
}

// waitInactive waits until units have ended, for --wait, and fails if one of them did.
func (s *systemctl) waitInactive(names []string) int {
	status := 0
	for _, n := range names {
		for {
			clear(s.wait.changed)
			active, err := s.unitString(n, "ActiveState")
			if err != nil {
				s.errorf("Failed to wait for %s: %s", n, errorText(err))
				return exitFailure
			}
			job := s.jobOf(n)
			if job == 0 && (active == "inactive" || active == "failed") {
				if active == "failed" {
					status = exitFailure
				}
				break
			}
			if _, err := s.bus.Process(-1); err != nil {
				s.errorf("Failed to wait: %s", errorText(err))
				return exitFailure
			}
		}
	}
	return status
}

// jobOf is the id of a unit's job, 0 without one.
func (s *systemctl) jobOf(name string) uint32 {
	v, err := s.unitProperty(name, "Job")
	if err != nil {
		return 0
	}
	if pair, ok := v.([]any); ok && len(pair) == 2 {
		return uint32(toUint(pair[0]))
	}
	return 0
}

// startMarked is reload-or-restart --marked.
func (s *systemctl) startMarked(name string, args []string) int {
	if name != "reload-or-restart" {
		s.errorf("--marked may only be used with 'reload-or-restart'.")
		return exitFailure
	}
	if len(args) > 0 {
		s.errorf("No additional arguments allowed with 'reload-or-restart --marked'.")
		return exitFailure
	}
	if !s.online() {
		return exitFailure
	}
	if err := s.watchJobs(); err != nil {
		s.errorf("Could not watch jobs: %s", errorText(err))
		return exitFailure
	}
	r, err := s.call("EnqueueMarkedJobs")
	if err != nil {
		s.errorf("Failed to start jobs: %s", errorText(err))
		return exitFailure
	}
	d, err := r.Args("ao")
	if err != nil {
		s.errorf("Failed to parse message: %s", errorText(err))
		return exitFailure
	}
	var jobs []waitingJob
	for a := d.BeginArray('o'); d.More(a); {
		jobs = append(jobs, waitingJob{path: d.ObjectPath(), unit: "marked units", verb: "restart"})
	}
	if s.o.noBlock {
		return 0
	}
	return s.waitJobs(jobs)
}

// expandNames makes unit names of arguments; patterns become the loaded units that match. globbed says that there were patterns.
func (s *systemctl) expandNames(args []string, suffix string) (names []string, globbed, ok bool) {
	var patterns []string
	for _, a := range args {
		n, ok := s.mangle(a, suffix, true)
		if !ok {
			return nil, false, false
		}
		if unit.IsGlob(n) {
			patterns = append(patterns, n)
		} else {
			names = append(names, n)
		}
	}
	if len(patterns) == 0 {
		return names, false, true
	}
	list, err := s.fetchUnits(s.o.states, patterns)
	if err != nil {
		s.errorf("Failed to list units: %s", errorText(err))
		return nil, true, false
	}
	all := s.o.all || s.verbReadsOnly()
	for i := range list {
		u := &list[i]
		if !hasSuffixOf(u.name, s.o.types) {
			continue
		}
		if all || len(s.o.states) > 0 || s.shownPlain(u) {
			names = append(names, u.name)
		}
	}
	return names, true, true
}

// verbReadsOnly says that a pattern means every unit in memory.
func (s *systemctl) verbReadsOnly() bool { return s.verb != nil && s.verb.name == "cat" }

func (s *systemctl) shownPlain(u *unitInfo) bool {
	return u.following == "" && (u.active != "inactive" || u.job != 0)
}
