package ctl

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/muster-init/muster/pkg/install"
)

// Completion is cobra's: its scripts for bash, zsh and fish ask musterctl what may stand at a place, and the answers come from the tables of verbs and
// options and from the manager.

// isCobraWord says that cobra is to read the command line.
func isCobraWord(w string) bool {
	return w == "completion" || w == cobra.ShellCompRequestCmd || w == cobra.ShellCompNoDescRequestCmd
}

// runCobra answers `musterctl completion SHELL` and the requests of the scripts.
func runCobra(e *Env, args []string) int {
	root := cobraTree(e)
	root.SetArgs(args)
	root.SetOut(e.Out)
	root.SetErr(e.Err)
	root.SilenceUsage, root.SilenceErrors = true, true
	if err := root.Execute(); err != nil {
		e.errorf("error: %s", err)
		return exitFailure
	}
	return 0
}

func cobraTree(e *Env) *cobra.Command {
	root := &cobra.Command{Use: "musterctl", Short: "ask and tell the service manager", DisableFlagParsing: true, Args: cobra.ArbitraryArgs,
		RunE: func(*cobra.Command, []string) error { return nil },
		ValidArgsFunction: func(_ *cobra.Command, _ []string, text string) ([]string, cobra.ShellCompDirective) {
			return completeOptions(e, text)
		}}
	for _, v := range verbs() {
		if v.hidden {
			continue
		}
		root.AddCommand(verbCommand(e, v))
	}
	for _, name := range sortedKeys(subcommands) {
		c := &cobra.Command{Use: name, Short: "as " + subcommands[name], DisableFlagParsing: true, RunE: func(*cobra.Command, []string) error { return nil }}
		if name == "analyze" {
			c.ValidArgsFunction = func(_ *cobra.Command, given []string, text string) ([]string, cobra.ShellCompDirective) {
				return completeAnalyze(e, given, text)
			}
		}
		root.AddCommand(c)
	}
	return root
}

func verbCommand(e *Env, v verb) *cobra.Command {
	return &cobra.Command{Use: v.name, Short: v.doc, DisableFlagParsing: true, RunE: func(*cobra.Command, []string) error { return nil },
		ValidArgsFunction: func(_ *cobra.Command, given []string, text string) ([]string, cobra.ShellCompDirective) {
			if strings.HasPrefix(text, "-") {
				return completeOptions(e, text)
			}
			return completeUnits(e, v.units, given, text), cobra.ShellCompDirectiveNoFileComp
		}}
}

// completeAnalyze offers the verbs of analyze, its options, and units or files for the verbs that take them.
func completeAnalyze(e *Env, given []string, text string) ([]string, cobra.ShellCompDirective) {
	var out []string
	if strings.HasPrefix(text, "-") {
		for _, o := range (&analyze{systemctl: newSystemctl(e)}).options() {
			if full := "--" + o.long; o.doc != "" && o.long != "" && strings.HasPrefix(full, text) {
				if o.arg == needsArgument {
					full += "="
				}
				out = append(out, full+"\t"+o.doc)
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
	verb := ""
	for _, g := range given {
		if !strings.HasPrefix(g, "-") {
			verb = g
			break
		}
	}
	switch verb {
	case "":
		for _, v := range analyzeVerbs() {
			if v.doc != "" && strings.HasPrefix(v.name, text) {
				out = append(out, v.name+"\t"+v.doc)
			}
		}
	case "security", "fdstore", "critical-chain", "dot", "dump":
		out = completeUnits(e, "units", given, text)
	case "verify":
		return completeUnits(e, "files", given, text), cobra.ShellCompDirectiveDefault
	case "cat-config":
		return nil, cobra.ShellCompDirectiveDefault
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// completeOptions offers options, or the values of one.
func completeOptions(e *Env, text string) ([]string, cobra.ShellCompDirective) {
	s := newSystemctl(e)
	name, v, has := strings.Cut(text, "=")
	var out []string
	for _, o := range s.options() {
		full := "--" + o.long
		switch {
		case o.long == "" || o.doc == "":
		case has && full == name && o.values != nil:
			for _, w := range o.values() {
				if strings.HasPrefix(w, v) {
					out = append(out, full+"="+w)
				}
			}
		case !has && strings.HasPrefix(full, text):
			if o.arg == needsArgument {
				full += "="
			}
			out = append(out, full+"\t"+o.doc)
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// completeUnits offers names of units of the kind that a verb takes.
func completeUnits(e *Env, kind string, given []string, text string) []string {
	s := newSystemctl(e)
	for _, g := range given {
		if g == "--user" {
			s.o.scope = scopeUser
		}
	}
	var out []string
	add := func(name, doc string) {
		if strings.HasPrefix(name, text) && !contains(given, name) {
			out = append(out, name+"\t"+doc)
		}
	}
	if kind == "files" || kind == "inactive" {
		for _, f := range install.List(s.paths()) {
			u := unitFile{f.Path, f.State}
			add(u.name(), f.State)
		}
		return out
	}
	if kind == "" || s.connect() != nil {
		return out
	}
	defer s.bus.Close()
	if kind == "jobs" {
		if r, err := s.call("ListJobs"); err == nil {
			list, _ := decodeJobs(r)
			for _, j := range list {
				add(sprintf("%d", j.id), j.unit)
			}
		}
		return out
	}
	list, err := s.fetchUnits(nil, nil)
	if err != nil {
		return out
	}
	sortUnits(list)
	for _, u := range list {
		if completes(kind, &u) {
			add(u.name, u.description)
		}
	}
	return out
}

func completes(kind string, u *unitInfo) bool {
	switch kind {
	case "active":
		return u.active == "active" || u.active == "activating" || u.active == "reloading"
	case "failed":
		return u.active == "failed"
	case "units":
		return true
	}
	// sockets, timers, paths, automounts, targets
	return strings.HasSuffix(u.name, "."+strings.TrimSuffix(kind, "s"))
}
