package enginetest

import (
	"slices"
	"strings"

	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/unit"
)

// autofs is the kernel's side of automount points: who sleeps at them.
type autofs struct {
	points  map[machine.Handle]*autofsPoint
	openers map[uint32]opener
	number  uint32
	device  uint32
}

type autofsPoint struct {
	unit    string
	device  uint32
	watched bool
	gone    bool // unmounted by somebody else
	expires bool // an expiry is under way
}

// opener sleeps until the automount unit answers.
type opener struct {
	handle machine.Handle
	expire bool
}

func newAutofs() autofs {
	return autofs{points: map[machine.Handle]*autofsPoint{}, openers: map[uint32]opener{}}
}

// openPoint answers OpenAutomount.
func (w *World) openPoint(q machine.OpenAutomount) machine.Event {
	if !w.calm && w.rnd.P(15) {
		return machine.AutomountOpened{Token: q.Token, Message: "no such device"}
	}
	w.autofs.device++
	h := w.newHandle()
	w.autofs.points[h] = &autofsPoint{unit: q.Unit, device: w.autofs.device}
	return machine.AutomountOpened{Token: q.Token, Handle: h, Device: w.autofs.device}
}

// performAutomount carries out commands about automount points.
func (w *World) performAutomount(f machine.Effect) error {
	switch q := f.(type) {
	case machine.WatchAutomount:
		p := w.autofs.points[q.Handle]
		if p == nil {
			return violation(fdOwners, "automount point %d of %s is watched but not open", q.Handle, q.Unit)
		}
		p.watched = true
	case machine.AckAutomount:
		for _, t := range q.Tokens {
			o, ok := w.autofs.openers[t]
			if !ok {
				return violation(openersAnswered, "token %d of %s is answered, but nobody waits with it", t, q.Unit)
			}
			if p := w.autofs.points[o.handle]; p.device != q.Device || p.unit != q.Unit {
				return violation(openersAnswered, "token %d is of %s, not of %s", t, p.unit, q.Unit)
			}
			delete(w.autofs.openers, t)
			_, there := w.kernel.told[q.Where]
			// One that vanishes while it is mounted again counts as mounted until that has ended; the opener then asks anew.
			m := w.E.Unit(strings.TrimSuffix(q.Unit, ".automount") + ".mount")
			remounting := m != nil && m.ActiveState() == machine.Reloading
			if !o.expire && q.Errno == 0 && !there && !remounting {
				return violation(openersAnswered, "an opener of %s goes on, but nothing is mounted there", q.Where)
			}
			if o.expire {
				w.autofs.points[o.handle].expires = false
				if q.Errno == 0 && there {
					return violation(openersAnswered, "an expiry of %s is confirmed, but it is still mounted", q.Where)
				}
			}
		}
	case machine.ExpireAutomount:
		for h, p := range w.autofs.points {
			if p.unit == q.Unit && p.device == q.Device && !p.expires && len(w.kernel.mounts[q.Where]) > 0 && w.rnd.P(60) {
				p.expires = true
				w.pending = append(w.pending, w.sleep(h, true))
			}
		}
	case machine.CloseAutomount:
		return w.closePoint(q)
	}
	return nil
}

func (w *World) closePoint(q machine.CloseAutomount) error {
	p := w.autofs.points[q.Handle]
	if p == nil || !w.handles[q.Handle] {
		return violation(fdOwners, "automount point %d of %s is closed but not open", q.Handle, q.Unit)
	}
	for t, o := range w.autofs.openers {
		if o.handle != q.Handle {
			continue
		}
		if !slices.Contains(q.Tokens, t) && !p.gone {
			return violation(openersAnswered, "%s is taken away while token %d waits and is not answered", q.Unit, t)
		}
		delete(w.autofs.openers, t)
	}
	delete(w.autofs.points, q.Handle)
	delete(w.handles, q.Handle)
	w.pending = slices.DeleteFunc(w.pending, func(ev machine.Event) bool {
		a, ok := ev.(machine.AutomountAsked)
		return ok && a.Unit == q.Unit
	})
	return nil
}

// sleep lets somebody wait at an automount point.
func (w *World) sleep(h machine.Handle, expire bool) machine.Event {
	w.autofs.number++
	w.autofs.openers[w.autofs.number] = opener{h, expire}
	return machine.AutomountAsked{Unit: w.autofs.points[h].unit, Number: w.autofs.number, Expire: expire, Who: "1 (ls)"}
}

// openAutomounts lets somebody look at an automount point, or unmount it behind the manager's back.
func (w *World) openAutomounts() error {
	var list []machine.Handle
	for h, p := range w.autofs.points {
		if p.watched && !p.gone {
			list = append(list, h)
		}
	}
	if len(list) == 0 {
		return nil
	}
	slices.Sort(list)
	h := pick(w.rnd, list...)
	p := w.autofs.points[h]
	where := pathOf(p.unit)
	if u := w.E.Unit(p.unit); u != nil && u.Config().GetAutomount().Where != "" {
		where = u.Config().GetAutomount().Where
	}
	switch {
	case w.rnd.P(6):
		p.gone = true
		for t, o := range w.autofs.openers {
			if o.handle == h {
				delete(w.autofs.openers, t)
			}
		}
		return w.deliver(machine.AutomountGone{Unit: p.unit})
	case len(w.kernel.mounts[where]) > 0:
		return nil // what is mounted lies on top: nobody has to wait
	}
	for range 1 + w.rnd.N(3) {
		if w.autofs.points[h] == nil {
			return nil
		}
		if err := w.deliver(w.sleep(h, false)); err != nil {
			return err
		}
	}
	return nil
}

// openersRest requires that nobody sleeps when everything is at rest.
func (w *World) openersRest() error {
	var list []uint32
	for t := range w.autofs.openers {
		list = append(list, t)
	}
	if len(list) == 0 {
		return nil
	}
	slices.Sort(list)
	p := w.autofs.points[w.autofs.openers[list[0]].handle]
	u := w.E.Unit(p.unit)
	if u == nil {
		return violation(openersAnswered, "token %d waits for %s, which is not loaded", list[0], p.unit)
	}
	mount := "not loaded"
	if m := w.E.Unit(unit.ChangeSuffix(p.unit, ".mount")); m != nil {
		mount = m.SubState()
	}
	return violation(openersAnswered, "token %d still waits for %s (%s), its mount is %s", list[0], p.unit, u.SubState(), mount)
}
