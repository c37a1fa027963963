package manager

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/seccomp"
	"github.com/muster-init/muster/pkg/kernel"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// confine applies the settings of system.conf that are about the manager's own process and so about everything below it. Those that can't be taken back
// are made once, by the image that boots.
func (m *Manager) confine() error {
	var errs []error
	c := m.cfg
	if c.TimerSlackNSec != unit.Infinity {
		errs = append(errs, named("TimerSlackNSec=", kernel.TimerSlackOfAll(c.TimerSlackNSec)))
	}
	if m.opt.Deserialize {
		return errors.Join(errs...)
	}
	if len(c.CPUAffinity) > 0 || c.CPUAffinityFromNUMA {
		mask, err := affinityOf(c)
		if err == nil {
			err = kernel.AffinityOfAll(mask)
		}
		errs = append(errs, named("CPUAffinity=", err))
	}
	if c.NUMAPolicy >= 0 {
		errs = append(errs, named("NUMAPolicy=", kernel.MempolicyOfAll(int(c.NUMAPolicy), c.NUMAMask)))
	}
	if m.system && c.ProtectSystem == "yes" || c.ProtectSystem == "auto" && m.system && m.initrd {
		errs = append(errs, named("ProtectSystem=", protectUsr()))
	}
	if len(c.SystemCallArchitectures) > 0 {
		errs = append(errs, named("SystemCallArchitectures=", filterArchitectures(c.SystemCallArchitectures)))
	}
	if c.CapabilityBoundingSet != ^uint64(0) {
		errs = append(errs, named("CapabilityBoundingSet=", m.limitCapabilities(c.CapabilityBoundingSet)))
	}
	if c.NoNewPrivileges {
		errs = append(errs, named("NoNewPrivileges=", kernel.NoNewPrivilegesOfAll()))
	}
	return errors.Join(errs...)
}

func named(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %w", what, err)
}

// affinityOf is the CPUs of CPUAffinity=; with "numa" those of the nodes of NUMAMask=.
func affinityOf(c *unit.ManagerConfig) ([]byte, error) {
	if !c.CPUAffinityFromNUMA {
		return c.CPUAffinity, nil
	}
	var mask []byte
	for node := range len(c.NUMAMask) * 8 {
		if c.NUMAMask[node/8]>>(node%8)&1 == 0 {
			continue
		}
		path := "/sys/devices/system/node/node" + strconv.Itoa(node) + "/cpulist"
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		set, err := value.ParseIndexSet(strings.TrimSpace(string(text)))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		for i, word := range set {
			for k := range 8 {
				if at := i*8 + k; byte(word>>(8*k)) != 0 {
					mask = append(mask, make([]byte, max(0, at+1-len(mask)))...)
					mask[at] |= byte(word >> (8 * k))
				}
			}
		}
	}
	return mask, nil
}

// protectUsr makes /usr read-only for everything, as a mount of its own over itself.
func protectUsr() error {
	if err := unix.Mount("/usr", "/usr", "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return err
	}
	return unix.MountSetattr(unix.AT_FDCWD, "/usr", unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
}

func filterArchitectures(names []string) error {
	code, err := seccomp.Architectures(runtime.GOARCH, names)
	if err != nil {
		return err
	}
	program := make([]unix.SockFilter, len(code))
	for i, in := range code {
		program[i] = unix.SockFilter{Code: in.Code, Jt: in.JT, Jf: in.JF, K: in.K}
	}
	return kernel.FilterOfAll(program)
}

// limitCapabilities drops capabilities from this process and from the programs that the kernel starts.
func (m *Manager) limitCapabilities(keep uint64) error {
	var errs []error
	if m.system && !m.container {
		text := fmt.Sprintf("%d %d\n", uint32(keep), uint32(keep>>32))
		for _, name := range []string{"bset", "inheritable"} {
			errs = append(errs, os.WriteFile("/proc/sys/kernel/usermodehelper/"+name, []byte(text), 0))
		}
	}
	return errors.Join(append(errs, kernel.LimitCapabilitiesOfAll(keep))...)
}

// setOwnEnvironment applies ManagerEnvironment=, and takes back what an earlier configuration had set.
func (m *Manager) setOwnEnvironment(block []string) {
	for _, e := range m.ownVariables {
		name, _, _ := strings.Cut(e, "=")
		if !slices.Contains(block, e) {
			_ = os.Unsetenv(name)
		}
	}
	for _, e := range block {
		name, val, _ := strings.Cut(e, "=")
		_ = os.Setenv(name, val)
	}
	m.ownVariables = block
}

// ownEnvironment is the environment of the next image: without what the configuration adds to this one, as it will be read again.
func (m *Manager) ownEnvironment() []string {
	return slices.DeleteFunc(os.Environ(), func(e string) bool { return slices.Contains(m.ownVariables, e) })
}
