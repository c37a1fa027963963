package ctl

import (
	"os"
	"strings"
	"testing"
)

// compat reads a table of what the tools of systemd 257 have.
func compat(t *testing.T, name string) [][]string {
	t.Helper()
	text, err := os.ReadFile("testdata/compat/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]string
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n")[1:] {
		rows = append(rows, strings.Split(line, "\t"))
	}
	return rows
}

// TestOptionsAreKnown asks for help beside each option of each tool: an option that isn't known is complained about first.
func TestOptionsAreKnown(t *testing.T) {
	asked := 0
	for _, row := range compat(t, "tool_options.tsv") {
		tool, name, argument := row[0], row[1], row[2]
		if tools()[tool] == nil {
			t.Errorf("%s %s: there is no such tool", tool, name)
			continue
		}
		args := []string{name, "--help"}
		switch {
		case argument == "": // none
		case strings.HasPrefix(name, "--"):
			args = []string{name + "=1", "--help"}
		default:
			args = []string{name, "1", "--help"}
		}
		_, _, talk := runAs(tool, args...)
		for _, complaint := range []string{"unrecognized option", "invalid option", "doesn't allow an argument", "requires an argument", "ambiguous"} {
			if strings.Contains(talk, complaint) {
				t.Errorf("%v: %s", row, strings.TrimSpace(talk))
				break
			}
		}
		asked++
	}
	if asked < 200 {
		t.Errorf("only %d options were asked for", asked)
	}
}

// TestVerbsAreKnown: each verb of systemctl and systemd-analyze is one.
func TestVerbsAreKnown(t *testing.T) {
	analyze := map[string]bool{}
	for _, v := range analyzeVerbs() {
		analyze[v.name] = true
	}
	asked := 0
	for _, row := range compat(t, "systemctl_verbs.tsv") {
		switch tool, verb := row[0], row[1]; {
		case tool == "systemctl" && findVerb(verb, false) == nil, tool == "systemd-analyze" && !analyze[verb]:
			t.Errorf("%s %s is missing", tool, verb)
		}
		asked++
	}
	if asked < 100 {
		t.Errorf("only %d verbs were asked for", asked)
	}
}

func TestTint(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"a\n", "\x1b[44ma\x1b[K\n"},
		{"\x1b[1mb\x1b[0mc", "\x1b[44m\x1b[1mb\x1b[0m\x1b[44mc"},
		{"\x1b[38;5;0mx\x1b[48;2;0;0;49my\x1b[1;49mz", "\x1b[44m\x1b[38;5;0mx\x1b[48;2;0;0;49my\x1b[1;49m\x1b[44mz"},
		{"\x1bcq\x1b[mr\x1b(B", "\x1b[44m\x1bc\x1b[44mq\x1b[m\x1b[44mr\x1b(B"},
	} {
		for n := range c.in {
			// Cut anywhere, the outcome is the same.
			x := newTint("44")
			got := string(x.apply([]byte(c.in[:n]))) + string(x.apply([]byte(c.in[n:])))
			if got != c.want || x.end() == "" {
				t.Errorf("%q cut at %d: %q, want %q", c.in, n, got, c.want)
			}
		}
	}
	if x := newTint(""); string(x.apply([]byte("\n"))) != "\n" || x.end() != "" {
		t.Error("a tint where none was asked for")
	}
}

// TestOtherManagers: containers and capsules are found by what stands below /run, and what can't be done there is refused before anything is asked.
func TestOtherManagers(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/run/systemd/machines/box", "# written by machined\nNAME=box\nSCOPE=machine-box.scope\nLEADER=4711\n")
	for _, socket := range []string{"/proc/4711/root/run/systemd/private", "/run/capsules/own/systemd/private"} {
		m := &fakeManager{t: t, units: []fakeUnit{{name: "nginx.service", load: "loaded", active: "active", sub: "running"}}}
		m.listen(root + socket)
	}
	for _, c := range []struct {
		tool, args string
		status     int
		text       string
	}{
		{"systemctl", "-M box is-active nginx.service", 0, "active"},
		{"systemctl", "-C own is-active nginx.service", 0, "active"},
		{"systemctl", "-M other is-active nginx.service", 1, "Failed to connect to system scope bus via machine transport: Host is down"},
		{"systemctl", "-C other is-active nginx.service", 1, "Failed to connect to user scope bus via capsule transport: No such file or directory"},
		{"systemctl", "-C ../x status", 1, "Invalid capsule name: ../x"},
		{"systemd-run", "-C / true", 1, "Invalid capsule name: /"},
		{"systemd-run", "--scope -M box true", 1, "A scope has processes of this system, but --machine= and --capsule= name another manager."},
		{"systemd-run", "--scope -H box true", 1, "Scope execution is not supported on remote systems."},
		{"systemd-run", "--pipe -H box true", 1, "--pty/--pipe is only supported when connecting to the local system or containers."},
		{"systemd-run", "--json=foo true", 1, "Unknown argument to --json= switch: foo"},
		{"systemd-run", "--pty --background=red true", 1, `--background=: "red" is no colour: the numbers of an escape sequence are expected, such as 44`},
		{"systemd-cgls", "-M other", 1, "Failed to load machine data: No such file or directory"},
		{"systemd-cgls", "-M .x", 1, "Machine name is not valid: .x"},
		{"systemd-cgls", "-u -M box", 1, "Cannot combine --unit or --user-unit with --machine=."},
		{"systemd-cgtop", "-1 -M other", 1, "Failed to load machine data: No such file or directory"},
	} {
		e, out, talk := testEnv(nil, 0)
		e.Root, e.Name = root, c.tool
		e.Dial = (&fakeManager{t: t}).dial
		status := e.run(c.tool, strings.Fields(c.args))
		if got := strings.TrimSpace(out.String() + talk.String()); status != c.status || got != c.text {
			t.Errorf("%s %s: status %d, %q; want %d, %q", c.tool, c.args, status, got, c.status, c.text)
		}
	}
}
