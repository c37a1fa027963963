package ctl

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// runAs runs a tool by its name, without a manager.
func runAs(name string, args ...string) (status int, out, talk string) {
	e, o, t := testEnv(nil, 0)
	e.Name = name
	status = e.run(name, args)
	return status, o.String(), t.String()
}

// TestEscape has what systemd-escape 257 was observed to print.
func TestEscape(t *testing.T) {
	for _, c := range []struct {
		args   []string
		status int
		text   string
	}{
		{[]string{"a b", "c/d"}, 0, "a\\x20b c-d"}, {[]string{"-p", "/a/b", "/"}, 0, "a-b -"}, {[]string{"-p", "a/../b"}, 1, "Input 'a/../b' is not an absolute file system path, failed to escape."},
		{[]string{"-u", `a\x20b`, "c-d"}, 0, "a b c/d"}, {[]string{"-u", "-p", "a-b"}, 0, "/a/b"}, {[]string{"--suffix=service", "foo/bar"}, 0, "foo-bar.service"},
		{[]string{"--suffix=foo", "bar"}, 1, "Invalid unit suffix type \"foo\"."}, {[]string{"--template=foo@.service", "a b"}, 0, `foo@a\x20b.service`},
		{[]string{"--template=foo.service", "a b"}, 1, "Template name foo.service is not valid."}, {[]string{"-u", "--template=foo@.service", `foo@a\x20b.service`}, 0, "a b"},
		{[]string{"-u", "--template=foo@.service", "bar@a.service"}, 1, "Unit bar@a.service template bar@.service does not match specified template foo@.service."},
		{[]string{"-u", "--instance", `foo@a\x20b.service`}, 0, "a b"}, {[]string{"-u", "--instance", "foo.service"}, 1, "Unit foo.service is missing the instance name."},
		{[]string{"--instance", "foo"}, 1, "--instance must be used in conjunction with --unescape."},
		{[]string{"-m", "foo", "a b", "/dev/sda", "/mnt", "foo.socket"}, 0, `foo.service a\x20b.service dev-sda.device mnt.mount foo.socket`},
		{[]string{"-m", "-p", "foo"}, 1, "--path may not be combined with --mangle."}, {[]string{"-m", "-u", "foo"}, 0, "foo"}, {nil, 1, "Not enough arguments."},
		{[]string{"-u", `a\xzz`}, 1, "Failed to unescape string: Invalid argument"}, {[]string{"--fo"}, 1, "systemd-escape: unrecognized option '--fo'"},
	} {
		status, out, talk := runAs("systemd-escape", c.args...)
		if got := out + talk; status != c.status || got != c.text+"\n" {
			t.Errorf("%q: status %d, %q; want %d, %q", c.args, status, got, c.status, c.text)
		}
	}
}

// TestAnalyzeValues has what systemd-analyze 257 was observed to print.
func TestAnalyzeValues(t *testing.T) {
	for _, c := range []struct {
		args   string
		status int
		text   string
	}{
		{"timespan 90061s", 0, "Original: 90061s\n      μs: 90061000000\n   Human: 1d 1h 1min 1s\n"},
		{"calendar daily", 0, "  Original form: daily\nNormalized form: *-*-* 00:00:00\n    Next elapse: Thu 2026-03-05 00:00:00 UTC\n       From now: 12h left\n"},
		{"calendar --iterations=2 --base-time=2020-01-01 weekly", 0, "  Original form: weekly\nNormalized form: Mon *-*-* 00:00:00\n    Next elapse: Mon 2020-01-06 00:00:00 UTC\n" +
			"       From now: 6 years 1 month ago\n   Iteration #2: Mon 2020-01-13 00:00:00 UTC\n       From now: 6 years 1 month ago\n"},
		{"calendar 2010-01-01", 0, "  Original form: 2010-01-01\nNormalized form: 2010-01-01 00:00:00\n    Next elapse: never\n"},
		{"timestamp 2020-01-01", 0, "  Original form: 2020-01-01\nNormalized form: Wed 2020-01-01 00:00:00 UTC\n   UNIX seconds: @1577836800\n       From now: 6 years 2 months ago\n"},
		{"timespan foo", 1, "Failed to parse time span 'foo': Invalid argument\n"},
		{"exit-status 0 1", 0, "NAME    STATUS CLASS\nSUCCESS      0 libc\nFAILURE      1 libc\n"},
		{"exit-status 300", 1, "Invalid exit status \"300\".\n"},
		{"capability -m 0x21", 0, "NAME      NUMBER\ncap_chown      0\ncap_kill       5\n"},
		{"capability foo", 1, "Capability \"foo\" is not known.\n"},
		{"compare-versions 1.2 1.10", 12, "1.2 < 1.10\n"}, {"compare-versions 1.2 lt 1.10", 0, ""}, {"compare-versions 1 gt 2", 1, ""},
		{"syscall-filter @nosuch", 1, "Filter set \"@nosuch\" not found.\n"}, {"foo", 1, "Unknown command verb 'foo', did you mean 'dot'?\n"},
		{"condition ConditionPathExists=/nosuch", 1, "test.service: ConditionPathExists=/nosuch failed.\nConditions failed.\n"}, {"condition Foo=a", 1, "Cannot parse \"Foo=a\".\n"},
	} {
		status, out, talk := runAs("systemd-analyze", strings.Fields(c.args)...)
		if got := out + talk; status != c.status || got != c.text {
			t.Errorf("%s: status %d\n%s\nwant %d\n%s", c.args, status, got, c.status, c.text)
		}
	}
}

// TestVerify: what is wrong with unit files is told with file and line.
func TestVerify(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/a.service", "[Unit]\nFoo=bar\nRequires=nosuch-anywhere.service\n[Service]\nExecStart=/nosuch/program\n")
	write(t, dir+"/b.service", "[Service]\nExecStart=/bin/sh\n")
	status, _, talk := runAs("systemd-analyze", "verify", "--man=no", dir+"/a.service")
	for _, want := range []string{dir + "/a.service:2: Unknown key 'Foo' in section [Unit]", "Unit nosuch-anywhere.service not found", "a.service: Command /nosuch/program is not executable: No such file or directory"} {
		if !strings.Contains(talk, want) {
			t.Errorf("talk %q lacks %q", talk, want)
		}
	}
	if status != 1 {
		t.Errorf("status %d", status)
	}
	if status, _, talk := runAs("systemd-analyze", "verify", "--man=no", dir+"/b.service"); status != 0 || talk != "" {
		t.Errorf("good unit: status %d, %q", status, talk)
	}
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestUnitFilesOffline works on another root, without a manager.
func TestUnitFilesOffline(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/usr/lib/systemd/system/a.service", "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\nAlias=b.service\n")
	write(t, root+"/usr/lib/systemd/system/s.service", "[Service]\nExecStart=/bin/true\n")
	write(t, root+"/usr/lib/systemd/system/multi-user.target", "[Unit]\n")
	write(t, root+"/usr/lib/systemd/system-preset/90.preset", "enable a.service\ndisable *\n")
	run := func(args ...string) (int, string, string) {
		e, out, talk := testEnv(nil, 0)
		e.Root = ""
		status := runSystemctl(e, append([]string{"--root=" + root}, args...), false)
		return status, out.String(), talk.String()
	}
	for _, c := range []struct {
		args   string
		status int
		text   string
	}{
		{"is-enabled a s nosuch", 0, "disabled\nstatic\nnot-found\n"}, {"is-enabled a", 1, "disabled\n"}, {"is-enabled nosuch", 4, "not-found\n"},
		{"enable a", 0, "Created symlink '/etc/systemd/system/b.service' → '/usr/lib/systemd/system/a.service'.\n" +
			"Created symlink '/etc/systemd/system/multi-user.target.wants/a.service' → '/usr/lib/systemd/system/a.service'.\n"},
		{"is-enabled a b", 0, "enabled\nalias\n"}, {"enable nosuch", 1, "Failed to enable unit: Unit nosuch.service does not exist\n"},
		{"list-unit-files a*", 0, "UNIT FILE STATE   PRESET\na.service enabled enabled\n\n1 unit files listed.\n"}, {"start a", 1, "Verb 'start' cannot be used with --root= or --image=.\n"},
		{"cat s", 0, "# " + root + "/usr/lib/systemd/system/s.service\n[Service]\nExecStart=/bin/true\n"},
	} {
		status, out, talk := run(strings.Fields(c.args)...)
		if got := out + talk; status != c.status || got != c.text {
			t.Errorf("%s: status %d\n%s\nwant %d\n%s", c.args, status, got, c.status, c.text)
		}
	}
	if _, err := os.Readlink(root + "/etc/systemd/system/multi-user.target.wants/a.service"); err != nil {
		t.Error(err)
	}
	if status, _, talk := run("set-default", "multi-user"); status != 0 || !strings.Contains(talk, "default.target") {
		t.Errorf("set-default: %d, %q", status, talk)
	}
	if status, out, _ := run("get-default"); status != 0 || out != "multi-user.target\n" {
		t.Errorf("get-default: %d, %q", status, out)
	}
}

// TestEditStdin writes a drop-in, and the whole file with --full.
func TestEditStdin(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/usr/lib/systemd/system/a.service", "[Service]\nExecStart=/bin/true\n")
	for _, c := range []struct{ options, input, file, want string }{
		{"", "\n[Service]\nNice=5\n\n", "/etc/systemd/system/a.service.d/override.conf", "[Service]\nNice=5\n"},
		{"--runtime --drop-in=x", "[Unit]", "/run/systemd/system/a.service.d/x.conf", "[Unit]\n"},
		{"--full", "[Service]\nExecStart=/bin/false", "/etc/systemd/system/a.service", "[Service]\nExecStart=/bin/false\n"},
	} {
		e, _, talk := testEnv(nil, 0)
		e.Root, e.In = "", strings.NewReader(c.input)
		status := runSystemctl(e, append(append([]string{"--root=" + root}, strings.Fields(c.options)...), "edit", "--stdin", "a"), false)
		got, err := os.ReadFile(root + c.file)
		if status != 0 || err != nil || string(got) != c.want {
			t.Errorf("%s: status %d, %v, %q, %q", c.options, status, err, got, talk)
		}
	}
}

// TestAssignments: settings become properties with the signature the manager takes.
func TestAssignments(t *testing.T) {
	for _, c := range []struct {
		text, name, sig string
		want            any
	}{
		{"MemoryMax=1G", "MemoryMax", "t", uint64(1 << 30)}, {"MemoryMax=50%", "MemoryMaxScale", "u", uint32(0x7fffffff)}, {"TasksMax=infinity", "TasksMax", "t", ^uint64(0)},
		{"CPUQuota=50%", "CPUQuotaPerSecUSec", "t", uint64(500000)}, {"Environment=A=50% B=c", "Environment", "as", []string{"A=50%", "B=c"}}, {"Nice=5", "Nice", "i", int32(5)},
		{"StandardOutput=file:/x", "StandardOutputFile", "s", "/x"}, {"Delegate=yes", "Delegate", "b", true}, {"Delegate=cpu memory", "DelegateControllers", "as", []string{"cpu", "memory"}},
		{"PrivateTmp=yes", "PrivateTmp", "b", true}, {"PrivateTmp=disconnected", "PrivateTmpEx", "s", "disconnected"}, {"After=a.service b.service", "After", "as", []string{"a.service", "b.service"}},
		{"Description=x %y", "Description", "s", "x %y"}, {"RestartSec=2min", "RestartUSec", "t", uint64(120e6)},
	} {
		list, err := parseAssignment(unit.TypeService, c.text)
		if err != nil || len(list) == 0 {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		a := list[0]
		var e bus.Encoder
		a.write(&e)
		d := bus.NewDecoder(e.Bytes(), false, nil)
		got, err := d.Decode(a.sig)
		if err != nil || a.name != c.name || a.sig != c.sig || len(got) != 1 || !equal(got[0], c.want) {
			t.Errorf("%s: %s %s %v, %v", c.text, a.name, a.sig, got, err)
		}
	}
	for text, want := range map[string]string{"Foo": "Not an assignment: Foo", "Foo=x": "Unknown assignment: Foo=x", "CPUWeight=x": "Failed to parse CPUWeight=x: Invalid argument"} {
		_, err := parseAssignment(unit.TypeService, text)
		if err == nil || assignmentError(text, err) != want {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func equal(a, b any) bool {
	if x, ok := a.([]string); ok {
		y, ok := b.([]string)
		return ok && strings.Join(x, "\x00") == strings.Join(y, "\x00")
	}
	return a == b
}

// TestEveryRow: every setting that may be set with its example becomes a property without an error.
func TestEveryRow(t *testing.T) {
	known := 0
	for _, row := range unit.Rows() {
		if !row.Settable || row.In&unit.SectionsOf(unit.TypeService) == 0 || row.Example == "" || row.Legacy != "" {
			continue
		}
		list, err := parseAssignment(unit.TypeService, row.Name+"="+row.Example)
		if err != nil || len(list) == 0 {
			t.Errorf("%s=%s: %v", row.Name, row.Example, err)
			continue
		}
		known++
		for _, a := range list {
			var e bus.Encoder
			a.write(&e)
			if want := unit.PropertySignature(unit.TypeService, a.name, unit.SetTransient); want != a.sig && want != "" {
				t.Errorf("%s: property %s has signature %s, the manager takes %s", row.Name, a.name, a.sig, want)
			}
			if err := bus.ValidateBody(a.sig, e.Bytes(), false, nil); err != nil && !strings.Contains(a.sig, "h") {
				t.Errorf("%s: property %s: %v", row.Name, a.name, err)
			}
		}
	}
	if known < 200 {
		t.Errorf("only %d rows were looked at", known)
	}
}

func TestShutdownTime(t *testing.T) {
	now := time.Date(2026, 1, 1, 23, 30, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{"now": now, "+5": now.Add(5 * time.Minute), "7": now.Add(7 * time.Minute), "23:45": now.Add(15 * time.Minute), "01:00": now.Add(90 * time.Minute)} {
		at, _, err := shutdownTime(text, now)
		if err != nil || int64(at) != want.UnixMicro() {
			t.Errorf("%s: %v, %v", text, at, err)
		}
	}
	for _, text := range []string{"foo", "24:00", "1:5", "+x", ""} {
		if _, _, err := shutdownTime(text, now); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}

func TestCompareVersions(t *testing.T) {
	// Each is lower than the next, from the specification's examples.
	list := []string{"~1", "", "ab", "abb", "abc", "0001", "002", "12", "122", "122.9", "123~rc1", "123", "123-a", "123-a.1", "123-a1", "123-a1.1", "123-3", "123-3.1", "123^patch1", "123^1", "123.a-1", "123.1-1", "123a-1", "124"}
	for i := range list[:len(list)-1] {
		if c := value.CompareVersions(list[i], list[i+1]); c != -1 {
			t.Errorf("%q and %q: %d", list[i], list[i+1], c)
		}
		if c := value.CompareVersions(list[i+1], list[i]); c != 1 {
			t.Errorf("%q and %q: %d", list[i+1], list[i], c)
		}
	}
}

func TestEllipsize(t *testing.T) {
	for _, c := range []struct {
		s       string
		width   int
		percent int
		want    string
	}{{"abcdef", 6, 100, "abcdef"}, {"abcdefg", 6, 100, "abcde…"}, {"abcdefgh", 5, 0, "…efgh"}, {"日本語テキスト", 7, 100, "日本語…"}, {"abc", 0, 100, ""}, {"abcdefghij", 7, 33, "ab…ghij"}} {
		if got := ellipsize(c.s, c.width, c.percent); got != c.want || textWidth(got) > c.width {
			t.Errorf("%q to %d: %q, want %q", c.s, c.width, got, c.want)
		}
	}
}

// TestCompletion: the scripts of cobra ask with __complete.
func TestCompletion(t *testing.T) {
	ask := func(words ...string) string {
		e, out, _ := testEnv(zoo(t), 0)
		e.Name = "musterctl"
		if status := e.run("musterctl", append([]string{"__complete"}, words...)); status != 0 {
			t.Fatalf("status %d", status)
		}
		return out.String()
	}
	for want, words := range map[string][]string{"web.service": {"stop", "we"}, "db.service": {"reset-failed", ""}, "--no-block\t": {"start", "--no-b"}, "status\t": {"stat"}, "--type=socket": {"list-units", "--type=so"}} {
		if got := ask(words...); !strings.Contains(got, want) {
			t.Errorf("%q: %q lacks %q", words, got, want)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		e, out, _ := testEnv(nil, 0)
		if e.run("musterctl", []string{"completion", shell}); !strings.Contains(out.String(), "__complete") {
			t.Errorf("%s: no script", shell)
		}
	}
}
