package manager

import (
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

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
