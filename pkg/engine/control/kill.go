package control

import (
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// Operation is why processes are signalled; it selects the signal of systemd.kill(5).
type Operation string

// Operations.
const (
	Terminate       Operation = "terminate"
	TerminateLogged Operation = "terminate-logged" // say whom: abandoned scopes
	Restart         Operation = "restart"          // RestartKillSignal=
	Watchdog        Operation = "watchdog"         // WatchdogSignal=
	Final           Operation = "kill"             // FinalKillSignal=
)

// SignalOf is the signal that k has for op.
func SignalOf(k *unit.Kill, op Operation) int32 {
	switch op {
	case Restart:
		if k.RestartKillSignal != 0 {
			return k.RestartKillSignal
		}
		return k.KillSignal
	case Watchdog:
		return k.WatchdogSignal
	case Final:
		return k.FinalKillSignal
	default:
		return k.KillSignal
	}
}

// Processes is who can be signalled: the pids of the slots (0: none) and whether the cgroup may hold further ones.
type Processes struct {
	Main, Control int32
	Cgroup        bool
}

// KillEffect is the query that signals p for op by KillMode=, SendSIGHUP= and so on. false: nobody is to be signalled.
func KillEffect(u *unit.Unit, op Operation, p Processes) (machine.Kill, bool) {
	k := u.GetKill()
	if k.KillMode == "none" {
		return machine.Kill{}, false
	}
	sig := SignalOf(k, op)
	kill := machine.Kill{
		Unit:       u.Name,
		Signal:     sig,
		MainPID:    p.Main,
		ControlPID: p.Control,
		Cgroup:     p.Cgroup && (k.KillMode == "control-group" || k.KillMode == "mixed" && op == Final),
		Log:        op == TerminateLogged || op == Watchdog || op == Final,
	}
	if sig != int32(value.SIGKILL) && sig != int32(value.SIGCONT) {
		kill.Also = append(kill.Also, int32(value.SIGCONT))
	}
	// SendSIGHUP= is for shells that ignore SIGTERM: it goes with the polite signal only.
	if k.SendSIGHUP && (op == Terminate || op == TerminateLogged) && sig != int32(value.SIGHUP) {
		kill.Also = append(kill.Also, int32(value.SIGHUP))
	}
	return kill, kill.MainPID != 0 || kill.ControlPID != 0 || kill.Cgroup
}

// Rung is a sub-state in which a unit waits for signalled processes to end.
type Rung struct {
	Op     Operation
	Harder string // the rung after this one with SendSIGKILL=yes; "" none
	Then   string // what follows when all processes are gone; the unit type gives the word its meaning
}

// Ladder is the rungs of a unit type by sub-state.
type Ladder map[string]Rung

// Next is the rung to try when nobody got the signal of sub. ok false: the ladder ends, then says where.
func (l Ladder) Next(u *unit.Unit, sub string) (harder, then string, ok bool) {
	r := l[sub]
	if r.Harder != "" && u.GetKill().SendSIGKILL {
		return r.Harder, "", true
	}
	return "", r.Then, false
}

// Climb finds the first rung from sub upwards on which somebody is to be signalled. op, if not "", replaces the
// operation of the first rung. ok false: there is nobody, then says what follows.
func (l Ladder) Climb(u *unit.Unit, sub string, op Operation, p Processes) (rung string, kill machine.Kill, then string, ok bool) {
	for {
		if op == "" {
			op = l[sub].Op
		}
		if kill, ok = KillEffect(u, op, p); ok {
			return sub, kill, "", true
		}
		op = ""
		next, after, more := l.Next(u, sub)
		if !more {
			return "", machine.Kill{}, after, false
		}
		sub = next
	}
}
