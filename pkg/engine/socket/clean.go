package socket

import (
	"github.com/muster-init/muster/pkg/engine/control"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/unit"
)

// CanClean lists what CleanUnit could remove.
func (m *Machine) CanClean(cfg *unit.Unit) []string { return control.DirectoryKinds(cfg) }

// Clean begins to remove directories of a dead socket. v255: socket_clean
func (m *Machine) Clean(h machine.Host, mask []string) *machine.Error {
	if m.s.Pending != nil || m.s.Sub != Dead {
		return control.ErrUnitBusy
	}
	kinds := control.WantedKinds(m.CanClean(h.Unit()), mask)
	if len(kinds) == 0 {
		return control.ErrNothingToClean
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
