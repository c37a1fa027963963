package manager

import "testing"

func TestWhenMemoryIsGivenBack(t *testing.T) {
	type turn struct {
		sec             uint64
		steps, messages int
		units           int
		large           bool
		free, begun     bool
	}
	for name, turns := range map[string][]turn{
		"nothing happens": {{sec: 1}, {sec: 100}, {sec: 10_000}},
		"a transaction": {
			{sec: 1, steps: 300, begun: true},
			{sec: 2, steps: 300},                       // not idle yet
			{sec: 3, steps: 1},                         // the time is over, but something happened
			{sec: 4}, {sec: 5, free: true}, {sec: 100}, // and then nothing
		},
		"units are loaded":        {{sec: 1, steps: 1, units: 100, begun: true}, {sec: 3, units: 100, free: true}, {sec: 9, units: 100}},
		"units are unloaded":      {{sec: 1, units: 100, begun: true}, {sec: 3, units: 100, free: true}, {sec: 4, units: 10, begun: true}, {sec: 6, units: 10, free: true}},
		"a long list":             {{sec: 1, messages: 1, large: true, begun: true}, {sec: 3, large: true, free: true}},
		"first little, then much": {{sec: 1, messages: 1}, {sec: 2, steps: 300, begun: true}, {sec: 3}, {sec: 5, free: true}},
		"little, again and again": {
			{sec: 200, messages: 1}, {sec: 202, free: true}, {sec: 203, steps: 1}, {sec: 205, free: true}, {sec: 206, messages: 1}, {sec: 208, free: true},
			{sec: 209, messages: 1}, {sec: 211}, {sec: 300, messages: 5}, {sec: 302}, // often enough
			{sec: 400, messages: 1}, {sec: 402, free: true},
		},
		"much after little too often": {
			{sec: 200, messages: 1}, {sec: 202, free: true}, {sec: 203, steps: 1}, {sec: 205, free: true}, {sec: 206, messages: 1}, {sec: 208, free: true},
			{sec: 209, messages: 1}, {sec: 210, steps: 300, begun: true}, {sec: 212, free: true},
		},
	} {
		var m trim
		for i, x := range turns {
			m.steps, m.messages = m.steps+x.steps, m.messages+x.messages
			free, begun := m.turn(x.sec*1_000_000, x.units, x.large)
			if free != x.free || begun != x.begun {
				t.Errorf("%s, turn %d: %v, %v", name, i, free, begun)
			}
			if free && m.at != 0 {
				t.Errorf("%s: the loop wakes up for nothing", name)
			}
		}
	}
}
