package journal

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
)

type field struct{ name, value string }

// decode reads the native protocol, as journald does.
func decode(b []byte) ([]field, error) {
	var out []field
	for len(b) > 0 {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			return out, errors.New("no newline")
		}
		if name, value, ok := bytes.Cut(b[:i], []byte{'='}); ok {
			out, b = append(out, field{string(name), string(value)}), b[i+1:]
			continue
		}
		name := string(b[:i])
		if len(b) < i+9 {
			return out, io.ErrUnexpectedEOF
		}
		n := binary.LittleEndian.Uint64(b[i+1:])
		b = b[i+9:]
		if uint64(len(b)) < n+1 || b[n] != '\n' {
			return out, errors.New("length")
		}
		out, b = append(out, field{name, string(b[:n])}), b[n+1:]
	}
	return out, nil
}

func TestEntry(t *testing.T) {
	var e Entry
	e.Begin("systemd", PriInfo, "Started nginx.service.\nsecond line")
	e.Add(FieldMessageID, MsgUnitStarted)
	e.Add(FieldUnit, "nginx.service")
	e.AddInt(FieldJobID, 17)
	e.Add("_PID", "1")
	e.Add("lower", "x")
	e.AddInt("9", 9)
	e.Add("EMPTY", "")
	e.Add("EQUALS", "a=b=c")
	e.Add("NL", "\n")
	got, err := decode(e.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	want := []field{
		{"PRIORITY", "6"}, {"SYSLOG_FACILITY", "3"}, {"SYSLOG_IDENTIFIER", "systemd"}, {"MESSAGE", "Started nginx.service.\nsecond line"},
		{"MESSAGE_ID", "39f53479d3a045ac8e11786248231fbf"}, {"UNIT", "nginx.service"}, {"JOB_ID", "17"}, {"EMPTY", ""}, {"EQUALS", "a=b=c"}, {"NL", "\n"},
	}
	if len(got) != len(want) {
		t.Fatalf("%q", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%q, want %q", got[i], want[i])
		}
	}
	if n := testing.AllocsPerRun(100, func() { e.Begin("systemd", PriErr, "x"); e.Add(FieldUnit, "a") }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestFieldNames(t *testing.T) {
	for _, s := range []string{"A", "A_1", "MESSAGE", strings.Repeat("X", 64)} {
		if !ValidFieldName(s) {
			t.Errorf("%q refused", s)
		}
	}
	for _, s := range []string{"", "_A", "1A", "a", "A-B", "A=", "A\n", "É", strings.Repeat("X", 65)} {
		if ValidFieldName(s) {
			t.Errorf("%q accepted", s)
		}
	}
	for _, s := range []string{FieldMessage, FieldUserInvocationID, FieldNRestarts, FieldConfigLine, FieldWhere, FieldTID} {
		if !ValidFieldName(s) {
			t.Errorf("our own %q is not valid", s)
		}
	}
}

func TestMessageIDs(t *testing.T) {
	seen := map[string]bool{}
	for _, id := range []string{
		MsgStartupFinished, MsgUserStartupFinished, MsgShutdown, MsgTainted, MsgTimeChange, MsgUnitStarting, MsgUnitStarted, MsgUnitFailed,
		MsgUnitStopping, MsgUnitStopped, MsgUnitReloading, MsgUnitReloaded, MsgUnitRestartScheduled, MsgUnitResources, MsgUnitSuccess,
		MsgUnitSkipped, MsgUnitFailureResult, MsgUnitProcessExit, MsgUnitOutOfMemory, MsgSpawnFailed, MsgInvalidConfiguration,
		MsgMountPointNotEmpty, MsgMountPointNotSuited, MsgUnsafeUserName, MsgNobodyUser, MsgSysVCompat, MsgFactoryReset, MsgSelinuxFailed,
		MsgDefaultTargetFailed, MsgDefaultIsolateFailed, MsgCrashExecute, MsgCrashExit, MsgFreeze, MsgShutdownError,
	} {
		if len(id) != 32 || strings.Trim(id, "0123456789abcdef") != "" || seen[id] {
			t.Errorf("%q", id)
		}
		seen[id] = true
	}
}

// TestJobMessages: seen on systemd 257.
func TestJobMessages(t *testing.T) {
	for _, c := range []struct {
		typ, result, id string
		priority        int
	}{
		{"start", "done", MsgUnitStarted, PriInfo}, {"start", "unsupported", MsgUnitFailed, PriWarning}, {"start", "failed", MsgUnitFailed, PriErr},
		{"start", "assert", MsgUnitFailed, PriWarning}, {"start", "timeout", MsgUnitFailed, PriErr}, {"restart", "done", MsgUnitStopped, PriInfo},
		{"stop", "done", MsgUnitStopped, PriInfo}, {"reload", "failed", MsgUnitReloaded, PriErr}, {"start", "dependency", MsgUnitFailed, PriWarning},
		{"nop", "done", "", PriInfo}, {"start", "skipped", MsgUnitStarted, PriNotice},
	} {
		if id, p := JobMessage(c.typ, c.result); id != c.id || p != c.priority {
			t.Errorf("%s %s: %s, %d", c.typ, c.result, id, p)
		}
	}
}

func TestStreamHeader(t *testing.T) {
	h := StreamHeader{Identifier: "nginx\nroot", Unit: "nginx.service", Priority: 30, LevelPrefix: true, ForwardConsole: true}
	if got := string(h.Append(nil)); got != "nginx root\nnginx.service\n30\n1\n0\n0\n1\n" {
		t.Errorf("%q", got)
	}
	if got := string((&StreamHeader{}).Append([]byte("x"))); got != "x\n\n0\n0\n0\n0\n0\n" {
		t.Errorf("%q", got)
	}
}

func FuzzEntry(f *testing.F) {
	f.Add("MESSAGE", "text\nmore", "UNIT", "a=b")
	f.Fuzz(func(t *testing.T, n1, v1, n2, v2 string) {
		var e Entry
		var want []field
		for _, x := range []field{{n1, v1}, {n2, v2}} {
			if e.Add(x.name, x.value); ValidFieldName(x.name) {
				want = append(want, x)
			}
		}
		got, err := decode(e.Bytes())
		if err != nil || len(got) != len(want) {
			t.Fatalf("%q, %v, want %q", got, err, want)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("%q, want %q", got[i], want[i])
			}
		}
	})
}

func TestKmsg(t *testing.T) {
	var got []string
	keep := func(b []byte) { got = append(got, string(b)) }
	buf := AppendKmsg(nil, FacilityDaemon, PriInfo, "systemd", 1, "one\n\ntwo\n", keep)
	buf = AppendKmsg(buf, 0, PriErr, "muster", 0, strings.Repeat("é", 1000), keep)
	AppendKmsg(buf, 23, 15, strings.Repeat("i", 300), 99999, "x", keep)
	if len(got) != 4 || got[0] != "<30>systemd[1]: one\n" || got[1] != "<30>systemd[1]: two\n" {
		t.Fatalf("%.100q", got)
	}
	if len(got[2]) > maxKmsg || len(got[2]) < maxKmsg-2 || !strings.HasPrefix(got[2], "<3>muster: é") || !strings.HasSuffix(got[2], "é\n") {
		t.Errorf("%d bytes: %.20q", len(got[2]), got[2])
	}
	if want := "<191>" + strings.Repeat("i", 64) + "[99999]: x\n"; got[3] != want {
		t.Errorf("%q", got[3])
	}
	s := bufio.NewScanner(strings.NewReader(strings.Join(got, "")))
	n := 0
	for s.Scan() {
		n++
	}
	if n != 4 {
		t.Errorf("%d records", n)
	}
}
