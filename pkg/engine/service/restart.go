package service

import (
	"math"
	"strconv"

	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit"
)

// enterDead ends the activation: dead, failed, or on to an automatic restart. v255: service_enter_dead
func (m *Machine) enterDead(h machine.Host, result string, mayRestart bool) {
	s := &m.s
	cfg := h.Unit()
	svc := cfg.GetService()
	s.fail(result)
	m.dropMain(h)
	m.dropControl(h)
	end, passing := m.deadState(cfg), DeadBeforeAutoRestart
	switch s.Result {
	case "":
		h.Log(control.LogInfo, "unit-success", "Deactivated successfully.")
	case ResultExecCondition:
		h.Log(control.LogInfo, "unit-skipped", "Skipped due to '"+s.Result+"'.", "UNIT_RESULT="+s.Result)
		passing = ""
	default:
		h.Log(control.LogWarning, "unit-failure-result", "Failed with result '"+s.Result+"'.", "UNIT_RESULT="+s.Result)
		end, passing = Failed, FailedBeforeAutoRestart
	}
	// A stop that is queued already is not undone by Restart=.
	again := mayRestart && !h.StopPending() && passing != "" && m.shallRestart(h, svc)
	if again {
		// Two changes, so that whoever waits for the end of the unit sees it; not with RestartMode=direct.
		if svc.RestartMode != "direct" {
			m.setState(h, passing)
		}
		if svc.RestartMode == "debug" && !s.DebugNext {
			s.DebugNext = true
			h.Log(control.LogNotice, "", "Service dead, subsequent restarts will be executed with debug level logging.")
		}
		s.RestartExtra = draw(h, svc.RestartRandomizedDelayUSec)
		s.Timer.Arm(h.Now().Monotonic)
		m.setState(h, AutoRestart)
	} else {
		s.DebugNext = false
		s.FlushRestarts = true
		m.setState(h, end)
	}
	s.ForbidRestart = false
	s.AccessOverride = ""
	h.Emit(machine.ReleaseRuntime{Unit: cfg.Name, Restarting: m.willRestart(h)})
	if svc.FileDescriptorStorePreserve == "no" {
		m.releaseStore(h)
	}
	if svc.PIDFile != "" {
		h.Emit(machine.UnlinkPIDFile{Unit: cfg.Name, Path: svc.PIDFile})
	}
	if !again {
		m.unwatchBusName(h)
	}
	if t, _ := h.Job(); t == "" {
		m.release(h)
	}
}

// shallRestart is the matrix of Restart=. v255: service_shall_restart
func (m *Machine) shallRestart(h machine.Host, svc *unit.Service) bool {
	ok, reason := m.restartReason(svc)
	not := ""
	if !ok {
		not = "not "
	}
	h.Log(control.LogDebug, "", "Service will "+not+"restart ("+reason+")")
	return ok
}

func (m *Machine) restartReason(svc *unit.Service) (ok bool, reason string) {
	s := &m.s
	if s.ForbidRestart {
		return false, "manual stop"
	}
	end := machine.Exit{}
	if s.Main.Ended() {
		end = s.Main.End()
	}
	if control.InSet(end, svc.RestartPreventExitStatus) {
		return false, "prevented by exit status"
	}
	if control.InSet(end, svc.RestartForceExitStatus) {
		return true, "forced by exit status"
	}
	return RestartsOn(svc.Restart, s.ResultName()), "restart setting"
}

// RestartsOn reports whether Restart=setting restarts a service that ended with result.
func RestartsOn(setting, result string) bool {
	switch setting {
	case "always":
		return result != ResultExecCondition
	case "on-success":
		return result == ResultSuccess
	case "on-failure":
		return result != ResultSuccess && result != ResultExecCondition
	case "on-abnormal":
		return result != ResultSuccess && result != ResultExitCode && result != ResultExecCondition
	case "on-watchdog":
		return result == ResultWatchdog
	case "on-abort":
		return result == ResultSignal || result == ResultCoreDump
	}
	return false
}

// RestartUSecNext is the hold-off time before the next automatic restart in µs: RestartSec=, growing to
// RestartMaxDelaySec= in RestartSteps= equal ratios. v255: service_restart_usec_next
func (m *Machine) RestartUSecNext(cfg *unit.Unit) uint64 {
	svc := cfg.GetService()
	next := uint64(m.s.NRestarts)
	if m.s.Sub != AutoRestartQueued {
		next++
	}
	first, last, steps := svc.RestartUSec, svc.RestartMaxDelayUSec, uint64(svc.RestartSteps)
	switch {
	case next <= 1, steps == 0, last == unit.Infinity, first >= last:
		return first
	case next > steps:
		return last
	}
	base := max(float64(first), 1)
	return uint64(math.Round(base * math.Pow(float64(last)/base, float64(next-1)/float64(steps))))
}

func (m *Machine) restartDelay(svc *unit.Service) uint64 {
	cfg := unit.Unit{Service: svc}
	return control.AddUSec(m.RestartUSecNext(&cfg), m.s.RestartExtra)
}

// enterRestart queues the job that starts the service again. v255: service_enter_restart
func (m *Machine) enterRestart(h machine.Host, shortcut bool) {
	m.s.Timer.Off()
	if h.StopPending() {
		h.Log(control.LogDebug, "", "Stop job pending for unit, skipping automatic restart.")
		return
	}
	if !h.QueueRestart(job.RestartDependencies) {
		h.Log(control.LogWarning, "", "Failed to schedule restart job.")
		m.enterDead(h, ResultResources, false)
		return
	}
	m.s.NRestarts++
	count := strconv.FormatUint(uint64(m.s.NRestarts), 10)
	how := ""
	if shortcut {
		how = " immediately on client request"
	}
	h.Log(control.LogInfo, "unit-restart-scheduled", "Scheduled restart job"+how+", restart counter is at "+count+".", "N_RESTARTS="+count)
	m.setState(h, AutoRestartQueued)
}
