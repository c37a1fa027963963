// Package xdgautostart makes services of the files in the autostart directories of a user's session, as systemd-xdg-autostart-generator(8) and the
// Desktop Application Autostart Specification describe. A desktop starts them by xdg-desktop-autostart.target.
package xdgautostart

import (
	"strings"

	"github.com/muster-init/muster/pkg/generator/output"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// Input is all that the result depends on.
type Input struct {
	Files []File // of several with one name the first counts
	// Find gives the path of a program by its name or path, "" where there is none that can be executed.
	Find func(program string) string
	// Condition is systemd-xdg-autostart-condition, which compares with the running desktop; "" where it isn't installed.
	Condition string
}

// File is a desktop file.
type File struct{ Name, Path, Text string }

const name = "systemd-xdg-autostart-generator"

// filesMax bounds the services.
const filesMax = 4096

// Generate makes a service for each file.
func Generate(in Input) *output.Tree {
	t := &output.Tree{}
	seen := map[string]bool{}
	for _, f := range in.Files {
		if seen[f.Name] || len(seen) >= filesMax {
			continue
		}
		seen[f.Name] = true
		e, err := parse(f.Path, f.Text, t.Warn)
		if err != nil {
			t.Warn("%v: the file is ignored", err)
			continue
		}
		if e.hidden || e.skip || e.kind != "Application" {
			continue
		}
		if err := service(in, t, f, e); err != nil {
			t.Fail("%s: %v", f.Path, err)
		}
	}
	return t
}

func service(in Input, t *output.Tree, f File, e *entry) error {
	if e.exec == "" {
		t.Warn("%s: no Exec=, ignored", f.Path)
		return nil
	}
	if e.tryExec != "" && in.Find(e.tryExec) == "" {
		return nil
	}
	args, err := arguments(e.exec)
	if err != nil {
		t.Warn("%s: Exec=: %v, ignored", f.Path, err)
		return nil
	}
	if len(args) == 0 || in.Find(args[0]) == "" {
		t.Warn("%s: the program of Exec= is not there, ignored", f.Path)
		return nil
	}
	args[0] = in.Find(args[0])
	if len(e.onlyIn)+len(e.notIn) > 0 && in.Condition == "" {
		t.Warn("%s: it is for certain desktops, and systemd-xdg-autostart-condition, which would tell, is not installed; ignored", f.Path)
		return nil
	}
	file := "app-" + unit.Escape(strings.TrimSuffix(f.Name, ".desktop")) + "@autostart.service"
	u := output.NewUnit(name)
	u.Set("Unit", "SourcePath", f.Path)
	if e.name != "" && value.TextIsValid(e.name) && !strings.ContainsAny(e.name, "\n\r") {
		u.Set("Unit", "Description", e.name)
	}
	u.Set("Unit", "After", "graphical-session.target")
	u.Set("Unit", "PartOf", "graphical-session.target")
	u.Set("Service", "Type", "exec")
	u.Set("Service", "ExitType", "cgroup") // programs that go into the background are running still
	words := make([]string, len(args))
	for i, a := range args {
		words[i] = value.QuoteWord(a)
	}
	u.Set("Service", "ExecStart", ":"+strings.Join(words, " "))
	u.Set("Service", "Restart", "no")
	u.Set("Service", "TimeoutStopSec", "5s")
	u.Set("Service", "Slice", "app.slice")
	if e.dir != "" {
		u.Set("Service", "WorkingDirectory", "-"+e.dir)
	}
	conditions(in, u, e)
	if err := t.Write(output.Late, file, u); err != nil {
		return err
	}
	return t.Pull(output.Late, "xdg-desktop-autostart.target", "wants", file)
}

// conditions asks the desktops whether the program is for them.
func conditions(in Input, u *output.Unit, e *entry) {
	notIn := e.notIn
	if e.gnomePhase != "" {
		notIn = append(notIn, "GNOME") // it starts those of a phase by itself
	}
	if len(e.onlyIn)+len(notIn) > 0 && in.Condition != "" {
		u.Set("Service", "ExecCondition", in.Condition+" "+word(strings.Join(e.onlyIn, ":"))+" "+word(strings.Join(notIn, ":")))
	}
	for _, c := range []struct{ program, text string }{{"gnome-systemd-autostart-condition", e.gnomeIf}, {"kde-systemd-start-condition", e.kdeIf}} {
		if c.text == "" {
			continue
		}
		// A desktop that isn't installed has nothing to say.
		if path := in.Find(c.program); path != "" {
			u.Set("Service", "ExecCondition", path+" --condition "+word(c.text))
		}
	}
}

func word(text string) string {
	if text == "" {
		return `""`
	}
	return strings.ReplaceAll(value.QuoteWord(text), "$", "$$")
}
