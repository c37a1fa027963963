package manager

import (
	"bytes"
	"hash/maphash"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/kernel"
)

const (
	// mountStormUSec is how close together two changes of the mount table must be to count as a storm.
	mountStormUSec = 20_000
	// mountRestFactor is how many times as long as reading took the table is left alone in a storm, so that reading takes a bounded share of the
	// processor however many mounts there are; mountRestMinUSec and mountRestMaxUSec bound that.
	mountRestFactor  = 10
	mountRestMinUSec = 5_000
	mountRestMaxUSec = 100_000
)

// mountSource follows /proc/self/mountinfo. The kernel only says that something has changed; the table is read and what differs goes to the
// engine. Lines that were there before are not parsed again.
type mountSource struct {
	m        *Manager
	table    *kernel.MountTable
	seed     maphash.Seed
	lines    map[uint64]machine.MountInfo // by hash of the line; Where "" is one that nobody wants to know of
	points   map[string]machine.MountInfo
	lastRead uint64 // monotonic µs
	restEnd  uint64 // monotonic µs until which the table is left alone; 0: it is watched
	// exits of mount programs that wait for the next reading of the table, so that they are judged by what is mounted then.
	exits []kernel.Exit
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
	m.mounts = &mountSource{m: m, table: table, seed: maphash.MakeSeed()}
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
	lines := make(map[uint64]machine.MountInfo, len(s.lines))
	points := make(map[string]machine.MountInfo, len(s.points))
	for line := range bytes.Lines(raw) {
		key := maphash.Bytes(s.seed, line)
		info, known := s.lines[key]
		if !known {
			info = mountInfo(line, s.m.dirs.runtime)
		}
		lines[key] = info
		if info.Where != "" {
			points[info.Where] = info // what is mounted last lies on top
		}
	}
	ev := machine.MountTable{All: s.points == nil}
	for line := range bytes.Lines(raw) {
		info := lines[maphash.Bytes(s.seed, line)]
		if info.Where == "" || points[info.Where] != info {
			continue
		}
		if old, ok := s.points[info.Where]; !ok || old != info {
			ev.Mounts = append(ev.Mounts, info)
		}
	}
	for where := range s.points {
		if _, ok := points[where]; !ok {
			ev.Gone = append(ev.Gone, where)
		}
	}
	s.lines, s.points = lines, points
	if !ev.All && len(ev.Mounts) == 0 && len(ev.Gone) == 0 {
		return false
	}
	sortByLength(ev.Gone)
	s.m.submit(ev)
	return true
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
