package ctl

import (
	"time"

	"github.com/muster-init/muster/pkg/bus"
)

// isActive is is-active: 0 if any unit is active (or whatever counts as good).
func isActive(s *systemctl, _ string, args []string) int {
	return s.checkStates(args, exitNotRunning, []string{"active", "reloading", "refreshing"})
}

// isFailed is is-failed, without units that of the whole system.
func isFailed(s *systemctl, _ string, args []string) int {
	if len(args) > 0 {
		return s.checkStates(args, exitFailure, []string{"failed"})
	}
	if !s.online() {
		return exitFailure
	}
	state := s.managerString("SystemState")
	if !s.o.quiet {
		s.printf("%s\n", state)
	}
	if state == "degraded" {
		return 0
	}
	return exitFailure
}

// checkStates prints the state of each unit. The status is 0 if any is in one of the good states, else bad; 4 if none of the units exists.
func (s *systemctl) checkStates(args []string, bad int, good []string) int {
	if !s.online() {
		return exitFailure
	}
	names, _, ok := s.expandNames(args, ".service")
	if !ok {
		return exitFailure
	}
	anyGood, anyThere := false, false
	for _, n := range names {
		active, err := s.unitString(n, "ActiveState")
		if err != nil {
			if hasName(err, bus.ErrNoSuchUnit, bus.ErrLoadFailed) {
				active = "unknown"
			} else {
				s.errorf("Failed to retrieve unit state: %s", errorText(err))
				return exitFailure
			}
		}
		if contains(good, active) {
			anyGood = true
		}
		if load, err := s.unitString(n, "LoadState"); err == nil && (load != "not-found" || active != "inactive") {
			anyThere = true
		}
		if !s.o.quiet {
			s.printf("%s\n", active)
		}
	}
	switch {
	case anyGood:
		return 0
	case anyThere:
		return bad
	}
	return exitNoSuchUnit
}

// isSystemRunning is is-system-running: the state of the manager.
func isSystemRunning(s *systemctl, _ string, _ []string) int {
	if s.Chroot {
		return s.systemState("offline")
	}
	if err := s.connect(); err != nil {
		if booted() {
			s.reportConnect(err, s.o.scope == scopeUser)
			return exitFailure
		}
		return s.systemState("offline")
	}
	if s.o.wait {
		if status := s.waitStartup(); status != 0 {
			return status
		}
	}
	v, err := s.managerProperty("SystemState")
	if err != nil {
		s.notef("Failed to query system state: %s", errorText(err))
		return s.systemState("unknown")
	}
	state, _ := v.(string)
	return s.systemState(state)
}

func (s *systemctl) systemState(state string) int {
	if !s.o.quiet {
		s.printf("%s\n", state)
	}
	if state == "running" {
		return 0
	}
	return exitFailure
}

// waitStartup waits until the manager has finished starting up.
func (s *systemctl) waitStartup() int {
	if s.bus.Name() != "" {
		if err := s.bus.AddMatch("type='signal',sender='" + busName + "',interface='" + managerIface + "',member='StartupFinished'"); err != nil {
			s.warnf("Failed to request match for StartupFinished: %s", errorText(err))
			return 0
		}
	}
	if _, err := s.call("Subscribe"); err != nil && !hasName(err, bus.ErrAlreadySubscribed) {
		s.warnf("Failed to subscribe to signals: %s", errorText(err))
		return 0
	}
	for !s.wait.finished {
		state := s.managerString("SystemState")
		if state != "initializing" && state != "starting" {
			return 0
		}
		// The signal may have been sent before we subscribed: look again from time to time.
		if _, err := s.bus.Process(time.Second); err != nil {
			s.errorf("Failed to wait for the startup to finish: %s", errorText(err))
			return exitFailure
		}
	}
	return 0
}
