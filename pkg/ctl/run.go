package ctl

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// transientRun is one run of systemd-run(1).
type transientRun struct {
	*systemctl
	scope, remain, sendSIGHUP, noBlock, wait, collect bool
	pty, pipe, shell, sameDir, sliceInherit           bool
	ignoreFailure                                     bool
	unit, description, slice, serviceType             string
	uid, gid, workingDirectory                        string
	nice, background, jobMode                         string
	environment                                       []string
	properties, timerProperties, pathProperties       []string
	socketProperties, timers                          []string
	expand                                            *bool
	command                                           []string
	terminal                                          *ptyPair
	addRef                                            bool // keep the unit until we have seen how it ended
}

func (r *transientRun) options() []option {
	timer := func(key string) func(string) error {
		return func(v string) error { r.timers = append(r.timers, key+"="+v); return nil }
	}
	o := &r.o
	return []option{
		{long: "no-ask-password", set: setBool(&o.noAskPassword, true)},
		{long: "user", doc: "talk to the caller's own manager", set: func(string) error { o.scope = scopeUser; return nil }},
		{long: "system", doc: "talk to the manager of the system", set: func(string) error { o.scope = scopeSystem; return nil }},
		{long: "host", short: 'H', arg: needsArgument, name: "[USER@]HOST", doc: "talk to the manager of another machine, by ssh", set: setString(&o.host)},
		r.machineOption(),
		r.capsuleOption(),
		{long: "scope", doc: "run the command here, in a scope", set: setBool(&r.scope, true)},
		{long: "unit", short: 'u', arg: needsArgument, name: "UNIT", doc: "name of the unit", set: setString(&r.unit)},
		{long: "property", short: 'p', arg: needsArgument, name: "NAME=VALUE", doc: "a setting of the unit", set: appendString(&r.properties)},
		{long: "description", arg: needsArgument, name: "TEXT", doc: "description of the unit", set: setString(&r.description)},
		{long: "slice", arg: needsArgument, name: "SLICE", doc: "slice of the unit", set: setString(&r.slice)},
		{long: "slice-inherit", doc: "put the slice below the one we are in", set: setBool(&r.sliceInherit, true)},
		{long: "remain-after-exit", short: 'r', doc: "leave the service active when the command has ended", set: setBool(&r.remain, true)},
		{long: "send-sighup", doc: "send SIGHUP when stopping", set: setBool(&r.sendSIGHUP, true)},
		{long: "service-type", arg: needsArgument, name: "TYPE", doc: "Type= of the service", set: setString(&r.serviceType)},
		{long: "uid", arg: needsArgument, name: "USER", doc: "run as this user", set: setString(&r.uid)},
		{long: "gid", arg: needsArgument, name: "GROUP", doc: "run as this group", set: setString(&r.gid)},
		{long: "nice", arg: needsArgument, name: "NICE", doc: "nice level", set: func(v string) error {
			if _, err := value.ParseNice(v); err != nil {
				return fmt.Errorf("Failed to parse nice value: %s", v)
			}
			r.nice = v
			return nil
		}},
		{long: "working-directory", arg: needsArgument, name: "PATH", doc: "working directory", set: setString(&r.workingDirectory)},
		{long: "same-dir", short: 'd', doc: "run in this directory", set: setBool(&r.sameDir, true)},
		{long: "setenv", short: 'E', arg: needsArgument, name: "NAME[=VALUE]", doc: "an environment variable", set: r.setEnvironment},
		{long: "pty", short: 't', doc: "connect the service to this terminal", set: setBool(&r.pty, true)},
		{long: "tty", set: setBool(&r.pty, true)},
		{long: "pipe", short: 'P', doc: "connect the service to our standard input, output and error", set: setBool(&r.pipe, true)},
		{long: "quiet", short: 'q', doc: "print less", set: setBool(&o.quiet, true)},
		{long: "no-block", doc: "don't wait for the start", set: setBool(&r.noBlock, true)},
		{long: "wait", doc: "wait until the service has ended", set: setBool(&r.wait, true)},
		{long: "collect", short: 'G', doc: "forget the unit also when it fails", set: setBool(&r.collect, true)},
		{long: "shell", short: 'S', doc: "run a shell on this terminal", set: setBool(&r.shell, true)},
		{long: "ignore-failure", doc: "failure of the command doesn't count", set: setBool(&r.ignoreFailure, true)},
		{long: "json", arg: needsArgument, name: "MODE", doc: "name the unit as JSON: short, pretty, off", set: r.setJSON},
		{long: "background", arg: needsArgument, name: "COLOR", doc: "background of what a service on this terminal prints", set: r.setBackground},
		{long: "job-mode", arg: needsArgument, name: "MODE", doc: "what happens to jobs in the way", values: constant(jobModes), set: setString(&r.jobMode)},
		{long: "no-pager", set: setBool(&o.noPager, true)},
		{long: "expand-environment", arg: needsArgument, name: "BOOL", doc: "whether variables in the command are expanded", set: func(v string) error {
			b, err := value.ParseBool(v)
			r.expand = &b
			return err
		}},
		{long: "on-active", arg: needsArgument, name: "SECONDS", doc: "run after this time", set: timer("OnActiveSec")},
		{long: "on-boot", arg: needsArgument, name: "SECONDS", doc: "run this time after boot", set: timer("OnBootSec")},
		{long: "on-startup", arg: needsArgument, name: "SECONDS", doc: "run this time after the manager's start", set: timer("OnStartupSec")},
		{long: "on-unit-active", arg: needsArgument, name: "SECONDS", doc: "run again this time after a start", set: timer("OnUnitActiveSec")},
		{long: "on-unit-inactive", arg: needsArgument, name: "SECONDS", doc: "run again this time after an end", set: timer("OnUnitInactiveSec")},
		{long: "on-calendar", arg: needsArgument, name: "EVENT", doc: "run at a calendar event", set: func(v string) error {
			if _, err := value.ParseCalendar(v); err != nil {
				return fmt.Errorf("Failed to parse calendar event specification: Invalid argument")
			}
			return timer("OnCalendar")(v)
		}},
		{long: "on-clock-change", doc: "run when the clock is set", set: func(string) error { return timer("OnClockChange")("yes") }},
		{long: "on-timezone-change", doc: "run when the time zone changes", set: func(string) error { return timer("OnTimezoneChange")("yes") }},
		{long: "timer-property", arg: needsArgument, name: "NAME=VALUE", doc: "a setting of the timer", set: appendString(&r.timerProperties)},
		{long: "path-property", arg: needsArgument, name: "NAME=VALUE", doc: "a setting of a path unit", set: appendString(&r.pathProperties)},
		{long: "socket-property", arg: needsArgument, name: "NAME=VALUE", doc: "a setting of a socket", set: appendString(&r.socketProperties)},
	}
}

func (r *transientRun) setEnvironment(v string) error {
	name, _, has := strings.Cut(v, "=")
	if !value.EnvNameIsValid(name) {
		return fmt.Errorf("Cannot assign environment variable %s: Invalid argument", v)
	}
	if has {
		r.environment = append(r.environment, v)
	} else if text, ok := r.LookupEnv(v); ok {
		r.environment = append(r.environment, v+"="+text)
	}
	return nil
}

// setBackground takes the parameters of a colour sequence, such as 44 or 48;2;0;0;80 (console_codes(4)).
func (r *transientRun) setBackground(v string) error {
	if strings.Trim(v, "0123456789;") != "" || len(v) > 32 {
		return fmt.Errorf("--background=: %q is no colour: the numbers of an escape sequence are expected, such as 44", v)
	}
	r.background = v
	return nil
}

// runTool is systemd-run.
func runTool(e *Env, args []string) int {
	r := &transientRun{systemctl: newSystemctl(e)}
	defer r.close()
	usage := "systemd-run [OPTIONS...] COMMAND [ARGUMENTS...]\n\nRun a command as a service, or in a scope; or make a timer, path unit or socket that does.\n\nOptions:\n"
	words, status, done := e.parseTool(usage, r.options(), args, true)
	if done {
		return status
	}
	r.command = words
	if status := r.check(); status != 0 {
		return status
	}
	if !r.online() {
		return exitFailure
	}
	switch {
	case r.scope:
		return r.runScope()
	case r.trigger() != "":
		return r.runTrigger()
	}
	return r.runService()
}

// check refuses options that don't go together, and completes the command.
func (r *transientRun) check() int {
	refuse := func(text string) int {
		r.errorf("%s", text)
		return exitFailure
	}
	if r.shell {
		if len(r.command) > 0 {
			return refuse("If --shell is used, no command line to execute may be specified.")
		}
		r.pty, r.wait, r.collect, r.sameDir = true, true, true, true
		r.command = []string{orDefault(r.Getenv("SHELL"), "/bin/sh")}
	}
	switch trigger := r.trigger(); {
	case r.scope && r.o.host != "":
		return refuse("Scope execution is not supported on remote systems.")
	case r.scope && (r.o.machine != "" || r.o.capsule != ""):
		return refuse("A scope has processes of this system, but --machine= and --capsule= name another manager.")
	case (r.pty || r.pipe) && r.o.host != "":
		return refuse("--pty/--pipe is only supported when connecting to the local system or containers.")
	case r.pty && r.o.machine != "":
		return refuse("--pty would need a terminal of the container, which is not supported: use --pipe.")
	case len(r.command) == 0 && trigger == "":
		return refuse("Command line to execute required.")
	case len(r.command) == 0 && r.unit == "":
		return refuse("Command line to execute required.")
	case r.wait && r.noBlock:
		return refuse("--wait may not be combined with --no-block.")
	case r.wait && trigger != "":
		return refuse("--wait may not be combined with timer operations.")
	case r.wait && r.scope:
		return refuse("--wait may not be combined with --scope.")
	case (r.pty || r.pipe) && (trigger != ""):
		return refuse("--pty/--pipe is not compatible in timer or --scope mode.")
	case (r.pty || r.pipe) && r.scope:
		return refuse("--pty/--pipe is not compatible in timer or --scope mode.")
	case r.scope && trigger != "":
		return refuse("Path, socket or timer options are not supported in --scope mode.")
	case r.scope && r.remain:
		return refuse("--remain-after-exit and --service-type= are not supported in --scope mode.")
	case r.scope && r.serviceType != "":
		return refuse("--remain-after-exit and --service-type= are not supported in --scope mode.")
	case len(r.timerProperties) > 0 && len(r.timers) == 0:
		return refuse("--timer-property= has no effect without any other timer options.")
	}
	if r.pipe && r.pty {
		// Both: the terminal where there is one.
		r.pty = r.InTerminal && r.OutTerminal && r.ErrTerminal
		r.pipe = !r.pty
	}
	return r.findCommand()
}

// findCommand makes the command's path absolute, as the manager has another $PATH.
func (r *transientRun) findCommand() int {
	if len(r.command) == 0 || r.scope {
		return r.finish()
	}
	if !strings.Contains(r.command[0], "/") || !filepath.IsAbs(r.command[0]) {
		p, err := exec.LookPath(r.command[0])
		if err == nil {
			p, err = filepath.Abs(p)
		}
		if err != nil {
			r.errorf("Failed to find executable %s: %s", r.command[0], errnoText(err))
			return exitFailure
		}
		r.command[0] = p
	}
	return r.finish()
}

func (r *transientRun) finish() int {
	if r.description == "" && len(r.command) > 0 {
		r.description = "[systemd-run] " + strings.Join(quoteAll(r.command), " ")
	}
	return 0
}

func quoteAll(list []string) []string {
	out := make([]string, len(list))
	for i, w := range list {
		out[i] = value.ShellMaybeQuote(w)
	}
	return out
}

// trigger is the type of unit that starts the service: timer, path or socket, "" for none.
func (r *transientRun) trigger() string {
	switch {
	case len(r.timers) > 0:
		return "timer"
	case len(r.pathProperties) > 0:
		return "path"
	case len(r.socketProperties) > 0:
		return "socket"
	}
	return ""
}

// unitName gives the unit's name: the one asked for, or one of our pid and its pidfd's number, which no other process has or had.
func (r *transientRun) unitName(suffix string) (string, bool) {
	if r.unit != "" {
		base := r.unit
		for _, x := range []string{".service", ".scope", ".timer", ".path", ".socket"} {
			base = strings.TrimSuffix(base, x)
		}
		return r.mangle(base+suffix, suffix, false)
	}
	pid := os.Getpid()
	name := fmt.Sprintf("run-p%d-i%d", pid, r.Now().UnixMicro()%1000000000)
	if fd, err := unix.PidfdOpen(pid, 0); err == nil {
		var st unix.Stat_t
		if unix.Fstat(fd, &st) == nil {
			name = fmt.Sprintf("run-p%d-i%d", pid, st.Ino)
		}
		unix.Close(fd)
	}
	return name + suffix, true
}

// commonProperties are those of services and scopes.
func (r *transientRun) commonProperties(t unit.Type) ([]assignment, error) {
	var list []assignment
	add := func(more ...assignment) { list = append(list, more...) }
	if r.description != "" {
		add(one("Description", "s", func(e *bus.Encoder) { e.String(r.description) })...)
	}
	if r.collect {
		add(one("CollectMode", "s", func(e *bus.Encoder) { e.String("inactive-or-failed") })...)
	}
	for _, p := range r.properties {
		a, err := parseAssignment(t, p)
		if err != nil {
			return nil, fmt.Errorf("%s", assignmentError(p, err))
		}
		add(a...)
	}
	slice, err := r.sliceName()
	if err != nil {
		return nil, err
	}
	if slice != "" {
		add(one("Slice", "s", func(e *bus.Encoder) { e.String(slice) })...)
	}
	if r.sendSIGHUP {
		add(one("SendSIGHUP", "b", func(e *bus.Encoder) { e.Bool(true) })...)
	}
	return list, nil
}

// sliceName is the slice asked for, with --slice-inherit below the one we are in.
func (r *transientRun) sliceName() (string, error) {
	if !r.sliceInherit {
		if r.slice == "" {
			return "", nil
		}
		n, _, err := unit.Mangle(r.slice, ".slice", 0)
		return n, err
	}
	base := strings.TrimSuffix(ownSlice(r.readFile("/proc/self/cgroup")), ".slice")
	if r.slice == "" {
		return base + ".slice", nil
	}
	if base == "-" {
		return strings.TrimSuffix(r.slice, ".slice") + ".slice", nil
	}
	return base + "-" + strings.TrimSuffix(r.slice, ".slice") + ".slice", nil
}

// serviceProperties are those of the service.
func (r *transientRun) serviceProperties() ([]assignment, error) {
	list, err := r.commonProperties(unit.TypeService)
	if err != nil {
		return nil, err
	}
	str := func(name, v string) {
		if v != "" {
			list = append(list, assignment{name, "s", func(e *bus.Encoder) { e.String(v) }})
		}
	}
	flag := func(name string, on bool) {
		if on {
			list = append(list, assignment{name, "b", func(e *bus.Encoder) { e.Bool(true) }})
		}
	}
	flag("AddRef", r.addRef)
	flag("RemainAfterExit", r.remain)
	str("Type", r.serviceType)
	str("User", r.uid)
	str("Group", r.gid)
	if r.nice != "" {
		n, _ := value.ParseNice(r.nice)
		list = append(list, assignment{"Nice", "i", func(e *bus.Encoder) { e.Int32(int32(n)) }})
	}
	if r.sameDir && r.workingDirectory == "" {
		if r.workingDirectory, err = os.Getwd(); err != nil {
			return nil, fmt.Errorf("Failed to get current working directory: %s", errnoText(err))
		}
	}
	if r.workingDirectory != "/" {
		str("WorkingDirectory", r.workingDirectory)
	}
	if r.pty {
		path := r.terminal.path
		for _, n := range []string{"StandardInput", "StandardOutput", "StandardError"} {
			str(n, "tty")
		}
		str("TTYPath", path)
	}
	if r.pipe {
		for i, n := range []string{"StandardInputFileDescriptor", "StandardOutputFileDescriptor", "StandardErrorFileDescriptor"} {
			list = append(list, assignment{n, "h", func(e *bus.Encoder) { e.UnixFD(i) }})
		}
	}
	env := r.environment
	if t := r.Getenv("TERM"); t != "" && r.pty {
		env = append([]string{"TERM=" + t}, env...)
	}
	if len(env) > 0 {
		list = append(list, assignment{"Environment", "as", func(e *bus.Encoder) { e.Strings(env) }})
	}
	if len(r.command) > 0 {
		list = append(list, r.execStart())
	}
	return list, nil
}

// execStart is the command; variables in it are expanded unless told not to.
func (r *transientRun) execStart() assignment {
	if r.expand != nil && !*r.expand {
		return assignment{"ExecStartEx", "a(sasas)", func(e *bus.Encoder) {
			mark := e.BeginArray('(')
			e.Struct()
			e.String(r.command[0])
			e.Strings(r.command)
			flags := []string{"no-env-expand"}
			if r.ignoreFailure {
				flags = append(flags, "ignore-failure")
			}
			e.Strings(flags)
			e.EndArray(mark)
		}}
	}
	return assignment{"ExecStart", "a(sasb)", func(e *bus.Encoder) {
		mark := e.BeginArray('(')
		e.Struct()
		e.String(r.command[0])
		e.Strings(r.command)
		e.Bool(r.ignoreFailure)
		e.EndArray(mark)
	}}
}

// transientUnit is a further unit of StartTransientUnit.
type transientUnit struct {
	name string
	list []assignment
}

// startTransient makes and starts a unit, and gives its job.
func (r *transientRun) startTransient(name string, list []assignment, more ...transientUnit) (bus.ObjectPath, error) {
	m := bus.NewCall(busName, bus.ManagerPath, managerIface, "StartTransientUnit")
	var e bus.Encoder
	e.String(name)
	e.String(orDefault(r.jobMode, "fail"))
	writeAssignments(&e, list)
	mark := e.BeginArray('(')
	for _, u := range more {
		e.Struct()
		e.String(u.name)
		writeAssignments(&e, u.list)
	}
	e.EndArray(mark)
	if err := e.Err(); err != nil {
		return "", err
	}
	m.SetBody("ssa(sv)a(sa(sv))", &e)
	m.FDs = e.FDs()
	reply, err := r.bus.Call(m)
	if err != nil {
		return "", err
	}
	d := reply.Decoder()
	return d.ObjectPath(), d.Err()
}

// lookupUser finds a user by name or number.
func lookupUser(name string) (*user.User, error) {
	if u, err := user.Lookup(name); err == nil {
		return u, nil
	}
	if _, err := strconv.ParseUint(name, 10, 32); err != nil {
		return nil, fmt.Errorf("Failed to resolve user %s: No such process", name)
	}
	u, err := user.LookupId(name)
	if err != nil {
		return &user.User{Uid: name, Gid: name}, nil
	}
	return u, nil
}

// ownSlice is the slice that a process is in, from its /proc/PID/cgroup.
func ownSlice(text string) string {
	slice := unit.RootSlice
	for _, line := range strings.Split(text, "\n") {
		path, ok := strings.CutPrefix(line, "0::")
		if !ok {
			continue
		}
		for _, part := range strings.Split(path, "/") {
			if strings.HasSuffix(part, ".slice") {
				slice = part
			}
		}
	}
	return slice
}
