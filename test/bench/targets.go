package main

import (
	"fmt"
	"io"
)

// target is what a row has to reach. Of several fields that are set all must hold.
type target struct {
	row   string
	from  int     // smallest N that it is for, 0: any
	to    int     // largest N, 0: any
	ratio float64 // how many times better the last init must be than the first
	most  float64 // largest figure of the last init, in the unit of the row
	least float64 // smallest one
}

// targets are those that the project has set itself for one run on one machine.
var targets = []target{
	{row: "start oneshot", from: 1000, to: 4999, ratio: 3}, {row: "start oneshot", from: 5000, ratio: 10},
	{row: "start simple", from: 1000, to: 4999, ratio: 3}, {row: "start simple", from: 5000, ratio: 10},
	{row: "start notify", from: 1000, to: 4999, ratio: 3}, {row: "start notify", from: 5000, ratio: 10},
	{row: "start chain", from: 1000, to: 4999, ratio: 3}, {row: "start chain", from: 5000, ratio: 10},
	{row: "start dag", from: 1000, to: 4999, ratio: 3}, {row: "start dag", from: 5000, ratio: 10},
	{row: "start oneshot, share of the floor", from: 1000, least: 60},
	{row: "start simple, share of the floor", from: 1000, least: 60},
	{row: "start one simple, N loaded to none, p50", from: 10000, most: 1.5},
	{row: "start one oneshot, N loaded to none, p50", from: 10000, most: 1.5},
	{row: "start one notify, N loaded to none, p50", from: 10000, most: 1.5},
	{row: "daemon-reload, one file changed", from: 10000, ratio: 100},
	{row: "daemon-reexec, N running", from: 5000, ratio: 50},
	{row: "daemon-reexec, N running, CPU", from: 5000, ratio: 50},
	{row: "RSS of PID 1, N loaded", to: 200, most: 8}, {row: "RSS of PID 1, N loaded", from: 10000, ratio: 3},
	{row: "RSS of PID 1, N running", to: 200, most: 8},
	{row: "GetAll(Service)", ratio: 4}, {row: "GetAll(Unit)", ratio: 4},
	{row: "restart after kill -9, p50", ratio: 3},
	{row: "crash loop, property read p99", most: 20},
	{row: "start hardened", ratio: 6}, {row: "start confined", ratio: 1},
	{row: "start hardened, more than a plain one", most: 3},
	{row: "N mounts appear, CPU of PID 1", from: 2000, most: 1000},
	{row: "CPU of PID 1 in 10 s with N timers waiting", most: 10},
}

// targetOf finds the target of a row; ok is false if it has none.
func targetOf(line *row) (t target, ok bool) {
	for _, t := range targets {
		if t.row == line.name && line.n >= t.from && (t.to == 0 || line.n <= t.to) {
			return t, true
		}
	}
	return target{}, false
}

// text is the target in words.
func (t target) text(u unit) (text string) {
	join := func(part string) {
		if text != "" {
			text += ", "
		}
		text += part
	}
	if t.ratio != 0 {
		join(fmt.Sprintf(">= %gx", t.ratio))
	}
	if t.most != 0 {
		join("<= " + u.text(t.most))
	}
	if t.least != 0 {
		join(">= " + u.text(t.least))
	}
	return text
}

// judge tells whether a row reaches its target; known is false where a figure is missing.
func (r *report) judge(line *row, t target) (met, known bool) {
	last, ok := line.figures[r.inits[len(r.inits)-1]]
	if !ok || last == 0 && t.ratio != 0 {
		return false, false
	}
	met = t.most == 0 || last <= t.most
	met = met && (t.least == 0 || last >= t.least)
	if t.ratio == 0 {
		return met, true
	}
	ratio, ok := r.ratio(line)
	return met && ratio >= t.ratio, ok
}

// summary counts the targets and names those that were missed.
func (r *report) summary(w io.Writer) {
	count, missed := 0, []*row{}
	for _, line := range r.rows {
		t, ok := targetOf(line)
		if !ok {
			continue
		}
		if met, known := r.judge(line, t); known {
			count++
			if !met {
				missed = append(missed, line)
			}
		}
	}
	if count == 0 {
		return
	}
	fmt.Fprintf(w, "\n%d of %d targets are met\n", count-len(missed), count)
	for _, line := range missed {
		fmt.Fprintf(w, "missed: %s, N = %d\n", line.name, line.n)
	}
}
