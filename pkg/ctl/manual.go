package ctl

import (
	"strings"
)

// verbGroup is a part of the verbs, as help and the manual show them.
type verbGroup struct {
	title string
	verbs []verb
}

// verbGroups is all verbs in groups.
func verbGroups() []verbGroup {
	return []verbGroup{
		{"Units", queryVerbs()}, {"Jobs", jobVerbs()}, {"Running units", unitVerbs()}, {"Unit files", fileVerbs()},
		{"Manager", managerVerbs()}, {"System", powerVerbs()}, {"muster's own", ownVerbs()},
	}
}

// Manual is docs/musterctl.md: every verb and option out of the tables.
func Manual() string {
	var b strings.Builder
	b.WriteString(manualHead)
	for _, g := range verbGroups() {
		b.WriteString("\n### " + g.title + "\n\n| verb | arguments | what it does |\n|---|---|---|\n")
		for _, v := range g.verbs {
			if !v.hidden {
				manualRow(&b, code(v.name), codeOrEmpty(v.args), v.doc)
			}
		}
	}
	b.WriteString("\n## Options\n\n| option | what it does |\n|---|---|\n")
	s := &systemctl{Env: &Env{}}
	manualOptions(&b, s.options())
	b.WriteString("\n## musterctl analyze\n\nIt is also `systemd-analyze` when called by that name.\n\n| verb | arguments | what it does |\n|---|---|---|\n")
	for _, v := range analyzeVerbs() {
		if v.doc != "" {
			manualRow(&b, code(v.name), codeOrEmpty(v.args), v.doc)
		}
	}
	b.WriteString("\nNot there, and refused with the reason:\n\n| verb | reason |\n|---|---|\n")
	for _, name := range sortedKeys(absentVerbs) {
		manualRow(&b, code(name), absentVerbs[name])
	}
	b.WriteString("\n| option | what it does |\n|---|---|\n")
	manualOptions(&b, (&analyze{systemctl: s}).options())
	b.WriteString(manualTail)
	return b.String()
}

func manualOptions(b *strings.Builder, list []option) {
	for _, o := range list {
		if o.doc == "" {
			continue
		}
		name := ""
		if o.short != 0 {
			name = "-" + string(rune(o.short))
		}
		if o.long != "" {
			name = strings.TrimPrefix(name+", --"+o.long, ", ")
		}
		if o.arg != noArgument {
			name += "=" + o.name
		}
		manualRow(b, code(name), o.doc)
	}
}

func manualRow(b *strings.Builder, cells ...string) {
	b.WriteString("|")
	for _, c := range cells {
		b.WriteString(" " + strings.ReplaceAll(c, "|", "\\|") + " |")
	}
	b.WriteString("\n")
}

func code(s string) string { return "`" + s + "`" }

func codeOrEmpty(s string) string {
	if s == "" {
		return ""
	}
	return code(s)
}

const manualHead = `# musterctl

<!-- made by internal/docs from the tables of pkg/ctl: change those -->

` + "`musterctl`" + ` talks to the manager: muster, or any systemd. Every verb of systemctl works as there: same columns, same options, same exit status.
Called by the name of another tool (a link, see ` + "`make install NAMES=…`" + `) it is that tool: systemctl, systemd-run, systemd-analyze,
systemd-escape, systemd-notify, systemd-cgls, systemd-cgtop, systemd-delta, systemd-detect-virt, shutdown, reboot, poweroff, halt, telinit, runlevel.
As verbs they are ` + "`musterctl run, analyze, escape, notify, cgls, cgtop, delta, detect-virt, shutdown`" + `.

## Why is it so? plan, why, logs

` + "```" + `
musterctl plan start nginx        # the transaction that would be made: each job, which unit pulled it in, by which line of which file
musterctl why nginx               # the job that is queued, or the last one: who asked for it, and when it ended
musterctl logs -f nginx           # lines of the journal, or of the manager's memory where there is no journal
` + "```" + `

They speak io.muster.Manager1 and say so when the manager is another. With --json=short their answers are for programs. Errors are one
` + "`error:`" + ` line, what to do about it a ` + "`hint:`" + ` line.

## Output

Lists are cut to the terminal's width, coloured and shown in a pager ($SYSTEMD_PAGER, $PAGER, less) on a terminal only; --full, --no-pager, NO_COLOR and
SYSTEMD_COLORS change that. --json=short, --json=pretty and -o json are for programs. While it waits for jobs on a terminal, a line says for which and how long.
` + "`musterctl completion bash`" + ` (zsh, fish) prints the completion script, which ` + "`make install`" + ` puts in place; units, jobs and
files are completed from what is there.

## Exit status

| status | meaning |
|---|---|
| 0 | done; is-active: active; is-failed: failed; is-enabled: enabled |
| 1 | failed; is-failed: not failed |
| 2 | wrong arguments for a unit |
| 3 | is-active, status: not active |
| 4 | not allowed, or status: no such unit |
| 5 | start, stop …: the unit is not loaded |
| other | run --wait, --scope: that of the program |

## Verbs
`

const manualTail = `
## Exposure

` + "`musterctl analyze security`" + ` rates services as systemd-analyze does: 80 checks with a weight each, the share of what could be better is the exposure, from
0.0 (perfect) to 10.0 (dangerous). Figures agree on all services that Debian ships (scenario ctl-security); descriptions are our own, and the worst come first.
With --offline=yes it reads unit files without a manager; --threshold=50 makes it fail for more than 5.0, for use in tests; --security-policy= takes weights
from a JSON file.
`
