package manager

import (
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/kernel"
)

// objective is what the manager is to do when the loop ends.
type objective string

// Objectives; "" goes on.
const (
	objectiveRun        objective = ""
	objectiveExit       objective = "exit"
	objectiveReexec     objective = "reexecute"
	objectiveReboot     objective = "reboot"
	objectivePoweroff   objective = "poweroff"
	objectiveHalt       objective = "halt"
	objectiveKexec      objective = "kexec"
	objectiveSoftReboot objective = "soft-reboot"
	objectiveSwitchRoot objective = "switch-root"
)

// setObjective ends the loop after the current turn. The first shutdown objective stands; a re-execution gives way to it.
func (m *Manager) setObjective(o objective) {
	if m.objective == objectiveRun || m.objective == objectiveReexec {
		m.objective = o
	}
}

// actions maps the values of FailureAction= and the like to a unit to start (ordered shutdown) or an objective to take at once.
var actions = map[string]struct {
	unit      string
	objective objective
	immediate bool // reboot(2) without any clean-up
}{
	"exit":                  {unit: "exit.target"},
	"exit-force":            {objective: objectiveExit},
	"reboot":                {unit: "reboot.target"},
	"reboot-force":          {objective: objectiveReboot},
	"reboot-immediate":      {objective: objectiveReboot, immediate: true},
	"poweroff":              {unit: "poweroff.target"},
	"poweroff-force":        {objective: objectivePoweroff},
	"poweroff-immediate":    {objective: objectivePoweroff, immediate: true},
	"halt":                  {unit: "halt.target"},
	"halt-force":            {objective: objectiveHalt},
	"halt-immediate":        {objective: objectiveHalt, immediate: true},
	"kexec":                 {unit: "kexec.target"},
	"kexec-force":           {objective: objectiveKexec},
	"soft-reboot":           {unit: "soft-reboot.target"},
	"soft-reboot-force":     {objective: objectiveSoftReboot},
	"soft-reboot-immediate": {objective: objectiveSoftReboot, immediate: true},
}

// act carries out machine.Act.
func (m *Manager) act(a machine.Act) {
	action, ok := actions[a.Action]
	if !ok {
		return // none
	}
	who := a.Unit
	if who == "" {
		who = "The manager"
	}
	m.log.notice(a.Unit, "%s asks for %s: %s.", who, a.Action, a.Reason)
	if a.ExitStatus >= 0 {
		m.exitStatus = int(a.ExitStatus)
	}
	if a.RebootArgument != "" {
		m.rebootArgument = a.RebootArgument
	}
	switch {
	case action.unit != "":
		m.startShutdownUnit(action.unit, a)
	case action.immediate && m.system && !m.container:
		unix.Sync()
		m.rebootNow(action.objective)
	default:
		if action.objective == objectivePoweroff && m.container && a.Action != "poweroff-force" {
			m.setObjective(objectiveExit)
			return
		}
		m.setObjective(action.objective)
	}
}

// finish does what the objective says after the loop has ended. For PID 1 it never returns; a user manager returns its exit status.
func (m *Manager) finish() int {
	if !m.system {
		return m.exitStatus
	}
	_ = kernel.Heartbeat(0) // no loop comes round any more
	m.console.status("", "%s", map[objective]string{
		objectiveReboot: "Rebooting.", objectivePoweroff: "Powering off.", objectiveHalt: "Halting.", objectiveKexec: "Starting the new kernel.",
		objectiveExit: "Exiting the container.", objectiveSoftReboot: "Restarting the userspace.", objectiveSwitchRoot: "Switching root.",
	}[m.objective])
	if m.objective == objectiveSoftReboot || m.objective == objectiveSwitchRoot {
		err := m.switchAndRestart()
		return m.emergency(err)
	}
	m.leaveWatchdog()
	m.killAll()
	unix.Sync()
	m.waitForUptime()
	if m.objective == objectiveExit || m.container && m.objective != objectiveReboot && m.objective != objectiveKexec && os.Getpid() != 1 {
		return m.exitStatus
	}
	if m.objective == objectiveExit {
		os.Exit(m.exitStatus)
	}
	if !m.container {
		m.releaseDisks()
	}
	m.rebootNow(m.objective)
	return m.exitStatus
}

// leaveWatchdog sets the hardware watchdog to what the way down may take: RebootWatchdogSec=, KExecWatchdogSec=, or nothing where the machine is
// not to come up again.
func (m *Manager) leaveWatchdog() {
	if m.watch == nil {
		return
	}
	switch m.objective {
	case objectiveReboot:
		m.watch.shutDown(m.cfg.RebootWatchdogUSec)
	case objectiveKexec:
		m.watch.shutDown(m.cfg.KExecWatchdogUSec)
	default:
		m.watch.shutDown(0)
	}
}

// waitForUptime is MinimumUptimeSec=: a machine that goes down right after it has come up, again and again, does it slowly. The time counts from the
// boot of the kernel, in a container from that of its manager.
func (m *Manager) waitForUptime() {
	_, _, up := kernel.Clocks()
	if m.container {
		up = kernel.Monotonic() - m.stamps.Userspace.Monotonic
	}
	if m.cfg == nil || m.objective == objectiveSoftReboot || up >= m.cfg.MinimumUptimeUSec {
		return
	}
	rest := min(time.Duration(m.cfg.MinimumUptimeUSec-up)*time.Microsecond, uptimeWaitMax)
	m.console.status("", "The system has been up for less than MinimumUptimeSec=, waiting %v.", rest.Round(time.Second))
	time.Sleep(rest)
}

// uptimeWaitMax bounds that wait, for the case that the setting is a slip.
const uptimeWaitMax = time.Hour

const (
	finalTermWait = 10 * time.Second
	finalKillWait = 5 * time.Second
)

// finalStep is a signal to everything, and how long is waited for the end of it.
type finalStep struct {
	sig  unix.Signal
	wait time.Duration
}

// killAll sends SIGTERM, then SIGKILL, to everything that is left after the units have stopped: the shutdown can't wait for what no unit owns.
func (m *Manager) killAll() {
	if os.Getpid() != 1 {
		return
	}
	steps := []finalStep{{unix.SIGTERM, finalTermWait}, {unix.SIGKILL, finalKillWait}}
	if len(m.surviving()) > 0 {
		m.killOthers(steps)
		return
	}
	for _, step := range steps {
		if unix.Kill(-1, step.sig) == unix.ESRCH {
			return
		}
		if step.sig == unix.SIGTERM {
			_ = unix.Kill(-1, unix.SIGCONT)
		}
		deadline := time.Now().Add(step.wait)
		for time.Now().Before(deadline) {
			var status unix.WaitStatus
			pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
			if err == unix.ECHILD {
				return
			}
			if pid == 0 {
				time.Sleep(5 * time.Millisecond)
			}
		}
		m.log.warning("", "Some processes did not end %v after %v.", step.wait, step.sig)
	}
}

// executeKexec runs `kexec -e`, which starts the kernel that was loaded before (kexec(8)); it returns if there is none, or no such program.
func (m *Manager) executeKexec() {
	p, err := os.StartProcess("/sbin/kexec", []string{"kexec", "-e"}, &os.ProcAttr{Files: []*os.File{nil, os.Stderr, os.Stderr}, Env: os.Environ()})
	if err != nil {
		return // reboot(2) does the same, but for a kernel that was loaded in the old way
	}
	for {
		pid, err := unix.Wait4(-1, nil, 0, nil)
		if pid == p.Pid || err == unix.ECHILD {
			return
		}
	}
}

// rebootNow asks the kernel. In a pid namespace this ends the namespace and tells the outside by the signal PID 1 dies of
// (pid_namespaces(7)).
func (m *Manager) rebootNow(o objective) {
	cmd := map[objective]uint32{
		objectiveReboot: unix.LINUX_REBOOT_CMD_RESTART, objectivePoweroff: unix.LINUX_REBOOT_CMD_POWER_OFF,
		objectiveHalt: unix.LINUX_REBOOT_CMD_HALT, objectiveKexec: unix.LINUX_REBOOT_CMD_KEXEC,
	}[o]
	if m.rebootArgument != "" && o == objectiveReboot && !m.container {
		if kernel.Reboot(m.rebootArgument) == nil {
			return
		}
	}
	if o == objectiveKexec && !m.container {
		m.executeKexec()
	}
	err := unix.Reboot(int(int32(cmd))) // the kernel takes 32 bits, whatever their sign
	if m.container {
		// Without CAP_SYS_BOOT the exit status is all that the container manager gets to see (systemd's container interface: 133 is a reboot).
		if o == objectiveReboot {
			os.Exit(133)
		}
		os.Exit(m.exitStatus)
	}
	if err != nil {
		m.log.emergency("", "reboot(2) for %s: %v.", o, err)
	}
	for {
		time.Sleep(time.Hour)
	}
}

// kernelThread is PF_KTHREAD of the flags in /proc/PID/stat.
const kernelThread = 0x200000

// surviving lists the processes of units with SurviveFinalKillSignal=, and those that serve the root file system. They keep running until the machine itself ends.
func (m *Manager) surviving() map[int32]bool {
	pids := storageDaemons()
	for name := range m.cg.paths {
		u := m.eng.Config(name)
		if u == nil || !u.Unit.SurviveFinalKillSignal {
			continue
		}
		list, err := m.cg.processes(name, "")
		if err != nil {
			continue
		}
		if pids == nil {
			pids = map[int32]bool{}
		}
		for _, pid := range list {
			pids[pid] = true
		}
	}
	return pids
}

// othersThan lists all processes that may be signalled but PID 1 and those of units that survive. The processes are listed first: what forks
// in between is not among them.
func (m *Manager) othersThan() []int {
	names := processNames()
	spared := m.surviving()
	var list []int
	for _, name := range names {
		pid, ok := pidOf(name)
		if !ok || pid <= 1 || spared[int32(pid)] || isKernelThread(name) {
			continue
		}
		list = append(list, pid)
	}
	return list
}

func processNames() []string {
	d, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer d.Close()
	names, _ := d.Readdirnames(-1)
	return names
}

func isKernelThread(pid string) bool {
	text, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return true // gone
	}
	// The name in parentheses may hold anything; flags are the 7th field behind it.
	_, rest, _ := strings.Cut(string(text[strings.LastIndexByte(string(text), ')')+1:]), " ")
	fields := strings.Fields(rest)
	const state, flags = 0, 6
	if len(fields) <= flags || fields[state] == "Z" {
		return true
	}
	n, err := strconv.ParseUint(fields[flags], 10, 64)
	return err != nil || n&kernelThread != 0
}

// killOthers is the last SIGTERM and SIGKILL where some processes are to survive it.
func (m *Manager) killOthers(steps []finalStep) {
	for _, step := range steps {
		deadline := time.Now().Add(step.wait)
		told := map[int]bool{}
		for time.Now().Before(deadline) {
			left := m.othersThan()
			if len(left) == 0 {
				return
			}
			for _, pid := range left {
				if !told[pid] {
					told[pid] = true
					_ = unix.Kill(pid, step.sig)
					_ = unix.Kill(pid, unix.SIGCONT)
				}
			}
			var status unix.WaitStatus
			for {
				if pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil); pid <= 0 || err != nil {
					break
				}
			}
			time.Sleep(5 * time.Millisecond)
		}
		m.log.warning("", "Some processes did not end %v after %v.", step.wait, step.sig)
	}
}

// pidOf reads the name of a directory of /proc.
func pidOf(name string) (int, bool) {
	pid, err := strconv.Atoi(name)
	return pid, err == nil
}
