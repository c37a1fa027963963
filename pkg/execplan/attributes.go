package execplan

import (
	"fmt"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

const ioClassShift = 13

// attributes are the process attributes that one system call each sets.
func (b *builder) attributes() error {
	e, p := b.e, b.p
	p.UMask = e.UMask
	p.IgnoreSIGPIPE = e.IgnoreSIGPIPE
	p.Keyring = e.KeyringMode
	p.NUMAPolicy, p.NUMAMask = e.NUMAPolicy, e.NUMAMask
	p.CPUAffinity = e.CPUAffinity
	if e.CPUAffinityFromNUMA {
		p.AffinityFromNUMA = true
		b.tier2("CPUAffinity=numa")
	}
	if e.Nice.Set {
		p.Nice = &e.Nice.Value
	}
	if e.OOMScoreAdjust.Set {
		p.OOMScoreAdjust = &e.OOMScoreAdjust.Value
		// The kernel gives the score to every process that shares the memory
		// of the one it is set for, and the op-list child shares the manager's.
		b.tier2("OOMScoreAdjust")
	}
	if e.CoredumpFilter.Set {
		p.CoredumpFilter = &e.CoredumpFilter.Value
		b.tier2("CoredumpFilter") // is kept with the memory, too
	}
	if e.TimerSlackNSec != unit.Infinity {
		p.TimerSlackNSec = &e.TimerSlackNSec
	}
	// Both are kept with the memory, as the two above.
	if ksm := b.s.MemoryKSM; ksm != unit.Unset {
		on := ksm.Or(false)
		p.MemoryKSM = &on
		b.tier2("MemoryKSM")
	}
	if thp := b.s.MemoryTHP; thp != "" && thp != "inherit" {
		p.MemoryTHP = thp
		b.tier2("MemoryTHP")
	}
	if e.IOSchedulingSet || e.IOSchedulingClass.Set {
		// The kernel takes class none only without a priority; it stands for
		// the default, which is best-effort.
		const none, bestEffort = 0, 2
		class := e.IOSchedulingClass.Or(bestEffort)
		if class == none {
			class = bestEffort
		}
		prio := class<<ioClassShift | e.IOSchedulingPriority
		p.IOPriority = &prio
	}
	if e.CPUSchedulingSet {
		p.Sched = &plan.Sched{Policy: e.CPUSchedulingPolicy, Priority: e.CPUSchedulingPriority, ResetOnFork: e.CPUSchedulingResetOnFork}
	}
	p.WorkingDirectory, p.WorkingHome, p.WorkingOptional = e.WorkingDirectory, e.WorkingDirectoryHome, e.WorkingDirectoryMissingOK
	if p.WorkingDirectory == "" && !p.WorkingHome && b.ctx.UserMode {
		// Users' services start at home, where there is one.
		p.WorkingDirectory, _ = plan.LookupEnv(b.ctx.ManagerEnv, "HOME")
		p.WorkingOptional = true
	}
	if p.WorkingHome {
		b.tier2("WorkingDirectory=~")
	}
	if b.chroot {
		p.RootDirectory = e.RootDirectory
	}
	if p.RootDirectory == "/" || b.s.RootImage != "" || b.s.RootMStack != "" {
		p.RootDirectory = "" // an image or a stack has precedence
	}
	if e.UtmpIdentifier != "" {
		id := e.UtmpIdentifier
		p.Utmp = &plan.Utmp{ID: id, Mode: e.UtmpMode, Line: e.TTYPath}
		b.tier2("UtmpIdentifier")
	}
	return b.personality()
}

// Personalities by the name of the architecture they stand for (personality(2)).
func (b *builder) personality() error {
	const perLinux, perLinux32 = 0x0, 0x8
	var v uint64
	switch b.s.Personality {
	case "":
		return nil
	case "x86-64", "arm64", "ppc64", "ppc64-le", "s390x":
		v = perLinux
	case "x86", "arm", "ppc", "ppc-le", "s390":
		v = perLinux32
	default:
		return fmt.Errorf("Personality=%s: unknown architecture", b.s.Personality)
	}
	b.p.Personality = &v
	return nil
}

func (b *builder) limits() error {
	for i, l := range b.e.Limits {
		if l == nil {
			l = DefaultLimit(i)
		}
		if l != nil {
			b.p.Limits = append(b.p.Limits, plan.Limit{Resource: int32(i), Soft: l.Soft, Hard: l.Hard, Name: "Limit" + unit.RLimitNames[i]})
		}
	}
	return nil
}

// DefaultLimit is what a process gets for LimitNOFILE= and LimitMEMLOCK=, by
// the index of the resource, where nothing is set; nil for the others, which
// it inherits. A Go program raises its own NOFILE limit, which must not be
// handed down.
func DefaultLimit(i int) *value.Rlimit {
	switch i {
	case unit.RLimitNOFILE:
		return &value.Rlimit{Soft: defaultNOFILESoft, Hard: defaultNOFILEHard}
	case unit.RLimitMEMLOCK:
		return &value.Rlimit{Soft: defaultMEMLOCK, Hard: defaultMEMLOCK}
	}
	return nil
}
