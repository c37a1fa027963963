package ctl

import (
	"fmt"
	"sort"
	"time"

	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/unit/value"
)

// jobWatch collects what the signals of the manager say while a tool waits.
type jobWatch struct {
	results   map[bus.ObjectPath]string // of every job that has ended
	changed   map[bus.ObjectPath]bool   // units of which properties changed
	finished  bool                      // StartupFinished
	reloading bool
}

func newJobWatch() *jobWatch {
	return &jobWatch{results: map[bus.ObjectPath]string{}, changed: map[bus.ObjectPath]bool{}}
}

// take is the client's OnSignal.
func (w *jobWatch) take(m *bus.Message) {
	switch {
	case m.Interface == managerIface && m.Member == "JobRemoved":
		d, err := m.Args("uoss")
		if err != nil {
			return
		}
		d.Uint32()
		path := d.ObjectPath()
		d.Skip("s")
		if result := d.String(); d.Err() == nil && len(w.results) < 1<<20 {
			w.results[path] = result
		}
	case m.Interface == managerIface && m.Member == "StartupFinished":
		w.finished = true
	case m.Interface == propertyIface && m.Member == "PropertiesChanged":
		if len(w.changed) < 1<<20 {
			w.changed[m.Path] = true
		}
	}
}

// watchJobs makes the signals about jobs come, before the first job is made.
func (s *systemctl) watchJobs() error {
	if s.bus.Name() == "" {
		return nil
	}
	return s.bus.AddMatch("type='signal',sender='" + busName + "',interface='" + managerIface + "',member='JobRemoved',path='" + string(bus.ManagerPath) + "'")
}

// watchUnits makes the signals about units come.
func (s *systemctl) watchUnits() error {
	if s.bus.Name() != "" {
		err := s.bus.AddMatch("type='signal',sender='" + busName + "',interface='" + propertyIface + "',member='PropertiesChanged'")
		if err != nil {
			return err
		}
	}
	_, err := s.call("Subscribe")
	if hasName(err, bus.ErrAlreadySubscribed) {
		return nil
	}
	return err
}

// waitingJob is a job that the tool made.
type waitingJob struct {
	path bus.ObjectPath
	unit string
	verb string // what was asked for, for the progress line
}

// waitJobs waits until all jobs have ended, says of each that failed why, and gives the exit status.
func (s *systemctl) waitJobs(jobs []waitingJob) int {
	progress := newProgress(s)
	status := 0
	for _, j := range jobs {
		result, err := s.waitJob(j, progress)
		if err != nil {
			progress.clear()
			s.errorf("Failed to wait for response: %s", errorText(err))
			return exitFailure
		}
		progress.clear()
		if !s.reportJob(j, result) {
			status = exitFailure
		}
	}
	return status
}

func (s *systemctl) waitJob(j waitingJob, p *progress) (string, error) {
	p.begin(j)
	for {
		if result, ok := s.wait.results[j.path]; ok {
			return result, nil
		}
		if _, err := s.bus.Process(p.tick()); err != nil {
			return "", err
		}
		p.show()
	}
}

// reportJob tells of a job that has failed. It returns whether the job counts as done.
func (s *systemctl) reportJob(j waitingJob, result string) bool {
	quiet := s.o.quiet
	say := func(format string, args ...any) {
		if !quiet {
			s.errorf(format, args...)
		}
	}
	switch result {
	case "done":
		if s.o.showTransaction && !quiet {
			s.notef("Job for %s finished.", j.unit)
		}
		return true
	case "skipped":
		if s.o.showTransaction && !quiet {
			s.notef("Job for %s was skipped.", j.unit)
		}
		return true
	case "canceled":
		say("Job for %s canceled.", value.ShellMaybeQuote(j.unit))
	case "timeout":
		say("Job for %s timed out.", value.ShellMaybeQuote(j.unit))
	case "dependency":
		say("A dependency job for %s failed. See 'journalctl -xe' for details.", value.ShellMaybeQuote(j.unit))
	case "invalid":
		say("%s is not active, cannot reload.", value.ShellMaybeQuote(j.unit))
		return false
	case "assert":
		say("Assertion failed on job for %s.", value.ShellMaybeQuote(j.unit))
	case "unsupported":
		say("Operation on or unit type of %s not supported on this system.", value.ShellMaybeQuote(j.unit))
	case "collected":
		say("Queued job for %s was garbage collected.", value.ShellMaybeQuote(j.unit))
	case "once":
		say("Unit %s was started already once and can't be started again.", value.ShellMaybeQuote(j.unit))
	case "frozen":
		say("Cannot perform operation on frozen unit %s.", value.ShellMaybeQuote(j.unit))
	case "concurrency":
		say("Concurrency limit of a slice unit %s is contained in has been reached.", value.ShellMaybeQuote(j.unit))
	default:
		if !quiet {
			s.reportFailure(j.unit)
		}
	}
	return false
}

// reportFailure says why a unit's own job failed.
func (s *systemctl) reportFailure(name string) {
	result := ""
	if v, err := getProperty(s.bus, bus.UnitPath(name), typeIface(name), "Result"); err == nil {
		result, _ = v.(string)
	}
	quoted := value.ShellMaybeQuote(name)
	see := fmt.Sprintf("See \"%s status %s\" and \"%s -xeu %s\" for details.", s.ctlName(), quoted, s.journalName(), quoted)
	if why := resultText(result); why != "" {
		s.errorf("Job for %s failed because %s.\n%s", quoted, why, see)
	} else {
		s.errorf("Job for %s failed.\n%s", quoted, see)
	}
	if result == "start-limit-hit" {
		s.notef("To force a start use \"%s reset-failed %s\"\nfollowed by \"%s start %s\" again.", s.ctlName(), quoted, s.ctlName(), quoted)
	}
}

// ctlName is how a hint names this tool.
func (s *systemctl) ctlName() string {
	if s.o.scope == scopeUser {
		return "systemctl --user"
	}
	return "systemctl"
}

func (s *systemctl) journalName() string {
	if s.o.scope == scopeUser {
		return "journalctl --user"
	}
	return "journalctl"
}

// resultText is a unit's result as a reason.
func resultText(result string) string {
	switch result {
	case "resources":
		return "of unavailable resources or another system error"
	case "protocol":
		return "the service did not take the steps required by its unit configuration"
	case "timeout":
		return "a timeout was exceeded"
	case "exit-code":
		return "the control process exited with error code"
	case "signal":
		return "a fatal signal was delivered to the control process"
	case "core-dump":
		return "a fatal signal was delivered causing the control process to dump core"
	case "watchdog":
		return "the service failed to send watchdog ping"
	case "start-limit-hit":
		return "start of the service was attempted too often"
	case "oom-kill":
		return "of an out-of-memory situation"
	}
	return ""
}

// typeIface is the bus interface of a unit's type.
func typeIface(name string) string {
	suffix := suffixOf(name)
	if len(suffix) < 2 {
		return unitIface
	}
	return busName + "." + string(suffix[1]-'a'+'A') + suffix[2:]
}

// progress is the line that says for whom the tool waits, on a terminal.
type progress struct {
	s       *systemctl
	on      bool
	shown   bool
	jobs    []waitingJob
	started time.Time
	limit   map[string]value.USec
}

func newProgress(s *systemctl) *progress {
	return &progress{s: s, on: s.ErrTerminal && !s.o.quiet, started: s.Now(), limit: map[string]value.USec{}}
}

// begin names the job that is waited for.
func (p *progress) begin(j waitingJob) {
	p.jobs = []waitingJob{j}
	if !p.on {
		return
	}
	if _, ok := p.limit[j.unit]; !ok {
		p.limit[j.unit] = p.timeout(j)
	}
}

// tick is how long to wait for signals until the line changes.
func (p *progress) tick() time.Duration {
	if !p.on {
		return -1
	}
	return time.Second
}

// timeout is how long the job may take, from the settings of the unit.
func (p *progress) timeout(j waitingJob) value.USec {
	property := "TimeoutStartUSec"
	if j.verb == "stop" {
		property = "TimeoutStopUSec"
	}
	if v, err := getProperty(p.s.bus, bus.UnitPath(j.unit), unitIface, "JobTimeoutUSec"); err == nil {
		if n := value.USec(toUint(v)); n != 0 && n != value.Infinity {
			return n
		}
	}
	v, err := getProperty(p.s.bus, bus.UnitPath(j.unit), typeIface(j.unit), property)
	if err != nil {
		return value.Infinity
	}
	return value.USec(toUint(v))
}

func (p *progress) show() {
	waited := p.s.Now().Sub(p.started)
	if !p.on || waited < 900*time.Millisecond || len(p.jobs) == 0 {
		return
	}
	j := p.jobs[0]
	seconds := value.USec(waited.Round(time.Second) / time.Microsecond)
	text := fmt.Sprintf("%s job for %s, %s", j.verb, j.unit, value.FormatSpan(seconds, value.USecPerSec))
	if limit := p.limit[j.unit]; limit != value.Infinity && limit != 0 {
		text += " of " + value.FormatSpan(limit, value.USecPerSec)
	}
	fmt.Fprintf(p.s.Err, "\r%s\x1b[K", ellipsize(text, max(10, p.s.Columns-1), 100))
	p.shown = true
}

// clear takes the line away before something else is printed.
func (p *progress) clear() {
	if p.shown {
		fmt.Fprint(p.s.Err, "\r\x1b[K")
		p.shown = false
	}
}

func sprintf(format string, args ...any) string { return fmt.Sprintf(format, args...) }

// sortedKeys gives the keys of a map in order.
func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}
