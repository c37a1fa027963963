package manager

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/unit/value"
)

// Options is what the command line, the kernel command line and the environment say, in rising order of weight: kernel command line, environment,
// own arguments (systemd(1)).
type Options struct {
	User             bool
	Unit             string // what to start, "" default.target
	LogLevel         int    // -1: as configured
	LogTarget        string
	LogColor         string
	ShowStatus       string
	ServiceWatchdogs bool
	Deserialize      bool
	StateFDs         [2]int   // with Deserialize: the memory files of the state log
	Crashed          bool     // this image took over from one that crashed
	CrashRecord      int      // the memory of the black box, -1 none
	Fallback         fallback // the image that a crash leads back to
	Returned         bool     // this image was the one that a crash led back to
	Back             fallback // with Returned: what it was kept with
	Executor         int      // image of the executor that is used where there is none on disk, -1 none
	SwitchedRoot     bool     // this image was executed by switch-root
	Prove            bool     // a trial of this image, see Prove
	DefaultStdout    string
	DefaultStderr    string
	MachineID        string
	Settings         []string // assignments of [Manager] that weigh more than the files
	HostName         string
	ClockUSec        uint64 // what the realtime clock is set to at boot, 0: it is left alone
	RandomSeed       string // base64
	CorePattern      string // for crashes before something else is set up
	Test             bool   // print what would be started, and end
	RootfsRW         bool
	Generators       bool
	ConfirmSpawn     string // the terminal where a person is asked before each start, "" nobody is
}

// DefaultOptions is what holds when nobody says anything.
func DefaultOptions() Options {
	return Options{LogLevel: -1, ServiceWatchdogs: true, Generators: true, StateFDs: [2]int{-1, -1}, CrashRecord: -1, Executor: -1, Fallback: noFallback, Back: noFallback}
}

// ErrHelp asks the caller to print the help, ErrVersion the version.
var (
	ErrHelp    = errors.New("help")
	ErrVersion = errors.New("version")
)

// ParseArguments reads argv without the program's name. What looks like an init runlevel is taken as the kernel passes it on.
func ParseArguments(o *Options, args []string) error {
	for i := 0; i < len(args); i++ {
		name, val, has := strings.Cut(args[i], "=")
		need := func() (string, error) {
			if has {
				return val, nil
			}
			if i+1 >= len(args) {
				return "", fmt.Errorf("option %s needs an argument", name)
			}
			i++
			return args[i], nil
		}
		if err := o.argument(name, val, has, need); err != nil {
			return err
		}
	}
	return nil
}

func (o *Options) argument(name, val string, has bool, need func() (string, error)) (err error) {
	optional := func(def string) string {
		if has {
			return val
		}
		return def
	}
	switch name {
	case "--help", "-h":
		return ErrHelp
	case "--version":
		return ErrVersion
	case "--system":
		o.User = false
	case "--user":
		o.User = true
	case "--test":
		o.Test = true
	case "--unit":
		o.Unit, err = need()
	case "--log-level":
		var v string
		if v, err = need(); err == nil {
			err = o.setLogLevel(v)
		}
	case "--log-target":
		o.LogTarget, err = need()
	case "--log-color":
		o.LogColor = optional("yes")
	case "--show-status":
		o.ShowStatus = optional("yes")
	case "--service-watchdogs":
		o.ServiceWatchdogs, err = value.ParseBool(optional("yes"))
	case "--default-standard-output":
		o.DefaultStdout, err = need()
	case "--default-standard-error":
		o.DefaultStderr, err = need()
	case "--machine-id":
		o.MachineID, err = need()
	case "--deserialize":
		var v string
		if v, err = need(); err == nil {
			err = o.setState(v)
		}
	case "--crashed":
		o.Crashed = true
	case "--crash-record":
		var v string
		if v, err = need(); err == nil {
			o.CrashRecord, err = strconv.Atoi(v)
		}
	case "--fallback":
		var v string
		if v, err = need(); err == nil {
			o.Fallback, err = parseFallback(v)
		}
	case "--returned":
		var v string
		if v, err = need(); err == nil {
			o.Back, err = parseFallback(v)
			o.Returned = err == nil
		}
	case "--prove":
		o.Prove = true
	case "--log-location", "--log-time", "--dump-core", "--crash-reboot", "--crash-shell":
		o.Settings = append(o.Settings, optionSettings[name]+"="+optional("yes"))
	case "--crash-action", "--crash-chvt", "--crash-vt":
		var v string
		if v, err = need(); err == nil {
			o.Settings = append(o.Settings, optionSettings[name]+"="+v)
		}
	case "--executor":
		var v string
		if v, err = need(); err == nil {
			o.Executor, err = strconv.Atoi(v)
		}
	case "--switched-root":
		o.SwitchedRoot = true
	case "--confirm-spawn":
		o.ConfirmSpawn, err = confirmConsole(optional("yes"))
	default:
		o.runlevel(name)
	}
	return err
}

// optionSettings are the options that stand for a setting of system.conf.
var optionSettings = map[string]string{
	"--log-location": "LogLocation", "--log-time": "LogTime", "--dump-core": "DumpCore", "--crash-reboot": "CrashReboot",
	"--crash-shell": "CrashShell", "--crash-action": "CrashAction", "--crash-chvt": "CrashChangeVT", "--crash-vt": "CrashChangeVT",
}

// setState reads "A,B": the numbers of the two memory files.
func (o *Options) setState(v string) error {
	a, b, _ := strings.Cut(v, ",")
	x, errA := strconv.Atoi(a)
	y, errB := strconv.Atoi(b)
	if errA != nil || errB != nil {
		return fmt.Errorf("--deserialize=%s: two descriptor numbers are needed", v)
	}
	o.Deserialize, o.StateFDs = true, [2]int{x, y}
	return nil
}

func (o *Options) setLogLevel(v string) error {
	n, err := value.ParseLogLevel(v)
	if err != nil {
		return err
	}
	o.LogLevel = int(n)
	return nil
}

// runlevels that the kernel hands over as arguments or that stand on its command line.
var runlevels = map[string]string{
	"emergency": "emergency.target", "-b": "emergency.target", "rescue": "rescue.target", "single": "rescue.target", "-s": "rescue.target",
	"s": "rescue.target", "S": "rescue.target", "1": "rescue.target", "2": "multi-user.target", "3": "multi-user.target",
	"4": "multi-user.target", "5": "graphical.target",
}

func (o *Options) runlevel(word string) {
	if target, ok := runlevels[word]; ok {
		o.Unit = target
	}
}

// commandLineSettings are the keys of the kernel command line that stand for a setting of system.conf and weigh more than it; those of flags may stand
// without a value.
var commandLineSettings = map[string]struct {
	settings []string
	flag     bool
}{
	"systemd.cpu-affinity":                 {settings: []string{"CPUAffinity"}},
	"systemd.crash-action":                 {settings: []string{"CrashAction"}},
	"systemd.crash-chvt":                   {[]string{"CrashChangeVT"}, true},
	"systemd.crash-reboot":                 {[]string{"CrashReboot"}, true},
	"systemd.crash-shell":                  {[]string{"CrashShell"}, true},
	"systemd.default-device-timeout-sec":   {settings: []string{"DefaultDeviceTimeoutSec"}},
	"systemd.default-standard-error":       {settings: []string{"DefaultStandardError"}},
	"systemd.default-standard-output":      {settings: []string{"DefaultStandardOutput"}},
	"systemd.default-timeout-start-sec":    {settings: []string{"DefaultTimeoutStartSec"}},
	"systemd.dump-core":                    {[]string{"DumpCore"}, true},
	"systemd.log-color":                    {[]string{"LogColor"}, true},
	"systemd.log-location":                 {[]string{"LogLocation"}, true},
	"systemd.log-time":                     {[]string{"LogTime"}, true},
	"systemd.minimum-uptime-sec":           {settings: []string{"MinimumUptimeSec"}},
	"systemd.reload-limit-burst":           {settings: []string{"ReloadLimitBurst"}},
	"systemd.reload-limit-interval-sec":    {settings: []string{"ReloadLimitIntervalSec"}},
	"systemd.restrict-filesystem-access":   {settings: []string{"RestrictFileSystemAccess"}},
	"systemd.setenv":                       {settings: []string{"DefaultEnvironment"}},
	"systemd.status-unit-format":           {settings: []string{"StatusUnitFormat"}},
	"systemd.watchdog-device":              {settings: []string{"WatchdogDevice"}},
	"systemd.watchdog-pre-sec":             {settings: []string{"RuntimeWatchdogPreSec"}},
	"systemd.watchdog-pretimeout-governor": {settings: []string{"RuntimeWatchdogPreGovernor"}},
	"systemd.watchdog-sec":                 {settings: []string{"RuntimeWatchdogSec", "RebootWatchdogSec", "KExecWatchdogSec"}},
}

// ApplyKernelCommandLine reads kernel-command-line(7): words are split and unquoted already. In an initrd a key may begin with rd., elsewhere such keys
// mean nothing. In a container the arguments of the manager itself are the command line.
func (o *Options) ApplyKernelCommandLine(words []string, initrd bool) (problems []string) {
	for _, w := range words {
		key, val, has := strings.Cut(w, "=")
		rest, rd := strings.CutPrefix(key, "rd.")
		if rd && !initrd {
			continue
		}
		// What is to be started is said for each of both systems.
		mine := rd == initrd
		if rd {
			key = rest
		}
		if err := o.commandLineWord(strings.ReplaceAll(key, "_", "-"), val, has, mine); err != nil {
			problems = append(problems, fmt.Sprintf("kernel command line: %s: %v", w, err))
		}
	}
	return problems
}

func (o *Options) commandLineWord(key, val string, has, mine bool) (err error) {
	if s, ok := commandLineSettings[key]; ok {
		if !has && !s.flag {
			return errors.New("a value is missing")
		}
		for _, name := range s.settings {
			o.Settings = append(o.Settings, name+"="+orYes(val, has))
		}
		return nil
	}
	switch key {
	case "systemd.unit":
		if mine && val != "" {
			o.Unit = val
		}
	case "systemd.show-status":
		o.ShowStatus = orYes(val, has)
	case "systemd.log-level":
		err = o.setLogLevel(val)
	case "systemd.log-target":
		o.LogTarget = val
	case "systemd.service-watchdogs":
		o.ServiceWatchdogs, err = value.ParseBool(orYes(val, has))
	case "systemd.machine-id":
		o.MachineID = val
	case "systemd.hostname":
		o.HostName = val
	case "systemd.clock-usec":
		o.ClockUSec, err = strconv.ParseUint(val, 10, 63)
	case "systemd.random-seed":
		o.RandomSeed = val
	case "systemd.early-core-pattern":
		if !strings.HasPrefix(val, "/") {
			return errors.New("not an absolute path")
		}
		o.CorePattern = val
	case "systemd.confirm-spawn":
		o.ConfirmSpawn, err = confirmConsole(orYes(val, has))
	case "quiet":
		if o.ShowStatus == "" && !has {
			o.ShowStatus = "auto"
		}
	case "debug":
		if !has {
			o.LogLevel = 7
		}
	default:
		if !has && mine {
			o.runlevel(key)
		}
	}
	return err
}

// confirmConsole reads systemd.confirm_spawn=: a boolean, or a terminal by its path or its name.
func confirmConsole(v string) (string, error) {
	if on, err := value.ParseBool(v); err == nil {
		if on {
			return plan.Console, nil
		}
		return "", nil
	}
	if v == "" || strings.Contains(v, "..") {
		return "", errors.New("not a terminal")
	}
	if !strings.HasPrefix(v, "/") {
		v = "/dev/" + v
	}
	return v, nil
}

func orYes(v string, has bool) string {
	if has {
		return v
	}
	return "yes"
}

// ApplyEnvironment reads $SYSTEMD_LOG_LEVEL and its like.
func (o *Options) ApplyEnvironment() error {
	if v := os.Getenv("SYSTEMD_LOG_TARGET"); v != "" {
		o.LogTarget = v
	}
	if v := os.Getenv("SYSTEMD_LOG_COLOR"); v != "" {
		o.LogColor = v
	}
	if v := os.Getenv("SYSTEMD_LOG_LEVEL"); v != "" {
		return o.setLogLevel(v)
	}
	return nil
}

// inInitrd reports whether this is an initial RAM disk, by the file that marks one.
func inInitrd() bool {
	_, err := os.Lstat("/etc/initrd-release")
	return err == nil
}
