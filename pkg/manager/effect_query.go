package manager

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/condition"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/kernel"
	"github.com/muster-init/muster/pkg/unit"
)

// open remembers a slow query, so that its answer can be dropped when it was cancelled.
func (m *Manager) open(token machine.Token, cancel func()) {
	m.queries[token] = cancel
}

// slowQueryUSec is how long an answer may take that a file system has to give, where the unit sets no time of its own.
const slowQueryUSec = 30_000_000

// slowQuery is what is answered when the file system gives no answer.
type slowQuery struct {
	until  uint64 // monotonic µs
	giveUp machine.Event
}

// openSlow is open for a query that nothing else gives up; usec is how long it may take, slowQueryUSec at most.
func (m *Manager) openSlow(token machine.Token, usec uint64, giveUp machine.Event) {
	m.open(token, nil)
	if m.slow == nil {
		m.slow = map[machine.Token]slowQuery{}
	}
	until := kernel.Monotonic() + min(usec, slowQueryUSec)
	m.slow[token] = slowQuery{until, giveUp}
	if len(m.slow) == 1 || until < m.slowAt {
		m.slowAt = until
		m.alarms.set("slow queries", until, m.giveUpSlow)
	}
}

// giveUpSlow answers what has taken too long, oldest tokens first. The workers stay where they are until the file system answers.
func (m *Manager) giveUpSlow() {
	now := kernel.Monotonic()
	var late []machine.Token
	next := uint64(machine.Never)
	for token, q := range m.slow {
		if _, open := m.queries[token]; !open {
			delete(m.slow, token)
		} else if q.until <= now {
			late = append(late, token)
		} else {
			next = min(next, q.until)
		}
	}
	slices.Sort(late)
	for _, token := range late {
		q := m.slow[token]
		delete(m.slow, token)
		m.answer(token, q.giveUp)
	}
	if m.slowAt = next; next != machine.Never {
		m.alarms.set("slow queries", next, m.giveUpSlow)
	}
}

// answer delivers the answer of a slow query if it is still open.
func (m *Manager) answer(token machine.Token, ev machine.Event) {
	if _, ok := m.queries[token]; !ok {
		return
	}
	delete(m.queries, token)
	delete(m.slow, token)
	m.submit(ev)
}

func (m *Manager) cancelQuery(token machine.Token) {
	if cancel, ok := m.queries[token]; ok {
		delete(m.queries, token)
		delete(m.slow, token)
		if cancel != nil {
			cancel()
		}
	}
}

// testConditions evaluates conditions and asserts: here if none names a path, else on a worker.
func (m *Manager) testConditions(e machine.TestConditions) {
	u := m.eng.Config(e.Unit)
	if u == nil {
		m.submit(machine.ConditionsTested{Token: e.Token})
		return
	}
	facts := m.conditionFacts()
	if !condition.MayBlock(u.Conditions) && !condition.MayBlock(u.Asserts) {
		m.submit(testAll(e.Token, facts, u))
		return
	}
	m.openSlow(e.Token, slowQueryUSec, unanswered(e.Token, u))
	queued := m.work.add(func() func() {
		ev := testAll(e.Token, facts, u)
		return func() { m.answer(e.Token, ev) }
	})
	if !queued {
		m.answer(e.Token, machine.ConditionsTested{Token: e.Token, Failed: "the manager is too busy to test conditions"})
	}
}

// unanswered is the result when a path of a condition or an assert gives no answer: what can't be told doesn't hold.
func unanswered(token machine.Token, u *unit.Unit) machine.ConditionsTested {
	const why = "a path in it gives no answer"
	ev := machine.ConditionsTested{Token: token}
	for _, c := range u.Conditions {
		if condition.MayBlock([]unit.Condition{c}) {
			ev.Failed = condition.Text(c) + " (" + why + ")"
			return ev
		}
	}
	ev.ConditionsMet = true
	for _, c := range u.Asserts {
		if condition.MayBlock([]unit.Condition{c}) {
			ev.Failed = condition.Text(c) + " (" + why + ")"
			break
		}
	}
	return ev
}

func testAll(token machine.Token, facts *condition.Facts, u *unit.Unit) machine.ConditionsTested {
	ev := machine.ConditionsTested{Token: token}
	ev.ConditionsMet, ev.Conditions, ev.Failed = condition.TestAll(facts, u.Conditions)
	if !ev.ConditionsMet {
		return ev
	}
	ev.AssertsMet, ev.Asserts, ev.Failed = condition.TestAll(facts, u.Asserts)
	return ev
}

// conditionFacts copies what conditions look at, for a worker.
func (m *Manager) conditionFacts() *condition.Facts {
	f := *m.facts
	f.Environment = m.environment
	return &f
}

// readPIDFile reads and checks PIDFile= on a worker. With Watch an inotify descriptor is left on the directory, and the file is read again
// whenever something changes there.
func (m *Manager) readPIDFile(e machine.ReadPIDFile) {
	m.open(e.Token, nil)
	m.readPIDFileOnce(e)
}

func (m *Manager) readPIDFileOnce(e machine.ReadPIDFile) {
	group := m.cg.procPath(e.Unit)
	queued := m.work.add(func() func() {
		watch := -1
		if e.Watch {
			watch = watchDirectory(e.Path)
		}
		pid, err := pidFromFile(e.Path, group)
		return func() { m.pidFileResult(e, pid, err, watch) }
	})
	if !queued {
		m.answer(e.Token, machine.PIDFileRead{Token: e.Token, Message: "the manager is too busy to read " + e.Path})
	}
}

func (m *Manager) pidFileResult(e machine.ReadPIDFile, pid int32, err error, watch int) {
	if _, open := m.queries[e.Token]; !open || pid > 0 || watch < 0 {
		if watch >= 0 {
			_ = unix.Close(watch)
		}
		ev := machine.PIDFileRead{Token: e.Token, PID: pid}
		if err != nil {
			ev.Message = err.Error()
		}
		m.answer(e.Token, ev)
		return
	}
	done := func() {
		m.sources.remove(watch)
		_ = unix.Close(watch)
	}
	m.queries[e.Token] = done
	_ = m.sources.add(watch, unix.EPOLLIN, prioWorkers, sourceFunc(func(uint32) {
		done()
		m.queries[e.Token] = nil
		m.readPIDFileOnce(e)
	}))
}

// watchDirectory watches the nearest existing directory above path; -1 if that can't be.
func watchDirectory(path string) int {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return -1
	}
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		_, err := unix.InotifyAddWatch(fd, dir, unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_CLOSE_WRITE|unix.IN_ATTRIB|unix.IN_ONLYDIR)
		if err == nil {
			return fd
		}
		if dir == "/" || dir == "." {
			_ = unix.Close(fd)
			return -1
		}
	}
}

const (
	pidFileMax = 4096
	// pidFileLinksMax is how many links the kernel follows, path_resolution(7).
	pidFileLinksMax = 40
)

// pidFromFile reads a pid and checks that it may be the unit's main process: it lives, isn't the manager, and is in the unit's cgroup or was
// named by a file that only root could write.
func pidFromFile(path, group string) (int32, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return 0, fmt.Errorf("can't open PID file %s (yet?): %w", path, err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, fmt.Errorf("PID file %s: %w", path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return 0, fmt.Errorf("PID file %s is not a regular file", path)
	}
	buf := make([]byte, pidFileMax)
	n, err := unix.Read(fd, buf)
	if err != nil {
		return 0, fmt.Errorf("PID file %s: %w", path, err)
	}
	text, _, _ := strings.Cut(strings.TrimSpace(string(buf[:n])), "\n")
	pid, err := strconv.ParseInt(strings.TrimSpace(text), 10, 32)
	if err != nil || pid <= 0 {
		return 0, fmt.Errorf("PID file %s doesn't hold a pid", path)
	}
	if int(pid) == os.Getpid() || pid == 1 {
		return 0, fmt.Errorf("PID file %s names pid %d, which is the manager", path, pid)
	}
	have, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return 0, fmt.Errorf("PID file %s names pid %d, which doesn't exist", path, pid)
	}
	if inCgroup(string(have), group) {
		return int32(pid), nil
	}
	if st.Uid != 0 || !onlyRootLeadsTo(path) {
		return 0, fmt.Errorf("PID file %s names pid %d, which isn't in the unit's cgroup, and the file or what leads to it is not owned by root: refused", path, pid)
	}
	return int32(pid), nil
}

// onlyRootLeadsTo reports whether every directory and link on the way to path is root's: else a user could have put a link there to a file of
// root that names somebody else's process.
func onlyRootLeadsTo(path string) bool {
	todo, at := strings.Split(filepath.Clean(path), "/"), "/"
	for links := 0; len(todo) > 0; {
		name := todo[0]
		todo = todo[1:]
		if name == "" {
			continue
		}
		next := filepath.Join(at, name)
		var st unix.Stat_t
		if unix.Lstat(next, &st) != nil || st.Uid != 0 {
			return false
		}
		if st.Mode&unix.S_IFMT != unix.S_IFLNK {
			at = next
			continue
		}
		target, err := os.Readlink(next)
		if links++; err != nil || links > pidFileLinksMax {
			return false
		}
		if filepath.IsAbs(target) {
			at = "/"
		}
		todo = append(strings.Split(target, "/"), todo...)
	}
	return true
}

// inCgroup reports whether the unified line of /proc/PID/cgroup is group or below it.
func inCgroup(procCgroup, group string) bool {
	for _, line := range strings.Split(procCgroup, "\n") {
		if p, ok := strings.CutPrefix(line, "0::"); ok {
			return group != "" && (p == group || strings.HasPrefix(p, group+"/"))
		}
	}
	return false
}

// guessMainPID takes the one child of the manager in the unit's cgroup; with several there is no telling.
func (m *Manager) guessMainPID(e machine.GuessMainPID) {
	ev := machine.MainPIDGuessed{Token: e.Token}
	pids, _ := m.cg.processes(e.Unit, "")
	found := 0
	for _, pid := range pids {
		if parentOf(pid) == int32(os.Getpid()) {
			ev.PID = pid
			found++
		}
	}
	if found != 1 {
		ev.PID = 0
	}
	m.submit(ev)
}

// parentOf reads the parent's pid from /proc/PID/stat; the command name in it may hold spaces and parentheses.
func parentOf(pid int32) int32 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	s := string(data)
	fields := strings.Fields(s[strings.LastIndexByte(s, ')')+1:])
	if len(fields) < 2 {
		return 0
	}
	n, _ := strconv.ParseInt(fields[1], 10, 32)
	return int32(n)
}

func (m *Manager) unlinkPIDFile(e machine.UnlinkPIDFile) {
	m.work.add(func() func() {
		_ = os.Remove(e.Path)
		return nil
	})
}
