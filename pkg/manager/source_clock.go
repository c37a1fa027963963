package manager

import (
	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/kernel"
)

// clockIDs are the kernel's clocks behind those of the engine, and what stands in where the wake-up alarm can't be had (no CAP_WAKE_ALARM, no
// such device).
var clockIDs = [machine.ClockMax][2]int{
	machine.Realtime:      {unix.CLOCK_REALTIME, unix.CLOCK_REALTIME},
	machine.BoottimeAlarm: {unix.CLOCK_BOOTTIME_ALARM, unix.CLOCK_BOOTTIME},
	machine.RealtimeAlarm: {unix.CLOCK_REALTIME_ALARM, unix.CLOCK_REALTIME},
}

// clocks are the timers of the clocks that the loop's own timeout does not count: one per clock, made when somebody waits on it. The one of the
// realtime clock is always there, because it also tells when that clock is set.
type clocks struct {
	m      *Manager
	timers [machine.ClockMax]*kernel.Timer
	armed  [machine.ClockMax]uint64
	zones  zones
}

func (m *Manager) openClocks() error {
	m.clocks = &clocks{m: m, zones: newZones()}
	for c := range m.clocks.armed {
		m.clocks.armed[c] = machine.Never
	}
	m.clocks.zones.watch(m)
	return m.clocks.open(machine.Realtime)
}

// open makes the timer of a clock.
func (c *clocks) open(clock machine.Clock) error {
	t, err := kernel.NewTimer(clockIDs[clock][0])
	if err != nil && clockIDs[clock][1] != clockIDs[clock][0] {
		c.m.log.notice("", "The system can't be woken up from sleep, timers with WakeSystem= wait until it is awake: %v", err)
		t, err = kernel.NewTimer(clockIDs[clock][1])
	}
	if err != nil {
		return err
	}
	c.timers[clock] = t
	if clock == machine.Realtime {
		err = t.Arm(machine.Never)
	}
	if err == nil {
		err = c.m.sources.add(t.FD(), unix.EPOLLIN, prioClock, sourceFunc(func(uint32) { c.ready(clock) }))
	}
	return err
}

func (c *clocks) ready(clock machine.Clock) {
	_, set := c.timers[clock].Drain()
	c.armed[clock] = machine.Never - 1 // whatever comes next is armed again
	if set && clock == machine.Realtime {
		c.m.log.info("", "The realtime clock was set.")
		c.m.submit(machine.ClockChanged{})
	}
	c.m.submit(machine.Tick{})
}

// arm sets the timers to what the engine waits for. It runs before the loop sleeps and costs nothing if nothing changed.
func (c *clocks) arm() {
	for clock := machine.Realtime; clock < machine.ClockMax; clock++ {
		at := c.m.eng.DeadlineOn(clock)
		if at == c.armed[clock] {
			continue
		}
		if c.timers[clock] == nil {
			if err := c.open(clock); err != nil {
				c.m.log.err("", "%v", err)
				c.armed[clock] = at
				continue
			}
		}
		var err error
		if at == machine.Never && clock != machine.Realtime {
			err = c.timers[clock].Disarm()
		} else {
			err = c.timers[clock].Arm(at)
		}
		if err != nil {
			c.m.log.err("", "%v", err)
		}
		c.armed[clock] = at
	}
}

// startup is the moment that OnStartupSec= counts from.
func (m *Manager) startup() machine.Instant { return m.stamps.Userspace }
