package service

import (
	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/unit"
)

// CanClean lists what CleanUnit could remove.
func (m *Machine) CanClean(cfg *unit.Unit) []string {
	kinds := control.DirectoryKinds(cfg)
	if cfg.GetService().FileDescriptorStoreMax > 0 {
		kinds = append(kinds, "fdstore")
	}
	return kinds
}

// Clean begins to remove directories of a dead service, and drops its fd store. v255: service_clean
func (m *Machine) Clean(h machine.Host, mask []string) *machine.Error {
	if m.s.Pending != nil || m.s.Sub != Dead && m.s.Sub != DeadResourcesPinned {
		return control.ErrUnitBusy
	}
	kinds := control.WantedKinds(control.DirectoryKinds(h.Unit()), mask)
	cleanStore := control.Wanted(mask, "fdstore") && len(m.s.Store) > 0
	if len(kinds) == 0 && !cleanStore {
		return control.ErrNothingToClean
	}
	if cleanStore {
		m.releaseStore(h)
	}
	if len(kinds) == 0 {
		return nil
	}
	m.s.CleanResult = ""
	m.setState(h, Cleaning)
	m.s.Timer.Arm(h.Now().Monotonic)
	m.askSlowly(h, &Pending{Kind: askClean, Kinds: kinds})
	return nil
}

func (m *Machine) cleaned(h machine.Host, message string) {
	if m.s.Sub != Cleaning {
		return
	}
	if message != "" && m.s.CleanResult == "" {
		h.Log(control.LogWarning, "", "Cleaning failed: "+message)
		m.s.CleanResult = ResultExitCode
	}
	m.enterDead(h, ResultSuccess, false)
}
