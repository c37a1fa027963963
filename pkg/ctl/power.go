package ctl

import (
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/unit/value"
)

const (
	logindName                 = "org.freedesktop.login1"
	logindPath  bus.ObjectPath = "/org/freedesktop/login1"
	logindIface                = "org.freedesktop.login1.Manager"
)

// powerAction is a way for the system to end or to sleep.
type powerAction struct {
	manager string // method of the manager that does it at once
	logind  string // method of logind that asks it to
	flags   uint64 // of logind's …WithFlags method
	reboot  uint32 // command of reboot(2), 0 without one
	when    string // type for ScheduleShutdown
	doing   string
}

var powerActions = map[string]powerAction{
	"poweroff":               {"PowerOff", "PowerOff", 0, unix.LINUX_REBOOT_CMD_POWER_OFF, "poweroff", "Powering off."},
	"reboot":                 {"Reboot", "Reboot", 0, unix.LINUX_REBOOT_CMD_RESTART, "reboot", "Rebooting."},
	"halt":                   {"Halt", "Halt", 0, unix.LINUX_REBOOT_CMD_HALT, "halt", "Halting."},
	"kexec":                  {"KExec", "Reboot", 1 << 1, unix.LINUX_REBOOT_CMD_KEXEC, "kexec", "Rebooting via kexec."},
	"soft-reboot":            {"SoftReboot", "Reboot", 1 << 2, 0, "soft-reboot", "Rebooting userspace."},
	"exit":                   {"Exit", "", 0, 0, "", "Exiting."},
	"sleep":                  {"", "Sleep", 0, 0, "", ""},
	"suspend":                {"", "Suspend", 0, 0, "", ""},
	"hibernate":              {"", "Hibernate", 0, 0, "", ""},
	"hybrid-sleep":           {"", "HybridSleep", 0, 0, "", ""},
	"suspend-then-hibernate": {"", "SuspendThenHibernate", 0, 0, "", ""},
}

// kexecTool loads the kernel that kexec is to start, if none is.
const kexecTool = "/usr/sbin/kexec"

// power is halt, poweroff, reboot, sleep and their like, and default, rescue and emergency.
func power(s *systemctl, name string, args []string) int {
	p := powerActions[name]
	if name == "exit" && len(args) > 0 {
		if status := s.setExitCode(args[0]); status != 0 {
			return status
		}
	}
	if status := s.prepareReboot(); status != 0 {
		return status
	}
	if name == "kexec" && s.o.when == "" {
		if err := unix.Access(kexecTool, unix.X_OK); err != nil {
			s.errorf("%s is not available: %s", kexecTool, errorText(err))
			return exitFailure
		}
	}
	if s.o.when != "" {
		return s.schedule(name, p, s.o.when)
	}
	if s.o.force >= 2 && p.reboot != 0 {
		return s.powerNow(p)
	}
	if !s.online() {
		return exitFailure
	}
	if s.o.force > 0 && p.manager != "" {
		return s.powerForce(name, p)
	}
	if p.logind != "" {
		if status, done := s.askLogind(p, name); done {
			return status
		}
	}
	if s.o.dryRun {
		return 0
	}
	if p.manager != "" || p.logind != "" {
		// The manager is going away: nobody would tell how the job ended.
		s.o.noBlock = true
	}
	a := findAction(name)
	return s.runJobs(a, a.mode, []string{a.target}, 0)
}

// setExitCode tells the manager with which status to end.
func (s *systemctl) setExitCode(text string) int {
	n, err := value.ParseUint(text, 8)
	if err != nil {
		s.errorf("Invalid exit code.")
		return exitFailure
	}
	if s.o.dryRun {
		return 0
	}
	if !s.online() {
		return exitFailure
	}
	if _, err := s.call("SetExitCode", byte(n)); err != nil {
		s.errorf("Failed to set exit code: %s", errorText(err))
		return exitFailure
	}
	return 0
}

// powerForce makes the manager end at once, without stopping units first.
func (s *systemctl) powerForce(name string, p powerAction) int {
	if s.o.dryRun {
		return 0
	}
	if _, err := s.call(p.manager); err != nil && !hasName(err, bus.ErrDisconnected, bus.ErrNoReply) {
		s.errorf("Failed to execute operation: %s", errorText(err))
		if name != "exit" {
			s.errorf("It is possible to perform action directly, see discussion of --force --force in man:systemctl(1).")
		}
		return exitFailure
	}
	return 0
}

// powerNow ends the system from this process, without asking anybody.
func (s *systemctl) powerNow(p powerAction) int {
	s.notef("%s", p.doing)
	if s.o.dryRun {
		return 0
	}
	s.Flush()
	unix.Sync()
	if err := rebootNow(p.reboot, s.o.rebootArgument); err != nil {
		s.errorf("Failed to reboot: %s", errnoText(err))
		return exitFailure
	}
	return 0
}

// askLogind lets logind do it where it runs, so that locks are heeded and users told. done is false when it can't, and the manager has to be asked.
func (s *systemctl) askLogind(p powerAction, name string) (status int, done bool) {
	c, ok := s.dialLogind()
	if !ok {
		return 0, false
	}
	defer c.Close()
	if status := s.checkInhibitors(c, name); status != 0 {
		return status, true
	}
	if s.o.dryRun {
		return 0, true
	}
	if s.o.message != "" {
		// A wall message is a courtesy; without it the system goes down all the same.
		_, _ = c.Call(logindCall("SetWallMessage", s.o.message, !s.o.noWall))
	}
	var err error
	switch {
	case p.flags != 0:
		_, err = c.Call(logindCall(p.logind+"WithFlags", p.flags))
	case p.logind == "Sleep":
		_, err = c.Call(logindCall("Sleep", uint64(0)))
	default:
		_, err = c.Call(logindCall(p.logind, true))
	}
	switch {
	case err == nil:
		return 0, true
	case hasName(err, bus.ErrAccessDenied, bus.ErrInteractiveAuthorization, "org.freedesktop.login1.OperationInProgress", "org.freedesktop.login1.SleepVerbNotSupported"):
		s.errorf("Call to %s failed: %s", p.logind, errorText(err))
		return exitFailure, true
	}
	return 0, false
}

func logindCall(member string, args ...any) *bus.Message {
	m := bus.NewCall(logindName, logindPath, logindIface, member)
	if len(args) > 0 {
		var e bus.Encoder
		m.SetBody(e.Append(args...), &e)
	}
	return m
}

// dialLogind connects to the system bus if logind is there.
func (s *systemctl) dialLogind() (*bus.Client, bool) {
	if s.o.scope != scopeSystem || s.Root != "" || s.DialBus == nil {
		return nil, false
	}
	c, err := s.DialBus()
	if err != nil {
		return nil, false
	}
	m := bus.NewCall("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "NameHasOwner")
	var e bus.Encoder
	m.SetBody(e.Append(logindName), &e)
	r, err := c.Call(m)
	if err == nil {
		d := r.Decoder()
		if d.Bool() && d.Err() == nil {
			return c, true
		}
	}
	c.Close()
	return nil, false
}

// checkInhibitors refuses while somebody holds a lock against it.
func (s *systemctl) checkInhibitors(c *bus.Client, name string) int {
	mode := s.o.checkInhibitors
	if mode == "no" || mode == "auto" && (s.o.force > 0 || !s.InTerminal || !s.OutTerminal) {
		return 0
	}
	r, err := c.Call(logindCall("ListInhibitors"))
	if err != nil {
		return 0
	}
	d, err := r.Args("a(ssssuu)")
	if err != nil {
		return 0
	}
	kind := "shutdown"
	if strings.Contains(name, "sleep") || strings.Contains(name, "suspend") || strings.Contains(name, "hibernate") {
		kind = "sleep"
	}
	held := false
	for a := d.BeginArray('('); d.More(a); {
		d.Struct()
		what, who, why, how := d.String(), d.String(), d.String(), d.String()
		_, pid := d.Uint32(), d.Uint32()
		if how == "block" && contains(strings.Split(what, ":"), kind) {
			s.notef("Operation inhibited by \"%s\" (PID %d), reason is \"%s\".", who, pid, why)
			held = true
		}
	}
	if !held {
		return 0
	}
	s.errorf("Please retry operation after closing inhibitors and logging out other users.\n'systemd-inhibit' can be used to list active inhibitors.\n"+
		"Alternatively, ignore inhibitors and users with 'systemctl %s -i'.", name)
	return exitFailure
}

// schedule lets logind shut down at a time.
func (s *systemctl) schedule(name string, p powerAction, when string) int {
	if p.when == "" {
		s.errorf("--when= is not supported for %s.", name)
		return exitFailure
	}
	at := value.USec(0)
	if when != "cancel" && when != "show" && when != "" && when != "auto" {
		var err error
		if at, err = value.ParseTimestamp(when, s.now(), s.Location, nil); err != nil {
			s.errorf("Failed to parse --when= argument '%s': Invalid argument", when)
			return exitFailure
		}
	}
	c, ok := s.dialLogind()
	if !ok {
		s.errorf("Failed to schedule shutdown: logind is not running")
		return exitFailure
	}
	defer c.Close()
	switch when {
	case "cancel":
		return s.cancelShutdown(c)
	case "show":
		return s.showScheduled(c)
	}
	return s.scheduleAt(c, p.when, at, "use 'systemctl "+name+" --when=cancel' to cancel")
}

func (s *systemctl) scheduleAt(c *bus.Client, kind string, at value.USec, hint string) int {
	what := "Shutdown"
	switch kind {
	case "reboot", "kexec", "halt":
		what = strings.ToUpper(kind[:1]) + kind[1:]
	}
	if s.o.dryRun {
		kind = "dry-" + kind
	}
	_, _ = c.Call(logindCall("SetWallMessage", s.o.message, !s.o.noWall))
	if _, err := c.Call(logindCall("ScheduleShutdown", kind, uint64(at))); err != nil {
		s.errorf("Failed to schedule shutdown: %s", errorText(err))
		return exitFailure
	}
	if !s.o.quiet {
		s.notef("%s scheduled for %s, %s.", what, value.FormatTimestamp(at, s.o.timestamp, s.Location), hint)
	}
	return 0
}

func (s *systemctl) cancelShutdown(c *bus.Client) int {
	if _, err := c.Call(logindCall("CancelScheduledShutdown")); err != nil {
		s.errorf("Failed to cancel scheduled shutdown: %s", errorText(err))
		return exitFailure
	}
	return 0
}

func (s *systemctl) showScheduled(c *bus.Client) int {
	m := bus.NewCall(logindName, logindPath, propertyIface, "Get")
	var e bus.Encoder
	m.SetBody(e.Append(logindIface, "ScheduledShutdown"), &e)
	r, err := c.Call(m)
	if err != nil {
		s.errorf("Failed to query scheduled shutdown: %s", errorText(err))
		return exitFailure
	}
	d := r.Decoder()
	pair, _ := d.VariantValue().Value().([]any)
	if len(pair) != 2 || text(pair[0]) == "" {
		s.errorf("No scheduled shutdown.")
		return exitFailure
	}
	kind := text(pair[0])
	word := map[string]string{"halt": "Halt", "poweroff": "Shutdown", "reboot": "Reboot", "kexec": "Kexec", "exit": "Exit"}[strings.TrimPrefix(kind, "dry-")]
	s.notef("%s scheduled for %s, use 'systemctl %s --when=cancel' to cancel.", orDefault(word, kind), value.FormatTimestamp(value.USec(toUint(pair[1])), s.o.timestamp, s.Location), strings.TrimPrefix(kind, "dry-"))
	return 0
}

// switchRoot is switch-root, which is for the initrd only.
func sameDirectory(a, b string) (bool, error) {
	var sa, sb unix.Stat_t
	if err := unix.Stat(a, &sa); err != nil {
		return false, err
	}
	err := unix.Stat(b, &sb)
	return sa.Dev == sb.Dev && sa.Ino == sb.Ino, err
}

func switchRoot(s *systemctl, _ string, args []string) int {
	if len(args) > 0 {
		if same, err := sameDirectory(args[0], s.path("/")); err != nil {
			s.errorf("Failed to check if switch-root directory '%s' is current root: %s", args[0], errnoText(err))
			return exitFailure
		} else if same {
			s.errorf("Cannot switch to current root directory: %s", args[0])
			return exitFailure
		}
	}
	var st unix.Stat_t
	if unix.Stat(s.path("/etc/initrd-release"), &st) != nil {
		s.errorf("Not in initrd, refusing switch-root operation.")
		return exitFailure
	}
	if !s.online() {
		return exitFailure
	}
	root, init := "/sysroot", ""
	if len(args) > 0 {
		root = args[0]
	}
	if len(args) > 1 {
		init = args[1]
	}
	if _, err := s.call("SwitchRoot", root, init); err != nil && !hasName(err, bus.ErrDisconnected, bus.ErrNoReply) {
		s.errorf("Failed to switch root: %s", errorText(err))
		return exitFailure
	}
	return 0
}
