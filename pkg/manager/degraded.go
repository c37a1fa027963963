package manager

import (
	"strings"

	"github.com/muster-init/muster/pkg/busapi"
	"github.com/muster-init/muster/pkg/cgroup"
	"github.com/muster-init/muster/pkg/unit"
)

// degradation is what the processes of one activation went on without.
type degradation struct {
	invocation string
	list       []busapi.Degraded
}

// degradedMax bounds what is kept of one activation.
const degradedMax = 32

// hear takes note of what an executor could not do, once.
func (s *spawner) hear(c *child) {
	notices := c.Notices()[c.heard:]
	c.heard += len(notices)
	if len(notices) == 0 {
		return
	}
	d := s.degraded[c.unit]
	if u := s.m.eng.Unit(c.unit); u != nil && d.invocation != u.Invocation() {
		d = degradation{invocation: u.Invocation()}
	}
	for _, n := range notices {
		s.m.log.notice(c.unit, "%s", n.Error())
		setting, _, _ := strings.Cut(n.Setting, " ")
		if n.Path != "" && n.Setting == "mount namespace" {
			setting = n.Path
		}
		if len(d.list) < degradedMax {
			d.list = append(d.list, busapi.Degraded{Setting: strings.TrimSuffix(setting, "="), Reason: n.Message})
		}
	}
	if s.degraded == nil {
		s.degraded = map[string]degradation{}
	}
	s.degraded[c.unit] = d
}

// controllerOf says which controller the settings of a name need.
var controllerOf = []struct {
	prefix     string
	controller cgroup.Mask
	name       string
}{
	{"Memory", cgroup.Memory, "memory"}, {"StartupMemory", cgroup.Memory, "memory"}, {"DefaultMemory", cgroup.Memory, "memory"},
	{"TasksMax", cgroup.PIDs, "pids"}, {"CPUWeight", cgroup.CPU, "cpu"}, {"StartupCPU", cgroup.CPU, "cpu"}, {"CPUQuota", cgroup.CPU, "cpu"}, {"CPUShares", cgroup.CPU, "cpu"},
	{"IO", cgroup.IO, "io"}, {"StartupIO", cgroup.IO, "io"}, {"BlockIO", cgroup.IO, "io"}, {"StartupBlockIO", cgroup.IO, "io"}, {"AllowedCPUs", cgroup.CPUSet, "cpuset"},
	{"AllowedMemoryNodes", cgroup.CPUSet, "cpuset"}, {"StartupAllowed", cgroup.CPUSet, "cpuset"},
}

// missingControls are the limits a unit asks for that nothing enforces here.
func (m *Manager) missingControls(u *unit.Unit) (list []busapi.Degraded) {
	writable := m.cg.tree != nil && m.cg.tree.Status().Writable
	var have cgroup.Mask
	if writable {
		have = m.cg.tree.Status().Controllers
	}
	for _, r := range unit.Rows() {
		if r.In&unit.InSlice == 0 || r.In&unit.InScope == 0 || r.Status != unit.Full || strings.Contains(r.Name, "Accounting") || r.IsDefault(u) {
			continue
		}
		for _, c := range controllerOf {
			if !strings.HasPrefix(r.Name, c.prefix) || have&c.controller != 0 {
				continue
			}
			reason := "there is no " + c.name + " controller for muster's control groups"
			if !writable {
				reason = "control groups can't be written here"
			}
			list = append(list, busapi.Degraded{Setting: r.Name, Reason: reason})
			break
		}
	}
	return list
}

// Degraded is what a unit asks for and doesn't have.
func (b backend) Degraded(name string) []busapi.Degraded {
	u := b.m.eng.Unit(name)
	if u == nil {
		return nil
	}
	list := append(b.m.missingControls(u.Config()), b.m.cg.missingPrograms(u.Config())...)
	if d := b.m.spawner.degraded[name]; d.invocation == u.Invocation() {
		list = append(list, d.list...)
	}
	return list
}
