package busapi

import (
	"slices"
	"sort"
	"strings"

	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/engine"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
)

// markers is a change of the property Markers. All words have a sign, then they change what is there; or none has, then they replace it.
type markers struct{ clear, set []string }

var everyMarker = []string{engine.NeedsReload, engine.NeedsRestart}

// readMarkers reads the value of the property, an array of strings.
func (k *call) readMarkers() (*markers, error) {
	words := k.args.Strings()
	if err := k.args.Err(); err != nil {
		return nil, err
	}
	m := &markers{}
	signs := 0
	for _, word := range words {
		name := strings.TrimLeft(word, "+-")
		sign := word[:len(word)-len(name)]
		if len(sign) > 0 {
			signs++
		}
		if len(sign) > 1 || signs != 0 && len(sign) == 0 {
			return nil, bus.Errorf(bus.ErrInvalidArgs, "Bad marker syntax.")
		}
		if name != engine.NeedsReload && name != engine.NeedsRestart {
			return nil, bus.Errorf(bus.ErrInvalidArgs, "Unknown marker \"%s\".", name)
		}
		if sign == "-" {
			m.clear = append(m.clear, name)
		} else {
			m.set = append(m.set, name)
		}
	}
	switch {
	case signs != 0 && signs != len(words):
		return nil, bus.Errorf(bus.ErrInvalidArgs, "Bad marker syntax.")
	case signs == 0 && len(words) > 0:
		m.clear = everyMarker
	}
	return m, nil
}

// mark is the event for it.
func (m *markers) mark(unit string, reply machine.Reply) machine.Event {
	return machine.Mark{Unit: unit, Clear: m.clear, Set: m.set, Reply: reply}
}

// enqueueMarked queues a job for each unit that is marked, and answers with their paths. A job that is refused costs no other.
func enqueueMarked(k *call) {
	var marked []*engine.Unit
	for _, u := range k.s.b.Engine().Units() {
		if len(u.Markers()) > 0 {
			marked = append(marked, u)
		}
	}
	sort.Slice(marked, func(a, b int) bool { return marked[a].Name() < marked[b].Name() })
	var jobs []job.ID
	var refused *machine.Error
	left := len(marked)
	finish := func() {
		switch {
		case left > 0:
		case refused != nil && len(jobs) == 0:
			k.fail(engineError(refused))
		default:
			k.reply("ao", func(e *bus.Encoder) {
				list := e.BeginArray('o')
				for _, id := range jobs {
					e.ObjectPath(bus.JobPath(id))
				}
				e.EndArray(list)
			})
		}
	}
	if left == 0 {
		finish()
	}
	for _, u := range marked {
		restart := slices.Contains(u.Markers(), engine.NeedsRestart)
		k.s.b.Submit(machine.Enqueue{Unit: u.Name(), Type: job.TryRestart, Mode: job.Fail, ReloadIfPossible: !restart, Cause: k.cause(),
			Reply: k.s.b.Request(func(r machine.SendReply) {
				if r.Err != nil {
					refused = r.Err
				} else if len(r.Jobs) > 0 {
					jobs = append(jobs, r.Jobs[0])
					k.watch(r.Jobs[0])
				}
				left--
				finish()
			})})
	}
}
