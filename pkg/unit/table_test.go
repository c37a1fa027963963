package unit

import (
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// readTable reads a compatibility table by its header.
func readTable(t *testing.T, name string) []map[string]string {
	t.Helper()
	data, err := os.ReadFile("testdata/compat/" + name)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	header := strings.Split(lines[0], "\t")
	var rows []map[string]string
	for _, l := range lines[1:] {
		row := map[string]string{}
		for i, v := range strings.Split(l, "\t") {
			row[header[i]] = v
		}
		rows = append(rows, row)
	}
	return rows
}

// exampleUnit makes an empty unit of a type that has the row's section.
func exampleUnit(r *Row) *Unit {
	for _, typ := range Types() {
		name := "web." + typ.String()
		if r.In&SectionFromString(typ.Section()) != 0 {
			return New(name, nil)
		}
	}
	return New("web.service", nil)
}

func exampleTarget(r *Row) (target, *Context) {
	host := testHost()
	if r.In == InManager {
		m := DefaultManagerConfig(true)
		return target{m: m}, &Context{Host: host, Manager: m, row: r}
	}
	u := exampleUnit(r)
	return target{u: u}, &Context{Host: host, Unit: u, row: r}
}

func testHost() *Host {
	return &Host{MemoryTotal: 8 << 30, TasksTotal: 32768, Specifiers: &SpecifierContext{
		MachineID: strings.Repeat("1", 32), BootID: strings.Repeat("2", 32), HostName: "box.example.org",
		KernelRelease: "6.1.0", Architecture: "x86-64", OSID: "debian", OSVersionID: "13", UserName: "root",
		GroupName: "root", Home: "/root", Shell: "/bin/sh", TmpDir: "/tmp", VarTmpDir: "/var/tmp", RuntimeRoot: "/run",
		StateRoot: "/var/lib", CacheRoot: "/var/cache", LogRoot: "/var/log", ConfigRoot: "/etc", SharedRoot: "/usr/share",
	}}
}

func TestRowsAreComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range Rows() {
		if r.Doc == "" || !strings.HasSuffix(r.Doc, ".") || r.Example == "" || r.Since == 0 || r.In == 0 || r.Kind == "" {
			t.Errorf("%s: doc, example, since, section or kind is missing: %+v", r.Name, r)
		}
		if r.Status != Full && r.Note == "" {
			t.Errorf("%s: status %v without a note", r.Name, r.Status)
		}
		for _, s := range r.In.Names() {
			if seen[s+"."+r.Name] {
				t.Errorf("%s in [%s] twice", r.Name, s)
			}
			seen[s+"."+r.Name] = true
			if Lookup(SectionFromString(s), r.Name) != r {
				t.Errorf("%s in [%s] isn't found", r.Name, s)
			}
		}
	}
}

// TestRowsCoverCensus: every directive 257 or a later release accepts has a
// row, and no row is made up.
func TestRowsCoverCensus(t *testing.T) {
	known := map[string]bool{}
	for _, d := range readTable(t, "directives.tsv") {
		if last, err := strconv.Atoi(d["last"]); err == nil && last < 257 {
			continue
		}
		known[d["section"]+"."+d["directive"]] = true
		r := Lookup(SectionFromString(d["section"]), d["directive"])
		if r == nil {
			t.Errorf("[%s] %s= has no row", d["section"], d["directive"])
			continue
		}
		checkProperties(t, r, d)
	}
	for _, d := range readTable(t, "manager_config.tsv") {
		if d["last"] != "" {
			continue
		}
		known["Manager."+d["key"]] = true
		r := Lookup(InManager, d["key"])
		if r == nil {
			t.Errorf("[Manager] %s= has no row", d["key"])
			continue
		}
		checkProperties(t, r, d)
	}
	for _, r := range Rows() {
		for _, s := range r.In.Names() {
			if !known[s+"."+r.Name] && !ownDirectives[s+"."+r.Name] {
				t.Errorf("[%s] %s= isn't in the census", s, r.Name)
			}
		}
	}
}

// ownDirectives are those that only muster has.
var ownDirectives = map[string]bool{"Manager.DegradedPolicy": true}

func checkProperties(t *testing.T, r *Row, d map[string]string) {
	t.Helper()
	if r.Alias || r.Status == Ignored || r.In == InTimer || d["dbus_property"] == "" || r.Prop == "" {
		return
	}
	names := strings.Split(d["dbus_property"], ",")
	sigs := strings.Split(d["dbus_signature"], ",")
	for i, name := range names {
		found := false
		for _, p := range r.appendProperties(nil) {
			if p.Name == name {
				found = true
				if p.Sig != sigs[i] && p.Sig != "" {
					t.Errorf("%s: property %s has signature %s, want %s", r.Name, name, p.Sig, sigs[i])
				}
			}
		}
		if !found {
			t.Errorf("%s: no property %s", r.Name, name)
		}
	}
}

// TestPropertiesEqualCensus: every property we derive has the signature and
// the annotation that was seen.
func TestPropertiesEqualCensus(t *testing.T) {
	type key struct{ iface, name string }
	census := map[key]map[string]string{}
	for _, iface := range []string{"unit", "unit_service", "unit_socket", "unit_mount", "unit_swap", "unit_automount",
		"unit_timer", "unit_path", "unit_slice", "unit_scope"} {
		for _, d := range readTable(t, "dbus_"+iface+".tsv") {
			if d["kind"] == "property" {
				census[key{iface, d["name"]}] = d
			}
		}
	}
	check := func(iface string, list []Property) {
		for _, p := range list {
			if p.Sig == "" {
				continue
			}
			d := census[key{iface, p.Name}]
			if d == nil {
				t.Errorf("%s: property %s isn't in the census", iface, p.Name)
				continue
			}
			if d["out"] != p.Sig {
				t.Errorf("%s: property %s has signature %s, want %s", iface, p.Name, p.Sig, d["out"])
			}
			if d["emits_changed"] != p.Emits.String() {
				t.Errorf("%s: property %s emits %v, want %s", iface, p.Name, p.Emits, d["emits_changed"])
			}
		}
	}
	check("unit", UnitProperties())
	for _, typ := range Types() {
		if typ.Section() != "" {
			check("unit_"+typ.String(), Properties(typ))
		}
	}
}

// TestTransientEqualsCensus: what clients may set, and with which signature.
func TestTransientEqualsCensus(t *testing.T) {
	// Properties that are the business of the bus objects, or aliases.
	elsewhere := map[string]bool{
		"AddRef": true, "Markers": true, "ExtraFileDescriptors": true, "PIDFDs": true, "References": true,
		"ReferencedBy": true, "StandardInputFileDescriptor": true, "StandardOutputFileDescriptor": true,
		"StandardErrorFileDescriptor": true, "NonBlocking": true,
	}
	for _, d := range readTable(t, "transient_properties.tsv") {
		typ := TypeFromString(d["unit_type"])
		if d["unit_type"] == "*" {
			typ = TypeService
		}
		name := d["property"]
		if elsewhere[name] || d["seen_in"] == "262" || inverseOnly(name) {
			continue
		}
		got := PropertySignature(typ, name, SetTransient)
		if got != d["signature"] && d["signature"] != "?" {
			t.Errorf("%s: property %s is set with %q, want %q", d["unit_type"], name, got, d["signature"])
		}
		if runtime := PropertySignature(typ, name, SetRuntime) != ""; runtime != (d["settable_at_runtime"] == "yes") {
			t.Errorf("%s: property %s settable at runtime: %v, want %s", d["unit_type"], name, runtime, d["settable_at_runtime"])
		}
	}
}

// inverseOnly: dependencies no file can set; the engine adds them.
func inverseOnly(name string) bool {
	d, ok := DepTypeFromString(name)
	return ok && Lookup(InUnit, d.String()) == nil
}

// TestExamplesRoundTrip: an example parses without a message, and what Format
// gives parses to the same.
func TestExamplesRoundTrip(t *testing.T) {
	for _, r := range Rows() {
		if r.Status == Ignored {
			continue
		}
		tgt, c := exampleTarget(r)
		if err := r.impl.parse(c, tgt, r.Example); err != nil {
			t.Errorf("%s: example %q: %v", r.Name, r.Example, err)
			continue
		}
		texts := r.impl.format(tgt)
		if r.Name == "StandardInputText" {
			continue // comes back as data
		}
		if len(texts) == 0 {
			t.Errorf("%s: example %q formats to nothing", r.Name, r.Example)
			continue
		}
		again, c2 := exampleTarget(r)
		for _, text := range texts {
			if err := r.impl.parse(c2, again, text); err != nil {
				t.Errorf("%s: formatted example %q: %v", r.Name, text, err)
			}
		}
		clearPositions(tgt)
		clearPositions(again)
		if !reflect.DeepEqual(tgt, again) {
			t.Errorf("%s: %q comes back different from %q", r.Name, texts, r.Example)
		}
	}
}

func clearPositions(t target) {
	if t.u == nil {
		return
	}
	for i := range t.u.Deps {
		t.u.Deps[i].Origin = Pos{}
	}
}

// TestPropertiesRoundTrip: an example written to the bus has the signature
// of the property, and set on an empty unit gives the same configuration.
func TestPropertiesRoundTrip(t *testing.T) {
	for _, r := range Rows() {
		if r.Status == Ignored || r.Prop == "" || r.In == InManager {
			continue
		}
		tgt, c := exampleTarget(r)
		if err := r.impl.parse(c, tgt, r.Example); err != nil {
			t.Errorf("%s: %v", r.Name, err)
			continue
		}
		for _, p := range r.appendProperties(nil) {
			if p.Sig == "" {
				continue
			}
			w := newTree()
			p.Write(w, tgt.u)
			if w.signature() != p.Sig {
				t.Errorf("%s: property %s writes %s, not %s", r.Name, p.Name, w.signature(), p.Sig)
				continue
			}
			// Where output is a file, the path travels in a property of its own.
			if p.SetSig == p.Sig && p.Name != "StandardOutput" {
				checkSet(t, r, p, tgt.u, w.value())
			}
		}
	}
}

// checkSet sets a property to what another unit has and compares how it reads
// back; parts that a property doesn't carry may differ.
func checkSet(t *testing.T, r *Row, p Property, from *Unit, v any) {
	t.Helper()
	u := exampleUnit(r)
	settings, err := SetProperty(testHost(), u, p.Name, newReader(v), SetTransient)
	if err != nil {
		t.Errorf("%s: setting %s to %v: %v", r.Name, p.Name, v, err)
		return
	}
	w := newTree()
	p.Write(w, u)
	if !reflect.DeepEqual(w.value(), v) {
		t.Errorf("%s: %s set to %v reads as %v", r.Name, p.Name, v, w.value())
	}
	// The settings, read as a file, must do the same.
	fromFile, messages := Load(testHost(), nil, &Source{Name: u.Name, Transient: true,
		Fragment: &File{Path: "t", Text: FormatSettings(settings)}})
	for _, m := range messages {
		if strings.Contains(m.Text, "ignored") {
			t.Errorf("%s: drop-in %q: %v", r.Name, FormatSettings(settings), m)
		}
	}
	w2 := newTree()
	p.Write(w2, fromFile)
	if !reflect.DeepEqual(w2.value(), v) && p.Name != "OOMPolicy" {
		t.Errorf("%s: drop-in %q reads as %v, want %v", r.Name, FormatSettings(settings), w2.value(), v)
	}
}
