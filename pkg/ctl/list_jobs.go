package ctl

import (
	"sort"
	"strconv"

	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/unit/value"
)

// jobInfo is one entry of ListJobs.
type jobInfo struct {
	id                    uint32
	unit, jobType, status string
}

func decodeJobs(r *bus.Message) ([]jobInfo, error) {
	d, err := r.Args("a(usssoo)")
	if err != nil {
		return nil, err
	}
	var out []jobInfo
	for a := d.BeginArray('('); d.More(a); {
		d.Struct()
		out = append(out, jobInfo{d.Uint32(), d.String(), d.String(), d.String()})
		d.ObjectPath()
		d.ObjectPath()
	}
	return out, d.Err()
}

// listJobs is list-jobs.
func listJobs(s *systemctl, _ string, args []string) int {
	if !s.online() {
		return exitFailure
	}
	r, err := s.call("ListJobs")
	if err != nil {
		s.errorf("Failed to list jobs: %s", errorText(err))
		return exitFailure
	}
	all, err := decodeJobs(r)
	if err != nil {
		s.errorf("Failed to list jobs: %s", errorText(err))
		return exitFailure
	}
	var list []jobInfo
	for _, j := range all {
		if matchesAny(j.unit, args) {
			list = append(list, j)
		}
	}
	sort.Slice(list, func(i, j int) bool { return list[i].id < list[j].id })
	s.startPager(s.o.noPager)
	json := len(s.o.output) >= 4 && s.o.output[:4] == "json"
	if len(list) == 0 && !json {
		if s.o.legend() {
			if len(all) == 0 {
				s.printf("%s\n", s.in(colorBrightGreen, "No jobs running."))
			} else {
				s.printf("%s\n", s.in(colorBrightYellow, "No jobs listed."))
			}
		}
		return 0
	}
	s.printJobs(list)
	return 0
}

// printJobs prints the jobs. DEVIATION: --output=json gives JSON; systemctl ignores it here.
func (s *systemctl) printJobs(list []jobInfo) {
	t := newTable("JOB", "UNIT", "TYPE", "STATE")
	for _, j := range list {
		c := colorNone
		if j.status == "running" {
			c = colorBold
		}
		t.row(cell{text: strconv.Itoa(int(j.id)), json: j.id}, colorCell(j.unit, c), textCell(j.jobType), colorCell(j.status, c))
	}
	style := tableStyle{header: s.o.legend(), full: s.o.full, json: s.o.output}
	if !s.o.after && !s.o.before || len(s.o.output) >= 4 && s.o.output[:4] == "json" {
		t.print(s.Env, style)
	} else {
		s.printJobTree(t, list, style)
	}
	if s.o.legend() {
		s.printf("\n%s.\n", s.in(colorBold, sprintf("%d jobs listed", len(list))))
	}
}

// printJobTree prints each job with what it waits for (--after) and what waits for it (--before).
func (s *systemctl) printJobTree(t *table, list []jobInfo, style tableStyle) {
	rows := t.rows
	t.rows = nil
	for i, j := range list {
		t.rows = append(t.rows, rows[i])
		if s.o.after {
			s.relatedJobs(t, j.id, "GetJobAfter", "waiting for job ")
		}
		if s.o.before {
			s.relatedJobs(t, j.id, "GetJobBefore", "blocking job ")
		}
	}
	t.print(s.Env, style)
}

func (s *systemctl) relatedJobs(t *table, id uint32, method, words string) {
	r, err := s.call(method, id)
	if err != nil {
		return
	}
	list, err := decodeJobs(r)
	if err != nil {
		return
	}
	for i, j := range list {
		branch := "├─"
		if i == len(list)-1 {
			branch = "└─"
		}
		t.row(textCell(branch), textCell(words+strconv.Itoa(int(j.id))+" ("+j.unit+"/"+j.jobType+")"), textCell("-"), textCell("-"))
	}
}

// cancelJobs is cancel, without arguments of every job.
func cancelJobs(s *systemctl, _ string, args []string) int {
	if !s.online() {
		return exitFailure
	}
	if len(args) == 0 {
		if _, err := s.call("ClearJobs"); err != nil {
			s.errorf("Failed to cancel all jobs: %s", errorText(err))
			return exitFailure
		}
		return 0
	}
	r := 0
	for _, a := range args {
		id, err := value.ParseUint(a, 32)
		if err != nil {
			s.errorf("Failed to parse job id \"%s\": Invalid argument", a)
			return exitFailure
		}
		if _, err := s.call("CancelJob", uint32(id)); err != nil {
			s.errorf("Failed to cancel job %d, ignoring: %s", id, errorText(err))
			r = exitFailure
		}
	}
	return r
}

// listMachines is list-machines: the host alone, as muster knows no others.
func listMachines(s *systemctl, _ string, args []string) int {
	if !s.online() {
		return exitFailure
	}
	list, err := getAll(s.bus, bus.ManagerPath, managerIface)
	if err != nil {
		s.errorf("Failed to get properties: %s", errorText(err))
		return exitFailure
	}
	p := indexProperties(list)
	t := newTable("", "NAME", "STATE", "FAILED", "JOBS")
	t.columns[0].minimum = 1
	t.columns[0].hidden = s.o.plain
	state, dot := p.str("SystemState"), ""
	c := colorNone
	switch state {
	case "degraded":
		c, dot = colorBrightRed, "●"
	case "running":
	default:
		c, dot = colorBrightYellow, "●"
	}
	n := 0
	if name := hostname(); matchesAny(name, args) {
		failed, jobs := p.number("NFailedUnits"), p.number("NJobs")
		failedColor := colorNone
		if failed > 0 {
			failedColor = colorBrightRed
		}
		t.row(cell{text: dot, both: c, json: jsonAbsent{}, empty: " "}, cell{text: name + " (host)"}, colorCell(state, c),
			cell{text: strconv.FormatUint(failed, 10), json: failed, both: failedColor}, cell{text: strconv.FormatUint(jobs, 10), json: jobs})
		n++
	}
	s.startPager(s.o.noPager)
	t.print(s.Env, tableStyle{header: s.o.legend(), full: s.o.full, json: s.o.output})
	if s.o.legend() {
		s.printf("\n%d machines listed.\n", n)
	}
	return 0
}
