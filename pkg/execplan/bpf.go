package execplan

import (
	"fmt"
	"strconv"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// delegateBPF is what the file system of PrivateBPF= lets processes do, as its mount options.
func delegateBPF(s *unit.Sandbox, p *plan.Sandbox) error {
	if !p.PrivateBPF {
		return nil
	}
	for _, d := range []struct {
		setting, option, text string
		kind                  value.BPFKind
	}{
		{"BPFDelegateCommands", "delegate_cmds", s.BPFDelegateCommands, value.BPFCommands},
		{"BPFDelegateMaps", "delegate_maps", s.BPFDelegateMaps, value.BPFMaps},
		{"BPFDelegatePrograms", "delegate_progs", s.BPFDelegatePrograms, value.BPFPrograms},
		{"BPFDelegateAttachments", "delegate_attachs", s.BPFDelegateAttachments, value.BPFAttachments},
	} {
		if d.text == "" {
			continue
		}
		mask, err := value.ParseBPF(d.kind, d.text)
		if err != nil {
			return fmt.Errorf("%s=: %w", d.setting, err)
		}
		p.BPFOptions = append(p.BPFOptions, plan.MountOption{Name: d.option, Value: "0x" + strconv.FormatUint(mask, 16), Setting: d.setting})
	}
	return nil
}
