package ctl

import (
	"os"
	"path/filepath"
	"strings"
)

// Version is musterctl's; the systemd release whose tools it stands for comes first where programs look for that.
const Version = "0.1"

func versionText() string {
	return "systemd 257 (muster " + Version + ")\n+SECCOMP +BPF_FRAMEWORK default-hierarchy=unified"
}

// Main runs the tool that argv[0] names, musterctl for every other name, and gives the exit status.
func Main(argv []string) int {
	e := NewEnv(argv[0])
	defer e.Close()
	return e.run(filepath.Base(argv[0]), argv[1:])
}

type toolFunc func(e *Env, args []string) int

func (e *Env) run(name string, args []string) int {
	if tool, ok := tools()[name]; ok {
		return tool(e, args)
	}
	return musterctl(e, args)
}

// tools are the programs that musterctl also is.
func tools() map[string]toolFunc {
	named := func(run func(e *Env, name string, args []string) int, name string) toolFunc {
		return func(e *Env, args []string) int { return run(e, name, args) }
	}
	return map[string]toolFunc{
		"systemctl":           func(e *Env, args []string) int { return runSystemctl(e, args, false) },
		"systemd-run":         runTool,
		"systemd-analyze":     analyzeTool,
		"systemd-escape":      escapeTool,
		"systemd-notify":      notifyTool,
		"systemd-cgls":        cglsTool,
		"systemd-cgtop":       cgtopTool,
		"systemd-delta":       deltaTool,
		"systemd-detect-virt": detectVirtTool,
		"runlevel":            runlevelTool,
		"telinit":             telinitTool,
		"init":                telinitTool,
		"shutdown":            shutdownTool,
		"reboot":              named(haltTool, "reboot"),
		"poweroff":            named(haltTool, "poweroff"),
		"halt":                named(haltTool, "halt"),
	}
}

// subcommands are the tools that musterctl has as a word.
var subcommands = map[string]string{
	"run": "systemd-run", "analyze": "systemd-analyze", "escape": "systemd-escape", "notify": "systemd-notify", "cgls": "systemd-cgls",
	"cgtop": "systemd-cgtop", "delta": "systemd-delta", "detect-virt": "systemd-detect-virt", "shutdown": "shutdown",
}

// musterctl is systemctl with muster's own verbs, and with the other tools as verbs.
func musterctl(e *Env, args []string) int {
	if len(args) > 0 {
		if name, ok := subcommands[args[0]]; ok {
			e.Name += " " + args[0]
			return tools()[name](e, args[1:])
		}
		if isCobraWord(args[0]) {
			return runCobra(e, args)
		}
	}
	return runSystemctl(e, args, true)
}

func (s *systemctl) help() {
	s.startPager(s.o.noPager)
	s.printf("%s [OPTIONS...] VERB ...\n\nAsk and tell the service manager.\n", filepath.Base(s.Name))
	for _, g := range verbGroups() {
		if g.verbs[0].own && !s.ownVerbs {
			continue
		}
		s.printf("\n%s:\n", g.title)
		for _, v := range g.verbs {
			if !v.hidden {
				s.helpLine(v.name+" "+v.args, v.doc)
			}
		}
	}
	if s.ownVerbs {
		s.printf("\nTools:\n")
		for _, name := range sortedKeys(subcommands) {
			s.helpLine(name, "as "+subcommands[name])
		}
		s.helpLine("completion SHELL", "print the completion script for bash, zsh or fish")
	}
	s.printf("\nOptions:\n%s", optionHelp(s.options()))
}

func (s *systemctl) helpLine(left, doc string) {
	left = "  " + strings.TrimSpace(left)
	if len(left) > 36 {
		s.printf("%s\n%38s%s\n", left, "", doc)
		return
	}
	s.printf("%-38s%s\n", left, doc)
}

// parseTool reads the options of a small tool, with --help and --version added. done says that the tool is to end with status.
func (e *Env) parseTool(usage string, table []option, args []string, stopAtWord bool) (words []string, status int, done bool) {
	table = append([]option{
		{long: "help", short: 'h', doc: "show this help", set: func(string) error { return errHelp }},
		{long: "version", doc: "show the version", set: func(string) error { e.printf("%s\n", versionText()); return errDone }},
	}, table...)
	words, err := getopt(e.Name, table, args, stopAtWord)
	switch {
	case err == errHelp:
		e.printf("%s%s", usage, optionHelp(table))
		return nil, 0, true
	case err != nil:
		return nil, e.optionError(err), true
	}
	return words, 0, false
}

// absolutePath makes a path that an option gave absolute and simple.
func absolutePath(p string) (string, error) {
	if p == "" {
		return "", os.ErrInvalid
	}
	return filepath.Abs(p)
}
