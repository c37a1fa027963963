package generators

import (
	"bytes"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/muster-init/muster/pkg/generator/program"
)

// TestInstalled: `make install` makes a link for every name that the program answers to, and for no other.
func TestInstalled(t *testing.T) {
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, kind := range []struct{ variable, dir, before, after string }{
		{"SYSTEM_GENERATORS", "system-generators", "systemd-", "-generator"},
		{"USER_GENERATORS", "user-generators", "systemd-", "-generator"},
		{"USER_ENVIRONMENT_GENERATORS", "user-environment-generators", "", ""},
	} {
		m := regexp.MustCompile(`(?m)^` + kind.variable + ` := (.*)$`).FindSubmatch(makefile)
		if m == nil {
			continue
		}
		for _, name := range strings.Fields(string(m[1])) {
			want = append(want, kind.dir+"/"+kind.before+name+kind.after)
		}
	}
	slices.Sort(want)
	if got := program.Paths(); !slices.Equal(got, want) {
		t.Errorf("the program answers to\n%q, the Makefile links\n%q", got, want)
	}
}

// TestCalls: wrong calls end with a usage and status 2, names work as an argument too.
func TestCalls(t *testing.T) {
	for _, c := range []struct {
		args   []string
		status int
	}{
		{nil, 2}, {[]string{"muster-generator"}, 2}, {[]string{"muster-generator", "unknown", "/x"}, 2}, {[]string{"systemd-fstab-generator"}, 2},
		{[]string{"systemd-fstab-generator", "a", "b"}, 2}, {[]string{"muster-generator", "--list"}, 0},
		{[]string{"muster-generator", "rc-local", t.TempDir()}, 0}, {[]string{"muster-generator", "systemd-rc-local-generator", t.TempDir()}, 0},
		{[]string{"/x/systemd-run-generator", "/dev/null/x"}, 1},
	} {
		var out, said bytes.Buffer
		p := program.Process{Root: t.TempDir(), Stdout: &out, Stderr: &said, Getenv: func(key string) string {
			if key == "SYSTEMD_PROC_CMDLINE" {
				return "systemd.run=/bin/true"
			}
			return ""
		}}
		if status := program.Main(p, c.args); status != c.status || status != 0 && said.Len() == 0 {
			t.Errorf("%q: status %d, want %d: %s", c.args, status, c.status, said.String())
		}
	}
}
