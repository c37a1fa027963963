package enginetest

import (
	"fmt"
	"slices"

	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/unit"
)

const sigKill = 9

// perform carries out an effect; answers that are due at once go to pending.
func (w *World) perform(f machine.Effect) error {
	switch q := f.(type) {
	case machine.Spawn:
		w.pending = append(w.pending, w.spawn(q))
	case machine.Kill:
		left := w.kill(q)
		if q.Token != 0 {
			w.pending = append(w.pending, machine.Killed{Token: q.Token, Left: left})
		}
	case machine.CheckCgroup:
		w.pending = append(w.pending, machine.CgroupChecked{Token: q.Token, Populated: w.populated(q.Unit)})
	case machine.CheckPID:
		p := w.procs[q.PID]
		w.pending = append(w.pending, machine.PIDChecked{Token: q.Token, Alive: p != nil, InUnit: p != nil && p.unit == q.Unit})
	case machine.TestConditions, machine.ReadPIDFile, machine.GuessMainPID, machine.AttachPIDs, machine.RemoveDirectories,
		machine.OpenSockets, machine.ChownSockets, machine.PrepareMount, machine.WatchPaths, machine.OpenAutomount, machine.ReadStamp:
		w.slow = append(w.slow, f)
	case machine.UnwatchPaths:
		delete(w.files.watching, q.Unit)
	case machine.WriteStamp:
		w.stamps[q.Unit] = q.RealtimeUSec
		return w.check.stamped(q)
	case machine.RemoveStamp:
		delete(w.stamps, q.Unit)
		if t := w.check.timers[q.Unit]; t != nil {
			t.last = machine.Instant{} // cleaned: it never elapsed
		}
	case machine.WatchAutomount, machine.AckAutomount, machine.ExpireAutomount, machine.CloseAutomount:
		return w.performAutomount(f)
	case machine.CloseSockets:
		return w.closeSockets(q)
	case machine.WatchSockets:
		for _, h := range q.Ports {
			w.listening[h] = listener{q.Unit, q.Accept}
		}
	case machine.UnwatchSockets:
		for _, h := range q.Ports {
			delete(w.listening, h)
		}
	case machine.CancelQuery:
		w.slow = slices.DeleteFunc(w.slow, func(f machine.Effect) bool { return machine.QueryToken(f) == q.Token })
	case machine.FreezeCgroup:
		w.pending = append(w.pending, machine.CgroupFrozen{Unit: q.Unit, Frozen: !q.Thaw})
	case machine.WatchName:
		w.watched[q.Name] = true
	case machine.UnwatchName:
		delete(w.watched, q.Name)
	case machine.CloseHandle:
		if !w.handles[q.Handle] {
			return violation(fdOwners, "handle %d is closed but not open", q.Handle)
		}
		delete(w.handles, q.Handle)
	case machine.UnitRemoved:
		if u := w.src[q.Unit]; u != nil && u.Transient {
			delete(w.src, q.Unit)
		}
	case machine.SendReply:
		if _, ok := w.replies[q.Reply]; !ok {
			return violation(onceAnswered, "reply %d is answered twice or was never asked for", q.Reply)
		}
		w.check.replied(q)
		delete(w.replies, q.Reply)
	}
	return nil
}

// asking reports whether a slow query of a unit is open.
func (w *World) asking(name string) bool {
	for _, f := range w.slow {
		switch q := f.(type) {
		case machine.ReadPIDFile:
			if q.Unit == name {
				return true
			}
		case machine.GuessMainPID:
			if q.Unit == name {
				return true
			}
		}
	}
	return false
}

// spawn makes a process, or fails to.
func (w *World) spawn(q machine.Spawn) machine.Event {
	if !w.calm && w.rnd.P(5) {
		return machine.SpawnFailed{Token: q.Token, Status: 203, Message: "no such file"}
	}
	w.pid++
	p := &process{unit: q.Unit, slot: q.Slot, spawn: q}
	w.procs[w.pid] = p
	p.stubborn = !w.calm && w.rnd.P(10)
	if q.Slot == machine.SlotControl || w.typeOf(q.Unit) == "oneshot" {
		p.due = w.now + uint64(w.rnd.N(3_000_000)) + 1
		p.exit = machine.Exit{Code: machine.CodeExited}
		if !w.calm && w.rnd.P(15) {
			p.exit.Status = 1
		}
	}
	w.helper(p, q)
	if q.Phase == machine.ExecStart && w.typeOf(q.Unit) == "forking" {
		// The daemon that stays behind.
		w.pid++
		w.procs[w.pid] = &process{unit: q.Unit, slot: "", stubborn: p.stubborn}
		return machine.Spawned{Token: q.Token, PID: w.pid - 1}
	}
	return machine.Spawned{Token: q.Token, PID: w.pid}
}

func (w *World) typeOf(name string) string {
	if u := w.E.Unit(name); u != nil && u.Config().Type == unit.TypeService {
		return u.Config().GetService().Type
	}
	return ""
}

// pids lists the processes in order.
func (w *World) pids() []int32 {
	out := make([]int32, 0, len(w.procs))
	for pid := range w.procs {
		out = append(out, pid)
	}
	slices.Sort(out)
	return out
}

// kill signals processes and reports whether one of them will end.
func (w *World) kill(k machine.Kill) bool {
	left := false
	for _, pid := range w.pids() {
		p := w.procs[pid]
		if pid != k.MainPID && pid != k.ControlPID && !(k.Cgroup && p.unit == k.Unit) {
			continue
		}
		left = true
		if k.Signal == 1 || k.Signal == 18 || k.Signal == 19 {
			continue
		}
		if p.undying && !w.calm {
			continue
		}
		if k.Signal == sigKill || !p.stubborn || w.calm {
			p.dying = true
			p.due = w.now + uint64(w.rnd.N(1_000_000))
			p.exit = machine.Exit{Code: machine.CodeKilled, Status: k.Signal}
		}
	}
	return left
}

func (w *World) populated(name string) bool {
	for _, p := range w.procs {
		if p.unit == name {
			return true
		}
	}
	return false
}

// end lets a process end, and reports its cgroup empty if it was the last.
func (w *World) end(pid int32) error {
	p := w.procs[pid]
	if p.effect.phase != "" {
		if !p.dying || w.rnd.P(30) {
			w.kernel.take(&p.effect)
		}
		if p.effect.phase == machine.ExecMount && p.exit.Status != 0 && w.rnd.P(30) {
			// A helper that fails late takes back what it has done, and that is seen first.
			if err := w.tellTables(); err != nil {
				return err
			}
			if p.effect.done {
				w.kernel.unmount(p.effect.key)
			}
		}
		if err := w.tellTables(); err != nil {
			return err
		}
	}
	delete(w.procs, pid)
	emptyFirst := w.rnd.P(30)
	if !w.populated(p.unit) && emptyFirst {
		if err := w.deliver(machine.CgroupEmpty{Unit: p.unit}); err != nil {
			return err
		}
	}
	if err := w.deliver(machine.ProcessExited{PID: pid, Exit: p.exit}); err != nil {
		return err
	}
	if p.effect.phase == machine.ExecActivate {
		// The kernel says that the table has changed, even if somebody has changed it back by now.
		if err := w.deliver(w.swapTable()); err != nil {
			return err
		}
	}
	if !w.populated(p.unit) && !emptyFirst {
		return w.deliver(machine.CgroupEmpty{Unit: p.unit})
	}
	return nil
}

// endDue ends the processes whose time has come.
func (w *World) endDue() error {
	for _, pid := range w.pids() {
		if p := w.procs[pid]; p != nil && p.due != 0 && p.due <= w.now {
			if err := w.end(pid); err != nil {
				return err
			}
		}
	}
	return nil
}

// live lets a random process do something.
func (w *World) live() error {
	pids := w.pids()
	if len(pids) == 0 {
		return nil
	}
	pid := pick(w.rnd, pids...)
	p := w.procs[pid]
	switch k := w.rnd.N(100); {
	case k < 45:
		return w.deliver(w.ready(pid))
	case k < 55:
		return w.deliver(machine.ExecDone{PID: pid})
	case k < 60:
		wd := machine.Notify{Unit: p.unit, PID: pid, Msg: machine.NotifyMessage{Watchdog: true}}
		return w.deliver(wd)
	case k < 65:
		w.handle++
		w.handles[w.handle] = true
		return w.deliver(machine.Notify{Unit: p.unit, PID: pid, Msg: machine.NotifyMessage{FDStore: true, FDName: "x", FDs: []machine.Handle{w.handle}}})
	case k < 72:
		return w.ownName(p, pid)
	}
	if p.exit.Code == "" || w.rnd.P(50) {
		p.exit = pick(w.rnd, machine.Exit{Code: machine.CodeExited}, machine.Exit{Code: machine.CodeExited, Status: 1},
			machine.Exit{Code: machine.CodeKilled, Status: 9}, machine.Exit{Code: machine.CodeDumped, Status: 6}, machine.Exit{Code: machine.CodeKilled, Status: 15})
	}
	return w.end(pid)
}

// ready is READY=1 of a process, sometimes with RELOADING=1 or STOPPING=1 instead.
func (w *World) ready(pid int32) machine.Event {
	p := w.procs[pid]
	n := machine.Notify{Unit: p.unit, PID: pid, UID: 0}
	mono := w.now
	switch k := w.rnd.N(10); {
	case w.calm || k < 7:
		n.Msg.Ready = true
	case k < 8:
		n.Msg.Reloading, n.Msg.MonotonicUSec = true, &mono
	case k < 9:
		n.Msg.Stopping = true
	default:
		extend := uint64(2_000_000)
		n.Msg.ExtendTimeoutUSec = &extend
	}
	return n
}

// ownName lets a process take or lose the bus name of its unit.
func (w *World) ownName(p *process, pid int32) error {
	u := w.E.Unit(p.unit)
	if u == nil || u.Config().Type != unit.TypeService || u.Config().GetService().BusName == "" {
		return nil
	}
	ev := machine.NameOwnerChanged{Bus: u.Config().GetService().BusName, New: ":1.99", PID: pid}
	if !w.calm && w.rnd.P(20) {
		ev.New, ev.PID = "", 0
	}
	return w.deliver(ev)
}

// notifyLie is a datagram that makes no sense: of an unknown process, or about one that is not the sender's.
func (w *World) notifyLie() error {
	other := int32(w.rnd.N(300))
	return w.deliver(machine.Notify{Unit: w.name(), PID: other, UID: 1000, Msg: machine.NotifyMessage{Ready: true, MainPID: &other}})
}

// answerSlow answers one open query.
func (w *World) answerSlow() error {
	if len(w.slow) == 0 {
		return nil
	}
	i := w.rnd.N(len(w.slow))
	f := w.slow[i]
	w.slow = slices.Delete(w.slow, i, i+1)
	switch q := f.(type) {
	case machine.TestConditions:
		a := machine.ConditionsTested{Token: q.Token, ConditionsMet: w.rnd.P(75)}
		a.AssertsMet = a.ConditionsMet && w.rnd.P(80)
		return w.deliver(a)
	case machine.ReadPIDFile:
		pid := w.stray(q.Unit)
		if !w.calm && w.rnd.P(30) {
			pid = 0
		}
		if pid == 0 && q.Watch {
			w.slow = append(w.slow, q)
			if w.calm {
				// The daemon is gone: the file will never come. What happens next is up to the timeouts.
				w.slow = slices.Delete(w.slow, len(w.slow)-1, len(w.slow))
			}
		}
		return w.deliver(machine.PIDFileRead{Token: q.Token, PID: pid, Message: "test"})
	case machine.GuessMainPID:
		return w.deliver(machine.MainPIDGuessed{Token: q.Token, PID: w.stray(q.Unit)})
	case machine.RemoveDirectories:
		return w.deliver(machine.DirectoriesRemoved{Token: q.Token})
	case machine.AttachPIDs:
		return w.attach(q)
	case machine.OpenSockets:
		return w.deliver(w.openSockets(q))
	case machine.ChownSockets:
		a := machine.SocketsChowned{Token: q.Token}
		if !w.calm && w.rnd.P(10) {
			a.Message = "no such user"
		}
		return w.deliver(a)
	case machine.CloseSockets:
		for _, p := range q.Ports {
			delete(w.closing, p.Handle)
		}
		return w.deliver(machine.SocketsClosed{Token: q.Token})
	case machine.PrepareMount:
		a := machine.MountPrepared{Token: q.Token}
		if !w.calm && w.rnd.P(10) {
			a.Message = "Mount path is not canonical."
		}
		return w.deliver(a)
	case machine.WatchPaths:
		return w.deliver(w.watchPaths(q))
	case machine.OpenAutomount:
		return w.deliver(w.openPoint(q))
	case machine.ReadStamp:
		return w.deliver(w.readStamp(q))
	}
	return fmt.Errorf("unknown query %T", f)
}

// stray is the youngest process of a unit that was not spawned by the manager.
func (w *World) stray(name string) int32 {
	found := int32(0)
	for _, pid := range w.pids() {
		if p := w.procs[pid]; p.unit == name && p.slot == "" && !p.dying {
			found = pid
		}
	}
	return found
}

// obey lets each process do the next thing that its unit waits for.
func (w *World) obey() error {
	for _, pid := range w.pids() {
		p := w.procs[pid]
		if p == nil {
			continue
		}
		u := w.E.Unit(p.unit)
		if u == nil || p.dying || p.due != 0 {
			continue
		}
		sub := u.SubState()
		switch typ := w.typeOf(p.unit); {
		case p.effect.phase != "":
			p.due = w.now + 1 // the helper hangs no longer
		case sub != "start":
		case typ == "oneshot":
			p.due = w.now + 1
		}
		switch {
		case (sub == "start" || sub == "reload-notify" || sub == "reload-signal") && p.readyIn != sub:
			p.readyIn = sub
			if err := w.deliver(machine.ExecDone{PID: pid}); err != nil {
				return err
			}
			if w.procs[pid] == nil {
				continue
			}
			if err := w.deliver(machine.Notify{Unit: p.unit, PID: pid, Msg: machine.NotifyMessage{Ready: true}}); err != nil {
				return err
			}
			if err := w.ownName(p, pid); err != nil {
				return err
			}
		case sub != "start" && sub != "reload-notify" && sub != "reload-signal":
			p.readyIn = ""
		}
	}
	return w.endDue()
}
