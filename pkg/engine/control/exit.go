package control

import (
	"strconv"

	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/unit/value"
)

// Results that an exit can have; the unit types know more.
const (
	ResultSuccess  = "success"
	ResultExitCode = "exit-code"
	ResultSignal   = "signal"
	ResultCoreDump = "core-dump"
	// ResultResources: the process never got to its program.
	ResultResources = "resources"
)

// Syslog levels of Host.Log.
const (
	LogErr     = 3
	LogWarning = 4
	LogNotice  = 5
	LogInfo    = 6
	LogDebug   = 7
)

// IsClean reports whether a process ended well. A daemon may also end by SIGHUP, SIGINT, SIGTERM or SIGPIPE. An exit whose
// status is not known (not our child) is clean. success is SuccessExitStatus=.
func IsClean(e machine.Exit, daemon bool, success value.ExitStatusSet) bool {
	switch e.Code {
	case "":
		return true
	case machine.CodeExited:
		return e.Status == 0 || success.Has(int(e.Status))
	case machine.CodeKilled:
		sig := value.Signal(e.Status)
		if daemon {
			switch sig {
			case value.SIGHUP, value.SIGINT, value.SIGTERM, value.SIGPIPE:
				return true
			}
		}
		return success.HasSignal(sig)
	}
	return false
}

// ResultOf is the result of an exit.
func ResultOf(e machine.Exit, daemon bool, success value.ExitStatusSet) string {
	switch {
	case e.Resources:
		return ResultResources
	case IsClean(e, daemon, success):
		return ResultSuccess
	case e.Code == machine.CodeKilled:
		return ResultSignal
	case e.Code == machine.CodeDumped:
		return ResultCoreDump
	}
	return ResultExitCode
}

// InSet reports whether set names the exit: a status, or a signal that killed the process, with core dump or without.
func InSet(e machine.Exit, set value.ExitStatusSet) bool {
	switch e.Code {
	case machine.CodeExited:
		return set.Has(int(e.Status))
	case machine.CodeKilled, machine.CodeDumped:
		return set.HasSignal(value.Signal(e.Status))
	}
	return false
}

// StatusWord is the exit status by number, or the signal by its name without SIG ($EXIT_STATUS).
func StatusWord(e machine.Exit) string {
	if e.Code == machine.CodeExited {
		return strconv.Itoa(int(e.Status))
	}
	return value.Signal(e.Status).Name()
}

// LogExit says how a process ended. A clean end is for debugging; one by exit status is a notice, as the program has
// probably said itself what was wrong.
func LogExit(h machine.Host, kind, command string, e machine.Exit, success bool) {
	level := LogWarning
	switch {
	case success:
		level = LogDebug
	case e.Code == machine.CodeExited:
		level = LogNotice
	}
	var word string
	switch {
	case e.Code == "":
		word = "n/a"
	case e.Code != machine.CodeExited:
		word = value.Signal(e.Status).Name()
	case e.Status >= 0 && e.Status <= 255:
		word = value.ExitStatus(e.Status).Name()
	}
	if word == "" {
		word = "n/a"
	}
	code := e.Code
	if code == "" {
		code = "n/a"
	}
	status := strconv.Itoa(int(e.Status))
	text := kind + " exited, code=" + code + ", status=" + status + "/" + word
	if success {
		text += " (success)"
	}
	h.Log(level, "unit-process-exit", text, "EXIT_CODE="+code, "EXIT_STATUS="+status, "COMMAND="+command)
}

// ResultEnv are the variables that ExecStop= and ExecStopPost= get: SERVICE_RESULT, and EXIT_CODE and EXIT_STATUS once
// the main process has ended.
func ResultEnv(result string, main Status) []string {
	env := []string{"SERVICE_RESULT=" + result}
	if main.Ended() {
		env = append(env, "EXIT_CODE="+main.Code, "EXIT_STATUS="+StatusWord(main.End()))
	}
	return env
}

// LogOOM says that processes were killed for want of memory.
func LogOOM(h machine.Host, e machine.OOMKill) {
	if e.Managed {
		h.Log(LogNotice, "unit-oomd-kill", "systemd-oomd killed "+strconv.FormatUint(e.Count, 10)+" process(es) in this unit.")
		return
	}
	h.Log(LogNotice, "unit-out-of-memory", "A process of this unit has been killed by the OOM killer.")
}
