// Command muster is the init system and service manager: PID 1 of a system, or with --user the manager of a user's services (systemd(1)).
package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/muster-init/muster/pkg/manager"

	// Takes the signals of a re-executed PID 1 before the Go runtime has its own handlers.
	_ "github.com/muster-init/muster/pkg/kernel/rawsig/early"
)

const usage = `muster: system and service manager

Usage: muster [OPTIONS...]

      --system                run as system manager (the default, as PID 1)
      --user                  run as a user's manager
      --unit=UNIT             start UNIT instead of default.target
      --test                  show what would be started, and end
      --log-level=LEVEL       debug, info, notice, warning, err, crit, alert, emerg
      --log-target=TARGET     console, journal, kmsg, journal-or-kmsg, null
      --show-status[=BOOL]    status output on the console
      --service-watchdogs[=BOOL]
                              heed the watchdogs of services
      --default-standard-output=WHERE
      --default-standard-error=WHERE
                              where services write by default
      --version               show the version
  -h, --help                  show this help

PID 1 re-executes itself on SIGTERM and reloads on SIGHUP; musterctl(1) talks to it.
`

func init() {
	// The loop and everything that is per thread (signal handlers, parent-death signals, namespaces) live on the main thread.
	runtime.LockOSThread()
}

func main() {
	o := manager.DefaultOptions()
	switch err := manager.ParseArguments(&o, os.Args[1:]); {
	case errors.Is(err, manager.ErrHelp):
		fmt.Print(usage)
	case errors.Is(err, manager.ErrVersion):
		fmt.Println("muster", manager.Version)
	case err != nil && os.Getpid() != 1:
		fmt.Fprintln(os.Stderr, "muster:", err)
		os.Exit(2)
	case o.Prove:
		os.Exit(manager.Prove(o))
	case os.Getpid() != 1 && !o.User && !o.Test:
		fmt.Fprintln(os.Stderr, "muster: this is not PID 1. Use musterctl to talk to the running manager, or --user to run as a user's manager.")
		os.Exit(1)
	default:
		os.Exit(manager.Main(o))
	}
}
