package service

import (
	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/unit"
)

// CanClean lists what CleanUnit could remove.
func (m *Machine) CanClean(cfg *unit.Unit) []string {
	kinds := directoryKinds(cfg)
	if svc := cfg.GetService(); svc.FileDescriptorStorePreserve == "yes" && svc.FileDescriptorStoreMax > 0 {
		kinds = append(kinds, "fdstore")
	}
	return kinds
}

func directoryKinds(cfg *unit.Unit) []string {
	e := cfg.GetExec()
	var kinds []string
	for _, d := range []struct {
		kind string
		dir  unit.Directory
	}{
		{"configuration", e.ConfigurationDirectory}, {"state", e.StateDirectory}, {"cache", e.CacheDirectory},
		{"logs", e.LogsDirectory}, {"runtime", e.RuntimeDirectory},
	} {
		if len(d.dir.Items) > 0 {
			kinds = append(kinds, d.kind)
		}
	}
	return kinds
}

// Clean begins to remove directories of a dead service, and drops its fd store. v255: service_clean
func (m *Machine) Clean(h machine.Host, mask []string) *machine.Error {
	if m.s.Pending != nil || m.s.Sub != Dead && m.s.Sub != DeadResourcesPinned {
		return &machine.Error{Name: errUnitBusy, Message: "Unit is not inactive or has pending job."}
	}
	wanted := func(kind string) bool {
		for _, k := range mask {
			if k == kind || k == "all" {
				return true
			}
		}
		return false
	}
	var kinds []string
	for _, k := range directoryKinds(h.Unit()) {
		if wanted(k) {
			kinds = append(kinds, k)
		}
	}
	cleanStore := wanted("fdstore") && len(m.s.Store) > 0
	if len(kinds) == 0 && !cleanStore {
		return &machine.Error{Name: errNothingToClean, Message: "No matching resources found."}
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

// D-Bus errors of CleanUnit.
const (
	errUnitBusy       = "org.freedesktop.systemd1.UnitBusy"
	errNothingToClean = "org.freedesktop.systemd1.NothingToClean"
)

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
