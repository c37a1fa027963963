package manager

import (
	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/engine/machine"
)

// sessionGraceUSec is how long the process that closes a PAM session may take once it is the last of its unit.
const sessionGraceUSec = 2_000_000

// sessionHandler is the name of that process.
const sessionHandler = "(sd-pam)"

// spareSession puts off the SIGKILL that follows the end of a main process, where all that is left is about to end by itself: the process that closes
// the PAM session of PAMName=. What a module undoes there (mounts, keys, the session of logind) would stay for ever otherwise.
//
// DEVIATION: systemd sends the signal at once, and whether the PAM session gets closed is a race.
func (m *Manager) spareSession(e machine.Kill) bool {
	if !e.Cgroup || e.Signal != int32(unix.SIGKILL) || e.MainPID > 0 || e.ControlPID > 0 || e.Subgroup != "" || e.Token == 0 {
		return false
	}
	u := m.eng.Config(e.Unit)
	if u == nil || u.Exec == nil || u.GetExec().PAMName == "" {
		return false
	}
	pids, err := m.cg.processes(e.Unit, "")
	if err != nil || len(pids) == 0 {
		return false
	}
	for _, pid := range pids {
		if comm(pid) != sessionHandler {
			return false
		}
	}
	m.submit(machine.Killed{Token: e.Token, Left: true})
	e.Token = 0
	m.alarms.after("session of "+e.Unit, sessionGraceUSec, func() {
		// A new activation has a main process, or is about to have one, and its processes are not meant.
		if u := m.eng.Unit(e.Unit); u != nil && (u.ActiveState() == machine.Deactivating || u.ActiveState() == machine.Failed) {
			m.killNow(e)
		}
	})
	return true
}
