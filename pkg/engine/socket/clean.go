package socket

import (
	"slices"

	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/unit"
)

// D-Bus errors of CleanUnit.
const (
	errUnitBusy       = "org.freedesktop.systemd1.UnitBusy"
	errNothingToClean = "org.freedesktop.systemd1.NothingToClean"
)

// CanClean lists what CleanUnit could remove.
func (m *Machine) CanClean(cfg *unit.Unit) []string {
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

// Clean begins to remove directories of a dead socket. v255: socket_clean
func (m *Machine) Clean(h machine.Host, mask []string) *machine.Error {
	if m.s.Pending != nil || m.s.Sub != Dead {
		return &machine.Error{Name: errUnitBusy, Message: "Unit is not inactive or has pending job."}
	}
	var kinds []string
	for _, k := range m.CanClean(h.Unit()) {
		if slices.Contains(mask, k) || slices.Contains(mask, "all") {
			kinds = append(kinds, k)
		}
	}
	if len(kinds) == 0 {
		return &machine.Error{Name: errNothingToClean, Message: "No matching resources found."}
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
	m.enterDead(h, ResultSuccess)
}
