// Package runline boots into a command line given on the kernel command line (systemd.run=), as systemd-run-generator(8) describes: the machine runs
// it and does what systemd.run_success_action= and systemd.run_failure_action= say, by default exit.
package runline

import (
	"github.com/muster-init/muster/pkg/generator/cmdline"
	"github.com/muster-init/muster/pkg/generator/output"
)

// Input is all that the result depends on.
type Input struct {
	CommandLine string
	Initrd      bool
}

const (
	name    = "systemd-run-generator"
	service = "kernel-command-line.service"
	target  = "kernel-command-line.target"
)

// Generate makes the service, a target for it and the alias default.target.
func Generate(in Input) *output.Tree {
	t := &output.Tree{}
	var commands []string
	success, failure, asked := "exit", "exit", false
	for _, p := range cmdline.Parse(in.CommandLine, cmdline.Strict, in.Initrd) {
		switch {
		case p.Is("systemd.run"):
			if !p.Has {
				t.Warn("kernel command line: %s= has no command, ignored", p.Key)
				continue
			}
			commands, asked = append(commands, p.Value), true
		case p.Is("systemd.run_success_action"), p.Is("systemd.run_failure_action"):
			if !p.Has {
				t.Warn("kernel command line: %s= has no action, ignored", p.Key)
				continue
			}
			asked = true
			if p.Is("systemd.run_success_action") {
				success = p.Value
			} else {
				failure = p.Value
			}
		}
	}
	if !asked {
		return t
	}
	u := output.NewUnit(name)
	u.Set("Unit", "Description", "Command from the kernel command line")
	u.Set("Unit", "SourcePath", "/proc/cmdline")
	if success != "none" {
		u.Set("Unit", "SuccessAction", success)
	}
	if failure != "none" {
		u.Set("Unit", "FailureAction", failure)
	}
	u.Set("Service", "Type", "oneshot")
	u.Set("Service", "StandardOutput", "journal+console")
	for _, c := range commands {
		u.Set("Service", "ExecStart", c)
	}
	check(t, t.Write(output.Normal, service, u))
	u = output.NewUnit(name)
	u.Set("Unit", "Description", "Command from the kernel command line")
	u.Set("Unit", "SourcePath", "/proc/cmdline")
	u.Set("Unit", "Requires", service)
	u.Set("Unit", "After", service)
	check(t, t.Write(output.Normal, target, u))
	check(t, t.AliasOwn(output.Normal, "default.target", target))
	return t
}

func check(t *output.Tree, err error) {
	if err != nil {
		t.Fail("kernel command line: systemd.run=: %v", err)
	}
}
