package unit

import (
	"strings"
	"testing"

	systemd "github.com/coreos/go-systemd/v22/unit"
)

// TestEscape has what systemd-escape of systemd 252 printed; "!" is a refusal.
func TestEscape(t *testing.T) {
	for _, c := range []struct{ in, mangle, escape, path, unescape string }{
		{"foo bar", `foo\x20bar.service`, `foo\x20bar`, `foo\x20bar`, "foo bar"},
		{"/dev/sda", "dev-sda.device", "-dev-sda", "dev-sda", "/dev/sda"},
		{"/sys/x", "sys-x.device", "-sys-x", "sys-x", "/sys/x"},
		{"/home/x y", `home-x\x20y.mount`, `-home-x\x20y`, `home-x\x20y`, "/home/x y"},
		{"föö", `f\xc3\xb6\xc3\xb6.service`, `f\xc3\xb6\xc3\xb6`, `f\xc3\xb6\xc3\xb6`, "föö"},
		{"a@b c", `a@b\x20c.service`, `a\x40b\x20c`, `a\x40b\x20c`, "a@b c"},
		{"-", "-.service", `\x2d`, `\x2d`, "/"},
		{".a", ".a.service", `\x2ea`, `\x2ea`, ".a"},
		{"..", "...service", `\x2e.`, "!", ".."},
		{"foo/bar.service", "foo-bar.service", "foo-bar.service", "foo-bar.service", "foo/bar.service"},
		{"a*b c", `a\x2ab\x20c.service`, `a\x2ab\x20c`, `a\x2ab\x20c`, "a*b c"},
		{"x.foo", "x.foo.service", "x.foo", "x.foo", "x.foo"},
		{"foo.mount", "foo.mount", "foo.mount", "foo.mount", "foo.mount"},
		{"./x", ".-x.service", `\x2e-x`, "x", "./x"},
		{"//a//b/", "a-b.mount", "--a--b-", "a-b", "//a//b/"},
		{"foo*", `foo\x2a.service`, `foo\x2a`, `foo\x2a`, "foo*"},
		{"/dev/a*", `dev-a\x2a.device`, `-dev-a\x2a`, `dev-a\x2a`, "/dev/a*"},
		{"a[b", `a\x5bb.service`, `a\x5bb`, `a\x5bb`, "a[b"},
		{"foo@/a/b", "foo@-a-b.service", `foo\x40-a-b`, `foo\x40-a-b`, "foo@/a/b"},
	} {
		if got, _, err := Mangle(c.in, ".service", 0); got != c.mangle || err != nil {
			t.Errorf("Mangle(%q) = %q, %v, want %q", c.in, got, err, c.mangle)
		}
		if got := Escape(c.in); got != c.escape {
			t.Errorf("Escape(%q) = %q, want %q", c.in, got, c.escape)
		}
		got, err := PathEscape(c.in)
		if err != nil {
			got = "!"
		}
		if got != c.path {
			t.Errorf("PathEscape(%q) = %q, want %q", c.in, got, c.path)
		}
		if got, err := Unescape(c.in); got != c.unescape || err != nil {
			t.Errorf("Unescape(%q) = %q, %v, want %q", c.in, got, err, c.unescape)
		}
	}
}

func TestMangleGlob(t *testing.T) {
	for in, want := range map[string]string{
		"foo*": "foo*", "*.mount": "*.mount", "ssh": "ssh.service", "a[bc]": "a[bc]", "*": "*",
	} {
		if got, _, err := Mangle(in, ".service", MangleGlob); got != want || err != nil {
			t.Errorf("Mangle(%q) with globs = %q, %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"", strings.Repeat("a", 300)} {
		if got, _, err := Mangle(in, ".service", 0); err == nil {
			t.Errorf("Mangle(%.10q) = %q", in, got)
		}
	}
}

func TestUnescapeRefuses(t *testing.T) {
	for _, s := range []string{`a\x2`, `a\`, `\y20`, `\xzz`} {
		if got, err := Unescape(s); err == nil {
			t.Errorf("Unescape(%q) = %q", s, got)
		}
	}
	for _, s := range []string{"", "a--b", "-a", "a-", `a-\x2e\x2e-b`} {
		got, err := PathUnescape(s)
		if err == nil && s != `a-\x2e\x2e-b` {
			t.Errorf("PathUnescape(%q) = %q", s, got)
		}
	}
}

// FuzzEscape: escaping can be undone, makes a valid instance, and is what
// go-systemd does.
func FuzzEscape(f *testing.F) {
	for _, s := range []string{"", "/", "a/b", "..", "\xff", "a b-c", ".x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e := Escape(s)
		if e != "" && !ValidInstance(e) {
			t.Fatalf("Escape(%q) = %q, not valid", s, e)
		}
		// go-systemd writes bytes below 16 with one digit.
		if other := systemd.UnitNameEscape(s); s != "" && other != e && !strings.ContainsFunc(s, func(r rune) bool { return r < 16 }) {
			t.Fatalf("Escape(%q) = %q, go-systemd has %q", s, e, other)
		}
		back, err := Unescape(e)
		if err != nil || back != s {
			t.Fatalf("Unescape(Escape(%q)) = %q, %v", s, back, err)
		}
		if p, err := PathEscape(s); err == nil {
			path, err := PathUnescape(p)
			if err != nil {
				return // relative parts such as "." in names
			}
			if again, err := PathEscape(path); err != nil || again != p {
				t.Fatalf("path %q escapes to %q, then to %q, %v", s, p, again, err)
			}
		}
	})
}
