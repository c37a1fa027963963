package manager

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/muster-init/muster/pkg/cgroup"
	"github.com/muster-init/muster/pkg/cgroup/bpf"
	"github.com/muster-init/muster/pkg/engine"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/unit"
)

// keyCgroups is a record of planned re-executions only: what was written into the groups, so that the next image writes nothing again, and the watches,
// whose descriptor it inherits together with the events that wait in it. It is gone as soon as it was read; after a crash there is none, and every group
// is looked at.
const keyCgroups = "shell/cgroups"

// handedHead is the first line of the record. A line for each group follows: unit, path, class, two watches, kills for want of memory.
type handedHead struct {
	Events  int          `json:"events"` // descriptor
	Classes []groupClass `json:"classes"`
}

// groupClass is what many groups have in common.
type groupClass struct {
	Resources cgroup.Resources `json:"resources"`
	Mask      cgroup.Mask      `json:"mask"`
	Marks     groupMarks       `json:"marks"`
	Filters   string           `json:"filters,omitempty"`
}

// handedGroup is one line.
type handedGroup struct {
	path    string
	class   int
	wd      [2]int32
	oomKill uint64
}

type handedGroups struct {
	classes []groupClass
	groups  map[string]handedGroup
}

// plain reports whether everything that there is in the group is in a groupClass. The others are few, and are looked at by the next image.
func (g *group) plain(u *engine.Unit) bool {
	return g.marked != nil && !g.marked.Delegate && g.disabled == 0 && len(g.devicePaths) == 0 && len(g.resources.IODevices) == 0 && !g.migrate &&
		g.fault == nil && (g.programs == nil && g.created || g.programs != nil && g.programs.Empty()) && g.invocation == u.Invocation()
}

// handOver makes the record and lets the watches survive. It is undone by [cgroups.keep].
func (c *cgroups) handOver() {
	if c.tree == nil || c.m.state == nil {
		return
	}
	fd, err := c.tree.KeepEvents(true)
	if err != nil {
		return
	}
	head, numbers := handedHead{Events: fd}, map[string]int{}
	var last *group // groups that were made one after the other are mostly alike
	class := 0
	var lines []byte
	for _, u := range c.m.eng.Units() {
		name := u.Name()
		g := c.inner[name]
		if g == nil || !g.plain(u) || slices.Contains(c.left, c.paths[name]) { // what is left has been read, the next image wouldn't hear of it
			continue
		}
		k, ok := c.tree.Keep(c.paths[name])
		if !ok || k.Own != g.mask {
			continue
		}
		if last == nil || !last.alike(g) {
			class = head.class(groupClass{g.resources, g.mask, *g.marked, g.filters}, numbers)
			last = g
		}
		lines = fmt.Appendf(lines, "%s %s %d %d %d %d\n", name, k.Path, class, k.WD[0], k.WD[1], g.oomKill)
	}
	first, err := json.Marshal(head)
	if err == nil {
		err = c.m.state.Put(keyCgroups, append(append(first, '\n'), lines...))
	}
	if err != nil {
		c.m.log.err("", "state: cgroups: %v", err)
	}
}

// keep takes handOver back: this image goes on.
func (c *cgroups) keep() {
	if c.tree == nil || c.m.state == nil {
		return
	}
	_ = c.m.state.Delete(keyCgroups)
	_, _ = c.tree.KeepEvents(false)
}

func (g *group) alike(o *group) bool {
	return g.mask == o.mask && *g.marked == *o.marked && g.filters == o.filters && g.resources.Equal(o.resources)
}

// class numbers what was not there before.
func (h *handedHead) class(c groupClass, numbers map[string]int) int {
	text, err := json.Marshal(c)
	if err != nil {
		return -1
	}
	n, ok := numbers[string(text)]
	if !ok {
		n = len(h.Classes)
		numbers[string(text)] = n
		h.Classes = append(h.Classes, c)
	}
	return n
}

// takeOver reads the record and takes it out of the state, before the watches can be lost.
func (c *cgroups) takeOver(records map[string][]byte) {
	record, ok := records[keyCgroups]
	if !ok {
		return
	}
	delete(records, keyCgroups)
	err := c.m.state.Delete(keyCgroups)
	if err == nil {
		err = c.m.state.Flush()
	}
	if err != nil || c.tree == nil {
		return
	}
	first, rest, _ := bytes.Cut(record, []byte("\n"))
	var head handedHead
	if json.Unmarshal(first, &head) != nil || c.tree.TakeEvents(head.Events) != nil {
		return
	}
	c.handed = &handedGroups{classes: head.Classes, groups: map[string]handedGroup{}}
	for line := range strings.Lines(string(rest)) {
		f := strings.Fields(line)
		if len(f) != 6 {
			continue
		}
		var n [4]int64
		for i := range n {
			if n[i], err = strconv.ParseInt(f[i+2], 10, 64); err != nil {
				break
			}
		}
		if err == nil && n[0] >= 0 && n[0] < int64(len(head.Classes)) {
			c.handed.groups[f[0]] = handedGroup{f[1], int(n[0]), [2]int32{int32(n[1]), int32(n[2])}, uint64(n[3])}
		}
	}
}

// adopt goes on with a group as the last image has left it; false if it has to be looked at.
func (c *cgroups) adopt(u *engine.Unit, p string) bool {
	if c.handed == nil {
		return false
	}
	h, ok := c.handed.groups[u.Name()]
	if !ok || h.path != p { // Slice= may have changed: where the processes are is another matter then
		return false
	}
	class := &c.handed.classes[h.class]
	if c.tree.Adopt(cgroup.Kept{Path: p, Own: class.Mask, WD: h.wd}) != nil {
		return false
	}
	c.inner[u.Name()] = &group{
		resources: class.Resources, mask: class.Mask, programs: &bpf.Settings{}, marked: &class.Marks, invocation: u.Invocation(),
		oomKill: h.oomKill, filters: class.Filters,
	}
	c.paths[u.Name()], c.units[p] = p, u.Name()
	return true
}

// slices makes the groups of the slices that are there without having been started: system.slice from the beginning, and every active one after a
// restore. Their settings hold, and their changes.
func (c *cgroups) slices() {
	for _, u := range c.m.eng.Units() {
		if u.Config().Type == unit.TypeSlice && u.Name() != "-.slice" && !u.ActiveState().IsInactiveOrFailed() {
			c.realize(u.Name())
		}
	}
}

// rescan reports the present state of every group after a restore: what became empty meanwhile is an ordinary event.
func (c *cgroups) rescan() {
	if c.tree == nil {
		return
	}
	c.slices()
	for _, u := range c.m.eng.Units() {
		p, ok := c.pathOf(u.Config())
		if !ok || u.ActiveState().IsInactiveOrFailed() || u.Config().Type == unit.TypeSlice {
			continue
		}
		if c.adopt(u, p) {
			c.realize(u.Name())
			continue
		}
		state, err := c.tree.State(p)
		if err != nil {
			c.m.submit(machine.CgroupEmpty{Unit: u.Name()})
			continue
		}
		c.realize(u.Name())
		c.event(u.Name(), cgroup.Event{Path: p, State: state})
	}
	c.handed = nil
}
