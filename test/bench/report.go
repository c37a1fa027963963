package main

import (
	"fmt"
	"io"
	"math"
	"sort"
	"strings"
	"time"
)

// unit tells how a figure is shown and which direction is better.
type unit int

const (
	milliseconds unit = iota // less is better
	perSecond                // more is better
	mebibytes                // less is better
	microseconds             // of CPU per unit, less is better
	percent                  // more is better
	times                    // less is better
)

// row is one line of the report: a figure per init.
type row struct {
	name    string
	n       int
	unit    unit
	figures map[string]float64
}

type report struct {
	inits    []string
	rows     []*row
	failures []string
	notes    []string
}

func newReport(inits []string) *report { return &report{inits: inits} }

// add sets a figure; rows keep the order they were first seen in.
func (r *report) add(name string, n int, init string, u unit, figure float64) {
	for _, existing := range r.rows {
		if existing.name == name && existing.n == n {
			existing.figures[init] = figure
			return
		}
	}
	r.rows = append(r.rows, &row{name: name, n: n, unit: u, figures: map[string]float64{init: figure}})
}

func (r *report) fail(name string, n int, init string, err error) {
	r.failures = append(r.failures, fmt.Sprintf("%s, N=%d, %s: %v", name, n, init, err))
}

// note adds a sentence below the table.
func (r *report) note(text string) { r.notes = append(r.notes, text) }

// figure gives one that was added before.
func (r *report) figure(name string, n int, init string) (float64, bool) {
	for _, line := range r.rows {
		if line.name == name && line.n == n {
			f, ok := line.figures[init]
			return f, ok
		}
	}
	return 0, false
}

// floorName is the column that holds for every init.
const floorName = "floor"

// print writes the table: a figure per init, the ratio of the first init to the last one, and what was to be reached.
func (r *report) print(w io.Writer) {
	sort.SliceStable(r.rows, func(i, j int) bool { return r.rows[i].n < r.rows[j].n })
	last := -1
	for _, line := range r.rows {
		if line.n != last {
			last = line.n
			fmt.Fprintf(w, "\nN = %-50d", line.n)
			for _, name := range r.inits {
				fmt.Fprintf(w, " %11s", name)
			}
			fmt.Fprintf(w, " %8s  %s\n", "ratio", "target")
		}
		fmt.Fprintln(w, strings.TrimRight(r.line(line), " "))
	}
	for _, note := range r.notes {
		fmt.Fprintf(w, "note: %s\n", note)
	}
	for _, failure := range r.failures {
		fmt.Fprintf(w, "failed: %s\n", failure)
	}
	r.summary(w)
}

func (r *report) line(line *row) string {
	text := fmt.Sprintf("%-54s", line.name)
	if figure, ok := line.figures[floorName]; ok {
		return text + fmt.Sprintf(" %11s", line.unit.text(figure))
	}
	for _, name := range r.inits {
		figure, ok := line.figures[name]
		if !ok {
			text += fmt.Sprintf(" %11s", "-")
			continue
		}
		text += fmt.Sprintf(" %11s", line.unit.text(figure))
	}
	ratio := ""
	if value, ok := r.ratio(line); ok {
		ratio = fmt.Sprintf("%.1fx", value)
	}
	text += fmt.Sprintf(" %8s", ratio)
	if t, ok := targetOf(line); ok {
		verdict := ""
		if met, known := r.judge(line, t); known {
			verdict = map[bool]string{true: "  met", false: "  MISSED"}[met]
		}
		text += "  " + t.text(line.unit) + verdict
	}
	return text
}

// ratio is how much better the last init is than the first: above 1 is better.
func (r *report) ratio(line *row) (ratio float64, ok bool) {
	first, ok1 := line.figures[r.inits[0]]
	last, ok2 := line.figures[r.inits[len(r.inits)-1]]
	if !ok1 || !ok2 || len(r.inits) < 2 || first == 0 || last == 0 {
		return 0, false
	}
	if line.unit == perSecond || line.unit == percent {
		return last / first, true
	}
	return first / last, true
}

func (u unit) text(figure float64) string {
	switch u {
	case milliseconds:
		return fmt.Sprintf("%.*f ms", digits(figure), figure)
	case perSecond:
		return fmt.Sprintf("%.0f/s", figure)
	case mebibytes:
		return fmt.Sprintf("%.1f MiB", figure)
	case microseconds:
		return fmt.Sprintf("%.0f µs", figure)
	case percent:
		return fmt.Sprintf("%.0f %%", figure)
	case times:
		return fmt.Sprintf("%.2f", figure)
	}
	return fmt.Sprint(figure)
}

func digits(figure float64) int {
	if math.Abs(figure) < 100 {
		return 2
	}
	return 0
}

func ms(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

// percentile of sorted or unsorted durations, p in 0…100.
func percentile(values []time.Duration, p float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	sorted := append([]time.Duration{}, values...)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i] < sorted[j] })
	index := int(math.Ceil(p/100*float64(len(sorted)))) - 1
	return sorted[max(index, 0)]
}
