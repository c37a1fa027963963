package oomd

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-init/muster/pkg/unit"
)

func TestReporter(t *testing.T) {
	var said []string
	r := NewReporter(func(params any) {
		text, err := json.Marshal(params)
		if err != nil {
			t.Fatal(err)
		}
		said = append(said, string(text))
	})
	expect := func(what string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(strings.Join(want, "\n"), strings.Join(said, "\n")); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
		said = nil
	}
	swap := Setting{Swap: true}
	pressure := Setting{Pressure: true, Limit: 7, DurationUSec: unit.Infinity}
	r.Begin(map[string]Setting{"/b": pressure, "/a": swap, "": {Swap: true, Rules: []string{"x", "y"}}})
	expect("the beginning",
		`{"cgroups":[{"mode":"kill","path":"","property":"ManagedOOMSwap"},{"mode":"kill","path":"/a","property":"ManagedOOMSwap"},`+
			`{"mode":"kill","path":"/b","property":"ManagedOOMMemoryPressure","limit":7}]}`,
		`{"cgroups":[{"mode":"kill","path":"","property":"OOMRules","rules":["x","y"]}]}`)
	r.Set("/a", swap)
	r.Set("/c", Setting{})
	r.Set("/c", Setting{DurationUSec: unit.Infinity})
	expect("nothing new")
	r.Set("/b", Setting{Pressure: true, DurationUSec: 5})
	expect("a change", `{"cgroups":[{"mode":"auto","path":"/b","property":"ManagedOOMSwap"},{"mode":"kill","path":"/b","property":"ManagedOOMMemoryPressure","duration":5}]}`)
	r.Set("/b", Setting{})
	r.Set("/b", Setting{})
	expect("an end", `{"cgroups":[{"mode":"auto","path":"/b","property":"ManagedOOMSwap"},{"mode":"auto","path":"/b","property":"ManagedOOMMemoryPressure"}]}`)
	r.Set("", swap)
	expect("an end of rules", `{"cgroups":[{"mode":"auto","path":"","property":"OOMRules","rules":[]}]}`)
	r.Set("/d", Setting{Rules: []string{"z"}})
	expect("rules alone", `{"cgroups":[{"mode":"kill","path":"/d","property":"OOMRules","rules":["z"]}]}`)
	if len(r.told) != 3 {
		t.Errorf("told: %v", r.told)
	}
	r.Begin(map[string]Setting{})
	expect("nothing is watched", `{"cgroups":[]}`)
}

func TestOf(t *testing.T) {
	c := unit.Cgroup{ManagedOOMSwap: "auto", ManagedOOMMemoryPressure: "auto", ManagedOOMMemoryPressureLimit: 5, ManagedOOMMemoryPressureDurationUSec: 7}
	if s := Of(&c); s.Watched() || s.Limit != 0 {
		t.Errorf("a limit alone watches nothing: %+v", s)
	}
	c.ManagedOOMMemoryPressure = "kill"
	if diff := cmp.Diff(Setting{Pressure: true, Limit: 5, DurationUSec: 7}, Of(&c)); diff != "" {
		t.Error(diff)
	}
}
