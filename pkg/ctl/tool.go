package ctl

import (
	"os"
	"path/filepath"
)

// Version is the version musterctl shows; the systemd version whose interfaces it follows comes with it.
const Version = "0.1"

func versionText() string { return "muster " + Version + " (systemctl of systemd 257)" }

// Main runs the tool that argv[0] names, musterctl for every other name, and gives the exit status.
func Main(argv []string) int {
	e := NewEnv(argv[0])
	defer e.Close()
	return e.run(filepath.Base(argv[0]), argv[1:])
}

func (e *Env) run(name string, args []string) int {
	if tool, ok := tools()[name]; ok {
		return tool(e, args)
	}
	return musterctl(e, args)
}

// tools are the programs that musterctl also is.
func tools() map[string]func(e *Env, args []string) int {
	return map[string]func(e *Env, args []string) int{
		"systemctl": func(e *Env, args []string) int { return runSystemctl(e, args, false) },
	}
}

// musterctl is systemctl with muster's own verbs, and with the other tools as verbs.
func musterctl(e *Env, args []string) int {
	return runSystemctl(e, args, true)
}

func (s *systemctl) help() {
	s.printf("%s [OPTIONS...] VERB ...\n\nAsk and tell the service manager.\n\nVerbs:\n", filepath.Base(s.Name))
	for _, v := range verbs() {
		if v.hidden || v.own && !s.ownVerbs {
			continue
		}
		left := "  " + v.name
		if v.args != "" {
			left += " " + v.args
		}
		if len(left) > 36 {
			s.printf("%s\n%38s%s\n", left, "", v.doc)
			continue
		}
		s.printf("%-38s%s\n", left, v.doc)
	}
	s.printf("\nOptions:\n%s", optionHelp(s.options()))
}

// absolutePath makes a path that an option gave absolute and simple.
func absolutePath(p string) (string, error) {
	if p == "" {
		return "", os.ErrInvalid
	}
	return filepath.Abs(p)
}
