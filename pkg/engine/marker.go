package engine

import (
	"slices"

	"github.com/muster-init/muster/pkg/engine/machine"
)

// What a unit can be marked with, for EnqueueMarkedJobs (org.freedesktop.systemd1(5)).
const (
	NeedsReload  = "needs-reload"
	NeedsRestart = "needs-restart"
)

// Markers are what the unit is marked with, sorted.
func (u *Unit) Markers() []string { return u.get().Markers }

// onMark changes the markers of a unit. Units that are down may be marked, but it makes no difference.
func (e *Engine) onMark(v machine.Mark) {
	u, err := e.find(v.Unit)
	if err != nil {
		e.reply(v.Reply, nil, err)
		return
	}
	marks := slices.DeleteFunc(slices.Clone(u.Markers()), func(m string) bool { return slices.Contains(v.Clear, m) || slices.Contains(v.Set, m) })
	marks = append(marks, v.Set...)
	slices.Sort(marks)
	if marks = slices.Compact(marks); len(marks) == 0 {
		marks = nil
	}
	if !slices.Equal(marks, u.Markers()) && e.opt.SimulateFault != "markers" {
		u.st().Markers = marks
		e.touch(u)
	}
	e.queueCollect(u)
	e.reply(v.Reply, u, nil)
}

// unmark drops what a change of state has done: a unit that has gone down is as good as restarted, one that reloads has no need to any more.
func (s *state) unmark(now, old machine.ActiveState) {
	switch {
	case len(s.Markers) == 0 || now == old:
	case now.IsInactiveOrFailed():
		s.Markers = nil
	case now == machine.Reloading:
		s.Markers = slices.DeleteFunc(slices.Clone(s.Markers), func(m string) bool { return m == NeedsReload })
	}
}
