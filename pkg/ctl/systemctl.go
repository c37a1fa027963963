package ctl

import (
	"errors"
	"os"
	"strings"

	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/unit/value"
)

// Exit statuses that systemctl shares with init scripts (systemctl(1), "Exit status").
const (
	exitFailure      = 1
	exitInvalidArgs  = 2
	exitNoPermission = 4
	exitNotInstalled = 5
	exitNotRunning   = 3
	exitNoSuchUnit   = 4
)

// scope is whose units are meant.
type scope uint8

const (
	scopeSystem scope = iota
	scopeUser
	scopeGlobal
)

// systemctl is one run of systemctl(1), or of musterctl with the same verbs.
type systemctl struct {
	*Env
	o    systemctlOptions
	verb *verb
	bus  *bus.Client
	wait *jobWatch
	// ownVerbs: called as musterctl, so that muster's own verbs are there.
	ownVerbs bool
}

// systemctlOptions are the options as given.
type systemctlOptions struct {
	types, states                           []string
	properties                              []string
	all, recursive, full, plain, value      bool
	after, before, showTypes                bool
	follow                                  string // list-dependencies: after, before, reverse
	withDependencies                        bool
	jobMode                                 string
	scope                                   scope
	noBlock, wait, noLegend, noPager        bool
	noLegendGiven, terse, rootGiven         bool
	capsule                                 string
	noWall, dryRun, quiet, noWarn           bool
	force                                   int
	noReload, runtime, now, marked          bool
	showTransaction, mkdir, readOnly, stdin bool
	killWhom                                string
	killValue                               *int64
	signal                                  value.Signal
	signalSet                               bool
	noAskPassword                           bool
	host, machine, root, image              string
	lines                                   int
	linesSet                                bool
	output                                  string
	timestamp                               value.TimestampStyle
	presetMode                              string
	what                                    []string
	message, rebootArgument, when, dropIn   string
	checkInhibitors                         string
	firmwareSetup                           bool
	bootLoaderMenu, bootLoaderEntry         string
}

// legend says whether headers and footers are printed.
func (o *systemctlOptions) legend() bool { return !o.noLegend && !o.quiet }

// runSystemctl is the tool: options, then the verb.
func runSystemctl(e *Env, args []string, ownVerbs bool) int {
	s := &systemctl{Env: e, ownVerbs: ownVerbs, o: systemctlOptions{
		jobMode: "replace", lines: 10, output: "short", presetMode: "full", signal: value.SIGTERM, timestamp: value.TimestampPretty, checkInhibitors: "auto",
	}}
	defer s.close()
	words, err := getopt(e.Name, s.options(), args, false)
	if err != nil {
		return s.optionError(err)
	}
	if status := s.checkOptions(); status != 0 {
		return status
	}
	return s.dispatch(words)
}

func (s *systemctl) close() {
	if s.bus != nil {
		s.bus.Close()
	}
	s.Env.Close()
}

// optionError ends the tool after an option that can't be taken.
func (s *Env) optionError(err error) int {
	if errors.Is(err, errDone) {
		return 0
	}
	if errors.Is(err, errQuiet) {
		return exitFailure
	}
	var usage usageError
	if errors.As(err, &usage) {
		s.Flush()
		_, _ = s.Err.Write([]byte(string(usage) + "\n"))
		return exitFailure
	}
	s.errorf("%s", err)
	return exitFailure
}

// checkOptions refuses what can't go together or isn't there.
func (s *systemctl) checkOptions() int {
	o := &s.o
	switch {
	case o.image != "":
		if _, err := os.Stat(o.image); err != nil {
			s.errorf("Failed to set up loopback device for %s: %s", o.image, errnoText(err))
		} else {
			s.errorf("--image= is not supported: mount the image and use --root=")
		}
		return exitFailure
	case o.root != "" && !isDirectory(o.root):
		s.errorf("Failed to initialize unit search paths for root directory %s: No such file or directory", o.root)
		return exitFailure
	case o.root != "" && o.scope == scopeUser:
		s.errorf("--root/--image is not supported with --user.")
		return exitFailure
	}
	return 0
}

// dispatch finds the verb and runs it.
func (s *systemctl) dispatch(words []string) int {
	name := "list-units"
	args := []string{}
	if len(words) > 0 {
		name, args = words[0], words[1:]
	}
	v := findVerb(name, s.ownVerbs)
	if v == nil {
		if hint := nearest(name, verbNames(s.ownVerbs)); hint != "" {
			s.errorf("Unknown command verb '%s', did you mean '%s'?", name, hint)
		} else {
			s.errorf("Unknown command verb '%s'.", name)
		}
		return exitFailure
	}
	if len(args) < v.min {
		s.errorf("Too few arguments.")
		return exitFailure
	}
	if v.max >= 0 && len(args) > v.max {
		s.errorf("Too many arguments.")
		return exitFailure
	}
	if v.online && s.o.scope == scopeGlobal {
		s.errorf("--global is not supported for this operation.")
		return exitFailure
	}
	if v.online && (s.Chroot || s.o.rootGiven) {
		if s.o.rootGiven {
			s.errorf("Verb '%s' cannot be used with --root= or --image=.", name)
			return exitFailure
		}
		s.notef("Running in chroot, ignoring command '%s'", name)
		return 0
	}
	s.verb = v
	return v.run(s, name, args)
}

// connect opens the connection to the manager, once.
func (s *systemctl) connect() error {
	if s.bus != nil {
		return nil
	}
	dial, _ := s.transport()
	if dial == nil {
		dial = s.Dial
	}
	c, err := dial(s.o.scope != scopeSystem)
	if err != nil {
		return err
	}
	s.bus = c
	s.wait = newJobWatch()
	c.OnSignal = s.wait.take
	return nil
}

// online connects or says why not.
func (s *systemctl) online() bool {
	err := s.connect()
	if err == nil {
		return true
	}
	if s.o.host != "" {
		s.errorf("Failed to connect to the bus of %s: %s", s.o.host, errnoText(err))
		return false
	}
	if _, name := s.transport(); name != "" {
		s.errorf("Failed to connect to %s scope bus via %s transport: %s", s.scopeWord(), name, errnoText(err))
		return false
	}
	s.reportConnect(err, s.o.scope == scopeUser)
	return false
}

func (s *systemctl) scopeWord() string {
	if s.o.scope == scopeUser {
		return "user"
	}
	return "system"
}

// reportConnect says why there is no connection, in systemctl's words.
func (e *Env) reportConnect(err error, user bool) {
	who := "system"
	if user {
		who = "user"
	}
	switch {
	case errors.Is(err, errNotBooted):
		e.errorf("System has not been booted with systemd as init system (PID 1). Can't operate.")
	case errors.Is(err, errNoRuntimeDir):
		e.errorf("Failed to connect to %s scope bus via local transport: $DBUS_SESSION_BUS_ADDRESS and $XDG_RUNTIME_DIR not defined (consider using --machine=<user>@.host --user to connect to bus of other user)", who)
		return
	}
	e.errorf("Failed to connect to %s scope bus via local transport: %s", who, errnoText(err))
}

// splitList splits a comma separated option value, leaving empty items out.
func splitList(s string) []string {
	var out []string
	for _, x := range strings.Split(s, ",") {
		if x != "" {
			out = append(out, x)
		}
	}
	return out
}

func isDirectory(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}
