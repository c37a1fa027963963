// Package sysupdate boots into system-update.target while there is an offline update to do (systemd.offline-updates(7)).
package sysupdate

import (
	"github.com/muster-init/muster/pkg/generator/cmdline"
	"github.com/muster-init/muster/pkg/generator/output"
)

// Input is all that the result depends on.
type Input struct {
	CommandLine string
	Initrd      bool
	Asked       bool // /system-update or /etc/system-update is there, even if it points nowhere
}

// Generate makes default.target another one.
func Generate(in Input) *output.Tree {
	t := &output.Tree{}
	if !in.Asked || in.Initrd {
		return t
	}
	if err := t.Alias(output.Early, "default.target", "system-update.target"); err != nil {
		t.Fail("%v", err)
		return t
	}
	for _, p := range cmdline.Parse(in.CommandLine, cmdline.Strict, false) {
		if p.Is("systemd.unit") && p.Has {
			t.Warn("the offline update waits: the kernel command line says systemd.unit=%s", p.Value)
		}
	}
	return t
}
