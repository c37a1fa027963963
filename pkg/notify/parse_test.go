package notify

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

// values prints what is set in m, as JSON without the rest.
func values(m Message) string {
	out := map[string]any{}
	v := reflect.ValueOf(m)
	for i := range v.NumField() {
		if f := v.Field(i); !f.IsZero() {
			if f.Kind() == reflect.Pointer {
				f = f.Elem()
			}
			out[v.Type().Field(i).Name] = f.Interface()
		}
	}
	b, err := json.Marshal(out)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// TestParse: each outcome was seen on systemd 252, by what systemctl show said
// after the datagram, save those fields it does not have.
func TestParse(t *testing.T) {
	for _, c := range []struct {
		in, want string
		warnings int
	}{
		{"", `{}`, 0},
		{"READY=1\nSTATUS=a", `{"Ready":true,"Status":"a"}`, 0},
		{"STATUS=b\nSTATUS=c", `{"Status":"b"}`, 0},
		{"STATUS=\xff", `{"Status":""}`, 1},
		{"STATUS=", `{"Status":""}`, 0},
		{"STATUS=trail \t\r\nX_1=1", `{"Status":"trail \t"}`, 0},
		{"STATUS=nul\x00", `{"Status":"nul"}`, 0},
		{"STATUS=q\rERRNO=7", `{"Errno":7,"Status":"q"}`, 0},
		{"STATUS=last\n\n\nERRNO=3\n", `{"Errno":3,"Status":"last"}`, 0},
		{"ERRNO=EBUSY", `{"Errno":16}`, 0},
		{"ERRNO=ebusy", `{"Errno":16}`, 0},
		{"ERRNO=0x10", `{"Errno":16}`, 0},
		{"ERRNO=010", `{"Errno":8}`, 0},
		{"ERRNO=0o11", `{"Errno":9}`, 0},
		{"ERRNO=0b11", `{"Errno":3}`, 0},
		{"ERRNO=0", `{"Errno":0}`, 0},
		{"ERRNO= 5", `{"Errno":5}`, 0},
		{"ERRNO=\x0b8", `{"Errno":8}`, 0},
		{"ERRNO=+6", `{"Errno":6}`, 0},
		{"ERRNO=4095", `{"Errno":4095}`, 0},
		{"ERRNO=4096", `{}`, 1},
		{"ERRNO=-1", `{}`, 1},
		{"ERRNO=5 ", `{}`, 1},
		{"ERRNO=08", `{}`, 1},
		{"ERRNO=0x", `{}`, 1},
		{"ERRNO=EFOO", `{}`, 1},
		{"ERRNO=", `{}`, 1},
		{"ERRNO=zzz\nERRNO=4", `{}`, 1},
		{"WATCHDOG_USEC=200000000", `{"WatchdogUSec":200000000}`, 0},
		{"WATCHDOG_USEC=0x10000000", `{"WatchdogUSec":268435456}`, 0},
		{"WATCHDOG_USEC=18446744073709551615", `{"WatchdogUSec":18446744073709551615}`, 0},
		{"WATCHDOG_USEC=18446744073709551616", `{}`, 1},
		{"WATCHDOG_USEC=99999999999999999999999999", `{}`, 1},
		{"WATCHDOG_USEC=-1", `{}`, 1},
		{"WATCHDOG_USEC=5s", `{}`, 1},
		{"WATCHDOG_USEC=", `{}`, 1},
		{"EXTEND_TIMEOUT_USEC=5000", `{"ExtendTimeoutUSec":5000}`, 0},
		{"EXTEND_TIMEOUT_USEC=x", `{}`, 1},
		{"WATCHDOG=1", `{"Watchdog":true}`, 0},
		{"WATCHDOG=trigger", `{"WatchdogTrigger":true}`, 0},
		{"WATCHDOG=x", `{}`, 1},
		{"FDSTORE=1", `{"FDName":"stored","FDStore":true}`, 0},
		{"FDSTORE=1\nFDNAME=a\nFDPOLL=0", `{"FDName":"a","FDPollOff":true,"FDStore":true}`, 0},
		{"FDSTORE=1\nFDNAME=a:b", `{"FDName":"stored","FDStore":true}`, 1},
		{"FDSTORE=1\nFDNAME=" + strings.Repeat("n", 256), `{"FDName":"stored","FDStore":true}`, 1},
		{"FDSTORE=1\nFDNAME=", `{"FDStore":true}`, 0},
		{"FDSTORE=1\nFDSTOREREMOVE=1\nFDNAME=b", `{"FDName":"b","FDStoreRemove":true}`, 0},
		{"FDSTOREREMOVE=1", `{}`, 1},
		{"FDSTOREREMOVE=1\nFDNAME=a\x01", `{}`, 2},
		{"FDNAME=a", `{}`, 0},
		{"FDSTORE=0", `{}`, 0},
		{"STOPPING=1\nREADY=1", `{"Ready":true}`, 0},
		{"READY=1\nRELOADING=1\nMONOTONIC_USEC=77", `{"MonotonicUSec":77,"Reloading":true}`, 0},
		{"RELOADING=1\nSTOPPING=1", `{"Stopping":true}`, 0},
		{" READY=1", `{}`, 0},
		{"READY=0", `{}`, 0},
		{"MAINPID=27", `{"MainPID":27}`, 0},
		{"MAINPID=0x1b", `{"MainPID":27}`, 0},
		{"MAINPID=0", `{}`, 1},
		{"MAINPID=-5", `{}`, 1},
		{"MAINPID=2147483648", `{}`, 1},
		{"MAINPID=abc", `{}`, 1},
		{"MAINPIDFD=1\nMAINPIDFDID=1234", `{"MainPIDFD":true,"MainPIDFDID":1234}`, 0},
		{"NOTIFYACCESS=main", `{"NotifyAccess":"main"}`, 0},
		{"NOTIFYACCESS=foo", `{}`, 1},
		{"BUSERROR=a.b\nVARLINKERROR=", `{"BusError":"a.b","VarlinkError":""}`, 0},
		{"BUSERROR=a'b", `{}`, 1},
		{"VARLINKERROR=\xc3\xa4", `{}`, 1},
		{"RESTART_RESET=1", `{"RestartReset":true}`, 0},
		{"EXIT_STATUS=255", `{"ExitStatus":255}`, 0},
		{"EXIT_STATUS=256", `{}`, 1},
		{"BARRIER=1", `{"Barrier":true}`, 0},
		{"BARRIER=1\n\n", `{"Barrier":true}`, 0},
		{"BARRIER=0\nSTATUS=bar0", `{"Status":"bar0"}`, 0},
		{"X_SYSTEMD_UNIT_ACTIVE=a.target\nfoo\n=\nB", `{}`, 0},
	} {
		m, warnings, err := Parse([]byte(c.in))
		if err != nil {
			t.Errorf("%q: %v", c.in, err)
		}
		if got := values(m); got != c.want {
			t.Errorf("%q: %s, want %s", c.in, got, c.want)
		}
		if len(warnings) != c.warnings {
			t.Errorf("%q: warnings %q", c.in, warnings)
		}
	}
}

func TestParseIgnoresWhole(t *testing.T) {
	pad := func(n int) string { return "STATUS=" + strings.Repeat("x", n-len("STATUS=")) }
	for in, want := range map[string]error{
		pad(4096):              nil,
		pad(4097):              ErrTooLong,
		pad(4096) + "\x00":     ErrTooLong,
		"STATUS=a\x00\x00":     ErrNUL,
		"STATUS=n\x00ul":       ErrNUL,
		"BARRIER=1\nSTATUS=x":  ErrBarrier,
		"STATUS=x\nBARRIER=1":  ErrBarrier,
		"BARRIER=1\nBARRIER=1": ErrBarrier,
		"READY=1\x00\nREADY=1": ErrNUL,
	} {
		m, _, err := Parse([]byte(in))
		if !errors.Is(err, want) || err == nil && want != nil {
			t.Errorf("%.30q: %v, want %v", in, err, want)
		}
		if err != nil && values(m) != "{}" {
			t.Errorf("%.30q: error, but %s", in, values(m))
		}
	}
}

func TestWarningsNameTheValue(t *testing.T) {
	_, w, err := Parse([]byte("WATCHDOG=" + strings.Repeat("é", 100)))
	if err != nil || len(w) != 1 || !strings.HasPrefix(w[0], `notification: WATCHDOG="é`) || len(w[0]) > 200 {
		t.Errorf("%q, %v", w, err)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"READY=1\nSTATUS=x\nMAINPID=0x10", "BARRIER=1", "FDSTORE=1\nFDNAME=a\nFDPOLL=0", "ERRNO=EBUSY\rBUSERROR=a", "WATCHDOG_USEC=0b1\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, warnings, err := Parse(data)
		if err != nil {
			if values(m) != "{}" || warnings != nil {
				t.Fatalf("error %v, but %s %q", err, values(m), warnings)
			}
			return
		}
		n := 0
		for _, b := range []bool{m.Ready, m.Reloading, m.Stopping} {
			if b {
				n++
			}
		}
		switch {
		case n > 1,
			m.FDStore && m.FDStoreRemove,
			m.MainPID != nil && *m.MainPID <= 0,
			m.Errno != nil && (*m.Errno < 0 || *m.Errno > maxErrno),
			!ValidFDName(m.FDName),
			m.Watchdog && m.WatchdogTrigger,
			m.Barrier && values(m) != `{"Barrier":true}`:
			t.Fatalf("%q: %s", data, values(m))
		}
		// Order does not matter to what stands for one assignment each, and a
		// trailing newline never.
		again, _, err := Parse(append(data[:len(data):len(data)], '\n'))
		if err == nil && len(data) < MaxBytes && (len(data) == 0 || data[len(data)-1] != 0) && values(again) != values(m) {
			t.Fatalf("%q: %s, with a newline %s", data, values(m), values(again))
		}
	})
}

func BenchmarkParseWatchdog(b *testing.B) {
	data := []byte("WATCHDOG=1")
	b.ReportAllocs()
	for b.Loop() {
		if m, _, err := Parse(data); err != nil || !m.Watchdog {
			b.Fatal(err)
		}
	}
}
