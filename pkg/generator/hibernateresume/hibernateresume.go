// Package hibernateresume lets the initrd wait for the device that a hibernated system was saved to, and resume from it, as
// systemd-hibernate-resume-generator(8) describes.
package hibernateresume

import (
	"strings"

	"github.com/muster-init/muster/pkg/generator/cmdline"
	"github.com/muster-init/muster/pkg/generator/device"
	"github.com/muster-init/muster/pkg/generator/output"
	"github.com/muster-init/muster/pkg/unit/value"
)

// Input is all that the result depends on.
type Input struct {
	CommandLine string
	Initrd      bool
	SoftReboot  bool   // the initrd was not entered by a boot: there is nothing to resume
	Firmware    string // device that the firmware's variable HibernateLocation names, "" for none
}

const (
	name    = "systemd-hibernate-resume-generator"
	service = "systemd-hibernate-resume.service"
)

// Generate ties the service to the device.
func Generate(in Input) *output.Tree {
	t := &output.Tree{}
	if !in.Initrd || in.SoftReboot {
		return t
	}
	what, offset, rootFlags, resumeFlags := "", "", []string{}, []string{}
	for _, p := range cmdline.Parse(in.CommandLine, cmdline.Both, true) {
		text, filled := p.Text()
		switch {
		case p.Is("noresume") && !p.Has:
			return t
		case p.Is("noresume"):
			t.Warn("kernel command line: noresume takes no value, ignored")
		case !filled:
		case p.Is("resume"):
			what = device.Node(text)
		case p.Is("resume_offset"):
			if _, err := value.ParseUint(text, 64); err != nil {
				t.Fail("kernel command line: resume_offset=%s: %v", text, err)
				return t
			}
			offset = text
		case p.Is("resumeflags"):
			resumeFlags = append(resumeFlags, text)
		case p.Is("rootflags"):
			rootFlags = append(rootFlags, text)
		}
	}
	switch {
	case what == "" && offset != "":
		t.Fail("kernel command line: resume_offset= without resume=")
		return t
	case what == "":
		what = in.Firmware
	}
	if what == "" {
		return t
	}
	if !device.Is(what) {
		t.Fail("kernel command line: resume=%s is no device", what)
		return t
	}
	if len(resumeFlags) == 0 {
		resumeFlags = rootFlags
	}
	if err := generate(t, what, device.SplitOptions(strings.Join(resumeFlags, ","))); err != nil {
		t.Fail("kernel command line: resume=: %v", err)
	}
	return t
}

func generate(t *output.Tree, what string, flags device.Options) error {
	if text, ok := flags.Last("x-systemd.device-timeout"); ok {
		if err := device.Timeout(t, name, what, "50-device-timeout.conf", text); err != nil {
			t.Warn("kernel command line: x-systemd.device-timeout=%s: %v, ignored", text, err)
		}
	}
	if err := device.Patient(t, name, what); err != nil {
		return err
	}
	u := output.NewUnit(name)
	if err := device.Bind(u, what); err != nil {
		return err
	}
	if err := t.DropIn(output.Normal, service, "90-device-dependency.conf", u); err != nil {
		return err
	}
	return t.Pull(output.Normal, "sysinit.target", "wants", service)
}
