package manager

import (
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/kernel"
)

// Priorities of the sources: the lower number is handled first. The order is semantics: what a process said is read before its end, and what
// the kernel says about its cgroup after that.
const (
	prioMounts  = -10
	prioCgroup  = -9
	prioNotify  = -8
	prioChild   = -7
	prioSignal  = -6
	prioEmpty   = -5
	prioExec    = -3
	prioClock   = -1
	prioPaths   = 0
	prioDevices = -2
	prioBus     = 0
	prioWorkers = 1
)

// idleBatchUSec bounds how long the run queue moves before the sources are asked again, so that a client is answered while thousands of jobs run.
const idleBatchUSec = 2000

// sourceBatchUSec bounds how long one source may go on with what it found, for the same reason.
const sourceBatchUSec = 2000

// lastJobsMax bounds the jobs that still run when a user manager exits.
const lastJobsMax = 64

// now reads the three clocks.
func (m *Manager) now() machine.Instant {
	monotonic, realtime, boottime := kernel.Clocks()
	return machine.Instant{Monotonic: monotonic, Realtime: realtime, Boottime: boottime}
}

// run is the loop. It returns when an objective is set.
func (m *Manager) run() {
	if err := kernel.Heartbeat(heartbeatUSec); err != nil {
		m.log.warning("", "A hang of the manager would not be noticed: %v", err)
	}
	m.beginProbation()
	for m.objective == objectiveRun {
		m.turn()
	}
}

// turn waits for sources, handles those that are ready in the order of their priority, then lets the run queue move.
func (m *Manager) turn() {
	ready, err := m.poll.Wait(m.timeoutUSec())
	if err != nil {
		m.log.err("", "epoll: %v", err)
	}
	kernel.Beat()
	kernel.SyncClocks()
	m.limitTurns()
	m.cg.goOn()
	if m.childrenEnded {
		m.reap()
	}
	for _, r := range ready {
		if s := m.sources.byToken[r.Token]; s != nil {
			s.ready(r.Events)
		}
	}
	m.mounts.resume()
	m.alarms.due()
	if m.eng.Due(m.now()) {
		m.submit(machine.Tick{})
	}
	m.bus.answer()
	start := kernel.Monotonic()
	for m.eng.Runnable() && m.objective == objectiveRun {
		m.submit(machine.Idle{})
		if kernel.Monotonic()-start > idleBatchUSec {
			break
		}
	}
	// A user manager that is about to exit lets the jobs end that wait for nothing else: somebody waits for that of exit.target.
	for range lastJobsMax {
		if m.system || m.objective != objectiveExit || !m.eng.Runnable() {
			break
		}
		m.submit(machine.Idle{})
	}
	m.bus.expire()
	m.bus.flush()
	if len(ready) == 0 {
		m.cg.watchIdle()
	}
	m.settleCgroups()
	m.spawner.forgetDue()
	m.trimWhenIdle()
	m.clocks.arm()
}

// settleCgroups turns off controllers that nobody needs any more, when there is nothing else to do.
func (m *Manager) settleCgroups() {
	if m.cg.tree == nil || m.cg.tree.Unsettled() == 0 || m.eng.JobCount() > 0 {
		return
	}
	for _, err := range m.cg.tree.Settle() {
		m.log.debug("", "%v", err)
	}
}

// source is what a Poller token leads to.
type source interface{ ready(events uint32) }

// sourceFunc makes a source of a function.
type sourceFunc func(events uint32)

func (f sourceFunc) ready(events uint32) { f(events) }

// sources joins the tokens of the Poller with what handles them.
type sources struct {
	poll    *kernel.Poller
	next    uint64
	byToken map[uint64]source
	byFD    map[int]uint64
}

func newSources(poll *kernel.Poller) *sources {
	return &sources{poll: poll, byToken: map[uint64]source{}, byFD: map[int]uint64{}}
}

// add watches fd. The descriptor stays the caller's.
func (s *sources) add(fd int, events uint32, priority int, handle source) error {
	s.next++
	if err := s.poll.Add(fd, events, priority, s.next); err != nil {
		return err
	}
	s.byToken[s.next] = handle
	s.byFD[fd] = s.next
	return nil
}

// remove stops watching fd; it must be called before the descriptor is closed.
func (s *sources) remove(fd int) {
	if token, ok := s.byFD[fd]; ok {
		_ = s.poll.Remove(fd)
		delete(s.byToken, token)
		delete(s.byFD, fd)
	}
}

// timeoutUSec is how long the loop may sleep: not at all while jobs can run, else to the earliest deadline; -1 for ever.
func (m *Manager) timeoutUSec() int64 {
	if m.eng.Runnable() || m.childrenEnded || len(m.cg.left) > 0 || len(m.cg.unwatched) > 0 {
		return 0
	}
	deadline := min(m.eng.Deadline(), m.trimDeadline(), m.mounts.deadline(), m.bus.deadline(), m.alarms.deadline(), m.spawner.forgetDeadline())
	if deadline == machine.Never {
		return -1
	}
	now := kernel.Monotonic()
	if deadline <= now {
		return 0
	}
	return int64(deadline - now)
}
