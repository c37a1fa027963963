package ctl

import (
	"github.com/muster-init/muster/pkg/kernel/facts"
)

// The names systemd-detect-virt(1) knows.
var (
	virtualMachines = []string{"kvm", "amazon", "qemu", "bochs", "xen", "uml", "vmware", "oracle", "microsoft", "zvm", "parallels", "bhyve", "qnx",
		"acrn", "powervm", "apple", "sre", "google", "vm-other"}
	containers = []string{"systemd-nspawn", "lxc-libvirt", "lxc", "openvz", "docker", "podman", "rkt", "wsl", "proot", "pouch", "container-other"}
	enclaves   = []string{"none", "sev", "sev-es", "sev-snp", "tdx", "protvirt"}
)

// detectVirtTool is systemd-detect-virt.
func detectVirtTool(e *Env, args []string) int {
	mode, quiet := "any", false
	list := func(groups ...[]string) func(string) error {
		return func(string) error {
			for _, g := range groups {
				for _, w := range g {
					e.printf("%s\n", w)
				}
			}
			return errDone
		}
	}
	set := func(m string) func(string) error { return func(string) error { mode = m; return nil } }
	table := []option{
		{long: "container", short: 'c', doc: "only containers", set: set("container")},
		{long: "vm", short: 'v', doc: "only virtual machines", set: set("vm")},
		{long: "chroot", short: 'r', doc: "tell whether this is a chroot", set: set("chroot")},
		{long: "private-users", doc: "tell whether this is a user namespace", set: set("private-users")},
		{long: "cvm", doc: "only confidential virtual machines", set: set("cvm")},
		{long: "quiet", short: 'q', doc: "print nothing", set: setBool(&quiet, true)},
		{long: "list", doc: "list the names that there are", set: list([]string{"none"}, virtualMachines, containers)},
		{long: "list-cvm", doc: "list the names of --cvm", set: list(enclaves)},
	}
	words, status, done := e.parseTool("systemd-detect-virt [OPTIONS...]\n\nTell what this system runs in.\n\nOptions:\n", table, args, false)
	if done {
		return status
	}
	if len(words) > 0 {
		e.errorf("systemd-detect-virt takes no arguments.")
		return exitFailure
	}
	name := "none"
	switch mode {
	case "chroot":
		return failUnless(e.Chroot)
	case "private-users":
		return failUnless(facts.PrivateUsers(e.Root))
	case "cvm":
		name = facts.ConfidentialVM(e.Root)
	default:
		d := facts.DetectVirtualization(e.Root)
		switch mode {
		case "container":
			name = d.Container
		case "vm":
			name = d.VM
		default:
			name = d.ID()
		}
	}
	if name == "" {
		name = "none"
	}
	if !quiet {
		e.printf("%s\n", name)
	}
	return failUnless(name != "none")
}

func failUnless(ok bool) int {
	if ok {
		return 0
	}
	return exitFailure
}
