package value

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// Words are checked against systemd by TestUnitRecording; here is what its dump
// does not show.
func TestParseCommandFlags(t *testing.T) {
	for line, want := range map[string]Command{
		"/bin/a":           {Path: "/bin/a", Argv: []string{"/bin/a"}},
		"-/bin/a":          {Path: "/bin/a", Argv: []string{"/bin/a"}, Flags: CommandIgnoreFailure},
		"@/bin/a b":        {Path: "/bin/a", Argv: []string{"b"}, Flags: CommandArgv0},
		"+:-/bin//a/./b":   {Path: "/bin/a/b", Argv: []string{"/bin//a/./b"}, Flags: CommandPrivileged | CommandNoEnvExpand | CommandIgnoreFailure},
		"!/bin/a":          {Path: "/bin/a", Argv: []string{"/bin/a"}, Flags: CommandNoSetuid},
		"!!a":              {Path: "a", Argv: []string{"a"}, Flags: CommandAmbient},
		"!-!a":             {Path: "a", Argv: []string{"a"}, Flags: CommandAmbient | CommandIgnoreFailure},
		"|echo a && b":     {Path: "/bin/sh", Argv: []string{"sh", "-c", "echo a && b"}, Flags: CommandViaShell},
		"|":                {Path: "/bin/sh", Argv: []string{"sh"}, Flags: CommandViaShell},
		"|@":               {Path: "/bin/sh", Argv: []string{"-sh"}, Flags: CommandViaShell | CommandArgv0},
		"a $X ${Y} \\; %n": {Path: "a", Argv: []string{"a", "$X", "${Y}", ";", "NAME OF"}},
		"%n b":             {Path: "NAME OF", Argv: []string{"NAME OF", "b"}},
	} {
		got, err := ParseCommand(line, func(w string) (string, error) { return strings.ReplaceAll(w, "%n", "NAME OF"), nil })
		if err != nil || len(got) != 1 || !reflect.DeepEqual(got[0], want) {
			t.Errorf("%s: %+v, %v, want %+v", line, got, err, want)
		}
	}
}

func TestParseCommandErrors(t *testing.T) {
	refuse := func(string) (string, error) { return "", errors.New("no such specifier") }
	if _, err := ParseCommand("/bin/a %q", refuse); err == nil || !strings.Contains(err.Error(), "no such specifier") {
		t.Errorf("expander: %v", err)
	}
	var ce *CommandError
	commands, err := ParseCommand("/bin/a ; -b/c ; /bin/d", nil)
	if len(commands) != 1 || !errors.As(err, &ce) || ce.Fatal {
		t.Errorf("ignored: %+v, %v", commands, err)
	}
	if _, err = ParseCommand("b/c", nil); !errors.As(err, &ce) || !ce.Fatal {
		t.Errorf("fatal: %v", err)
	}
	commands, err = ParseCommand(`/bin/a \q`, nil)
	if ce = nil; errors.As(err, &ce) || err == nil || len(commands) != 1 || commands[0].Argv[1] != `\q` {
		t.Errorf("warning: %+v, %v", commands, err)
	}
}

func TestCommandFlagNames(t *testing.T) {
	f := CommandIgnoreFailure | CommandNoEnvExpand | CommandPrivileged
	if got := f.Names(); !slices.Equal(got, []string{"ignore-failure", "no-env-expand", "privileged"}) {
		t.Errorf("names: %q", got)
	}
	if got, err := ParseCommandFlags(f.Names()); got != f || err != nil {
		t.Errorf("parsed: %v, %v", got, err)
	}
	for _, names := range [][]string{{"foo"}, {""}, {"ambient", "no-setuid"}} {
		if _, err := ParseCommandFlags(names); err == nil {
			t.Errorf("%q: read", names)
		}
	}
}

func TestCommandFormat(t *testing.T) {
	for _, line := range []string{
		`/bin/a "b c" \; d`, `-@/bin/a x`, `+/bin/a ; -/bin/b`, `:a "" 'x"y' \n`, `!!a ";" b`, `!a`, `|echo a`, `|@`, `@/bin/a ""`, `/bin//a b`, `"/bin/a b" \xff`, `a \\; x`,
	} {
		commands, err := ParseCommand(line, nil)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		text := FormatCommands(commands)
		again, err := ParseCommand(text, nil)
		if err != nil || len(again) != len(commands) {
			t.Errorf("%s: formatted %s: %v", line, text, err)
			continue
		}
		for i, c := range again {
			c.Flags &^= CommandArgv0
			want := commands[i]
			want.Flags &^= CommandArgv0
			if !reflect.DeepEqual(c, want) {
				t.Errorf("%s: formatted %s: %+v, want %+v", line, text, c, want)
			}
		}
	}
}
