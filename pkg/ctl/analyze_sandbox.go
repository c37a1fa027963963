package ctl

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/muster-init/muster/pkg/cgroup"
	"github.com/muster-init/muster/pkg/ctl/learn"
	"github.com/muster-init/muster/pkg/execplan/seccomp"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// Times of a run of analyze sandbox.
const (
	learnFor     = 30 * value.USecPerSec // without --for=
	learnStep    = 100 * time.Millisecond
	learnJob     = 10 * time.Second // a restart takes no longer, or the service is killed
	killsMax     = 4
	learnSettled = 3 * time.Second // a start counts when the service runs on for as long
)

// learnDropIn is the last of the unit's drop-ins while a proposal is tried.
const learnDropIn = "zzz-learned.conf"

// appliedDropIn is what --apply leaves.
const appliedDropIn = "90-sandbox.conf"

// lesson is one run of analyze sandbox.
type lesson struct {
	*analyze
	unit    string
	slice   string // path of the control group that the unit's is in
	running string // directory of its control group, "" if it doesn't run
	about   learn.Unit
	ended   bool // the service has ended by itself: oneshot
	signal  chan os.Signal
}

// analyzeSandbox is sandbox, a verb of muster's own: it watches a service, proposes the tightest settings, and tries them.
func analyzeSandbox(a *analyze, args []string) int {
	if !a.online() {
		return exitFailure
	}
	if a.o.scope != scopeSystem || a.o.host != "" {
		return a.fail("run it as root on the machine itself", "only services of the system's own manager can be watched")
	}
	name, _, err := unit.Mangle(args[0], ".service", 0)
	if err != nil {
		a.errorf("Failed to mangle unit name '%s': Invalid argument", args[0])
		return exitFailure
	}
	l := &lesson{analyze: a, unit: name, about: learn.Unit{Name: name}, signal: make(chan os.Signal, 4)}
	signal.Notify(l.signal, os.Interrupt, syscall.SIGTERM) // the unit is left as it was found in any case
	defer signal.Stop(l.signal)
	if err := l.prepare(); err != nil {
		a.errorf("%s", err)
		return exitFailure
	}
	return l.run()
}

// prepare looks at the unit as it is.
func (l *lesson) prepare() error {
	p, err := l.securityProperties(l.unit)
	if err != nil {
		return err
	}
	slice, err := cgroup.SlicePath(orDefault(p.str("Slice"), "system.slice"))
	if err != nil {
		return err
	}
	l.slice = filepath.Join(cgroupRoot, slice)
	if group := p.str("ControlGroup"); group != "" {
		l.slice = cgroupRoot + strings.TrimSuffix(filepath.Dir(group), "/")
		l.running = cgroupRoot + group
	}
	before := busConfinement(p)
	l.about.Bounding, l.about.Families, l.about.Calls = before.bounding, before.families.allows, before.syscalls.allows
	for _, kind := range []struct{ property, prefix string }{
		{"RuntimeDirectory", "/run"}, {"StateDirectory", "/var/lib"}, {"CacheDirectory", "/var/cache"}, {"LogsDirectory", "/var/log"},
	} {
		for _, dir := range p.strings(kind.property) {
			l.about.Own = append(l.about.Own, filepath.Join(kind.prefix, dir), filepath.Join(kind.prefix, "private", dir))
		}
	}
	return nil
}

// allows says whether a list allows a name; systemd's manager has groups in its lists, muster's and systemd's have single calls.
func (f nameFilter) allows(name string) bool {
	if !f.set {
		return true
	}
	in := f.names[name]
	for n := range f.names { // order-free: whether there is one
		if !in && strings.HasPrefix(n, "@") {
			list, _ := seccomp.Expand([]string{n})
			in = slices.Contains(list, name)
		}
	}
	return in != f.deny
}

func (l *lesson) run() int {
	before := l.exposure()
	seen, err := l.watch()
	if err != nil {
		l.errorf("%s", err)
		return exitFailure
	}
	lines := learn.Propose(seen, l.about)
	lines, left, after, status := l.verify(seen, lines)
	l.Flush()
	l.printf("%s", learn.DropIn(seen, l.about, lines))
	for _, line := range left {
		l.printf("# left out, the service did not run with it: %s=%s\n", line.Setting, line.Value)
	}
	l.Flush()
	if status == 0 {
		l.notef("%s was started with these settings and ran.", l.unit)
		l.notef("Exposure (analyze security): %s before, %s with them.", tenths(before), tenths(after))
	}
	return l.finish(status, seen, lines)
}

// exposure is what analyze security says.
func (l *lesson) exposure() int {
	p, err := l.securityProperties(l.unit)
	if err != nil {
		return 0
	}
	_, exposure := assess(busConfinement(p), securityChecks())
	return exposure
}

// watch restarts the service and notes what it does, for the time that was given, until it ends by itself or until it is interrupted.
func (l *lesson) watch() (*learn.Observation, error) {
	c, err := learn.Open(l.slice, l.unit)
	if err != nil {
		return nil, fmt.Errorf("the service can't be watched here: %w", err)
	}
	defer c.Close()
	if l.running != "" {
		c.Unit(l.running) // how it stops is seen as well
	}
	if l.restart() != 0 {
		return nil, fmt.Errorf("%s does not start as it is.", l.unit)
	}
	if !l.o.quiet {
		l.notef("Watching %s for %s; let it do all that it does. Interrupt to end earlier.", l.unit, value.FormatSpan(l.watchFor, value.USecPerSec))
	}
	deadline := time.Now().Add(time.Duration(l.watchFor) * time.Microsecond)
	for time.Now().Before(deadline) {
		p, err := unitProperties(l.bus, l.unit)
		if err != nil {
			return nil, fmt.Errorf("%s: %s", l.unit, errorText(err))
		}
		if group := p.str("ControlGroup"); group != "" {
			c.Unit(cgroupRoot + group)
		}
		if active := p.str("ActiveState"); active == "inactive" || active == "failed" {
			l.ended = true
		}
		if err := c.Drain(learnStep); err != nil {
			return nil, err
		}
		if l.ended || l.interrupted() {
			break
		}
	}
	seen, err := c.Seen()
	if err == nil && len(seen.Calls) == 0 {
		err = fmt.Errorf("nothing was seen of %s.", l.unit)
	}
	return seen, err
}

func (l *lesson) interrupted() bool {
	select {
	case <-l.signal:
		return true
	default:
		return false
	}
}

// restart does so and waits for the job. A service that doesn't stop (its settings may keep it from saving its state) is killed after a while,
// which counts as a failure.
func (l *lesson) restart() int {
	_, _ = l.call("ResetFailedUnit", l.unit) // so that a start limit doesn't count
	if err := l.watchJobs(); err != nil {
		l.errorf("Could not watch jobs: %s", errorText(err))
		return exitFailure
	}
	a := findAction("restart")
	path, err := l.makeJob(a, "replace", l.unit)
	if err != nil {
		return l.reportStart(a, l.unit, err)
	}
	killed := 0
	for began := time.Now(); ; {
		if result, ok := l.systemctl.wait.results[path]; ok {
			if !l.reportJob(waitingJob{path: path, unit: l.unit, verb: a.jobType}, result) || killed > 0 {
				return exitFailure
			}
			return 0
		}
		if _, err := l.bus.Process(learnStep); err != nil {
			l.errorf("Failed to wait for response: %s", errorText(err))
			return exitFailure
		}
		if time.Since(began) > learnJob*time.Duration(killed+1) {
			if killed++; killed > killsMax {
				l.errorf("%s neither starts nor stops.", l.unit)
				return exitFailure
			}
			_, _ = l.call("KillUnit", l.unit, "all", int32(syscall.SIGKILL))
		}
	}
}

// verify starts the service with the proposal. If it doesn't run, lines are left out: one alone, and where that is not enough, one after
// the other, those that are least certain first. exposure is that of the settings that it ran with.
func (l *lesson) verify(seen *learn.Observation, lines []learn.Line) (good, left []learn.Line, exposure, status int) {
	try := func(list []learn.Line) bool { return l.try(learn.DropIn(seen, l.about, list), &exposure) }
	if try(lines) {
		return lines, nil, exposure, 0
	}
	order := slices.Clone(lines)
	rank := map[learn.Confidence]int{learn.Low: 0, learn.Medium: 1, learn.High: 2}
	slices.SortStableFunc(order, func(a, b learn.Line) int { return rank[a.Confidence] - rank[b.Confidence] })
	for _, suspect := range order {
		rest := without(lines, suspect)
		if l.interrupted() {
			return nil, lines, 0, exitFailure
		}
		if try(rest) {
			return rest, []learn.Line{suspect}, exposure, 0
		}
	}
	good = lines
	for _, suspect := range order {
		good, left = without(good, suspect), append(left, suspect)
		if l.interrupted() {
			break
		}
		if len(good) > 0 && try(good) {
			return good, left, exposure, 0
		}
	}
	l.errorf("%s ran with none of the proposed settings; its log tells why.", l.unit)
	return nil, lines, 0, exitFailure
}

// without leaves a setting out, and what makes no sense without it.
func without(lines []learn.Line, drop learn.Line) []learn.Line {
	var out []learn.Line
	for _, line := range lines {
		if line.Setting == drop.Setting || drop.Setting == "ProtectSystem" && line.Setting == "ReadWritePaths" ||
			drop.Setting == "SystemCallFilter" && line.Setting == "SystemCallErrorNumber" {
			continue
		}
		out = append(out, line)
	}
	return out
}

// try starts the service with a drop-in and says whether it runs, or has ended as it should.
func (l *lesson) try(text string, exposure *int) bool {
	if err := l.place("/run/systemd/system", learnDropIn, text); err != nil {
		l.errorf("%s", err)
		return false
	}
	said := l.Err
	l.Err = io.Discard // that a trial fails is nobody's trouble
	status := l.restart()
	l.Err = said
	*exposure = l.exposure()
	if status != 0 {
		return false
	}
	first, err := unitProperties(l.bus, l.unit)
	if err != nil {
		return false
	}
	for began := time.Now(); ; time.Sleep(learnStep) {
		p, err := unitProperties(l.bus, l.unit)
		if err != nil || p.str("ActiveState") == "failed" || p.number("NRestarts") != first.number("NRestarts") || p.str("Result") != "success" {
			return false
		}
		active := p.str("ActiveState")
		if active == "inactive" {
			return l.ended
		}
		if active == "active" && time.Since(began) > learnSettled {
			l.Err = io.Discard
			defer func() { l.Err = said }()
			return l.restart() == 0 // it must be able to stop, too
		}
		if time.Since(began) > time.Minute {
			return false
		}
	}
}

// place writes a drop-in of the unit and has it read; without a text it is removed.
func (l *lesson) place(top, name, text string) error {
	dir := filepath.Join(top, l.unit+".d")
	path := filepath.Join(dir, name)
	if text == "" {
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("%s: %s", path, errnoText(err))
		}
		_ = os.Remove(dir) // if nothing else is in it
	} else {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("%s: %s", dir, errnoText(err))
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return fmt.Errorf("%s: %s", path, errnoText(err))
		}
	}
	if status := l.reloadManager("daemon-reload"); status != 0 {
		return fmt.Errorf("the drop-in %s was not read.", path)
	}
	return nil
}

// finish takes the trial away, and with --apply puts what ran in its place; the service goes on with what holds then.
func (l *lesson) finish(status int, seen *learn.Observation, lines []learn.Line) int {
	if err := l.place("/run/systemd/system", learnDropIn, ""); err != nil {
		l.errorf("%s", err)
		return exitFailure
	}
	if l.applyLearned && status == 0 {
		if err := l.place("/etc/systemd/system", appliedDropIn, learn.DropIn(seen, l.about, lines)); err != nil {
			l.errorf("%s", err)
			return exitFailure
		}
		l.notef("Written to /etc/systemd/system/%s.d/%s.", l.unit, appliedDropIn)
	}
	if r := l.restart(); r != 0 {
		return r
	}
	return status
}
