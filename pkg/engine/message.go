package engine

import (
	"slices"
	"strings"

	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit"
)

// Syslog levels of messages.
const (
	levelError   = 3
	levelWarning = 4
	levelNotice  = 5
	levelInfo    = 6
	levelDebug   = 7
)

// outcome is how the end of a job is told: text has %s for the unit.
type outcome struct {
	text   string
	level  int
	status string // of the console line, "" none
	kind   string
}

// outcomes of the job types that people are told about. Texts of the unit type's descriptor go before.
var outcomes = map[job.Type]map[job.Result]outcome{
	job.Start: {
		job.Done:        {"Started %s.", levelInfo, "ok", "unit-started"},
		job.Timeout:     {"Timed out starting %s.", levelError, "time", "unit-failed"},
		job.Failed:      {"Failed to start %s.", levelError, "failed", "unit-failed"},
		job.Dependency:  {"Dependency failed for %s.", levelError, "depend", "unit-failed"},
		job.Assert:      {"Assertion failed for %s.", levelError, "assert", "unit-failed"},
		job.Unsupported: {"Starting of %s is not supported.", levelWarning, "unsupported", "unit-failed"},
		job.Invalid:     {"%s can't be started.", levelError, "failed", "unit-failed"},
		job.Frozen:      {"%s is frozen and can't be started.", levelError, "failed", "unit-failed"},
		job.Skipped:     {"%s is not active.", levelInfo, "info", ""},
		job.Canceled:    {"", levelDebug, "", ""},
	},
	job.Stop: {
		job.Done:    {"Stopped %s.", levelInfo, "ok", "unit-stopped"},
		job.Timeout: {"Timed out stopping %s.", levelError, "time", "unit-failed"},
		job.Failed:  {"Stopped %s with an error.", levelError, "failed", "unit-stopped"},
	},
	job.Reload: {
		job.Done:    {"Reloaded %s.", levelInfo, "", "unit-reloaded"},
		job.Timeout: {"Timed out reloading %s.", levelError, "time", "unit-failed"},
		job.Failed:  {"Reload failed for %s.", levelError, "failed", "unit-reload-failed"},
		job.Invalid: {"%s is not active and can't be reloaded.", levelWarning, "", ""},
	},
	job.VerifyActive: {
		job.Skipped: {"%s is not active.", levelInfo, "info", ""},
		job.Timeout: {"Timed out waiting for %s.", levelError, "time", ""},
	},
}

// logStarting tells that work on a job begins; it goes in before the effects of that work, at mark.
func (e *Engine) logStarting(u *Unit, id job.ID, typ job.Type, mark int) {
	k := e.kindOf(u)
	l := machine.Log{Level: levelInfo, Unit: u.Name(), Job: id}
	switch typ {
	case job.Start:
		l.Text, l.Kind = k.Starting, "unit-starting"
	case job.Stop, job.Restart:
		l.Text, l.Kind = k.Stopping, "unit-stopping"
	case job.Reload:
		l.Text, l.Kind = "Reloading %s...", "unit-reloading"
	}
	if l.Text == "" {
		return
	}
	l.Text = strings.Replace(l.Text, "%s", e.describe(u), 1)
	if typ != job.Reload {
		l.Console = l.Text
	}
	e.out = slices.Insert(e.out, mark, machine.Effect(l))
}

// logFinished tells how a job ended.
func (e *Engine) logFinished(j *Job, r job.Result) {
	u, typ := j.Unit, j.Type
	if typ == job.Restart {
		typ = job.Stop
	}
	o := outcomes[typ][r]
	if typ == job.Start && r == job.Done && !u.ActiveState().IsActiveOrReloading() && j.skipped {
		return // told when the conditions were tested
	}
	if text := e.kindOf(u).Finished[typ][r]; text != "" {
		o.text = text
	}
	if f, ok := u.machine.(machine.Finisher); ok {
		if text := f.Finished(u.cfg, typ, r); text != "" {
			o.text = text
		}
	}
	if o.text == "" || j.RunUSec == 0 && r == job.Done {
		return
	}
	text := strings.Replace(o.text, "%s", e.describe(u), 1)
	l := machine.Log{Level: o.level, Unit: u.Name(), Job: j.ID, Kind: o.kind, Text: text, Status: o.status,
		Fields: []string{"JOB_TYPE=" + string(j.Type), "JOB_RESULT=" + string(r)}}
	if o.status != "" {
		l.Console = text
	}
	if r == job.Dependency {
		l.Text += " " + e.dependencyText(j)
	}
	l.Text = strings.TrimRight(l.Text, " ")
	e.emit(l)
}

// dependencyText says which required unit is to blame, if one that failed is known.
func (e *Engine) dependencyText(j *Job) string {
	for _, t := range []unit.DepType{unit.DepRequires, unit.DepBindsTo, unit.DepRequisite} {
		for _, x := range j.Unit.deps.list(classNeeds) {
			p := e.units[x.id]
			if x.types().Has(t) && p.job == nil && p.ActiveState() == machine.Failed {
				return "(" + t.String() + "=" + p.Name() + " failed)"
			}
		}
	}
	return ""
}

// logSkipped tells that conditions do not hold.
func (e *Engine) logSkipped(u *Unit, j *Job, failed string) {
	j.skipped = true
	text := e.describe(u) + " skipped, no trigger condition checks were met."
	if failed != "" && !isTrigger(failed) {
		text = e.describe(u) + " skipped, unmet condition check " + failed
	}
	e.emit(machine.Log{Level: levelInfo, Unit: u.Name(), Job: j.ID, Kind: "unit-skipped", Text: text, Status: "skip", Console: text})
}

// isTrigger reports whether a condition is one of those of which one is enough.
func isTrigger(condition string) bool {
	_, value, _ := strings.Cut(condition, "=")
	return strings.HasPrefix(value, "|")
}

// logAssert tells that asserts do not hold.
func (e *Engine) logAssert(u *Unit, j *Job, failed string) {
	text := u.Name() + ": Starting requested, but no trigger assertion was met."
	if failed != "" && !isTrigger(failed) {
		text = u.Name() + ": Starting requested, but the assertion " + failed + " was not met."
	}
	e.emit(machine.Log{Level: levelError, Unit: u.Name(), Job: j.ID, Text: text})
}

// logFailed tells that a unit entered the failed state, with its result.
func (e *Engine) logFailed(u *Unit) {
	e.emit(machine.Log{Level: levelDebug, Unit: u.Name(), Kind: "unit-entered-failed", Text: u.Name() + ": Unit entered failed state."})
}
