package execplan

import (
	"fmt"
	"slices"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// restrictFileSystems fills in which file systems the process may open files on.
// DEVIATION: a name that isn't known fails the start; systemd warns and leaves it out, which lets more be opened where the list denies.
func (b *builder) restrictFileSystems(p *plan.Sandbox, list unit.FilterList) error {
	if !list.Set {
		return nil
	}
	p.FileSystems = &plan.FileSystems{Allow: list.Allow, CgroupDir: b.ctx.CgroupDir}
	for _, name := range list.Names {
		magic, ok := value.FileSystemMagic(name)
		if !ok {
			return fmt.Errorf("RestrictFileSystems=: no file system is known by the name %s", name)
		}
		p.FileSystems.Magic = append(p.FileSystems.Magic, magic...)
	}
	slices.Sort(p.FileSystems.Magic)
	p.FileSystems.Magic = slices.Compact(p.FileSystems.Magic)
	return nil
}
