// Package generators compares our generators with those of systemd: with recorded results everywhere, and side by side in the same root where one is
// prepared.
package generators

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-init/muster/pkg/generator/program"
)

// searchPath is $PATH of every run.
const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"

// TestRecorded runs our generators on a directory that has the files of each case and compares with what systemd's were seen to write.
func TestRecorded(t *testing.T) {
	count := 0
	for file, list := range allCases(t) {
		for _, c := range list {
			count++
			t.Run(strings.TrimSuffix(filepath.Base(file), ".cases")+"/"+c.name, func(t *testing.T) {
				got, said := runHere(t, c)
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("systemd - muster +\n%s%s", diff, said)
				}
			})
		}
	}
	if count < 190 {
		t.Errorf("only %d cases", count)
	}
}

// runHere runs our generator for a case in this process.
func runHere(t *testing.T, c *testCase) ([]string, string) {
	t.Helper()
	dir, out := t.TempDir(), t.TempDir()
	ttys, err := c.lay(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("usr/bin", filepath.Join(dir, "bin")); err != nil {
		t.Fatal(err)
	}
	// What every Debian root has.
	for _, program := range []string{"env", "umount"} {
		if err := os.MkdirAll(filepath.Join(dir, "usr/bin"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "usr/bin", program), []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if len(ttys) > 0 {
		pty, slave, err := openPTY()
		if err != nil {
			t.Fatal(err)
		}
		defer pty.Close()
		for _, tty := range ttys {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, tty)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(slave, filepath.Join(dir, tty)); err != nil {
				t.Fatal(err)
			}
		}
	}
	env := append([]string{"PATH=" + searchPath, "SYSTEMD_PROC_CMDLINE=" + c.cmdline}, c.env...)
	getenv := func(key string) string {
		for i := len(env) - 1; i >= 0; i-- {
			if text, ok := strings.CutPrefix(env[i], key+"="); ok {
				return text
			}
		}
		return ""
	}
	var stdout, stderr bytes.Buffer
	for _, d := range []string{"normal", "early", "late"} {
		if err := os.Mkdir(filepath.Join(out, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	p := program.Process{Root: dir, Getenv: getenv, Env: env, Stdout: &stdout, Stderr: &stderr}
	status := program.Main(p, []string{"/usr/lib/x/" + c.generator, out + "/normal", out + "/early", out + "/late"})
	if stdout.Len() > 0 {
		if err := os.WriteFile(out+"/normal/environment.conf", stdout.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	list, err := result(out, status)
	if err != nil {
		t.Fatal(err)
	}
	return list, stderr.String()
}
