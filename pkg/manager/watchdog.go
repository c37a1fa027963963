package manager

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/kernel"
	"github.com/muster-init/muster/pkg/unit"
)

// watchdogs feed the hardware watchdog (systemd-system.conf(5), RuntimeWatchdogSec= and those after it).
//
// The loop decides when: only a loop that has come round feeds. The calls themselves may hang in a driver, so one goroutine of its own makes them, one
// after the other; the loop hands commands over without waiting. If a driver hangs, feeding stops, and that is what the device is there for.
type watchdogs struct {
	m        *Manager
	commands chan func(*watchdogState) // nil: there is no goroutine yet
	open     func(path string) (kernel.WatchdogDevice, error)
	governor func(device, name string) error

	// Of the loop.
	want     watchdogSettings
	device   string // in use, "" none
	period   uint64 // µs between two pings, 0: none
	fd       int    // -1: none
	lastPing machine.Instant
	waiting  int // commands that were not answered yet
}

// watchdogSettings is what the device is to be set to.
type watchdogSettings struct {
	path         string // "" for the first that there is
	timeoutUSec  uint64 // 0 off, unit.Infinity the device's own
	preUSec      uint64
	preGovernor  string
	shuttingDown bool
}

// watchdogOverride is what clients have set for this boot; nil where the configuration stands.
type watchdogOverride struct {
	Runtime  *uint64 `json:"runtime,omitempty"`
	Pre      *uint64 `json:"pre,omitempty"`
	Reboot   *uint64 `json:"reboot,omitempty"`
	KExec    *uint64 `json:"kexec,omitempty"`
	Governor *string `json:"governor,omitempty"`
}

func (o watchdogOverride) over(c *unit.ManagerConfig) {
	for _, x := range []struct{ from, to *uint64 }{
		{o.Runtime, &c.RuntimeWatchdogUSec}, {o.Pre, &c.RuntimeWatchdogPreUSec}, {o.Reboot, &c.RebootWatchdogUSec}, {o.KExec, &c.KExecWatchdogUSec},
	} {
		if x.from != nil {
			*x.to = *x.from
		}
	}
	if o.Governor != nil {
		c.RuntimeWatchdogPreGovernor = *o.Governor
	}
}

// watchdogState is what the goroutine owns.
type watchdogState struct {
	device kernel.WatchdogDevice
	path   string
	broken bool
}

// watchdogCommandsMax bounds what waits for a driver that hangs.
const watchdogCommandsMax = 4

var watchdogPaths = []string{"/dev/watchdog0", "/dev/watchdog"}

func newWatchdogs(m *Manager) *watchdogs {
	return &watchdogs{m: m, open: kernel.OpenWatchdog, governor: setGovernor, fd: -1}
}

// settingsOf takes the settings of normal operation from the configuration.
func settingsOf(c *unit.ManagerConfig) watchdogSettings {
	return watchdogSettings{path: c.WatchdogDevice, timeoutUSec: c.RuntimeWatchdogUSec, preUSec: c.RuntimeWatchdogPreUSec, preGovernor: c.RuntimeWatchdogPreGovernor}
}

// apply makes the settings hold. Only the system manager of a machine has a watchdog: that of a container belongs to somebody else.
func (w *watchdogs) apply(s watchdogSettings) {
	if s == w.want {
		return
	}
	w.want = s
	if s.timeoutUSec == 0 && w.device == "" && w.waiting == 0 {
		return
	}
	w.command(func(st *watchdogState) func() {
		report, err := st.set(s, w.open, w.governor)
		return func() { w.applied(report, err) }
	})
}

// command hands work to the goroutine; what it returns is done on the loop. false: the driver hangs.
func (w *watchdogs) command(work func(*watchdogState) func()) bool {
	if w.commands == nil {
		w.commands = make(chan func(*watchdogState), watchdogCommandsMax)
		go w.serve(w.commands)
	}
	select {
	case w.commands <- func(st *watchdogState) {
		then := work(st)
		w.m.work.post(func() { w.waiting--; then() })
	}:
		w.waiting++
		return true
	default:
		return false
	}
}

// serve is the goroutine.
func (w *watchdogs) serve(commands <-chan func(*watchdogState)) {
	state := &watchdogState{}
	if w.fd >= 0 {
		if device, err := kernel.AdoptWatchdog(w.fd); err == nil {
			state.device, state.path = device, w.device
		}
	}
	for command := range commands {
		w.one(state, command)
	}
}

func (w *watchdogs) one(state *watchdogState, command func(*watchdogState)) {
	defer func() {
		if r := recover(); r != nil {
			text := fmt.Sprintf("watchdog: %v\n%s", r, debug.Stack())
			w.m.work.post(func() { w.waiting--; w.m.log.err("", "%s", text) })
		}
	}()
	command(state)
}

// watchdogReport is what came of a setting.
type watchdogReport struct {
	path     string
	identity string
	fd       int
	seconds  int // the device's timeout
	pinged   bool
	notes    []string
}

// set brings the device to the settings. Runs in the goroutine.
func (st *watchdogState) set(s watchdogSettings, open func(string) (kernel.WatchdogDevice, error), governor func(string, string) error) (r watchdogReport, err error) {
	r.fd = -1
	if s.timeoutUSec == 0 {
		if st.device != nil {
			err = st.device.Release(true)
			st.device, st.path = nil, ""
		}
		return r, err
	}
	if st.device != nil && s.path != "" && s.path != st.path {
		err = st.device.Release(true)
		st.device, st.path = nil, ""
	}
	if st.device == nil {
		if e := st.find(s.path, open); e != nil {
			return r, errors.Join(err, e)
		}
	}
	note := func(e error) {
		if e != nil {
			r.notes = append(r.notes, e.Error())
		}
	}
	identity, options, e := st.device.Info()
	note(e)
	r.path, r.identity, r.fd = st.path, identity, st.device.FD()
	if s.preGovernor != "" && !s.shuttingDown {
		note(governor(st.path, s.preGovernor))
	}
	if s.timeoutUSec == unit.Infinity {
		r.seconds, e = st.device.Timeout()
	} else {
		r.seconds, e = st.device.SetTimeout(int(min((s.timeoutUSec+999_999)/1_000_000, 1<<30)))
	}
	if e != nil && r.seconds == 0 {
		note(e)
		r.seconds, e = st.device.Timeout()
	}
	note(e)
	note(st.device.Enable())
	switch {
	case options&unix.WDIOF_PRETIMEOUT == 0 && s.preUSec != 0:
		note(fmt.Errorf("%s can't warn before the timeout", st.path))
	case options&unix.WDIOF_PRETIMEOUT != 0 && s.preUSec != unit.Infinity:
		_, e = st.device.SetPretimeout(int(s.preUSec / 1_000_000))
		note(e)
	}
	if e := st.device.Ping(); e != nil {
		note(e)
	} else {
		r.pinged = true
	}
	return r, err
}

// find opens the device of that path, or the first that there is.
func (st *watchdogState) find(path string, open func(string) (kernel.WatchdogDevice, error)) error {
	paths := watchdogPaths
	if path != "" {
		paths = []string{path}
	}
	var errs []error
	for _, p := range paths {
		device, err := open(p)
		if err == nil {
			st.device, st.path = device, p
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// setGovernor chooses what the kernel does when it is warned (panic, noop); the device's directory in sysfs has the name of its node.
func setGovernor(device, name string) error {
	base := filepath.Base(device)
	if base == "watchdog" {
		base = "watchdog0"
	}
	return os.WriteFile("/sys/class/watchdog/"+base+"/pretimeout_governor", []byte(name), 0)
}

// applied takes note of what a setting led to, and feeds from now on.
func (w *watchdogs) applied(r watchdogReport, err error) {
	if err != nil {
		w.m.log.err("", "The hardware watchdog can't be set up: %v", err)
	}
	for _, n := range r.notes {
		w.m.log.warning("", "watchdog: %s", n)
	}
	changed := w.device != r.path
	w.device, w.fd = r.path, r.fd
	if w.device == "" {
		w.period = 0
		w.m.alarms.cancel("watchdog")
	} else {
		w.period = max(uint64(r.seconds)*1_000_000/2, 500_000)
		w.m.log.info("", "Using hardware watchdog %s (%s), timeout %ds.", w.device, r.identity, r.seconds)
		w.rearm()
	}
	if r.pinged {
		w.lastPing = w.m.now()
	}
	if changed {
		w.m.saveShell() // the next image finds the descriptor
	}
}

func (w *watchdogs) rearm() { w.m.alarms.after("watchdog", w.period, w.feed) }

// feed is called by a loop that is alive.
func (w *watchdogs) feed() {
	if w.period == 0 {
		return
	}
	w.rearm()
	w.command(func(st *watchdogState) func() {
		if st.device == nil {
			return func() {}
		}
		err := st.device.Ping()
		return func() {
			if err != nil {
				w.m.log.err("", "watchdog: %v", err)
				return
			}
			w.lastPing = w.m.now()
		}
	})
}

// shutDown sets the device to what a reboot may take (0: off) and feeds it a last time. There is no loop any more that could take an answer, so it
// waits for the goroutine, for a moment.
func (w *watchdogs) shutDown(usec uint64) {
	s := w.want
	s.timeoutUSec, s.preUSec, s.shuttingDown = usec, 0, true
	if usec == 0 && w.device == "" {
		return
	}
	done := make(chan struct{})
	if !w.command(func(st *watchdogState) func() {
		_, _ = st.set(s, w.open, w.governor)
		close(done)
		return func() {}
	}) {
		return
	}
	waitAtMost(done, watchdogShutdownUSec)
}

// watchdogShutdownUSec is how long the shutdown waits for a driver.
const watchdogShutdownUSec = 5_000_000
