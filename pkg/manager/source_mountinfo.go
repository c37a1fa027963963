package manager

import (
	"bytes"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/kernel"
)

const (
	// mountStormUSec is how close together two changes of the mount table must be to count as a storm.
	mountStormUSec = 20_000
	// mountRestFactor is how many times as long as reading took the table is left alone in a storm, so that reading takes a bounded share of the
	// processor however many mounts there are; mountRestMinUSec and mountRestMaxUSec bound that, mountExitUSec where the end of a mount program waits.
	mountRestFactor  = 20
	mountRestMinUSec = 5_000
	mountRestMaxUSec = 200_000
	mountExitUSec    = 20_000
)

// mountSource follows /proc/self/mountinfo. The kernel only says that something has changed; the table is read and what differs goes to the
// engine. Only the lines between the first and the last difference are looked at.
type mountSource struct {
	m        *Manager
	table    *kernel.MountTable
	raw      []byte // as it was read last
	points   map[string]mountPoint
	lastRead uint64 // monotonic µs
	restEnd  uint64 // monotonic µs until which the table is left alone; 0: it is watched
	// exits of mount programs that wait for the next reading of the table, so that they are judged by what is mounted then.
	exits []kernel.Exit
}

// mountPoint is what lies on top at one place, and how many mounts there are in all.
type mountPoint struct {
	info  machine.MountInfo
	count int
}

// openTables begins to follow the kernel's tables.
func (m *Manager) openTables() {
	if err := m.openMounts(); err != nil {
		m.log.err("", "Mounts will not be noticed: %v", err)
	}
	if err := m.openSwaps(); err != nil {
		m.log.err("", "Swap areas will not be noticed: %v", err)
	}
}

// openMounts begins to follow the mount table, with what is mounted now.
func (m *Manager) openMounts() error {
	table, err := kernel.OpenMountTable()
	if err != nil {
		return err
	}
	m.mounts = &mountSource{m: m, table: table}
	if err := m.mounts.watch(); err != nil {
		return err
	}
	m.mounts.read()
	return nil
}

func (s *mountSource) watch() error {
	return s.m.sources.add(s.table.FD(), unix.EPOLLPRI, prioMounts, sourceFunc(func(uint32) { s.ready() }))
}

// ready reads the table, unless that has just been done: then it rests for a while, which joins the changes of a storm.
func (s *mountSource) ready() {
	if now := kernel.Monotonic(); s.restEnd == 0 && now-s.lastRead < mountStormUSec {
		s.rest(now)
		return
	}
	s.read()
}

func (s *mountSource) rest(now uint64) {
	s.m.sources.remove(s.table.FD())
	s.restEnd = now + mountRestMinUSec
}

// deadline is when the rest is over.
func (s *mountSource) deadline() uint64 {
	if s == nil || s.restEnd == 0 {
		return machine.Never
	}
	return s.restEnd
}

// resume reads the table when the rest is over. In a storm that goes on another rest follows.
func (s *mountSource) resume() {
	begin := kernel.Monotonic()
	if s == nil || s.restEnd == 0 || begin < s.restEnd {
		return
	}
	changed := s.read()
	now := kernel.Monotonic()
	exits := s.exits
	s.exits = nil
	for _, exit := range exits {
		s.m.deliverExit(exit)
	}
	if changed {
		s.restEnd = now + min(max((now-begin)*mountRestFactor, mountRestMinUSec), mountRestMaxUSec)
		return
	}
	s.restEnd = 0
	if err := s.watch(); err != nil {
		s.m.log.err("", "%v", err)
	}
}

// read brings the engine up to date; true: something has changed.
func (s *mountSource) read() bool {
	raw, err := s.table.Raw()
	s.lastRead = kernel.Monotonic()
	if err != nil {
		s.m.log.err("", "%v", err)
		return false
	}
	ev := machine.MountTable{All: s.points == nil}
	gone, came := difference(s.raw, raw)
	if ev.All || !s.follow(&ev, s.parse(gone), s.parse(came)) {
		s.compare(&ev, s.parse(raw))
	}
	s.raw = append(s.raw[:0], raw...)
	if !ev.All && len(ev.Mounts) == 0 && len(ev.Gone) == 0 {
		return false
	}
	sortByLength(ev.Gone)
	s.m.submit(ev)
	return true
}

// difference cuts the lines that two tables have in common at their beginnings and ends.
func difference(before, after []byte) (gone, came []byte) {
	const piece = 4096
	shorter := min(len(before), len(after))
	p := 0
	for p+piece <= shorter && bytes.Equal(before[p:p+piece], after[p:p+piece]) {
		p += piece
	}
	for p < shorter && before[p] == after[p] {
		p++
	}
	p = bytes.LastIndexByte(after[:p], '\n') + 1
	gone, came = before[p:], after[p:]
	q := 0 // of their common end
	for shorter = min(len(gone), len(came)); q < shorter && gone[len(gone)-1-q] == came[len(came)-1-q]; {
		q++
	}
	whole := func(b []byte) bool { return q == len(b) || b[len(b)-1-q] == '\n' }
	for q > 0 && (!whole(gone) || !whole(came)) {
		next := bytes.IndexByte(came[len(came)-q:], '\n')
		q -= next + 1
	}
	return gone[:len(gone)-q], came[:len(came)-q]
}

// parse gives the mounts that have units.
func (s *mountSource) parse(lines []byte) (list []machine.MountInfo) {
	for line := range bytes.Lines(lines) {
		if info := mountInfo(line, s.m.dirs.runtime); info.Where != "" {
			list = append(list, info)
		}
	}
	return list
}

// follow takes a difference over; false, and nothing is changed, if mounts that lie on top of others are concerned: for them the order of the whole
// table matters.
func (s *mountSource) follow(ev *machine.MountTable, gone, came []machine.MountInfo) bool {
	left := map[string]machine.MountInfo{}
	for _, info := range gone {
		if s.points[info.Where].count != 1 {
			return false
		}
		left[info.Where] = info
	}
	seen := map[string]bool{}
	for _, info := range came {
		_, leaves := left[info.Where]
		if seen[info.Where] || s.points[info.Where].count != 0 && !leaves {
			return false
		}
		seen[info.Where] = true
	}
	for where := range left {
		delete(s.points, where)
	}
	for _, info := range came {
		s.points[info.Where] = mountPoint{info, 1}
		if was, ok := left[info.Where]; !ok || was != info {
			ev.Mounts = append(ev.Mounts, info)
		}
	}
	for _, info := range gone {
		if !seen[info.Where] {
			ev.Gone = append(ev.Gone, info.Where)
		}
	}
	return true
}

// compare takes a whole table over.
func (s *mountSource) compare(ev *machine.MountTable, list []machine.MountInfo) {
	points := make(map[string]mountPoint, len(list))
	for _, info := range list {
		points[info.Where] = mountPoint{info, points[info.Where].count + 1} // what is mounted last lies on top
	}
	for _, info := range list {
		if points[info.Where].info != info {
			continue
		}
		if old, ok := s.points[info.Where]; !ok || old.info != info {
			ev.Mounts = append(ev.Mounts, info)
		}
	}
	for where := range s.points {
		if _, ok := points[where]; !ok {
			ev.Gone = append(ev.Gone, where)
		}
	}
	s.points = points
}

// mountInfo parses a line of the table, with Where "" for what is no unit.
func mountInfo(line []byte, runtime string) (info machine.MountInfo) {
	list, err := kernel.ParseMountInfo(line)
	if err != nil || len(list) != 1 || !mountHasUnit(list[0], runtime) {
		return info
	}
	e := list[0]
	return machine.MountInfo{Where: e.Point, What: e.Source, Type: e.Type, Options: mountOptions(e.Options, e.SuperOptions)}
}

// mountOptions joins the options of a mount with those of its file system: rw only if both are.
func mountOptions(mount, super string) string {
	access, rest := "rw", []string{}
	for _, list := range []string{mount, super} {
		for o := range strings.SplitSeq(list, ",") {
			switch o {
			case "":
			case "ro":
				access = "ro"
			case "rw":
			default:
				rest = append(rest, o)
			}
		}
	}
	return strings.Join(append([]string{access}, rest...), ",")
}

// mountsWithoutUnit are mount points of the API file systems, which are there before the first unit and stay, and of the things that container
// managers put over single files.
var mountsWithoutUnit = map[string]bool{
	"/proc": true, "/sys": true, "/dev": true, "/run": true, "/sys/fs/cgroup": true, "/dev/pts": true, "/dev/shm": true, "/sys/kernel/security": true,
	"/sys/fs/selinux": true, "/sys/fs/smackfs": true, "/sys/fs/bpf": true, "/sys/fs/pstore": true, "/sys/firmware/efi/efivars": true,
	"/dev/console": true, "/proc/kmsg": true, "/proc/sys": true, "/proc/sys/kernel/random/boot_id": true,
}

// mountHasUnit reports whether there is a unit for a mount.
func mountHasUnit(e kernel.Mount, runtime string) bool {
	switch {
	case e.Type == "autofs", mountsWithoutUnit[e.Point], !strings.HasPrefix(e.Point, "/"), strings.HasSuffix(e.Point, "//deleted"):
		return false
	case strings.HasPrefix(e.Point, "/sys/fs/cgroup/"), strings.HasPrefix(e.Point, "/run/host/"), strings.HasPrefix(e.Point, runtime+"/credentials/"):
		return false
	}
	return true
}

// beforeExits reads the table if one of the processes that have ended may have changed it, so that exits are judged by what is mounted now.
func (s *mountSource) beforeExits(ended []kernel.Exit) {
	if s == nil || s.restEnd != 0 {
		return
	}
	for _, exit := range ended {
		if c := s.m.spawner.children[int32(exit.Pid)]; c != nil && mountPhase(c.phase) {
			s.read()
			return
		}
	}
}

// takes keeps an exit that has to wait for the table.
func (s *mountSource) takes(exit kernel.Exit) bool {
	if s == nil || s.restEnd == 0 {
		return false
	}
	if c := s.m.spawner.children[int32(exit.Pid)]; c == nil || !mountPhase(c.phase) {
		return false
	}
	s.exits = append(s.exits, exit)
	s.restEnd = min(s.restEnd, max(s.lastRead+mountExitUSec, 1))
	return true
}

func mountPhase(p machine.Phase) bool {
	return p == machine.ExecMount || p == machine.ExecUnmount || p == machine.ExecRemount
}

// devicesSupported reports whether there can be device units: not in a container, where /sys is read-only because the devices are the host's.
func devicesSupported() bool {
	var st unix.Statfs_t
	return unix.Statfs("/sys", &st) == nil && st.Flags&unix.ST_RDONLY == 0
}
