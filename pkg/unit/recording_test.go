package unit

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/muster-init/muster/pkg/unit/value"
)

// recordingUnit is the text around a directive in the recording.
var recordingUnit = map[string]string{
	"service": "[Service]\nExecStart=/bin/true\n", "socket": "[Socket]\nListenStream=/run/zz\nService=a.service\n",
	"timer": "[Timer]\nOnBootSec=10d\nUnit=a.service\n", "path": "[Path]\nPathExists=/nonex\nUnit=a.service\n",
	"mount": "[Mount]\nWhat=/dev/nope\n", "automount": "[Automount]\n", "swap": "[Swap]\nWhat=/p\n", "slice": "[Slice]\n",
}

// explained are differences to the recording that are meant: what the engine
// or the host adds, or what systemd compiles in.
func explained(d map[string]string) bool {
	switch d["property"] {
	case "After", "Before", "Requires", "Wants", "Conflicts", "RequiresMountsFor", "WantsMountsFor", // the engine adds implicit ones
		"Slice", "Unit", "Where", "What", "Listen", "FileDescriptorName", "OnFailure", // follow from names of the recording
		"TimersMonotonic", "TimersCalendar", "Description",
		"WatchdogUSec",                                // what the running service made of it
		"RequiresOverridable", "RequisiteOverridable", // always empty
		"ProtectHostnameEx",                               // newer
		"SystemCallFilter",                                // sets are expanded there
		"IPAddressAllow", "RestrictNetworkInterfaces", "": // in the order of a hash table
		return true
	}
	return d["directive"] == "ProtectHostname" || strings.HasPrefix(d["value"], "Too few")
}

// TestRecording reads every directive's example as systemd 257 did (in a
// container, through busctl) and compares what the bus shows, and the
// defaults of units that set nothing.
func TestRecording(t *testing.T) {
	m := DefaultManagerConfig(true)
	m.DefaultTasksMax = Limit{Value: 28909}
	defaults := NewDefaults(m)
	defaults.SetInheritedLimits(recordingLimits())
	for _, d := range readTable(t, "../systemd257.tsv") {
		typ := TypeFromString(d["type"])
		if explained(d) {
			continue
		}
		section := SectionFromString(typ.Section())
		if d["interface"] == "Unit" {
			section = InUnit
		}
		prop, ok := findIn(section, d["property"])
		if !ok {
			if d["property"] != "TimeoutStartUSec" {
				t.Errorf("property %s isn't known", d["property"])
			}
			continue
		}
		text := recordingUnit[d["type"]]
		if d["directive"] != "-" {
			row := Lookup(section, d["directive"])
			if row == nil {
				t.Errorf("directive %s isn't known", d["directive"])
				continue
			}
			line := row.Name + "=" + row.Example + "\n"
			if section == InUnit {
				text = "[Unit]\n" + line + text
			} else {
				text += line
			}
		}
		u, _ := Load(testHost(), defaults, &Source{Name: "p." + d["type"], Fragment: &File{Path: "/p." + d["type"], Text: text}})
		w := newTree()
		prop.Write(w, u)
		got, err := json.Marshal(map[string]any{"type": w.signature(), "data": plain(w.value())})
		if err != nil {
			t.Fatal(err)
		}
		if want := canonical(t, d["value"]); string(got) != want {
			t.Errorf("%s.%s: %s: got %s, want %s", d["type"], d["directive"], d["property"], got, want)
		}
	}
}

func findIn(section Sections, name string) (Property, bool) {
	for _, hidden := range []bool{false, true} {
		for _, p := range SectionProperties(section, hidden) {
			if p.Name == name {
				return p, true
			}
		}
	}
	return Property{}, false
}

// recordingLimits are those PID 1 had.
func recordingLimits() [RLimitMax]value.Rlimit {
	var l [RLimitMax]value.Rlimit
	for i := range l {
		l[i] = value.Rlimit{Soft: Infinity, Hard: Infinity}
	}
	both := func(i int, v uint64) { l[i] = value.Rlimit{Soft: v, Hard: v} }
	l[RLimitSTACK].Soft, l[RLimitCORE].Soft = 8388608, 0
	l[RLimitNOFILE] = value.Rlimit{Soft: 1024, Hard: 524288}
	both(RLimitNPROC, 96365)
	both(RLimitSIGPENDING, 96365)
	both(RLimitMEMLOCK, 8388608)
	both(RLimitMSGQUEUE, 819200)
	both(RLimitNICE, 0)
	both(RLimitRTPRIO, 0)
	return l
}

// plain turns bytes into numbers, as JSON of busctl has them.
func plain(v any) any {
	switch v := v.(type) {
	case []byte:
		out := []any{}
		for _, b := range v {
			out = append(out, int(b))
		}
		return out
	case []any:
		out := []any{}
		for _, e := range v {
			out = append(out, plain(e))
		}
		return out
	}
	return v
}

func canonical(t *testing.T, s string) string {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(s))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return s
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
