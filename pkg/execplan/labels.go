package execplan

import (
	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/unit"
)

// labels are for security modules. Which of them is there only the executor
// finds out: a label for one that isn't is nothing (systemd.exec(5),
// SELinuxContext= and its neighbours).
func (b *builder) labels() error {
	if b.privileged {
		return nil
	}
	for _, l := range []struct {
		setting string
		from    unit.Label
		to      *plan.Label
	}{
		{"SELinuxContext", b.s.SELinuxContext, &b.p.Labels.SELinux},
		{"AppArmorProfile", b.s.AppArmorProfile, &b.p.Labels.AppArmor},
		{"SmackProcessLabel", b.s.SmackProcessLabel, &b.p.Labels.Smack},
	} {
		if l.from.Label != "" {
			*l.to = plan.Label{Name: l.from.Label, Optional: l.from.IgnoreFailure}
			b.tier2(l.setting)
		}
	}
	return nil
}
