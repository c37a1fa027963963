package manager

import (
	"github.com/muster-init/muster/pkg/execplan"
	"github.com/muster-init/muster/pkg/unit"
)

// ownPressureFiles gives the files that a service is told to watch to the service's user, because only their owner may set a threshold. A control group
// without such a file (the kernel may be made without) is what the service finds out by itself.
func (c *cgroups) ownPressureFiles(u *unit.Unit, p string) {
	watched := execplan.Pressures(u)
	if len(watched) == 0 {
		return
	}
	uid, gid, ok := ownerOf(u)
	if !ok {
		return
	}
	for _, w := range watched {
		if w.File == "" {
			continue
		}
		if err := c.tree.Own(p, w.File, uid, gid); err != nil {
			c.m.log.debug(u.Name, "%v", err)
		}
	}
}
