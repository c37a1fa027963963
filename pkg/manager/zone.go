package manager

import (
	"hash/fnv"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/kernel"
	"github.com/muster-init/muster/pkg/unit/value"
)

const (
	localtimePath = "/etc/localtime"
	calendarsMax  = 4096
)

// zones knows the time zones, and the calendar events that were parsed.
type zones struct {
	local     *time.Location
	identity  zoneIdentity
	named     map[string]*time.Location // nil: there is no such zone
	calendars map[string]*value.Calendar
}

// zoneIdentity tells one /etc/localtime from another.
type zoneIdentity struct {
	link  string
	inode uint64
	mtime unix.Timespec
}

func newZones() zones {
	z := zones{named: map[string]*time.Location{}, calendars: map[string]*value.Calendar{}}
	z.local, z.identity = readLocalZone()
	return z
}

// readLocalZone reads /etc/localtime; without one it is UTC. localtime(5).
func readLocalZone() (*time.Location, zoneIdentity) {
	id := localZoneIdentity()
	data, err := os.ReadFile(localtimePath)
	if err != nil {
		return time.UTC, id
	}
	loc, err := time.LoadLocationFromTZData("local", data)
	if err != nil {
		return time.UTC, id
	}
	return loc, id
}

func localZoneIdentity() (id zoneIdentity) {
	var st unix.Stat_t
	if unix.Lstat(localtimePath, &st) == nil {
		id.inode, id.mtime = st.Ino, st.Mtim
		id.link, _ = os.Readlink(localtimePath)
	}
	return id
}

// next is the first match of a calendar event after a moment, both in µs of the realtime clock.
func (z *zones) next(event string, afterUSec uint64) (uint64, bool) {
	c := z.calendars[event]
	if c == nil {
		var err error
		if c, err = value.ParseCalendar(event); err != nil {
			return 0, false
		}
		if len(z.calendars) >= calendarsMax {
			clear(z.calendars)
		}
		z.calendars[event] = c
	}
	loc := z.local
	if c.Zone != "" {
		if loc = z.zone(c.Zone); loc == nil {
			return 0, false
		}
	}
	at, ok := c.Next(value.USec(afterUSec), loc)
	return uint64(at), ok
}

// zone reads a time zone once.
func (z *zones) zone(name string) *time.Location {
	loc, known := z.named[name]
	if !known {
		var err error
		if loc, err = time.LoadLocation(name); err != nil {
			loc = nil
		}
		z.named[name] = loc
	}
	return loc
}

// watch looks out for another /etc/localtime: the directory is watched, because the file is replaced and need not be there.
func (z *zones) watch(m *Manager) {
	n, err := kernel.NewInotify()
	if err == nil {
		_, err = n.Watch("/etc", unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_MOVED_FROM|unix.IN_DELETE|unix.IN_CLOSE_WRITE|unix.IN_ATTRIB|unix.IN_ONLYDIR)
	}
	if err == nil {
		err = m.sources.add(n.FD(), unix.EPOLLIN, prioClock, sourceFunc(func(uint32) {
			list, _ := n.Read()
			for _, ev := range list {
				if ev.Name == "localtime" || ev.Mask&unix.IN_Q_OVERFLOW != 0 {
					m.rereadZone()
					return
				}
			}
		}))
	}
	if err != nil {
		m.log.warning("", "A change of the time zone will not be noticed: %v", err)
	}
}

// rereadZone reads the time zone on a worker and tells the engine if it is another one.
func (m *Manager) rereadZone() {
	m.work.add(func() func() {
		loc, id := readLocalZone()
		return func() {
			if z := &m.clocks.zones; id != z.identity {
				z.local, z.identity = loc, id
				m.log.info("", "The time zone has changed.")
				m.submit(machine.ClockChanged{Timezone: true})
			}
		}
	})
}

// wakePerturb spreads the wake-ups of machines: µs within a minute, the same for every manager of this boot.
func wakePerturb(bootID string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(bootID))
	return h.Sum64() % 60_000_000
}
