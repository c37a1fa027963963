package ctl

import (
	"fmt"
	"strings"
	"time"

	"github.com/muster-init/muster/pkg/unit/value"
)

// newSystemctl is a systemctl for a tool that does its work through it.
func newSystemctl(e *Env) *systemctl {
	return &systemctl{Env: e, o: systemctlOptions{jobMode: "replace", output: "short", timestamp: value.TimestampPretty, checkInhibitors: "auto", presetMode: "full", lines: 10}}
}

// haltTool is halt, poweroff and reboot called by these names (halt(8)).
func haltTool(e *Env, action string, args []string) int {
	s := newSystemctl(e)
	defer s.close()
	act := func(a string) func(string) error { return func(string) error { action = a; return nil } }
	nothing := func(string) error { return nil }
	noSync, wtmpOnly := false, false
	table := []option{
		{long: "halt", doc: "halt the machine", set: act("halt")},
		{long: "poweroff", short: 'p', doc: "switch the machine off", set: act("poweroff")},
		{long: "reboot", doc: "restart the machine", set: act("reboot")},
		{long: "force", short: 'f', doc: "don't ask the manager's units first; twice: don't ask the manager", set: func(string) error { s.o.force++; return nil }},
		{long: "wtmp-only", short: 'w', doc: "only write the record of it", set: setBool(&wtmpOnly, true)},
		{long: "no-wtmp", short: 'd', doc: "don't write the record", set: nothing},
		{long: "no-sync", short: 'n', doc: "don't write file systems out", set: setBool(&noSync, true)},
		{long: "no-wall", doc: "don't tell the users", set: setBool(&s.o.noWall, true)},
		{short: 'h', set: nothing}, {short: 'i', set: nothing},
	}
	words, status, done := e.parseTool(action+" [OPTIONS...]\n\nEnd or restart the system.\n\nOptions:\n", table, args, false)
	if done {
		return status
	}
	if len(words) > 0 && action == "reboot" {
		s.o.rebootArgument, words = words[0], words[1:]
	}
	if len(words) > 0 {
		e.errorf("Too many arguments.")
		return exitFailure
	}
	if wtmpOnly {
		return 0
	}
	if e.Chroot {
		e.notef("Running in chroot, ignoring command '%s'", action)
		return 0
	}
	// Called by these names -f means that the manager isn't asked, as with the old programs.
	if s.o.force == 1 {
		return s.haltForce(action, noSync)
	}
	return power(s, action, nil)
}

// haltForce asks the manager to end at once, and does it itself if it can't.
func (s *systemctl) haltForce(action string, noSync bool) int {
	if s.connect() == nil {
		if s.powerForce(action, powerActions[action]) == 0 {
			return 0
		}
	}
	if noSync {
		if err := rebootNow(powerActions[action].reboot, s.o.rebootArgument); err != nil {
			s.errorf("Failed to reboot: %s", errnoText(err))
			return exitFailure
		}
		return 0
	}
	return s.powerNow(powerActions[action])
}

// shutdownTool is shutdown(8).
func shutdownTool(e *Env, args []string) int {
	s := newSystemctl(e)
	defer s.close()
	action, cancel, showOnly, wallOnly := "poweroff", false, false, false
	act := func(a string) func(string) error { return func(string) error { action = a; return nil } }
	table := []option{
		{long: "halt", short: 'H', doc: "halt the machine", set: act("halt")},
		{long: "poweroff", short: 'P', doc: "switch the machine off", set: act("poweroff")},
		{long: "reboot", short: 'r', doc: "restart the machine", set: act("reboot")},
		{long: "kexec", short: 'K', set: act("kexec")},
		{short: 'h', doc: "switch off, or halt with --halt", set: func(string) error { return nil }},
		{short: 'k', doc: "only tell the users", set: setBool(&wallOnly, true)},
		{long: "no-wall", doc: "don't tell the users", set: setBool(&s.o.noWall, true)},
		{short: 'c', doc: "cancel a shutdown that is due", set: setBool(&cancel, true)},
		{long: "show", doc: "show a shutdown that is due", set: setBool(&showOnly, true)},
		{short: 'a', set: func(string) error { return nil }}, {short: 'f', set: func(string) error { return nil }}, {short: 'F', set: func(string) error { return nil }},
		{short: 't', arg: needsArgument, set: func(string) error { return nil }},
	}
	usage := "shutdown [OPTIONS...] [TIME] [WALL...]\n\nEnd the system now (\"now\"), in minutes (\"+5\", the default is +1) or at a time (\"23:15\").\n\nOptions:\n"
	words, err := getopt(e.Name, append([]option{{long: "help", doc: "show this help", set: func(string) error { return errHelp }}}, table...), args, false)
	switch {
	case err == errHelp:
		e.printf("%s%s", usage, optionHelp(table))
		return 0
	case err != nil:
		return e.optionError(err)
	}
	if cancel || showOnly {
		return s.shutdownDue(cancel)
	}
	when := "+1"
	if len(words) > 0 {
		when = words[0]
		s.o.message = strings.Join(words[1:], " ")
	}
	at, now, err := shutdownTime(when, e.Now().In(e.Location))
	if err != nil {
		e.errorf("Failed to parse time specification: %s", when)
		return exitFailure
	}
	if e.Chroot {
		e.notef("Running in chroot, ignoring request.")
		return 0
	}
	return s.shutdownAt(action, at, now, wallOnly)
}

func (s *systemctl) shutdownAt(action string, at value.USec, now, wallOnly bool) int {
	if wallOnly {
		s.o.dryRun = true
	}
	if now && !wallOnly {
		return power(s, action, nil)
	}
	c, ok := s.dialLogind()
	if !ok {
		s.errorf("Failed to schedule shutdown: logind is not running")
		return exitFailure
	}
	defer c.Close()
	return s.scheduleAt(c, action, at, "use 'shutdown -c' to cancel")
}

func (s *systemctl) shutdownDue(cancel bool) int {
	c, ok := s.dialLogind()
	if !ok {
		s.errorf("Failed to talk to logind: it is not running")
		return exitFailure
	}
	defer c.Close()
	if cancel {
		return s.cancelShutdown(c)
	}
	return s.showScheduled(c)
}

// shutdownTime reads now, +MINUTES or HH:MM.
func shutdownTime(text string, now time.Time) (at value.USec, isNow bool, err error) {
	if text == "now" || text == "+0" {
		return value.USec(now.UnixMicro()), true, nil
	}
	if m, ok := strings.CutPrefix(text, "+"); ok || !strings.Contains(text, ":") {
		n, err := value.ParseUint(m, 31)
		if err != nil {
			return 0, false, err
		}
		return value.USec(now.Add(time.Duration(n) * time.Minute).UnixMicro()), n == 0, nil
	}
	hour, minute, _ := strings.Cut(text, ":")
	h, err := value.ParseUintRange(hour, 0, 23)
	if err != nil {
		return 0, false, err
	}
	m, err := value.ParseUintRange(minute, 0, 59)
	if err != nil || len(minute) != 2 {
		return 0, false, fmt.Errorf("time of day: not HH:MM")
	}
	t := time.Date(now.Year(), now.Month(), now.Day(), int(h), int(m), 0, 0, now.Location())
	if t.Before(now) {
		t = t.AddDate(0, 0, 1)
	}
	return value.USec(t.UnixMicro()), false, nil
}

// telinitTool is telinit(8): the words of System V init.
func telinitTool(e *Env, args []string) int {
	table := []option{{long: "no-wall", doc: "don't tell the users", set: func(string) error { return nil }}}
	usage := "telinit [OPTIONS...] COMMAND\n\n  0            switch off\n  6            restart\n  2, 3, 4, 5   enter a runlevel, that is runlevelN.target\n" +
		"  1, s, S      enter rescue mode\n  q, Q         reload the manager\n  u, U         re-execute the manager\n\nOptions:\n"
	words, status, done := e.parseTool(usage, table, args, false)
	if done {
		return status
	}
	if len(words) == 0 {
		e.errorf("%s: required argument missing.", e.Name)
		return exitFailure
	}
	if len(words) > 1 {
		e.errorf("Too many arguments.")
		return exitFailure
	}
	s := newSystemctl(e)
	defer s.close()
	switch words[0] {
	case "0":
		return power(s, "poweroff", nil)
	case "6":
		return power(s, "reboot", nil)
	case "1", "s", "S":
		return power(s, "rescue", nil)
	case "2", "3", "4", "5":
		if !s.online() {
			return exitFailure
		}
		return s.runJobs(findAction("isolate"), "isolate", []string{"runlevel" + words[0] + ".target"}, 0)
	case "q", "Q":
		return daemonReload(s, "daemon-reload", nil)
	case "u", "U":
		return daemonReload(s, "daemon-reexec", nil)
	}
	e.errorf("Unknown command '%s'.", words[0])
	return exitFailure
}

// runlevelTool is runlevel(8). DEVIATION: there is no utmp; the runlevel is told from the active targets, the one before it is N.
func runlevelTool(e *Env, args []string) int {
	words, status, done := e.parseTool("runlevel [OPTIONS...]\n\nPrint the previous and current runlevel.\n\nOptions:\n", nil, args, false)
	if done {
		return status
	}
	if len(words) > 0 {
		e.errorf("Too many arguments.")
		return exitFailure
	}
	s := newSystemctl(e)
	defer s.close()
	if s.connect() == nil {
		for _, l := range []struct{ target, level string }{{"graphical.target", "5"}, {"multi-user.target", "3"}, {"rescue.target", "1"}} {
			if active, err := s.unitString(l.target, "ActiveState"); err == nil && active == "active" {
				e.printf("N %s\n", l.level)
				return 0
			}
		}
	}
	e.printf("unknown\n")
	return exitFailure
}
