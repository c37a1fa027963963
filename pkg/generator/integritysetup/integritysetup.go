// Package integritysetup makes services that set up the devices of integritytab(5), as systemd-integritysetup-generator(8) describes.
package integritysetup

import (
	"strings"

	"github.com/muster-init/muster/pkg/generator/device"
	"github.com/muster-init/muster/pkg/generator/output"
)

// Input is all that the result depends on.
type Input struct {
	Path, Text string // /etc/integritytab
	Program    string // systemd-integritysetup, "" where it isn't installed
}

const name = "systemd-integritysetup-generator"

// Generate makes a service for each line.
func Generate(in Input) *output.Tree {
	t := &output.Tree{}
	for _, l := range device.Lines(in.Path, in.Text, 2, 4, t.Warn) {
		if in.Program == "" {
			t.Warn("%s: systemd-integritysetup is not installed, ignored", l.At)
			continue
		}
		if err := line(in, t, l); err != nil {
			t.Fail("%s: %v", l.At, err)
		}
	}
	return t
}

func line(in Input, t *output.Tree, l device.Line) error {
	what, key, options := device.Node(l.Fields[1]), dash(l.Fields[2]), dash(l.Fields[3])
	if key != "-" && !strings.HasPrefix(key, "/") {
		t.Fail("%s: key file %q is no absolute path, ignored", l.At, key)
		return nil
	}
	m := device.Mapped{Name: l.Fields[0], Source: in.Path, Prefix: "integritysetup"}
	service, err := m.Service()
	if err != nil {
		return err
	}
	u := output.NewUnit(name)
	m.Head(u)
	if !device.Is(what) {
		t.Fail("%s: %s is no device, ignored", l.At, what)
		return nil
	}
	if err := device.Bind(u, what); err != nil {
		return err
	}
	u.Set("Service", "Type", "oneshot")
	u.Set("Service", "RemainAfterExit", "yes")
	u.Set("Service", "TimeoutSec", "infinity")
	u.Set("Service", "ExecStart", in.Program+" attach "+device.Argument(m.Name)+" "+device.Argument(what)+" "+device.Argument(key)+" "+device.Argument(options))
	u.Set("Service", "ExecStop", in.Program+" detach "+device.Argument(m.Name))
	if err := t.Write(output.Normal, service, u); err != nil {
		return err
	}
	return m.Pull(t, service, true)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
