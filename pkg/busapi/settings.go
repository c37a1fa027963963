package busapi

import (
	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/engine"
	"github.com/muster-init/muster/pkg/unit"
)

// settingsKept bounds how many sets of settings are kept encoded; one takes some ten KiB.
const settingsKept = 16

// settings are the properties that come from blocks which units of several types have (execution, killing, resource control), encoded as they stand in
// the answer to GetAll. They are most of it, and units with the same settings have the same blocks: the loader shares them. Since configurations
// are immutable, the same blocks mean the same bytes.
type settings struct {
	key  settingsKey
	text bus.Encoder
	ends []int // of each of the interface's runs, in text
}

// settingsKey is everything those properties depend on.
type settingsKey struct {
	typ      unit.Type
	exec     *unit.Exec
	kill     *unit.Kill
	cgroup   *unit.Cgroup
	defaults *unit.Defaults
}

func settingsKeyOf(u *unit.Unit) settingsKey {
	return settingsKey{u.Type, u.Exec, u.Kill, u.Cgroup, u.Defaults()}
}

// run is a range of properties of an interface.
type run struct{ begin, end int }

// findRuns collects the properties that settings has, as far as they stand side by side.
func (i *iface) findRuns() {
	for n := range i.props {
		if p := &i.props[n]; !p.block || p.hidden {
			continue
		}
		if last := len(i.runs) - 1; last >= 0 && i.runs[last].end == n {
			i.runs[last].end = n + 1
		} else {
			i.runs = append(i.runs, run{n, n + 1})
		}
	}
}

// settingsOf gives the encoded settings of a unit, made now if they aren't known.
func (s *Server) settingsOf(i *iface, u *engine.Unit) *settings {
	key := settingsKeyOf(u.Config())
	for _, known := range s.settings {
		if known.key == key {
			return known
		}
	}
	var c *settings
	if len(s.settings) < settingsKept {
		c = &settings{}
		s.settings = append(s.settings, c)
	} else {
		c = s.settings[s.oldest]
		s.oldest = (s.oldest + 1) % settingsKept
	}
	c.key, c.ends = key, c.ends[:0]
	c.text.Reset()
	for _, r := range i.runs {
		c.text.Struct() // each begins where an entry may begin
		for n := r.begin; n < r.end; n++ {
			c.text.Prepared(i.props[n].entry)
			i.props[n].unit(s, u, &c.text)
		}
		c.ends = append(c.ends, c.text.Len())
	}
	return c
}

// writeTo appends the n-th run.
func (c *settings) writeTo(e *bus.Encoder, n int) {
	begin := 0
	if n > 0 {
		begin = (c.ends[n-1] + 7) &^ 7
	}
	e.Prepared(c.text.Bytes()[begin:c.ends[n]])
}
