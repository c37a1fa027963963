package main

import (
	"fmt"
	"sort"
	"strings"

	"github.com/muster-init/muster/pkg/unit"
)

const generated = "<!-- Made by `make docs` from the directive table in pkg/unit; don't edit. -->\n\n"

// group is the rows that are in the same sections.
type group struct {
	title string
	rows  []*unit.Row
}

var groupOrder = []struct {
	in    unit.Sections
	title string
}{
	{unit.InUnit, "[Unit]"},
	{unit.InInstall, "[Install]"},
	{unit.InService, "[Service]"},
	{unit.InExec, "Execution, in [Service], [Socket], [Mount], [Swap]"},
	{unit.InKill, "Killing, in [Service], [Socket], [Mount], [Swap], [Scope]"},
	{unit.InCgroup, "Resource control, in [Service], [Socket], [Mount], [Swap], [Slice], [Scope]"},
	{unit.InSlice, "[Slice]"},
	{unit.InScope, "[Scope]"},
	{unit.InSocket, "[Socket]"},
	{unit.InTimer, "[Timer]"},
	{unit.InPath, "[Path]"},
	{unit.InMount, "[Mount]"},
	{unit.InAutomount, "[Automount]"},
	{unit.InSwap, "[Swap]"},
	{unit.InManager, "[Manager] of system.conf and user.conf"},
}

func groups() []group {
	var out []group
	for _, g := range groupOrder {
		var rows []*unit.Row
		for _, r := range unit.Rows() {
			if r.In == g.in {
				rows = append(rows, r)
			}
		}
		sort.Slice(rows, func(i, j int) bool { return rows[i].Name < rows[j].Name })
		out = append(out, group{g.title, rows})
	}
	return out
}

func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;").Replace(s)
}

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + cell(s) + "`"
}

func directives() string {
	var b strings.Builder
	b.WriteString("# Directives\n\n" + generated)
	b.WriteString("Every directive muster reads, with the first systemd release that knows it, the property of its bus interface and an\n" +
		"example. What works of each is in [coverage.md](coverage.md).\n")
	for _, g := range groups() {
		fmt.Fprintf(&b, "\n## %s\n\n| directive | value | since | property | meaning | example |\n|---|---|---|---|---|---|\n", g.title)
		for _, r := range g.rows {
			meaning := r.Doc
			if r.Legacy != "" {
				meaning += " Old: " + r.Legacy + "."
			}
			fmt.Fprintf(&b, "| `%s=` | %s | %d | %s | %s | %s |\n", r.Name, cell(r.Kind), r.Since, code(r.Prop), cell(meaning), code(r.Example))
		}
	}
	return b.String()
}

// tally counts rows by status; old names of others don't count.
type tally map[unit.Status]int

func (t tally) add(r *unit.Row) {
	if !r.Alias {
		t[r.Status]++
	}
}

func (t tally) cells() string {
	total := t[unit.Full] + t[unit.Partial] + t[unit.Accepted] + t[unit.Ignored]
	return fmt.Sprintf("%d | %d | %d | %d | %d", t[unit.Full], t[unit.Partial], t[unit.Accepted], t[unit.Ignored], total)
}

func coverage() string {
	var b strings.Builder
	b.WriteString("# Coverage of directives\n\n" + generated)
	b.WriteString("*Full*: does what its manual page says. *Partial*: some of it; the note says what is missing. *Accepted*: read, checked and\n" +
		"shown, without effect; a start that would need it fails where running without it could do harm. *Ignored*: obsolete, systemd\n" +
		"ignores it too. Old names of other directives aren't counted.\n\n")
	b.WriteString("| section | Full | Partial | Accepted | Ignored | all |\n|---|---|---|---|---|---|\n")
	sum := tally{}
	for _, g := range groups() {
		t := tally{}
		for _, r := range g.rows {
			t.add(r)
			sum.add(r)
		}
		fmt.Fprintf(&b, "| %s | %s |\n", g.title, t.cells())
	}
	fmt.Fprintf(&b, "| **all** | %s |\n", sum.cells())
	for _, g := range groups() {
		var lines []string
		for _, r := range g.rows {
			if r.Status != unit.Full && !r.Alias {
				lines = append(lines, fmt.Sprintf("- `%s=` %s: %s", r.Name, r.Status, r.Note))
			}
		}
		if len(lines) > 0 {
			fmt.Fprintf(&b, "\n## %s\n\n%s\n", g.title, strings.Join(lines, "\n"))
		}
	}
	return b.String()
}
