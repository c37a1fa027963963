package value

import (
	"errors"
	"math"
	"net/netip"
	"testing"
)

func TestFormatSpanAccuracy(t *testing.T) {
	for _, test := range []struct {
		span, accuracy USec
		want           string
	}{
		{90*USecPerSec + 500*USecPerMSec, USecPerSec, "1min 30s"},
		{500 * USecPerMSec, USecPerSec, "500ms"},
		{1500, USecPerSec, "1ms"},
		{1500 * USecPerMSec, USecPerMSec, "1.500s"},
		{1500 * USecPerMSec, USecPerSec, "1s"},
		{137*USecPerMin + 5*USecPerSec, USecPerMin, "2h 17min"},
		{12345678, 100 * USecPerMSec, "12.3s"},
		{0, USecPerSec, "0"},
		{Infinity, USecPerSec, "infinity"},
		{5, 0, "5us"},
	} {
		if got := FormatSpan(test.span, test.accuracy); got != test.want {
			t.Errorf("%d by %d: %q, want %q", test.span, test.accuracy, got, test.want)
		}
	}
}

func TestFormatBytes(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "0B", 1: "1B", 1023: "1023B", 1024: "1K", 1025: "1K", 1535: "1.4K", 1536: "1.5K", 11 << 20: "11M", 11<<20 + 105<<10: "11.1M", 1 << 40: "1T", 1 << 62: "4E", math.MaxUint64 - 1: "15.9E", math.MaxUint64: "infinity",
	} {
		if got := FormatBytes(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestSpecialSpans(t *testing.T) {
	if v, err := ParseSecFixZero("0"); v != Infinity || err != nil {
		t.Errorf("0: %d, %v", v, err)
	}
	if v, err := ParseSecDefaultInfinity(" "); v != Infinity || err != nil {
		t.Errorf("empty: %d, %v", v, err)
	}
	if v, err := ParseSec("5", 1); v != 5 || err != nil {
		t.Errorf("µs: %d, %v", v, err)
	}
	if _, err := ParseSec("99999999999y", 1); !errors.Is(err, ErrRange) {
		t.Errorf("range: %v", err)
	}
}

func TestTristate(t *testing.T) {
	for s, want := range map[string]Tristate{"": TristateUnset, "yes": TristateYes, "0": TristateNo} {
		if got, err := ParseTristate(s); got != want || err != nil {
			t.Errorf("%q: %q, %v", s, got, err)
		}
	}
	if !TristateUnset.Or(true) || TristateNo.Or(true) || !TristateYes.Or(false) {
		t.Error("or")
	}
	if _, err := ParseTristate("maybe"); err == nil {
		t.Error("maybe was read")
	}
}

func TestExitStatusNames(t *testing.T) {
	if len(exitStatusNames) != len(ExitStatuses()) || ExitExec.String() != "EXEC" || ExitStatus(64).Class() != ExitClassBSD || ExitStatus(244).String() != "BPF" ||
		ExitStatus(99).String() != "99" || ExitStatus(99).Class() != ExitClassNone {
		t.Error("names of exit statuses")
	}
	last := -1
	for _, e := range exitStatusNames {
		if int(e.status) <= last {
			t.Errorf("%s is out of order", e.name)
		}
		last = int(e.status)
	}
	var set ExitStatusSet
	set.Add(5)
	set.AddSignal(SIGKILL)
	var other ExitStatusSet
	other.Add(255)
	set.Merge(other)
	if !set.Has(5) || !set.Has(255) || set.Has(256) || set.Has(-1) || set.Has(6) || !set.HasSignal(SIGKILL) || set.HasSignal(0) || set.HasSignal(65) || set.Empty() {
		t.Errorf("set: %+v", set)
	}
}

func TestCapabilityMerge(t *testing.T) {
	set := CapabilityAll
	for _, step := range []struct {
		text string
		want CapabilitySet
	}{
		{"CAP_CHOWN", 1}, {"CAP_KILL", 1 | 1<<5}, {"~CAP_CHOWN", 1 << 5}, {"", 0}, {"~CAP_CHOWN", 0}, {"~", CapabilityAll}, {"~CAP_CHOWN", CapabilityAll &^ 1},
	} {
		set, _ = MergeCapabilitySet(set, CapabilityAll, step.text)
		if set != step.want {
			t.Errorf("%s: %s, want %s", step.text, set, step.want)
		}
	}
	if _, err := ParseCapabilitySet("CAP_FOO"); !errors.Is(err, ErrInvalid) {
		t.Errorf("unknown: %v", err)
	}
}

func TestReduceAddressPrefixes(t *testing.T) {
	list, err := ParseAddressPrefixes("10.1.0.0/16 ::1 10.0.0.0/8 10.0.0.5 ::/8")
	if err != nil {
		t.Fatal(err)
	}
	if got := FormatAddressPrefixes(ReduceAddressPrefixes(list)); got != "10.0.0.0/8 ::/8" {
		t.Errorf("reduced: %s", got)
	}
	if len(list) != 5 || list[0] != netip.MustParsePrefix("10.1.0.0/16") {
		t.Errorf("the list was changed: %s", list)
	}
}

func TestLimitResolve(t *testing.T) {
	for _, test := range []struct {
		limit Limit
		want  uint64
		ok    bool
	}{
		{Limit{}, 0, false},
		{Limit{Kind: LimitInfinity}, math.MaxUint64, true},
		{Limit{Kind: LimitAbsolute, Absolute: 5}, 5, true},
		{Limit{Kind: LimitShare, Share: 5000}, 8192, true},
		{Limit{Kind: LimitShare, Share: 10000}, 20480, true},
	} {
		if got, ok := test.limit.Resolve(5*4096+5, 4096); got != test.want || ok != test.ok {
			t.Errorf("%+v: %d, %v", test.limit, got, ok)
		}
	}
	if got, _ := (Limit{Kind: LimitShare, Share: 10000}).Resolve(math.MaxUint64, 0); got != math.MaxUint64 {
		t.Errorf("all of all: %d", got)
	}
}

func TestParsePersonality(t *testing.T) {
	for name, want := range map[string]uint64{"x86-64": PersonalityLinux, "x86": PersonalityLinux32} {
		if got, err := ParsePersonality(name, "x86-64"); got != want || err != nil {
			t.Errorf("%s: %d, %v", name, got, err)
		}
	}
	for _, name := range []string{"arm64", "foo", ""} {
		if _, err := ParsePersonality(name, "x86-64"); err == nil {
			t.Errorf("%s was read", name)
		}
	}
}

type mode string

func TestParseEnum(t *testing.T) {
	if v, err := ParseEnum[mode]("mode", "b", "a", "b"); v != "b" || err != nil {
		t.Errorf("b: %q, %v", v, err)
	}
	if _, err := ParseEnum[mode]("mode", "c", "a", "b"); err == nil || err.Error() != `mode "c": not one of a, b` {
		t.Errorf("c: %v", err)
	}
	if v, err := ParseBoolOrEnum[mode]("mode", "on", "no", "yes", "full"); v != "yes" || err != nil {
		t.Errorf("on: %q, %v", v, err)
	}
	if v, err := ParseBoolOrEnum[mode]("mode", "full", "no", "yes", "full"); v != "full" || err != nil {
		t.Errorf("full: %q, %v", v, err)
	}
}

func TestPaths(t *testing.T) {
	for in, want := range map[string]string{"": "", "/": "/", "//": "/", "/a//b/./c/": "/a/b/c", "a/./b/": "a/b", "./": ".", ".": ".", "/..": "/..", "../a": "../a", "/.": "/"} {
		if got := PathSimplify(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	for _, bad := range []string{"", "rel", "/a/../b", "/a\x00", "/\xff", "/" + string(make([]byte, 5000))} {
		if got, err := ParsePath(bad, PathAbsolute); err == nil {
			t.Errorf("%.20q was read as %.20q", bad, got)
		}
	}
	if p, err := ParsePath("a/../b", PathRelative|PathKeepDots); p != "a/../b" || err != nil {
		t.Errorf("dots: %q, %v", p, err)
	}
	for name, want := range map[string]bool{"a": true, "": false, ".": false, "..": false, "a/b": false, "...": true, string(make([]byte, 10)): false} {
		if FilenameIsValid(name) != want {
			t.Errorf("%q is a file name: %v", name, !want)
		}
	}
}
