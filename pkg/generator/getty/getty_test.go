package getty

import (
	"fmt"
	"strings"
	"testing"
)

// TestSwitch: the command line switches the generator off, the environment over it (observed: systemd 257); what is no boolean is reported and changes nothing.
func TestSwitch(t *testing.T) {
	yes := func(string) bool { return true }
	no := func(string) bool { return false }
	for _, c := range []struct {
		environment, line string
		links, messages   int
	}{
		{"", "", 1, 0}, {"0", "", 0, 0}, {"1", "", 1, 0}, {"no", "systemd.getty_auto", 0, 0}, {"yes", "systemd.getty_auto=0", 1, 0}, {"", "systemd.getty_auto=0", 0, 0},
		{"maybe", "", 1, 1}, {"", "systemd.getty_auto=maybe", 1, 1}, {"", "systemd.getty-auto=off", 0, 0},
	} {
		tree := Generate(Input{Environment: c.environment, CommandLine: c.line, Active: []string{"tty0", "ttyS0"}, HasTTY: no, IsTerminal: yes})
		if len(tree.Files()) != c.links || len(tree.Messages()) != c.messages {
			t.Errorf("%q, %q: %v, %q", c.environment, c.line, tree.Files(), tree.Messages())
		}
	}
}

// TestManyTerminals: a list without end starts a bounded number of prompts.
func TestManyTerminals(t *testing.T) {
	var text strings.Builder
	for i := range 10000 {
		fmt.Fprintf(&text, "pts/%d\n", i)
	}
	none := func(string) bool { return false }
	tree := Generate(Input{SerialCredential: text.String(), Container: true, ContainerTTYs: text.String(), HasTTY: none, IsTerminal: none})
	if n := len(tree.Files()); n == 0 || n > 2*ttysMax {
		t.Errorf("%d prompts", n)
	}
}
