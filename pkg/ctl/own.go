package ctl

import (
	"fmt"
	"strings"
	"time"

	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/unit/value"
)

// ownVerbs are the verbs that systemctl has no counterpart of.
func ownVerbs() []verb {
	return []verb{
		{name: "plan", min: 2, max: 2, online: true, own: true, args: "VERB UNIT", doc: "show the jobs that start, stop … would make, without making them", units: "units", run: planVerb},
		{name: "why", min: 1, max: -1, online: true, own: true, args: "UNIT...", doc: "tell why a unit has a job, or had its last one", units: "units", run: whyVerb},
		{name: "logs", max: -1, online: true, own: true, args: "[-f] [UNIT...]", doc: "show log lines of units, with -f also those to come", units: "units", run: logsVerb},
	}
}

// fail prints an error of one of muster's own verbs and what may help.
func (s *systemctl) fail(hint, format string, args ...any) int {
	s.talk(colorBrightRed, "error: "+format, args...)
	if hint != "" {
		s.talk(colorNone, "hint: %s", hint)
	}
	return exitFailure
}

// ownOnline connects to a manager that has muster's interface.
func (s *systemctl) ownOnline() bool {
	if err := s.connect(); err != nil {
		s.fail("is muster running as PID 1? `musterctl is-system-running` tells", "no connection to the manager: %s", errnoText(err))
		return false
	}
	return true
}

// ownError explains what a call of muster's interface failed with.
func (s *systemctl) ownError(err error) int {
	if hasName(err, bus.ErrUnknownObject, bus.ErrUnknownMethod, bus.ErrUnknownInterface) {
		return s.fail("this verb needs muster as the manager", "the running manager has no interface %s", ownIface)
	}
	return s.fail("", "%s", errorText(err))
}

// cause is why a job exists, as the manager tells it.
type cause struct{ kind, unit, directive, where, client string }

func decodeCause(d *bus.Decoder) cause {
	d.Struct()
	return cause{d.String(), d.String(), d.String(), d.String(), d.String()}
}

// String is the cause in words.
func (c cause) String() string {
	var b strings.Builder
	switch c.kind {
	case "client":
		b.WriteString("asked for by " + orDefault(c.client, "a client"))
	case "dependency":
		b.WriteString("pulled in by " + c.unit)
	case "propagated":
		b.WriteString("follows from a job of " + c.unit)
	case "boot":
		b.WriteString("the target of the boot")
	case "restart":
		b.WriteString("restart of the unit")
	case "":
		b.WriteString("unknown")
	default:
		b.WriteString(c.kind)
		if c.unit != "" {
			b.WriteString(" of " + c.unit)
		}
	}
	if c.directive != "" {
		b.WriteString(" (" + strings.TrimSuffix(c.directive, "=") + "=)")
	}
	if c.where != "" {
		b.WriteString(", " + c.where)
	}
	return b.String()
}

func (c cause) object() jsonObject {
	o := jsonObject{{"kind", c.kind}}
	for _, f := range []jsonField{{"unit", c.unit}, {"directive", c.directive}, {"where", c.where}, {"client", c.client}} {
		if f.value != "" {
			o = append(o, f)
		}
	}
	return o
}

// plannedJob is one job of a plan.
type plannedJob struct {
	unit, jobType, replaces string
	cause                   cause
	required                bool
}

// planVerb is plan: what a request would do.
func planVerb(s *systemctl, _ string, args []string) int {
	a := findAction(args[0])
	if a.verb != args[0] {
		return s.fail("the verbs are start, stop, restart, reload, try-restart, reload-or-restart and isolate", "can't plan %q", args[0])
	}
	suffix := ".service"
	if args[0] == "isolate" {
		suffix = ".target"
	}
	name, ok := s.mangle(args[1], suffix, false)
	if !ok || !s.ownOnline() {
		return exitFailure
	}
	mode := orDefault(a.mode, s.o.jobMode)
	jobType := a.jobType
	if jobType == "reload-or-restart" {
		jobType = "reload-or-start"
	}
	r, err := s.bus.Call(makeCall(ownPath, ownIface, "Plan", name, jobType, mode))
	if err != nil {
		return s.ownError(err)
	}
	d, err := r.Args("a(sss(sssss)b)a(sss)ss")
	if err != nil {
		return s.ownError(err)
	}
	var jobs []plannedJob
	for arr := d.BeginArray('('); d.More(arr); {
		d.Struct()
		j := plannedJob{unit: d.String(), jobType: d.String(), replaces: d.String()}
		j.cause, j.required = decodeCause(&d), d.Bool()
		jobs = append(jobs, j)
	}
	var dropped [][3]string
	for arr := d.BeginArray('('); d.More(arr); {
		d.Struct()
		dropped = append(dropped, [3]string{d.String(), d.String(), d.String()})
	}
	failure, message := d.String(), d.String()
	if d.Err() != nil {
		return s.ownError(d.Err())
	}
	s.printPlan(jobs, dropped)
	if failure != "" {
		return s.fail("", "this would be refused: %s", message)
	}
	return 0
}

func (s *systemctl) printPlan(jobs []plannedJob, dropped [][3]string) {
	t := newTable("UNIT", "JOB", "INSTEAD OF", "WHY")
	t.columns[2].json = "replaces"
	replaces := false
	for _, j := range jobs {
		c := colorNone
		switch j.jobType {
		case "stop":
			c = colorBrightRed
		case "start", "restart":
			c = colorBrightGreen
		}
		replaces = replaces || j.replaces != ""
		why := j.cause.String()
		if !j.required {
			why += ", may fail"
		}
		t.row(textCell(j.unit), colorCell(j.jobType, c), cell{text: j.replaces, empty: "-"}, cell{text: why, json: j.cause.object()})
	}
	for _, x := range dropped {
		t.row(colorCell(x[0], colorGrey), colorCell("("+x[1]+")", colorGrey), cell{empty: "-"}, colorCell("given up: "+x[2], colorGrey))
	}
	t.columns[2].hidden = !replaces
	s.startPager(s.o.noPager)
	t.print(s.Env, tableStyle{header: s.o.legend(), full: s.o.full, json: s.o.output})
	if s.o.legend() {
		s.printf("\n%d jobs would be made.\n", len(jobs))
	}
}

// whyVerb is why: the cause of a unit's job, followed up to who asked first.
func whyVerb(s *systemctl, _ string, args []string) int {
	if !s.ownOnline() {
		return exitFailure
	}
	status := 0
	for i, arg := range args {
		name, ok := s.mangle(arg, ".service", false)
		if !ok {
			return exitFailure
		}
		if i > 0 {
			s.printf("\n")
		}
		if r := s.explain(name, "", map[string]bool{}); r != 0 {
			status = r
		}
	}
	return status
}

// whyEntry is a job of a unit: queued, or with a result the last one.
type whyEntry struct {
	id                    uint32
	unit, jobType, result string
	cause                 cause
	at                    uint64
}

func (s *systemctl) fetchWhy(name string) ([]whyEntry, error) {
	r, err := s.bus.Call(makeCall(ownPath, ownIface, "Why", name))
	if err != nil {
		return nil, err
	}
	d, err := r.Args("a(usss(sssss)t)")
	if err != nil {
		return nil, err
	}
	var out []whyEntry
	for a := d.BeginArray('('); d.More(a); {
		d.Struct()
		e := whyEntry{id: d.Uint32(), unit: d.String(), jobType: d.String(), result: d.String()}
		e.cause, e.at = decodeCause(&d), d.Uint64()
		out = append(out, e)
	}
	return out, d.Err()
}

func (s *systemctl) explain(name, indent string, seen map[string]bool) int {
	seen[name] = true
	list, err := s.fetchWhy(name)
	if err != nil {
		return s.ownError(err)
	}
	if len(list) == 0 {
		s.printf("%s%s: no job now, and none since the manager started\n", indent, name)
		return 0
	}
	for _, e := range list {
		switch {
		case e.result == "":
			s.printf("%s%s: job %d, %s, is queued: %s\n", indent, name, e.id, e.jobType, e.cause)
		default:
			when := value.FormatRelative(value.USec(e.at), s.now())
			s.printf("%s%s: last job, %s, ended %s (%s): %s\n", indent, name, e.jobType, when, e.result, e.cause)
		}
		if up := e.cause.unit; up != "" && !seen[up] && len(indent) < 64 {
			s.explain(up, indent+"  ", seen)
		}
	}
	return 0
}

// logsPoll is how often logs -f asks for new lines.
const logsPoll = 500 * time.Millisecond

// logsVerb is logs: the lines the manager keeps in memory while there is no journald, else journalctl's.
func logsVerb(s *systemctl, _ string, args []string) int {
	names, ok := s.manglePatterns(args)
	if !ok || !s.ownOnline() {
		return exitFailure
	}
	if tool := s.journalctl(); tool != "" {
		return s.logsFromJournal(tool, names)
	}
	if len(names) == 0 {
		names = []string{""}
	}
	follow := s.o.force > 0
	if !follow {
		s.startPager(s.o.noPager)
	}
	cursors := make([]uint64, len(names))
	for i, n := range names {
		list, next, _, err := fetchLogs(s.bus, n, s.logLines(), 0)
		if err != nil {
			return s.ownError(err)
		}
		cursors[i] = next
		for _, r := range list {
			s.printRecord(r)
		}
	}
	for follow {
		s.Flush()
		if _, err := s.bus.Process(logsPoll); err != nil {
			return s.fail("", "the connection ended: %s", errorText(err))
		}
		for i, n := range names {
			list, next, lost, err := fetchLogs(s.bus, n, 1000, max(cursors[i], 1))
			if err != nil {
				return s.ownError(err)
			}
			cursors[i] = next
			if lost {
				s.notef("(some lines were given up before they could be shown)")
			}
			for _, r := range list {
				s.printRecord(r)
			}
		}
	}
	return 0
}

// logLines is how many lines logs shows: all that are kept, unless -n says otherwise.
func (s *systemctl) logLines() uint32 {
	if s.o.linesSet {
		return uint32(s.o.lines)
	}
	return 10000
}

func (s *systemctl) logsFromJournal(tool string, names []string) int {
	args := []string{tool, "-o", s.o.output}
	for _, n := range names {
		args = append(args, "--unit="+n)
	}
	if s.o.force > 0 {
		args = append(args, "-f")
	}
	if s.o.noPager {
		args = append(args, "--no-pager")
	}
	if s.o.linesSet {
		args = append(args, fmt.Sprintf("--lines=%d", s.o.lines))
	}
	return s.execute(args)
}
