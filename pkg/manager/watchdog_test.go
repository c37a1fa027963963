package manager

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/kernel"
	"github.com/muster-init/muster/pkg/unit"
)

// fakeWatchdog is the ioctl layer of a device that never resets anybody.
type fakeWatchdog struct {
	timeout, pretimeout, pings int
	enabled                    bool
	options                    uint32
	hang                       chan struct{} // if not nil: Ping waits for it
}

func (f *fakeWatchdog) Info() (string, uint32, error) { return "fake", f.options, nil }
func (f *fakeWatchdog) SetTimeout(sec int) (int, error) {
	if sec > 60 {
		return 0, fmt.Errorf("too long: %w", unix.EINVAL)
	}
	f.timeout = sec
	return sec, nil
}
func (f *fakeWatchdog) Timeout() (int, error)              { return f.timeout, nil }
func (f *fakeWatchdog) SetPretimeout(sec int) (int, error) { f.pretimeout = sec; return sec, nil }
func (f *fakeWatchdog) Enable() error                      { f.enabled = true; return nil }
func (f *fakeWatchdog) Disable() error                     { f.enabled = false; return nil }
func (f *fakeWatchdog) FD() int                            { return 77 }
func (f *fakeWatchdog) Ping() error {
	if f.hang != nil {
		<-f.hang
	}
	f.pings++
	return nil
}
func (f *fakeWatchdog) Release(disarm bool) error {
	if disarm {
		f.enabled = false
	}
	return nil
}

// bench is a manager that consists of nothing but what watchdogs need.
type bench struct {
	m         *Manager
	device    *fakeWatchdog
	opened    []string
	governors []string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	waker, err := kernel.NewWaker()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { waker.Close() })
	b := &bench{m: newManager(DefaultOptions()), device: &fakeWatchdog{timeout: 30, options: unix.WDIOF_PRETIMEOUT}}
	b.m.log.target = "null"
	b.m.console.path = ""
	b.m.work = &workers{waker: waker}
	b.m.cfg = unit.DefaultManagerConfig(true)
	b.m.watch = newWatchdogs(b.m)
	b.m.watch.open = func(path string) (kernel.WatchdogDevice, error) {
		b.opened = append(b.opened, path)
		if path == "/dev/watchdog0" {
			return nil, unix.ENOENT
		}
		return b.device, nil
	}
	b.m.watch.governor = func(device, name string) error {
		b.governors = append(b.governors, device+" "+name)
		return nil
	}
	return b
}

// until turns the little loop until something holds.
func (b *bench) until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for range 6000 {
		for _, then := range b.m.work.take() {
			then()
		}
		if holds() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("never: " + what)
}

func TestWatchdog(t *testing.T) {
	b := newBench(t)
	w := b.m.watch
	w.apply(watchdogSettings{})
	if w.commands != nil {
		t.Error("a goroutine for a watchdog that nobody wants")
	}
	w.apply(watchdogSettings{timeoutUSec: 20_000_000, preUSec: 5_000_000, preGovernor: "noop"})
	b.until(t, "set up", func() bool { return w.device != "" })
	if want := []string{"/dev/watchdog0", "/dev/watchdog"}; !slices.Equal(b.opened, want) || w.device != "/dev/watchdog" {
		t.Errorf("opened %q, in use %q", b.opened, w.device)
	}
	if d := b.device; d.timeout != 20 || d.pretimeout != 5 || !d.enabled || d.pings != 1 || len(b.governors) != 1 {
		t.Errorf("%+v, governors %q", d, b.governors)
	}
	if w.period != 10_000_000 || w.lastPing.IsZero() || b.m.alarms.deadline() == machine.Never {
		t.Errorf("period %d µs, last ping %v", w.period, w.lastPing)
	}
	// A loop that comes round feeds.
	w.feed()
	b.until(t, "a ping", func() bool { return w.waiting == 0 })
	if b.device.pings != 2 {
		t.Errorf("%d pings", b.device.pings)
	}
	// What the device can't do: its own time holds, and it is fed by that.
	w.apply(watchdogSettings{timeoutUSec: 3600_000_000})
	b.until(t, "set again", func() bool { return w.waiting == 0 })
	if w.period != 10_000_000 || b.device.pretimeout != 0 {
		t.Errorf("period %d µs, pretimeout %d s", w.period, b.device.pretimeout)
	}
	w.apply(watchdogSettings{timeoutUSec: unit.Infinity})
	b.until(t, "default", func() bool { return w.waiting == 0 })
	if b.device.timeout != 20 {
		t.Errorf("RuntimeWatchdogSec=default changed the device to %d s", b.device.timeout)
	}
	w.apply(watchdogSettings{})
	b.until(t, "off", func() bool { return w.device == "" })
	if b.device.enabled || b.m.alarms.deadline() != machine.Never {
		t.Error("off, and it counts on")
	}
}

// TestWatchdogSettings has the values that clients and the configuration give.
func TestWatchdogSettings(t *testing.T) {
	b := newBench(t)
	api := backend{b.m}
	api.SetWatchdog("RuntimeWatchdogUSec", 8_000_000)
	b.until(t, "set by a client", func() bool { return b.m.watch.device != "" })
	api.SetWatchdogGovernor("panic")
	b.until(t, "governor", func() bool { return len(b.governors) == 1 })
	// A reload of the configuration doesn't take back what a client has set.
	b.m.facts, b.m.clocks = nil, nil
	cfg := unit.DefaultManagerConfig(true)
	b.m.watchdogOverride.over(cfg)
	if cfg.RuntimeWatchdogUSec != 8_000_000 || cfg.RuntimeWatchdogPreGovernor != "panic" || cfg.RebootWatchdogUSec != 600_000_000 {
		t.Errorf("%d %q %d", cfg.RuntimeWatchdogUSec, cfg.RuntimeWatchdogPreGovernor, cfg.RebootWatchdogUSec)
	}
	for _, test := range []struct {
		objective objective
		timeout   int
		enabled   bool
	}{{objectiveReboot, 50, true}, {objectiveKexec, 40, true}, {objectivePoweroff, 40, false}} {
		b.m.objective = test.objective
		b.m.cfg.RebootWatchdogUSec, b.m.cfg.KExecWatchdogUSec = 50_000_000, 40_000_000
		b.m.leaveWatchdog()
		if b.device.timeout != test.timeout || b.device.enabled != test.enabled {
			t.Errorf("%s: %+v", test.objective, b.device)
		}
	}
}

// TestWatchdogHangs has a driver that never comes back: the loop must go on, and must stop handing over work.
func TestWatchdogHangs(t *testing.T) {
	b := newBench(t)
	b.device.hang = make(chan struct{})
	defer close(b.device.hang)
	w := b.m.watch
	w.apply(watchdogSettings{timeoutUSec: 1_000_000})
	w.period = 500_000
	refused := false
	for range 10 {
		refused = refused || !w.command(func(*watchdogState) func() { return func() {} })
	}
	if !refused {
		t.Error("commands pile up behind a driver that hangs")
	}
}

func TestWatchdogMissing(t *testing.T) {
	b := newBench(t)
	b.m.watch.open = func(path string) (kernel.WatchdogDevice, error) { return nil, errors.New(path + ": no such device") }
	b.m.watch.apply(watchdogSettings{timeoutUSec: 1_000_000})
	b.until(t, "an answer", func() bool { return b.m.watch.waiting == 0 })
	if b.m.watch.device != "" || b.m.alarms.deadline() != machine.Never {
		t.Error("a device that isn't there is fed")
	}
}
