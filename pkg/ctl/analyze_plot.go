package ctl

import (
	"fmt"
	"sort"
	"strings"
)

// plotRow is a unit's way through the boot, in µs since userspace began; 0 means it didn't come to that.
type plotRow struct {
	unitTimes
	deactivating, deactivated uint64
}

// analyzePlot is plot: the boot as a drawing, a table or JSON.
func analyzePlot(a *analyze, _ []string) int {
	t, ok := a.fetchBoot()
	if !ok {
		return exitFailure
	}
	times, ok := a.fetchTimes(t)
	if !ok {
		return exitFailure
	}
	var rows []plotRow
	for _, u := range times {
		if u.activating > t.finish {
			continue
		}
		r := plotRow{unitTimes: u, deactivating: t.finish, deactivated: t.finish}
		if u.exited > u.activating && u.exited < t.finish {
			r.deactivating = u.exited
		}
		if u.ended > u.activating && u.ended < t.finish {
			r.deactivated = u.ended
		}
		rows = append(rows, r)
	}
	sort.Slice(rows, func(i, j int) bool {
		if rows[i].activating != rows[j].activating {
			return rows[i].activating < rows[j].activating
		}
		return rows[i].name < rows[j].name
	})
	if a.table || strings.HasPrefix(a.o.output, "json") {
		a.plotTable(rows, t.offset())
		return 0
	}
	a.printf("%s", a.plotSVG(rows, t))
	return 0
}

func (a *analyze) plotTable(rows []plotRow, offset uint64) {
	t := newTable("NAME", "ACTIVATED", "ACTIVATING", "TIME", "DEACTIVATED", "DEACTIVATING")
	at := func(n uint64) cell {
		n -= min(n, offset)
		return cell{text: span(n), json: n}
	}
	for _, r := range rows {
		t.row(textCell(r.name), at(r.active), at(r.activating), cell{text: span(r.took), json: r.took}, at(r.deactivated), at(r.deactivating))
	}
	t.print(a.Env, tableStyle{header: !a.o.noLegend, full: true, json: a.o.output})
}

// The drawing: one line of plotLine pixels for each unit, plotSecond pixels for a second, with room for names behind the longest bar.
const (
	plotLine   = 18
	plotSecond = 120
	plotTop    = 70
	plotLeft   = 20
	plotNames  = 360
)

// plotSVG draws a bar for each unit from when it was started until it was active, and a thin one while it was.
//
// DEVIATION: the drawing of `analyze plot` is of our own design; times and units are the same.
func (a *analyze) plotSVG(rows []plotRow, t bootTimes) string {
	start, end := t.userspace, t.finish
	second := plotSecond * a.scale
	x := func(at uint64) float64 { return plotLeft + float64(max(at, start)-start)/1e6*second }
	width, height := x(end)+plotNames, plotTop+plotLine*(len(rows)+2)
	var b strings.Builder
	fmt.Fprintf(&b, `<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%d" viewBox="0 0 %.0f %d" font-family="sans-serif" font-size="12">
<title>Boot of %s</title>
<style>
svg { background: #fff; color: #222 } text { fill: currentColor } .grid { stroke: currentColor; stroke-opacity: .15 }
.start { fill: #d9534f } .active { fill: #8fc1e3 } .late { fill: #c9c9c9 } .head { font-size: 16px; font-weight: bold }
@media (prefers-color-scheme: dark) { svg { background: #1c1c1c; color: #ddd } .active { fill: #35617f } .late { fill: #555 } }
</style>
`, width, height, width, height, escapeXML(hostname()))
	fmt.Fprintf(&b, "<text class=\"head\" x=\"%d\" y=\"24\">%s, %s</text>\n", plotLeft, escapeXML(hostname()), escapeXML(a.osName()))
	fmt.Fprintf(&b, "<text x=\"%d\" y=\"44\">userspace %s, %d units; red: starting, blue: active, grey: stopped again</text>\n", plotLeft, span(end-start), len(rows))
	for at, step := start, gridStep(end-start, a.scale); at <= end; at += step {
		fmt.Fprintf(&b, "<line class=\"grid\" x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\"/><text x=\"%.1f\" y=\"%d\" font-size=\"10\">%s</text>\n",
			x(at), plotTop-8, x(at), height-plotLine, x(at)+2, plotTop-10, span(at-start))
	}
	for i, r := range rows {
		y := plotTop + plotLine*i
		bar := func(class string, from, to uint64, inset int) {
			if to > from {
				fmt.Fprintf(&b, "<rect class=\"%s\" x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\"/>", class, x(from), y+inset, max(x(to)-x(from), 0.5), plotLine-4-2*inset)
			}
		}
		ready := r.activating + r.took
		if a.detailed {
			fmt.Fprintf(&b, "<!-- activating %d active %d deactivating %d deactivated %d -->", r.activating, r.active, r.deactivating, r.deactivated)
		}
		bar("active", ready, r.deactivating, 3)
		bar("late", r.deactivating, r.deactivated, 3)
		bar("start", r.activating, ready, 0)
		label := r.name
		if r.took > 0 {
			label += " (" + span(r.took) + ")"
		}
		fmt.Fprintf(&b, "<text x=\"%.1f\" y=\"%d\">%s</text>\n", x(max(r.activating, start))+4, y+12, escapeXML(label))
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// gridStep is how far lines are apart, in µs: at least 60 pixels.
func gridStep(length uint64, scale float64) uint64 {
	for _, step := range []uint64{100_000, 500_000, 1_000_000, 5_000_000, 10_000_000, 60_000_000} {
		if float64(step)/1e6*plotSecond*scale >= 60 && length/step < 200 {
			return step
		}
	}
	return max(length/100, 600_000_000)
}

func escapeXML(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace(validText(s))
}

// osName is the name of the operating system for people.
func (a *analyze) osName() string {
	for _, line := range strings.Split(a.readFile("/etc/os-release"), "\n") {
		if name, ok := strings.CutPrefix(line, "PRETTY_NAME="); ok {
			return strings.Trim(name, `"'`)
		}
	}
	return "Linux"
}
