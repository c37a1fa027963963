package unit

import (
	"strconv"
	"strings"
	"testing"
)

// verifyValues are what every directive was given, one line each, in a file
// that systemd-analyze verify of systemd 257 then read.
var verifyValues = []string{"", "foo bar", "yes", "0", "-1", "1", "5min", "/abs", "rel/path", "%n", "%z", "a:b", "~x",
	"infinity", "50%", "0x10", "\"unbal", "SIGTERM", "1024K", "/a /b", "-/a", "auto", "0644", "/dev/sda 5", "a=b",
	"foo.service", "/a/../b", "tcp:80", "300%", "é", "a@b.c", "1-3", "none", "3 x", "x\\qy", "65536", "1.5", "max",
	"127.0.0.1/8", "cpu", "user", "KILL"}

// verifyExplained are directives whose differences are meant.
var verifyExplained = map[string]string{
	"CPUSchedulingPolicy": "systemd takes any number, which the kernel then refuses",
	"PassEnvironment":     "an unknown escape is worth a warning here too",
	"RestrictFileSystems": "systemd only looks at the names when it sets the filter up",
	"IPIngressFilterPath": "systemd stops at the first path, which needs BPF", "IPEgressFilterPath": "as above",
	"RestrictNetworkInterfaces": "specifiers are expanded here, and refused there",
	"ListenMessageQueue":        "mq_open(3) refuses a second slash",
	"RootImagePolicy":           "systemd goes on with the default without a word to verify", "MountImagePolicy": "as above", "ExtensionImagePolicy": "as above",
	"RootHash": "a path with .. is refused as everywhere", "RootHashSignature": "as above",
	"SystemCallFilter": "names of calls are looked up when the filter is built", "SystemCallLog": "as above",
	"KillMode": "the warning about KillMode=none is about the whole unit here",
}

// quietThere says that systemd doesn't mention this at the level it was
// asked for, though it ignores the value too.
func quietThere(r *Row) bool {
	if _, isDep := DepTypeFromString(r.Name); isDep || r.Status == Ignored || r.Alias || r.Legacy != "" {
		return true
	}
	switch r.Name {
	case "AmbientCapabilities", "CapabilityBoundingSet", "SecureBits":
		return true
	}
	return false
}

// TestVerifyRecording compares, value by value, what is refused.
func TestVerifyRecording(t *testing.T) {
	compared := 0
	for _, d := range readTable(t, "../verify257.tsv") {
		typ := TypeFromString(d["type"])
		row := Lookup(SectionsOf(typ)&^InUnit, d["directive"])
		if row == nil {
			row = Lookup(InUnit, d["directive"])
		}
		if row == nil {
			t.Errorf("directive %s isn't known", d["directive"])
			continue
		}
		if verifyExplained[row.Name] != "" || quietThere(row) {
			continue
		}
		refusedThere := map[int]bool{}
		for _, f := range strings.Fields(d["refused"]) {
			n, err := strconv.Atoi(f)
			if err != nil {
				t.Fatal(err)
			}
			refusedThere[n] = true
		}
		for i, refused := range refusedValues(typ, row) {
			compared++
			if refused != refusedThere[i] {
				t.Errorf("%s= of a %s: value %q: refused %v here, %v by systemd", row.Name, typ, verifyValues[i], refused, refusedThere[i])
			}
		}
	}
	if compared < 15000 {
		t.Errorf("only %d values were compared", compared)
	}
}

// refusedValues reads all values from one file, as the recording was made.
func refusedValues(typ Type, row *Row) []bool {
	name := "c." + typ.String()
	var b strings.Builder
	b.WriteString("[" + row.SectionFor(typ) + "]\n")
	for _, v := range verifyValues {
		b.WriteString(row.Name + "=" + v + "\n")
	}
	_, messages := Load(testHost(), nil, &Source{Name: name, Fragment: &File{Path: "/u/" + name, Text: b.String()}})
	refused := make([]bool, len(verifyValues))
	for _, m := range messages {
		if m.Line > 1 && m.Level <= LevelWarning {
			refused[m.Line-2] = true
		}
	}
	return refused
}
