package enginetest

import (
	"reflect"
	"slices"
	"strings"

	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit"
)

// request notes what a client asks for that has to be remembered.
func (c *checker) request(ev machine.Event) {
	switch v := ev.(type) {
	case machine.Ref:
		c.asked[v.Reply] = v
	case machine.Unref:
		c.asked[v.Reply] = v
	case machine.StartTransient:
		c.asked[v.Reply] = v
	case machine.Mark:
		c.marking[v.Reply] = v
	case machine.ResetFailed:
		if v.Unit == "" {
			clear(c.starts)
		}
		delete(c.starts, v.Unit)
	case machine.ClientGone:
		for name, list := range c.refs {
			c.refs[name] = slices.DeleteFunc(list, func(x string) bool { return x == v.Client })
		}
	}
}

// replied takes the answer to such a request.
func (c *checker) replied(q machine.SendReply) {
	ev := c.asked[q.Reply]
	delete(c.asked, q.Reply)
	if q.Err != nil {
		return
	}
	switch v := ev.(type) {
	case machine.Ref:
		c.refs[v.Unit] = append(c.refs[v.Unit], v.Client)
	case machine.Unref:
		if i := slices.Index(c.refs[v.Unit], v.Client); i >= 0 {
			c.refs[v.Unit] = slices.Delete(c.refs[v.Unit], i, i+1)
		}
	}
}

// removedUnit: nothing that is in use may be unloaded.
func (c *checker) removedUnit(name string) error {
	st := c.states[name]
	delete(c.loaded, name)
	delete(c.states, name)
	delete(c.moved, name)
	delete(c.starts, name)
	delete(c.timers, name)
	delete(c.marks, name)
	c.unloaded = true
	if list := c.refs[name]; len(list) > 0 {
		return violation(kept, "%s is unloaded while %v refer to it", name, list)
	}
	if st != "" && !st.IsInactiveOrFailed() {
		return violation(kept, "%s is unloaded while it is %s", name, st)
	}
	for _, u := range c.open {
		if u == name {
			return violation(kept, "%s is unloaded while it has a job", name)
		}
	}
	return nil
}

// references requires after an unloading that all which the remaining units name is still there.
func (c *checker) references() error {
	if !c.unloaded {
		return nil
	}
	for _, u := range c.w.E.Units() {
		if u.Config().LoadState != unit.StateLoaded {
			continue // its dependencies are not known
		}
		for _, d := range u.Config().Deps {
			if d.Name != u.Name() && c.w.E.Unit(d.Name) == nil {
				return violation(kept, "%s names %s, which has been unloaded", u.Name(), d.Name)
			}
		}
		for _, pid := range c.w.pids() {
			if p := c.w.procs[pid]; p.unit != "" && c.w.E.Unit(p.unit) == nil && !c.w.calm && p.slot != "" && !p.dying && !p.undying && p.effect.phase == "" {
				return violation(kept, "process %d of %s runs, which has been unloaded", pid, p.unit)
			}
		}
	}
	return nil
}

// apart requires that a new start job is not beside one of a unit that it conflicts with.
func (c *checker) apart() error {
	if r, ok := c.ev.(machine.Enqueue); ok && r.Mode == job.IgnoreRequirements {
		return nil
	}
	for _, id := range c.newJobs {
		j := c.w.E.Job(id)
		if j == nil || j.Type != job.Start || j.IgnoreOrder {
			continue
		}
		for _, name := range c.w.E.Deps(j.Unit, unit.DepConflicts) {
			p := c.w.E.Unit(name)
			if k := p.Job(); k != nil && k.ID < id && k.Type == job.Start && !k.IgnoreOrder {
				return violation(noConflicts, "start jobs of %s (%d) and %s (%d), which it conflicts with", j.Unit.Name(), id, name, k.ID)
			}
		}
	}
	return nil
}

// settled checks what holds between two actions, when everything that was due has been delivered.
func (c *checker) settled() error {
	for _, check := range []func() error{c.reasons, c.progress, c.tables, c.late} {
		if err := check(); err != nil {
			return err
		}
	}
	if c.w.acts%8 == 0 || c.w.calm {
		return c.descriptors()
	}
	return nil
}

// waitsFor reports whether something is under way for a unit.
func (c *checker) waitsFor(name string) bool {
	for _, u := range c.tokens {
		if u == name {
			return true
		}
	}
	return c.w.populated(name)
}

// reasons requires that every unit between two states waits for something.
func (c *checker) reasons() error {
	for _, u := range c.w.E.Units() {
		switch u.ActiveState() {
		case machine.Active, machine.Inactive, machine.Failed:
			continue
		}
		main, control := u.PIDs()
		switch {
		case u.Config().Type == unit.TypeDevice, u.Job() != nil && u.Job().State == job.Waiting, c.waitsFor(u.Name()):
		case c.w.procs[main] != nil, c.w.procs[control] != nil:
		case u.Machine().Deadline(u.Config()) != machine.Never:
		default:
			return violation(restful, "%s is %s and waits for nothing: %s", u.Name(), u.SubState(), c.w.E.Record("unit/"+u.Name()))
		}
	}
	return nil
}

// progress requires that each job has a reason not to be over.
func (c *checker) progress() error {
	for _, j := range c.w.E.Jobs() {
		u := j.Unit
		between := true
		switch u.ActiveState() {
		case machine.Active, machine.Inactive, machine.Failed:
			between = false
		}
		if between || c.waitsFor(u.Name()) || u.Config().Type == unit.TypeDevice {
			continue
		}
		switch {
		case j.State == job.Running:
			return violation(liveJobs, "job %d %s/%s runs, but nothing is being done: %s", j.ID, u.Name(), j.Type, c.w.E.Record("unit/"+u.Name()))
		case !c.w.E.Runnable() && len(c.w.E.JobsBefore(j)) == 0:
			return violation(liveJobs, "job %d %s/%s waits, but for nothing (%s)", j.ID, u.Name(), j.Type, u.SubState())
		}
	}
	return nil
}

// tables requires that mounts, swaps and devices stand as the kernel has told.
func (c *checker) tables() error {
	k := &c.w.kernel
	for _, u := range c.w.E.Units() {
		name, sub := u.Name(), u.SubState()
		switch u.Config().Type {
		case unit.TypeMount:
			if _, there := k.told[pathOf(name)]; sub == "mounted" && !there && !u.Perpetual() {
				return violation(tablesFollowed, "%s is mounted, but the kernel has no such mount", name)
			}
		case unit.TypeSwap:
			if _, there := k.toldSw[pathOf(name)]; sub == "active" && !there {
				return violation(tablesFollowed, "%s is active, but the kernel does not swap there", name)
			}
		case unit.TypeDevice:
			if want := c.w.deviceState(name); u.Machine() != nil && want != sub || u.Machine() == nil && want != "dead" {
				return violation(tablesFollowed, "%s is %s, it should be %s", name, sub, want)
			}
		}
	}
	for where := range k.told {
		if err := c.follows(where, ".mount"); err != nil {
			return err
		}
	}
	for what := range k.toldSw {
		if err := c.follows(what, ".swap"); err != nil {
			return err
		}
	}
	return nil
}

// follows requires that there is a unit of what the kernel has.
func (c *checker) follows(path, suffix string) error {
	name, err := unit.NameFromPath(path, suffix)
	if err != nil {
		return nil
	}
	u := c.w.E.Unit(name)
	if u == nil {
		return violation(tablesFollowed, "the kernel has %s, but %s is not loaded", path, name)
	}
	if u.ActiveState().IsInactiveOrFailed() && u.SubState() != "cleaning" && !c.waitsFor(name) {
		return violation(tablesFollowed, "the kernel has %s, but %s is %s", path, name, u.SubState())
	}
	return nil
}

// deviceState is the sub-state that a device unit has to have.
func (w *World) deviceState(name string) string {
	for _, d := range w.kernel.devices {
		for _, p := range append([]string{d.Sysfs, d.Node}, d.Links...) {
			if d.Ready && nodeName(p) == name {
				return "plugged"
			}
		}
	}
	for _, m := range w.kernel.told {
		if strings.HasPrefix(m.What, "/dev/") && nodeName(m.What) == name {
			return "tentative"
		}
	}
	for _, s := range w.kernel.toldSw {
		if strings.HasPrefix(s.What, "/dev/") && nodeName(s.What) == name {
			return "tentative"
		}
	}
	return "dead"
}

// descriptors requires that each open descriptor is in the state of one unit, and no unit has one that is not open.
func (c *checker) descriptors() error {
	owner := map[machine.Handle]string{}
	for _, u := range c.w.E.Units() {
		if u.Machine() == nil {
			continue
		}
		seen := map[machine.Handle]bool{}
		handlesIn(reflect.ValueOf(u.Machine().Data()), seen)
		for h := range seen {
			if owner[h] != "" {
				return violation(fdOwners, "descriptor %d is of %s and of %s", h, owner[h], u.Name())
			}
			owner[h] = u.Name()
			if !c.w.handles[h] && !c.w.closing[h] {
				return violation(fdOwners, "%s has descriptor %d, which is not open", u.Name(), h)
			}
		}
	}
	for h := range c.w.handles {
		if owner[h] == "" {
			return violation(fdOwners, "descriptor %d is open and nobody has it", h)
		}
	}
	return nil
}

var handleType = reflect.TypeFor[machine.Handle]()

// handlesIn finds all handles in a value.
func handlesIn(v reflect.Value, found map[machine.Handle]bool) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			handlesIn(v.Elem(), found)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			handlesIn(v.Field(i), found)
		}
	case reflect.Slice:
		for i := range v.Len() {
			handlesIn(v.Index(i), found)
		}
	default:
		if v.Type() == handleType && v.Uint() != 0 {
			found[machine.Handle(v.Uint())] = true
		}
	}
}
