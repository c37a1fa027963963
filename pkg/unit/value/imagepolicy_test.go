package value

import "testing"

// TestImagePolicy: what systemd-analyze image-policy of 257 says about these policies.
func TestImagePolicy(t *testing.T) {
	const all = UseVerity | UseSigned | UseEncrypted | UseUnprotected | UseUnused | UseAbsent
	for _, test := range []struct {
		text, shown      string
		root, home, swap PartitionUse
	}{
		{"root=verity", "root=verity", UseVerity, UseUnused | UseAbsent, UseUnused | UseAbsent},
		{"*", "*", all, all &^ (UseVerity | UseSigned), all &^ (UseVerity | UseSigned)},
		{"-", "-", UseUnused | UseAbsent, UseUnused | UseAbsent, UseUnused | UseAbsent},
		{"", "-", UseUnused | UseAbsent, UseUnused | UseAbsent, UseUnused | UseAbsent},
		{"~", "~", UseAbsent, UseAbsent, UseAbsent},
		{"=open:swap=absent", "swap=absent:=open", all, all &^ (UseVerity | UseSigned), UseAbsent},
		{"root=growfs-on", "root=growfs-on", all | UseGrowOn, UseUnused | UseAbsent, UseUnused | UseAbsent},
		{"root=", "root=-", all, UseUnused | UseAbsent, UseUnused | UseAbsent},
		{"root=verity+verity+read-only-on+read-only-off", "root=verity", UseVerity | UseReadOnlyOn | UseReadOnlyOff, UseUnused | UseAbsent, UseUnused | UseAbsent},
		{"root=open+absent", "root=open", all, UseUnused | UseAbsent, UseUnused | UseAbsent},
		{"root=encrypted+unprotected+growfs-off:home=unprotected", "root=encrypted+unprotected+growfs-off:home=unprotected",
			UseEncrypted | UseUnprotected | UseGrowOff, UseUnprotected, UseUnused | UseAbsent},
	} {
		p, err := ParseImagePolicy(test.text)
		if err != nil {
			t.Errorf("%q: %v", test.text, err)
			continue
		}
		if got := p.String(); got != test.shown {
			t.Errorf("%q: shown as %q, want %q", test.text, got, test.shown)
		}
		for name, want := range map[string]PartitionUse{"root": test.root, "home": test.home, "swap": test.swap} {
			if got := p.For(name); got != want {
				t.Errorf("%q: %s is %b, want %b", test.text, name, got, want)
			}
		}
	}
	for _, text := range []string{"root=foo", "foo=verity", "root=verity:root=signed", "root=verity:=open:=absent", ":", "root"} {
		if _, err := ParseImagePolicy(text); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}
