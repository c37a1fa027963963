// Package getty starts login prompts on the consoles that the kernel, a virtualizer or a container manager offers, as systemd-getty-generator(8)
// describes. Virtual terminals (tty1…) are no affair of it: logind starts those.
package getty

import (
	"strings"

	"github.com/muster-init/muster/pkg/generator/cmdline"
	"github.com/muster-init/muster/pkg/generator/output"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// Input is all that the result depends on.
type Input struct {
	CommandLine         string
	Initrd              bool
	Environment         string // $SYSTEMD_GETTY_AUTO of PID 1: it is the kernel or a container manager that says so
	Container           bool
	ContainerTTYs       string   // $container_ttys of PID 1
	Active              []string // /sys/class/tty/console/active
	SerialCredential    string   // getty.ttys.serial
	ContainerCredential string   // getty.ttys.container
	// HasTTY reports a terminal that the kernel knows; IsTerminal one that can be opened. Names are without /dev/.
	HasTTY, IsTerminal func(name string) bool
}

// virtualizers are the terminals of hypervisors, which are there only if one is.
var virtualizers = []string{"hvc0", "xvc0", "hvsi0", "sclp_line0", "ttysclp0", "3270!tty1"}

// ttysMax bounds the prompts: a credential or an environment must not start thousands.
const ttysMax = 256

// Generate makes the links.
func Generate(in Input) *output.Tree {
	t := &output.Tree{}
	if !enabled(in, t) {
		return t
	}
	for _, tty := range lines(in.SerialCredential) {
		pull(t, "serial-getty@", tty)
	}
	for _, tty := range lines(in.ContainerCredential) {
		pull(t, "container-getty@", tty)
	}
	if in.Container {
		containers(in, t)
		return t
	}
	for i := len(in.Active) - 1; i >= 0; i-- {
		if tty := in.Active[i]; !virtual(tty) && len(in.Active) <= ttysMax && in.IsTerminal(tty) {
			pull(t, "serial-getty@", tty)
		}
	}
	for _, tty := range virtualizers {
		if in.HasTTY(tty) && in.IsTerminal(strings.ReplaceAll(tty, "!", "/")) {
			pull(t, "serial-getty@", strings.ReplaceAll(tty, "!", "/"))
		}
	}
	return t
}

// containers gives prompts on the console and the pseudo terminals that the manager made.
func containers(in Input, t *output.Tree) {
	if in.IsTerminal("console") {
		if err := t.PullShipped(output.Normal, "getty.target", "wants", "console-getty.service"); err != nil {
			t.Fail("%v", err)
		}
	}
	for i, word := range strings.Fields(in.ContainerTTYs) {
		if i == ttysMax {
			t.Warn("container_ttys: more than %d terminals, the rest is left out", ttysMax)
			break
		}
		number, pts := strings.CutPrefix(strings.TrimPrefix(word, "/dev/"), "pts/")
		if !pts {
			t.Warn("container_ttys: %q is no pseudo terminal, ignored", word)
			continue
		}
		pull(t, "container-getty@", number)
	}
}

// enabled reads the switch on the command line and, over it, in the environment.
func enabled(in Input, t *output.Tree) bool {
	on := true
	for _, p := range cmdline.Parse(in.CommandLine, cmdline.Loose, in.Initrd) {
		if !p.Is("systemd.getty_auto") {
			continue
		}
		if v, err := p.Flag(); err == nil {
			on = v
		} else {
			t.Warn("kernel command line: systemd.getty_auto=%s is no boolean, ignored", p.Value)
		}
	}
	if in.Environment != "" {
		if v, err := value.ParseBool(in.Environment); err == nil {
			on = v
		} else {
			t.Warn("$SYSTEMD_GETTY_AUTO: %v, ignored", err)
		}
	}
	return on
}

// virtual reports the terminals of the screen.
func virtual(tty string) bool {
	number, ok := strings.CutPrefix(tty, "tty")
	return ok && number != "" && strings.Trim(number, "0123456789") == "" || tty == "tty" || tty == "console"
}

func lines(text string) []string {
	var list []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && len(list) < ttysMax {
			list = append(list, line)
		}
	}
	return list
}

func pull(t *output.Tree, prefix, tty string) {
	instance, err := unit.PathEscape(tty)
	if err == nil {
		err = t.PullShipped(output.Normal, "getty.target", "wants", prefix+instance+".service")
	}
	if err != nil {
		t.Fail("terminal %q: %v", tty, err)
	}
}
