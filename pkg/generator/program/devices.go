package program

import (
	"github.com/muster-init/muster/pkg/generator/cryptsetup"
	"github.com/muster-init/muster/pkg/generator/hibernateresume"
	"github.com/muster-init/muster/pkg/generator/integritysetup"
	"github.com/muster-init/muster/pkg/generator/output"
	"github.com/muster-init/muster/pkg/generator/veritysetup"
)

// table reads the file that an environment variable names, or else the one in /etc.
func (m *machine) table(variable, path string) (string, string) {
	if p := m.Getenv(variable); p != "" {
		path = p
	}
	return path, m.read(path)
}

func cryptsetupTree(m *machine) *output.Tree {
	in := cryptsetup.Input{CommandLine: m.commandLine(), Initrd: m.initrd(), Program: m.helper("systemd-cryptsetup"), MakeFS: m.helper("systemd-makefs"),
		Umount: m.find("umount")}
	if in.Umount == "" {
		in.Umount = "/usr/bin/umount"
	}
	in.Path, in.Text = m.table("SYSTEMD_CRYPTTAB", "/etc/crypttab")
	return cryptsetup.Generate(in)
}

func veritysetupTree(m *machine) *output.Tree {
	in := veritysetup.Input{CommandLine: m.commandLine(), Initrd: m.initrd(), Program: m.helper("systemd-veritysetup")}
	in.Path, in.Text = m.table("SYSTEMD_VERITYTAB", "/etc/veritytab")
	return veritysetup.Generate(in)
}

func integritysetupTree(m *machine) *output.Tree {
	in := integritysetup.Input{Program: m.helper("systemd-integritysetup")}
	in.Path, in.Text = m.table("SYSTEMD_INTEGRITYTAB", "/etc/integritytab")
	return integritysetup.Generate(in)
}

func hibernateResumeTree(m *machine) *output.Tree {
	return hibernateresume.Generate(hibernateresume.Input{
		CommandLine: m.commandLine(), Initrd: m.initrd(), SoftReboot: m.Getenv("SYSTEMD_SOFT_REBOOTS_COUNT") != "", Firmware: m.hibernateLocation(),
	})
}
