package unit

import (
	"strings"
	"testing"
)

func TestSpecifiers(t *testing.T) {
	ctx := testHost().Specifiers
	for text, want := range map[string]string{
		"n=%n N=%N p=%p P=%P i=%i I=%I j=%j J=%J f=%f": `n=s-x@a-b.service N=s-x@a-b p=s-x P=s/x i=a-b I=a/b j=x J=x f=/a/b`,
		"%H %l %q":          "box.example.org box box.example.org",
		"%u %U %g %G %h %s": "root 0 root 0 /root /bin/sh", "%t %S %C %L %E %T %V %D": "/run /var/lib /var/cache /var/log /etc /tmp /var/tmp /usr/share",
		"%d": "/run/credentials/s-x@a-b.service", "%y %Y": "/etc/s-x@.service /etc", "%%n %": "%n %", "100%": "100%", "%-": "%-",
		"%a %v %o %w": "x86-64 6.1.0 debian 13", "[%A%B%M%W]": "[]", "%r %c": "/system.slice /system.slice/s-x@a-b.service",
	} {
		got, err := ctx.Expand(text, "s-x@a-b.service", "/etc/s-x@.service")
		if err != nil || got != want {
			t.Errorf("Expand(%q) = %q, %v, want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"%z", "%1", "%e"} {
		if got, err := ctx.Expand(text, "a.service", ""); err == nil {
			t.Errorf("Expand(%q) = %q, want an error", text, got)
		}
	}
	for _, text := range []string{"%f", "%h", "%t", "%I", "%z"} {
		if got, err := ctx.ExpandName(text, "a@b.service"); err == nil {
			t.Errorf("ExpandName(%q) = %q: not for names", text, got)
		}
	}
	if _, err := (&SpecifierContext{}).Expand("%m", "a.service", ""); err == nil {
		t.Error("an unknown machine id expands")
	}
	if _, err := ctx.Expand(strings.Repeat("%n", 100000), strings.Repeat("a", 200)+".service", ""); err == nil {
		t.Error("the length of the result isn't bounded")
	}
}

// TestSpecifiersEqualCensus: which letters there are, and which are for names.
func TestSpecifiersEqualCensus(t *testing.T) {
	settings, names := SpecifierLetters()
	for _, d := range readTable(t, "specifiers.tsv") {
		letter := strings.TrimPrefix(d["specifier"], "%")
		if letter == "%" {
			continue
		}
		if !strings.Contains(settings, letter) {
			t.Errorf("specifier %%%s is missing", letter)
		}
		if strings.Contains(names, letter) != (d["in_unit_names"] == "yes") {
			t.Errorf("specifier %%%s in names: %v", letter, d["in_unit_names"])
		}
		settings = strings.Replace(settings, letter, "", 1)
	}
	if settings != "" {
		t.Errorf("specifiers %q aren't in the census", settings)
	}
}
