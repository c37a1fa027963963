package manager

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/kernel"
)

// sigRTMin is SIGRTMIN as the C library counts it, which is what users of kill(1) mean.
const sigRTMin = 34

// signalJob is a signal that queues a job (systemd(1), "Signals").
type signalJob struct {
	unit string
	mode job.Mode
}

var systemSignalJobs = map[int]signalJob{
	int(unix.SIGPWR):   {"sigpwr.target", job.Replace},
	int(unix.SIGWINCH): {"kbrequest.target", job.Replace},
	sigRTMin + 0:       {"default.target", job.Isolate},
	sigRTMin + 1:       {"rescue.target", job.Isolate},
	sigRTMin + 2:       {"emergency.target", job.Isolate},
	sigRTMin + 3:       {"halt.target", job.ReplaceIrreversibly},
	sigRTMin + 4:       {"poweroff.target", job.ReplaceIrreversibly},
	sigRTMin + 5:       {"reboot.target", job.ReplaceIrreversibly},
	sigRTMin + 6:       {"kexec.target", job.ReplaceIrreversibly},
	sigRTMin + 7:       {"soft-reboot.target", job.ReplaceIrreversibly},
}

var userSignalJobs = map[int]signalJob{
	int(unix.SIGPWR):  {"sigpwr.target", job.Replace},
	int(unix.SIGINT):  {"exit.target", job.ReplaceIrreversibly},
	int(unix.SIGTERM): {"exit.target", job.ReplaceIrreversibly},
	sigRTMin + 0:      {"default.target", job.Isolate},
}

// immediate objectives: no stop jobs, only the final kill and unmount.
var immediateSignals = map[int]objective{
	sigRTMin + 13: objectiveHalt,
	sigRTMin + 14: objectivePoweroff,
	sigRTMin + 15: objectiveReboot,
	sigRTMin + 16: objectiveKexec,
	sigRTMin + 17: objectiveSoftReboot,
}

// handledSignals is what the manager installs: everything of the tables, SIGCHLD and the controls.
func handledSignals() []int {
	list := []int{
		int(unix.SIGCHLD), int(unix.SIGTERM), int(unix.SIGINT), int(unix.SIGHUP), int(unix.SIGUSR1), int(unix.SIGUSR2),
		int(unix.SIGPWR), int(unix.SIGWINCH),
	}
	for n := range 31 {
		list = append(list, sigRTMin+n)
	}
	return list
}

// onSignal handles one signal that isn't SIGCHLD.
func (m *Manager) onSignal(s kernel.SigInfo) {
	sig := int(s.Signo)
	client := fmt.Sprintf("signal from pid %d uid %d", s.Pid, s.Uid)
	jobs := systemSignalJobs
	if !m.system {
		jobs = userSignalJobs
	}
	if j, ok := jobs[sig]; ok {
		m.submit(machine.Enqueue{Unit: j.unit, Type: job.Start, Mode: j.mode,
			Cause: machine.Cause{Kind: machine.CauseSignal, Client: client}})
		return
	}
	if o, ok := immediateSignals[sig]; ok && m.system {
		m.log.info("", "Received signal %d from pid %d: %s without stopping units.", sig, s.Pid, o)
		m.setObjective(o)
		return
	}
	switch sig {
	case int(unix.SIGHUP):
		m.reload(nil)
	case int(unix.SIGTERM), sigRTMin + 25:
		if sig == int(unix.SIGTERM) && m.inPod() {
			m.submit(machine.Enqueue{Unit: "poweroff.target", Type: job.Start, Mode: job.ReplaceIrreversibly,
				Cause: machine.Cause{Kind: machine.CauseSignal, Client: client}})
			return
		}
		m.asked = kernel.Monotonic()
		m.requestReexec(nil)
	case int(unix.SIGINT):
		m.onCtrlAltDel(client)
	case int(unix.SIGUSR1):
		m.reconnectBus()
	case int(unix.SIGUSR2):
		m.dump()
	default:
		m.onControlSignal(sig-sigRTMin, s)
	}
}

// inPod reports whether this is PID 1 of a container that was given no rights over anything, as orchestrators start one.
// DEVIATION: there SIGTERM is an ordered power-off, because it is all that they send, and nobody can set another signal; systemd re-executes itself.
func (m *Manager) inPod() bool {
	if !m.system || !m.container {
		return false
	}
	caps, err := kernel.ThreadCapabilities()
	return err == nil && caps.Effective&(1<<unix.CAP_SYS_ADMIN) == 0
}

// onControlSignal handles SIGRTMIN+n from 18 on: status, log level and log target.
func (m *Manager) onControlSignal(n int, s kernel.SigInfo) {
	switch n {
	case 18:
		m.onCommandSignal(int(s.Value))
	case 20:
		m.console.setStatus("yes")
	case 21:
		m.console.setStatus("no")
	case 22:
		m.log.setLevel(7)
	case 23:
		m.log.setLevel(int(m.cfg.LogLevel))
	case 24:
		if !m.system {
			m.setObjective(objectiveExit)
		}
	case 26, 29:
		m.log.setTarget(m.cfg.LogTarget)
	case 27:
		m.log.setTarget("console")
	case 28:
		m.log.setTarget("kmsg")
	}
}

// onCommandSignal handles SIGRTMIN+18, whose sigqueue(3) value is the command.
func (m *Manager) onCommandSignal(command int) {
	switch {
	case command >= 0x100 && command <= 0x107:
		m.log.setLevel(command - 0x100)
	case command == 0x200:
		m.log.setTarget("console")
	case command == 0x201:
		m.log.setTarget("journal")
	case command == 0x202:
		m.log.setTarget("kmsg")
	case command == 0x203:
		m.log.setTarget("null")
	case command == 0x300:
		m.freeMemory()
	case command == 0x301:
		m.log.info("", "%s", memoryText())
	case command == kernel.CommandDumpJobs:
		m.dumpJobs()
	}
}

const (
	ctrlAltDelMax        = 7
	ctrlAltDelWindowUSec = 2_000_000
)

// onCtrlAltDel starts ctrl-alt-del.target; more than 7 presses within 2 s mean that the user doesn't want to wait (CtrlAltDelBurstAction=).
func (m *Manager) onCtrlAltDel(client string) {
	now := m.now().Monotonic
	if now-m.ctrlAltDelStart > ctrlAltDelWindowUSec {
		m.ctrlAltDelStart, m.ctrlAltDelCount = now, 0
	}
	m.ctrlAltDelCount++
	if m.ctrlAltDelCount > ctrlAltDelMax {
		m.log.notice("", "Ctrl-Alt-Del was pressed more than %d times within 2s: CtrlAltDelBurstAction=%s.", ctrlAltDelMax, m.cfg.CtrlAltDelBurstAction)
		m.act(machine.Act{Action: m.cfg.CtrlAltDelBurstAction, Reason: "Ctrl-Alt-Del burst", ExitStatus: -1})
		return
	}
	m.submit(machine.Enqueue{Unit: "ctrl-alt-del.target", Type: job.Start, Mode: job.ReplaceIrreversibly,
		Cause: machine.Cause{Kind: machine.CauseSignal, Client: client}})
}
