package kernel

import "github.com/muster-init/muster/pkg/kernel/facts"

// Detected is the innermost virtualization we run in.
type Detected struct {
	ID        string // as systemd-detect-virt(1) prints it: "none", "kvm", "docker" …
	Container bool   // ID is a container manager
}

// InContainer tells whether a container manager set us up. It works before
// /proc is mounted, by $container.
func InContainer() bool { return facts.DetectContainer("") != "" }

// DetectVirtualization reads some twenty small files of proc and sysfs and
// asks the CPU; what cannot be read counts as not there.
func DetectVirtualization() (Detected, error) {
	v := facts.DetectVirtualization("")
	return Detected{ID: v.ID(), Container: v.Container != ""}, nil
}

// CommandLine is the kernel command line in words; in a container the
// arguments of process 1. See kernel-command-line(7).
func CommandLine() ([]string, error) {
	text, err := facts.KernelCommandLine("", InContainer())
	if err != nil {
		return nil, err
	}
	return facts.SplitCommandLine(text), nil
}

// Architecture is the running kernel's, as ConditionArchitecture= names it.
func Architecture() string { return facts.Architecture() }
