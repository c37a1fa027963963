package execplan

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/execplan/seccomp"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// filters makes the system call filters, the list of SystemCallFilter= last,
// because what it denies may be needed to install the others.
func (b *builder) filters() error {
	if b.unfiltered {
		return nil
	}
	s, m := b.s, b.machine()
	type filter struct {
		setting string
		on      bool
		input   string // with the setting and the machine: what the code depends on
		make    func() ([]seccomp.Insn, error)
	}
	simple := func(f func(machine string) ([]seccomp.Insn, error)) func() ([]seccomp.Insn, error) {
		return func() ([]seccomp.Insn, error) { return f(m) }
	}
	list := []filter{
		{"RestrictAddressFamilies", s.RestrictAddressFamilies.Set, filterInput(s.RestrictAddressFamilies, 0), b.addressFamilies},
		{"MemoryDenyWriteExecute", s.MemoryDenyWriteExecute, "", simple(seccomp.WriteExecute)},
		{"RestrictRealtime", s.RestrictRealtime, "", simple(seccomp.Realtime)},
		{"RestrictSUIDSGID", s.RestrictSUIDSGID || b.e.DynamicUser, "", simple(seccomp.SUIDSGID)},
		{"RestrictNamespaces", s.RestrictNamespaces != unsetBits, strconv.FormatUint(s.RestrictNamespaces, 16), func() ([]seccomp.Insn, error) {
			return seccomp.Namespaces(m, uint32(s.RestrictNamespaces))
		}},
		{"ProtectHostname", s.ProtectHostname == "yes", "", simple(seccomp.Hostname)},
		{"ProtectKernelModules", s.ProtectKernelModules, "", simple(seccomp.KernelModules)},
		{"ProtectKernelLogs", s.ProtectKernelLogs, "", simple(seccomp.KernelLogs)},
		{"ProtectClock", s.ProtectClock, "", simple(seccomp.Clock)},
		{"PrivateDevices", s.PrivateDevices, "", simple(seccomp.RawIO)},
		{"SystemCallArchitectures", len(s.SystemCallArchitectures) > 0, strings.Join(s.SystemCallArchitectures, " "), func() ([]seccomp.Insn, error) {
			return seccomp.Architectures(m, s.SystemCallArchitectures)
		}},
		{"LockPersonality", s.LockPersonality, strconv.FormatUint(uint64(b.persona()), 16), b.lockPersonality},
		{"SystemCallLog", s.SystemCallLog.Set, filterInput(s.SystemCallLog, 0), b.callLog},
		{"SystemCallFilter", s.SystemCallFilter.Set, filterInput(s.SystemCallFilter, s.SystemCallErrorNumber), b.callFilter},
	}
	for _, f := range list {
		if !f.on {
			continue
		}
		code, err := b.ctx.Filters.get(f.setting+" "+m+" "+f.input, f.make)
		if err != nil {
			return fmt.Errorf("%s=: %w", f.setting, err)
		}
		b.addFilter(f.setting, code)
	}
	// Without CAP_SYS_ADMIN the kernel takes a filter only from who has given
	// up gaining privileges (systemd.exec(5), NoNewPrivileges=).
	if len(b.p.Filters) > 0 && (b.ctx.UserMode || b.ctx.UID != 0) {
		b.p.NoNewPrivs = true
	}
	return nil
}

const unsetBits = ^uint64(0)

func (b *builder) addFilter(setting string, code []plan.Insn) {
	f := plan.Filter{Setting: setting, Status: plan.ExitSeccomp, Code: code}
	if setting == "RestrictAddressFamilies" {
		f.Status = plan.ExitAddressFamilies
	}
	b.p.Filters = append(b.p.Filters, f)
}

// machine is the Go name of the architecture filters are made for.
func (b *builder) machine() string {
	switch b.ctx.Architecture {
	case "", "x86-64":
		return "amd64"
	case "arm64":
		return "arm64"
	}
	return b.ctx.Architecture
}

func (b *builder) addressFamilies() ([]seccomp.Insn, error) {
	f := b.s.RestrictAddressFamilies
	var numbers []uint32
	for _, name := range f.Names {
		n, err := value.ParseAddressFamily(name)
		if err != nil {
			return nil, err
		}
		numbers = append(numbers, uint32(n))
	}
	return seccomp.AddressFamilies(b.machine(), f.Allow, numbers)
}

// lockPersonality allows the personality the program starts with.
func (b *builder) lockPersonality() ([]seccomp.Insn, error) {
	return seccomp.Personality(b.machine(), b.persona())
}

func (b *builder) persona() uint32 {
	if b.p.Personality != nil {
		return uint32(*b.p.Personality)
	}
	return 0
}

// callFilter is SystemCallFilter= with SystemCallErrorNumber=. Error names
// behind a call are turned into numbers first.
func (b *builder) callFilter() ([]seccomp.Insn, error) {
	f := b.s.SystemCallFilter
	deny := seccomp.KillProcess
	if n := b.s.SystemCallErrorNumber; n > 0 && n != unit.SyscallKill {
		deny = seccomp.Errno(uint16(n))
	}
	names := make([]string, len(f.Names))
	for i, n := range f.Names {
		name, errno, has := strings.Cut(n, ":")
		if has && errno != "kill" {
			e, err := value.ParseErrno(errno)
			if err != nil {
				return nil, err
			}
			name += ":" + strconv.Itoa(int(e))
		} else if has {
			name = n
		}
		names[i] = name
	}
	code, _, err := seccomp.List(b.machine(), f.Allow, names, deny)
	return code, err
}

// callLog is SystemCallLog=.
func (b *builder) callLog() ([]seccomp.Insn, error) {
	return seccomp.LogList(b.machine(), b.s.SystemCallLog.Allow, b.s.SystemCallLog.Names)
}
