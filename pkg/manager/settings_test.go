package manager

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/muster-init/muster/pkg/unit"
)

// TestLogPrefix writes to a console with LogTime= and LogLocation=.
func TestLogPrefix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "console")
	for _, test := range []struct {
		time, location bool
		target, want   string
	}{
		{false, false, "console", `^hello\r\n$`},
		{true, false, "console", `^[A-Z][a-z]{2} \d{4}-\d\d-\d\d \d\d:\d\d:\d\d [A-Z+0-9-]+ hello\r\n$`},
		{false, true, "console", `^\(pkg/manager/settings_test\.go:\d+\) hello\r\n$`},
		{true, true, "console-prefixed", `^<30>[A-Z][a-z]{2} .* \(pkg/manager/settings_test\.go:\d+\) hello\r\n$`},
	} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		l := newLogger(true, &console{path: path})
		l.target, l.time, l.location = test.target, test.time, test.location
		l.info("", "hello")
		got, err := os.ReadFile(path)
		if err != nil || !regexp.MustCompile(test.want).Match(got) {
			t.Errorf("%+v: %q, %v", test, got, err)
		}
	}
}

func TestRateLimit(t *testing.T) {
	var r rateLimit
	for i, test := range []struct {
		at   uint64
		want bool
	}{{100, true}, {101, true}, {102, true}, {103, false}, {1100, false}, {1101, true}, {1102, true}, {1103, true}, {1104, false}} {
		if got := r.allow(test.at, 1000, 3); got != test.want {
			t.Errorf("%d: at %d: %v", i, test.at, got)
		}
	}
	for range 100 {
		if !r.allow(5, 0, 3) || !r.allow(5, 1000, 0) {
			t.Fatal("no limit is no limit")
		}
	}
}

// TestTurns has a loop that spins: it must be slowed to the burst that is allowed.
func TestTurns(t *testing.T) {
	m := newManager(DefaultOptions())
	m.log.target = "null"
	m.cfg = unit.DefaultManagerConfig(true)
	m.cfg.EventLoopRateLimitIntervalUSec, m.cfg.EventLoopRateLimitBurst = 100_000, 20
	began := time.Now()
	for range 70 {
		m.limitTurns()
	}
	if took := time.Since(began); took < 250*time.Millisecond {
		t.Errorf("70 turns took %v, 20 are allowed in 100 ms", took)
	}
}

func TestCommandLine(t *testing.T) {
	o := DefaultOptions()
	problems := o.ApplyKernelCommandLine(strings.Fields(`quiet systemd.unit=a.target rd.systemd.unit=b.target systemd.crash_shell systemd.crash-chvt=3
		systemd.dump_core=no systemd.watchdog_sec=20 systemd.watchdog_pre_sec=5 systemd.hostname=box systemd.clock_usec=17 systemd.machine_id=x
		systemd.default_timeout_start_sec=9 rd.emergency root=/dev/vda systemd.log_time systemd.early_core_pattern=/core systemd.cpu_affinity
		systemd.clock_usec=never systemd.service_watchdogs=0 systemd.minimum_uptime_sec=15`), false)
	if len(problems) != 2 {
		t.Errorf("%q", problems)
	}
	if o.Unit != "a.target" || o.HostName != "box" || o.ServiceWatchdogs || o.ShowStatus != "auto" || o.CorePattern != "/core" || o.MachineID != "x" {
		t.Errorf("%+v", o)
	}
	want := "CrashShell=yes CrashChangeVT=3 DumpCore=no RuntimeWatchdogSec=20 RebootWatchdogSec=20 KExecWatchdogSec=20 RuntimeWatchdogPreSec=5 " +
		"DefaultTimeoutStartSec=9 LogTime=yes MinimumUptimeSec=15"
	if got := strings.Join(o.Settings, " "); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	o = DefaultOptions()
	_ = o.ApplyKernelCommandLine([]string{"systemd.unit=a.target", "rd.systemd.unit=b.target", "rd.systemd.log_level=debug", "rescue"}, true)
	if o.Unit != "b.target" || o.LogLevel != 7 {
		t.Errorf("in an initrd: %+v", o)
	}
	o = DefaultOptions()
	_ = o.ApplyKernelCommandLine([]string{"rd.rescue"}, true)
	if o.Unit != "rescue.target" {
		t.Errorf("rd.rescue in an initrd: %+v", o)
	}
}

func TestConfirmSpawn(t *testing.T) {
	for word, want := range map[string]string{
		"systemd.confirm_spawn": "/dev/console", "systemd.confirm-spawn=1": "/dev/console", "systemd.confirm_spawn=no": "",
		"systemd.confirm_spawn=ttyS0": "/dev/ttyS0", "systemd.confirm_spawn=/dev/tty9": "/dev/tty9",
	} {
		o := DefaultOptions()
		if problems := o.ApplyKernelCommandLine([]string{word}, false); len(problems) != 0 || o.ConfirmSpawn != want {
			t.Errorf("%s: %q, want %q; %v", word, o.ConfirmSpawn, want, problems)
		}
	}
	o := DefaultOptions()
	if err := ParseArguments(&o, []string{"--confirm-spawn"}); err != nil || o.ConfirmSpawn != "/dev/console" {
		t.Errorf("--confirm-spawn: %q, %v", o.ConfirmSpawn, err)
	}
	if problems := o.ApplyKernelCommandLine([]string{"systemd.confirm_spawn=../x"}, false); len(problems) != 1 {
		t.Errorf("no terminal: %q, %v", o.ConfirmSpawn, problems)
	}
}
