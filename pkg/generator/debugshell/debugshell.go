// Package debugshell masks and pulls in units that the kernel command line names, and starts a shell on a terminal early, as
// systemd-debug-generator(8) describes. It is package debugshell because debug is one of the standard library's.
package debugshell

import (
	"strings"

	"github.com/muster-init/muster/pkg/generator/cmdline"
	"github.com/muster-init/muster/pkg/generator/output"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// Input is all that the result depends on.
type Input struct {
	CommandLine string
	Initrd      bool
	Credentials []Credential // systemd.extra-unit.* and systemd.unit-dropin.*
}

// Credential is one of the system's credentials.
type Credential struct{ Name, Text string }

// terminal is that of debug-shell.service where nothing else is said.
const terminal = "/dev/tty9"

const name = "systemd-debug-generator"

type state struct {
	masks, wants []string
	shell        bool
	tty, asked   string // systemd.default_debug_tty=, systemd.debug_shell=TTY
	target       string
}

// Generate makes masks, links and the drop-in for the terminal.
func Generate(in Input) *output.Tree {
	t := &output.Tree{}
	var s state
	for _, p := range cmdline.Parse(in.CommandLine, cmdline.Strict, in.Initrd) {
		s.read(p, in.Initrd, t)
	}
	for _, m := range s.masks {
		check(t, t.Mask(output.Early, m))
	}
	if s.shell {
		s.wants = append(s.wants, "debug-shell.service")
		s.terminalDropIn(t)
	}
	if s.target == "" {
		s.target = "default.target"
		if in.Initrd {
			s.target = "initrd.target"
		}
	}
	for _, w := range s.wants {
		check(t, t.PullNamed(output.Early, s.target, "wants", w))
	}
	for _, c := range in.Credentials {
		credential(t, c)
	}
	return t
}

// runlevels are the words that stood for targets before there were any.
var runlevels = map[string]string{
	"emergency": "emergency.target", "-b": "emergency.target", "rescue": "rescue.target", "single": "rescue.target", "-s": "rescue.target",
	"s": "rescue.target", "S": "rescue.target", "1": "rescue.target", "2": "multi-user.target", "3": "multi-user.target", "4": "multi-user.target",
	"5": "graphical.target",
}

func (s *state) read(p cmdline.Parameter, initrd bool, t *output.Tree) {
	text, filled := p.Text()
	switch {
	case p.Is("systemd.mask"), p.Is("systemd.wants"):
		list := &s.masks
		if p.Is("systemd.wants") {
			list = &s.wants
		}
		if !filled {
			t.Warn("kernel command line: %s= names no unit, ignored", p.Key)
			return
		}
		unitName, _, err := unit.Mangle(text, ".service", 0)
		if err != nil {
			t.Fail("kernel command line: %s=%s: %v", p.Key, text, err)
			return
		}
		*list = append(*list, unitName)
	case p.Is("systemd.debug_shell"):
		v, err := p.Flag()
		switch {
		case err == nil:
			s.shell, s.asked = v, ""
		default:
			s.shell, s.asked = true, text
		}
	case p.Is("systemd.default_debug_tty") && filled:
		s.tty = text
	case p.Is("systemd.unit") && filled:
		s.target = text
		if !unit.ValidName(text, unit.NameAny) {
			t.Fail("kernel command line: %s=%s is no valid unit name, ignored", p.Key, text)
			s.target = ""
		}
	case !p.Has && !initrd && runlevels[p.Key] != "":
		s.target = runlevels[p.Key]
	}
}

// terminalDropIn moves the shell to another terminal than that of its unit.
func (s *state) terminalDropIn(t *output.Tree) {
	tty := s.asked
	if tty == "" {
		tty = s.tty
	}
	if tty == "" {
		return
	}
	path := value.PathSimplify("/dev/" + strings.TrimPrefix(tty, "/dev/"))
	if path == terminal {
		return
	}
	if !value.PathIsNormalized(path) {
		t.Fail("kernel command line: %q is no terminal, ignored", tty)
		return
	}
	u := output.NewUnit(name)
	u.Set("Unit", "ConditionPathExists", "") // that of the unit looks at its own terminal
	u.Set("Service", "TTYPath", path)
	check(t, t.DropIn(output.Early, "debug-shell.service", "50-tty.conf", u))
}

func credential(t *output.Tree, c Credential) {
	if unitName, ok := strings.CutPrefix(c.Name, "systemd.extra-unit."); ok {
		if !unit.ValidName(unitName, unit.NameAny) {
			t.Warn("credential %s: %q is no valid unit name, ignored", c.Name, unitName)
			return
		}
		check(t, t.Verbatim(output.Early, unitName, c.Text))
		return
	}
	rest := strings.TrimPrefix(c.Name, "systemd.unit-dropin.")
	unitName, file, named := strings.Cut(rest, "~")
	if !named {
		file = "50-credential"
	}
	if !unit.ValidName(unitName, unit.NameAny) {
		t.Warn("credential %s: %q is no valid unit name, ignored", c.Name, unitName)
		return
	}
	if !strings.HasSuffix(file, ".conf") {
		file += ".conf"
	}
	check(t, t.Verbatim(output.Early, unitName+".d/"+file, c.Text))
}

func check(t *output.Tree, err error) {
	if err != nil {
		t.Fail("%v", err)
	}
}
