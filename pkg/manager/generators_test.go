package manager

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/generator"
)

// generatorBench is a run of shell scripts as generators.
func generatorBench(t *testing.T, sandbox bool, scripts map[string]string) *generatorRun {
	t.Helper()
	if sandbox && os.Geteuid() != 0 {
		t.Skip("needs root for mount namespaces")
	}
	base := t.TempDir()
	if sandbox {
		// The sandbox has a /tmp of its own, which would hide the test's directory.
		dir, err := os.MkdirTemp("/run", "muster-generator-test-")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		base = dir
	}
	g := &generatorRun{
		output: generator.OutputBelow(base + "/run"), staging: generator.OutputBelow(base + "/run/staging"), helpers: newHelpers(), sandbox: sandbox,
		timeout: 30 * time.Second, env: []string{"PATH=/usr/bin:/bin", "BASE=" + base}, context: generator.Context{Virtualization: "kvm"},
	}
	for name, text := range scripts {
		path := filepath.Join(base, name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(name, "env") {
			g.environment = append(g.environment, path)
		} else {
			g.units = append(g.units, path)
		}
	}
	return g
}

func bothWays(t *testing.T, run func(t *testing.T, sandbox bool)) {
	for _, sandbox := range []bool{false, true} {
		t.Run(fmt.Sprintf("sandbox %v", sandbox), func(t *testing.T) { run(t, sandbox) })
	}
}

// one is the message that has all parts; it fails the test when there is none.
func one(t *testing.T, list []string, parts ...string) {
	t.Helper()
next:
	for _, text := range list {
		for _, p := range parts {
			if !strings.Contains(text, p) {
				continue next
			}
		}
		return
	}
	t.Errorf("no message with %q in %q", parts, list)
}

// TestBadGenerators: one that fails, crashes, hangs, floods or can't be executed costs its own output at most, and says so.
func TestBadGenerators(t *testing.T) {
	bothWays(t, func(t *testing.T, sandbox bool) {
		// The one that hangs has to be waited for. On a machine that is slow the others take as long as that, and get more.
		for _, timeout := range []time.Duration{3 * time.Second, 15 * time.Second, time.Minute} {
			if badGenerators(t, sandbox, timeout) {
				return
			}
		}
		t.Error("others than the one that hangs don't end in a minute")
	})
}

// badGenerators is false when the time wasn't enough for those that end.
func badGenerators(t *testing.T, sandbox bool, timeout time.Duration) bool {
	g := generatorBench(t, sandbox, map[string]string{
		"good":  `echo "[Unit]" >"$1/good.service"; echo a note >&2`,
		"fails": `echo half >"$1/half.service"; echo "line one" >&2; echo "line two" >&2; exit 3`,
		"dies":  `kill -SEGV $$`,
		"hangs": `sleep 1000 & sleep 1000`,
		"flood": `while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done`,
		"big":   `exec head -c 100000000 /dev/zero >"$1/big.service"`,
		"leaves": `sleep 1000 &
				echo "[Unit]" >"$1/left.service"`,
	})
	broken := filepath.Join(filepath.Dir(g.units[0]), "broken")
	if err := os.WriteFile(broken, []byte("#!/no/such/interpreter\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	g.units = append(g.units, broken)
	g.timeout = timeout
	began := time.Now()
	r := g.all()
	if took := time.Since(began); took > timeout+time.Minute {
		t.Errorf("took %v", took)
	}
	late := 0
	for _, text := range r.problems {
		if strings.Contains(text, "did not end in time") {
			late++
		}
	}
	if late > 1 {
		return false
	}
	one(t, r.problems, "fails: failed with status 3: line one\nline two")
	one(t, r.problems, "dies: was killed by signal 11")
	one(t, r.problems, "hangs: did not end in time and was killed")
	one(t, r.problems, "flood: was killed by signal 13: xxx")
	one(t, r.problems, "big: ")
	one(t, r.problems, "broken: could not be started: ", "no such file")
	one(t, r.notes, "good: a note")
	if len(r.notes) != 1 || g.sandbox != sandbox {
		t.Errorf("sandbox %v, notes %q", g.sandbox, r.notes)
	}
	if len(r.problems) != 6 {
		t.Errorf("%d problems: %.200q", len(r.problems), r.problems)
	}
	for _, name := range []string{"good.service", "left.service", "half.service"} {
		if _, err := os.Stat(g.output.Normal + "/" + name); err != nil {
			t.Error(err)
		}
	}
	if info, err := os.Stat(g.output.Normal + "/big.service"); err == nil && info.Size() > generator.FileBytesMax {
		t.Errorf("big.service has %d bytes", info.Size())
	}
	if _, err := os.Stat(filepath.Dir(g.staging.Normal)); err == nil {
		t.Error("the staging directory is left")
	}
	return true
}

// TestGeneratorOutputStays: what is written again as it was keeps its inode and times, and is there while the next run is on.
func TestGeneratorOutputStays(t *testing.T) {
	bothWays(t, func(t *testing.T, sandbox bool) {
		g := generatorBench(t, sandbox, map[string]string{
			"same":  `echo "[Unit]" >"$1/same.service"; mkdir "$3/a.target.wants"; ln -s ../same.service "$3/a.target.wants/"`,
			"other": `date +%N >"$2/other.service"`,
		})
		stat := func(path string) (st unix.Stat_t) {
			t.Helper()
			if err := unix.Lstat(path, &st); err != nil {
				t.Fatal(path, err)
			}
			return st
		}
		fresh := *g
		paths := []string{g.output.Normal + "/same.service", g.output.Late + "/a.target.wants/same.service"}
		if r := g.all(); len(r.problems) > 0 {
			t.Fatal(r.problems)
		}
		var before []unix.Stat_t
		for _, p := range paths {
			before = append(before, stat(p))
		}
		other, err := os.ReadFile(g.output.Early + "/other.service")
		if err != nil {
			t.Fatal(err)
		}
		if r := fresh.all(); len(r.problems) > 0 {
			t.Fatal(r.problems)
		}
		for i, p := range paths {
			if now := stat(p); now.Ino != before[i].Ino || now.Ctim != before[i].Ctim {
				t.Errorf("%s was touched", p)
			}
		}
		if now, err := os.ReadFile(g.output.Early + "/other.service"); err != nil || string(now) == string(other) {
			t.Errorf("other.service is the old one: %v", err)
		}
		fresh.units = nil
		if r := fresh.all(); len(r.problems) > 0 {
			t.Fatal(r.problems)
		}
		if _, err := os.Stat(g.output.Normal); err == nil {
			t.Error("output of generators that are gone is left")
		}
	})
}

// TestGeneratorSandbox: only the output and /tmp can be written, and that /tmp is not the machine's.
func TestGeneratorSandbox(t *testing.T) {
	g := generatorBench(t, true, map[string]string{
		"try": `for d in / /etc /usr /root /var; do touch "$d/.muster-probe" 2>/dev/null && { rm -f "$d/.muster-probe"; echo "$d" >>"$1/written.service"; }; done
			echo x >/tmp/muster-probe && echo tmp >>"$1/written.service"; ls /tmp | wc -l >>"$1/written.service"`,
	})
	if r := g.all(); len(r.problems)+len(r.notes) > 0 {
		t.Fatal(r.problems, r.notes)
	}
	got, err := os.ReadFile(g.output.Normal + "/written.service")
	if err != nil || string(got) != "tmp\n1\n" {
		t.Errorf("written: %q, %v", got, err)
	}
	if _, err := os.Stat("/tmp/muster-probe"); err == nil {
		t.Error("the machine's /tmp was written")
	}
}

// TestEnvironmentGenerators: each sees what those before it gave; bad lines and bad generators cost themselves.
func TestEnvironmentGenerators(t *testing.T) {
	g := generatorBench(t, false, map[string]string{
		"units": `echo "A=$A B=$B scope=$SYSTEMD_SCOPE" >"$1/seen.service"`,
	})
	base := filepath.Dir(g.units[0])
	for name, text := range map[string]string{
		"10": `echo A=one; echo 'B="two words"'; echo 1BAD=x; echo noise >&2`,
		"20": `echo "A=$A-more"; echo "C=x"`,
		"30": `echo D=lost; exit 1`,
		"40": `while :; do echo E=flood; done`,
	} {
		path := filepath.Join(base, name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	g.environment = []string{base + "/10", base + "/20", base + "/30", base + "/40"}
	r := g.all()
	if got := strings.Join(r.environment, "|"); got != "A=one-more|B=two words|C=x" {
		t.Errorf("environment %q", got)
	}
	one(t, r.problems, `10:3: "1BAD"`)
	one(t, r.problems, "30: failed with status 1")
	one(t, r.problems, "40: printed more than 1 MiB")
	one(t, r.notes, "10: noise")
	if text, err := os.ReadFile(g.output.Normal + "/seen.service"); err != nil || string(text) != "A=one-more B=two words scope=system\n" {
		t.Errorf("%q, %v", text, err)
	}
}
