package ctl

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/muster-init/muster/pkg/unit"
)

// TestSecurityRecorded compares the exposure, and each check's share of it, with what systemd-analyze of systemd 257 said.
func TestSecurityRecorded(t *testing.T) {
	b, err := os.ReadFile("testdata/security.txt")
	if err != nil {
		t.Fatal(err)
	}
	long := strings.NewReplacer("@C", "CapabilityBoundingSet_", "@S", "SystemCallFilter_", "@A", "RestrictAddressFamilies_", "@N", "RestrictNamespaces_")
	cases := strings.Split(string(b), "== unit\n")[1:]
	if len(cases) < 20 {
		t.Fatalf("only %d cases", len(cases))
	}
	for i, text := range cases {
		text, want, _ := strings.Cut(text, "== want ")
		overall, rows, _ := strings.Cut(want, "\n")
		u, _ := unit.Load(&unit.Host{}, unit.BuiltinDefaults(), &unit.Source{Name: "u.service", Fragment: &unit.File{Path: "u.service", Text: text}})
		found, exposure := assess(unitConfinement(u), securityChecks())
		if got := tenths(exposure) + " " + wordFor(exposure).word; got != overall {
			t.Errorf("case %d: exposure %s, want %s", i, got, overall)
		}
		total := 0
		for _, f := range found {
			if f.applies() {
				total += f.weight
			}
		}
		var got []string
		for _, f := range found {
			switch {
			case !f.applies():
				got = append(got, f.field+"=-")
			case !f.good():
				got = append(got, f.field+"="+tenths(f.share(total)))
			}
		}
		wantRows := strings.Fields(long.Replace(rows))
		sort.Strings(got)
		sort.Strings(wantRows)
		if fmt.Sprint(got) != fmt.Sprint(wantRows) {
			t.Errorf("case %d:\n got %v\nwant %v\n%s", i, got, wantRows, text)
		}
	}
}

func TestSecurityPolicy(t *testing.T) {
	dir := t.TempDir()
	write := func(text string) string {
		p := filepath.Join(dir, "policy.json")
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return p
	}
	checks := securityChecks()
	says, err := applyPolicy(checks, write(`{"UMask":{"weight":3000,"range":5,"description_bad":"open to all"},"Unknown":{"weight":1}}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range checks {
		if k.field == "UMask" && (k.weight != 3000 || k.worst != 5) {
			t.Errorf("UMask: weight %d range %d", k.weight, k.worst)
		}
	}
	if w := says["UMask"]; w.bad == nil || *w.bad != "open to all" || w.good != nil {
		t.Errorf("words of UMask: %v", w)
	}
	for text, want := range map[string]string{`{"UMask":{"range":0}}`: "must be 1 or more", "{\n\"UMask\":\n}": "at line 3", `[]`: "Failed to parse"} {
		if _, err := applyPolicy(securityChecks(), write(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("policy %q: error %v, want %q", text, err, want)
		}
	}
	if _, err := applyPolicy(checks, filepath.Join(dir, "missing")); err == nil || !strings.Contains(err.Error(), "No such file") {
		t.Errorf("missing policy: %v", err)
	}
}
