package unit

import "testing"

func TestForm(t *testing.T) {
	for name, want := range map[string]NameForm{
		"foo.service":      NamePlain,
		"foo@.service":     NameTemplate,
		"foo@bar.service":  NameInstance,
		"foo@a@b.service":  NameInstance,
		"-.slice":          NamePlain,
		"a\\x2db.mount":    NamePlain,
		"@x.service":       0,
		"foo.serv":         0,
		".service":         0,
		"foo bar.service":  0,
		"foo":              0,
		"foo/b.service":    0,
		"foo.bar.target":   NamePlain,
		"foo@x.y.target":   NameInstance,
		"":                 0,
		"foo@.x.service":   NameInstance,
		"föö.service":      0,
		"a:b_c-d.e.socket": NamePlain,
	} {
		if got := Form(name); got != want {
			t.Errorf("Form(%q) = %d, want %d", name, got, want)
		}
	}
	long := make([]byte, NameMax-8)
	for i := range long {
		long[i] = 'a'
	}
	if Form(string(long)+".service") != NamePlain || Form(string(long)+"a.service") != 0 {
		t.Error("length limit is off")
	}
}

func TestNameParts(t *testing.T) {
	p, i, s, has := SplitName("foo@bar@x.service")
	if p != "foo" || i != "bar@x" || s != ".service" || !has {
		t.Errorf("SplitName: %q %q %q %v", p, i, s, has)
	}
	if got := TemplateOf("foo@bar.service"); got != "foo@.service" {
		t.Errorf("TemplateOf: %q", got)
	}
	if got := TemplateOf("foo.service"); got != "" {
		t.Errorf("TemplateOf of a plain name: %q", got)
	}
	if got := InstanceOf("foo@.service", "a/b"); got != "" {
		t.Errorf("InstanceOf with a bad instance: %q", got)
	}
	if got := InstanceOf("foo@.service", "b"); got != "foo@b.service" {
		t.Errorf("InstanceOf: %q", got)
	}
	for slice, parent := range map[string]string{
		"a-b-c.slice": "a-b.slice", "a.slice": RootSlice, RootSlice: "", "a--b.slice": "", "x.service": "",
	} {
		if got := SliceParent(slice); got != parent {
			t.Errorf("SliceParent(%q) = %q, want %q", slice, got, parent)
		}
	}
}

func TestDepInverse(t *testing.T) {
	for d := DepType(0); d < DepTypeMax; d++ {
		if d.Inverse().Inverse() != d {
			t.Errorf("%v: inverse of the inverse is %v", d, d.Inverse().Inverse())
		}
		back, ok := DepTypeFromString(d.String())
		if !ok || back != d {
			t.Errorf("%v doesn't come back from its name", d)
		}
	}
}
