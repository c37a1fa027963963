package machine

import "github.com/muster-init/muster/pkg/unit"

// Clock is one of the clocks that units wait on.
type Clock uint8

// Clocks; clock_gettime(2). Those with Alarm wake the system from sleep. ClockMax is their number.
const (
	Monotonic Clock = iota
	Realtime
	BoottimeAlarm
	RealtimeAlarm
	ClockMax
)

// On is the instant as the clock shows it, in µs.
func (i Instant) On(c Clock) uint64 {
	switch c {
	case Realtime, RealtimeAlarm:
		return i.Realtime
	case BoottimeAlarm:
		return i.Boottime
	}
	return i.Monotonic
}

// Window is a span of time in which Expire is to be called: not before From, and by Until at the latest. Windows of different units that
// overlap are served by one wake-up. From Never: there is none.
type Window struct{ From, Until uint64 }

// NoWindows are the windows of a unit that waits for no time.
var NoWindows = [ClockMax]Window{{Never, Never}, {Never, Never}, {Never, Never}, {Never, Never}}

type (
	// Waker waits on several clocks, beside Deadline. As Deadline it is a function of state and configuration.
	Waker interface {
		Windows(cfg *unit.Unit) [ClockMax]Window
	}
	// Reconfigured is told that the unit has another configuration now.
	Reconfigured interface{ ConfigChanged(h Host) }
	// TriggerDetailer gives the variables beside TRIGGER_UNIT= for the unit that was activated (TRIGGER_TIMER_REALTIME_USEC=, TRIGGER_PATH=).
	TriggerDetailer interface{ TriggerDetails() []string }
)

// Timing is what the engine knows about time, beside the moment of the Step.
type Timing interface {
	// PeerTimes is when a loaded unit last left and last entered the states inactive and failed; zero: never.
	PeerTimes(name string) (inactiveExit, inactiveEnter Instant)
	// BootTime is what OnBootSec= and OnStartupSec= count from, in monotonic µs: the start of the kernel (in a container, and for a user
	// manager as for startup, the start of the manager), and the start of the manager.
	BootTime() (boot, startup Instant)
	// CalendarNext is the first match of a calendar event after a moment, in µs of the realtime clock; false: there is none.
	CalendarNext(event string, afterUSec uint64) (uint64, bool)
	// StopTriggered queues a stop job of a unit that this one activates (expiry of automounts).
	StopTriggered(name string) *Error
	// FixedRandom is a number that depends only on the machine and the unit.
	FixedRandom() uint64
}

// Queries about stamp files, which keep the time of the last elapse of a timer with Persistent=.
type (
	// ReadStamp reads the stamp of Unit off the loop; one that isn't there is made. Answer: StampRead.
	ReadStamp struct {
		Token Token
		Unit  string
	}
	// StampRead answers ReadStamp. RealtimeUSec 0: there was none.
	StampRead struct {
		Token        Token
		RealtimeUSec uint64
		Message      string // what went wrong, "" nothing
	}
)

// Commands about stamp files, carried out off the loop in their order.
type (
	WriteStamp struct {
		Unit         string
		RealtimeUSec uint64
	}
	RemoveStamp struct{ Unit string }
)

func (ReadStamp) effect()   {}
func (WriteStamp) effect()  {}
func (RemoveStamp) effect() {}
func (StampRead) event()    {}
