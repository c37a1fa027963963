package service

import (
	"strings"
	"testing"

	"github.com/muster-init/muster/pkg/engine/machine"
)

// TestRestartMatrix holds Restart= against every way to end. The rows are what systemd 257 does (test/scenarios
// restart-matrix, restart-timeout, restart-oneshot, service-oneshot-killed; systemd.service(5), table of Restart=).
func TestRestartMatrix(t *testing.T) {
	settings := []string{"no", "always", "on-success", "on-failure", "on-abnormal", "on-abort", "on-watchdog"}
	exited := func(code string, status int32) func(*world) {
		return func(w *world) { w.exit(w.m.s.MainPID, code, status) }
	}
	const (
		clean    = "always on-success"
		unclean  = "always on-failure"
		signal   = "always on-failure on-abnormal on-abort"
		abnormal = "always on-failure on-abnormal"
		watchdog = "always on-failure on-abnormal on-watchdog"
	)
	timeout := func(w *world) {
		for pid := w.m.s.MainPID; w.m.s.MainPID == pid; {
			w.advance(10000000)
			if w.m.s.Sub == StopSigkill {
				w.exit(pid, machine.CodeKilled, 9)
			}
		}
	}
	tests := []struct {
		name   string
		config string
		end    func(*world)
		result string
		again  string
	}{
		{"exit 0", "", exited("exited", 0), "success", clean},
		{"SIGHUP", "", exited("killed", 1), "success", clean},
		{"SIGINT", "", exited("killed", 2), "success", clean},
		{"SIGPIPE", "", exited("killed", 13), "success", clean},
		{"SIGTERM", "", exited("killed", 15), "success", clean},
		{"exit 1", "", exited("exited", 1), "exit-code", unclean},
		{"exit 255", "", exited("exited", 255), "exit-code", unclean},
		{"SIGKILL", "", exited("killed", 9), "signal", signal},
		{"SIGUSR1", "", exited("killed", 10), "signal", signal},
		{"core dump", "", exited("dumped", 11), "core-dump", signal},
		{"SIGTERM with core", "", exited("dumped", 15), "core-dump", signal},
		{"success status", "SuccessExitStatus=7 SIGUSR1", exited("exited", 7), "success", clean},
		{"success signal", "SuccessExitStatus=7 SIGUSR1", exited("killed", 10), "success", clean},
		{"ignored failure", "-", exited("exited", 3), "success", clean},
		{"watchdog", "WatchdogSec=1s\nTimeoutStopSec=1s", timeout, "watchdog", watchdog},
		{"start timeout", "Type=notify\nTimeoutStartSec=1s\nTimeoutStopSec=1s", timeout, "timeout", abnormal},
		{"runtime limit", "RuntimeMaxSec=1s\nTimeoutStopSec=1s", timeout, "timeout", abnormal},
		{"protocol", "Type=notify", exited("exited", 0), "protocol", abnormal},
		{"oneshot exit 0", "Type=oneshot", exited("exited", 0), "success", clean},
		{"oneshot SIGTERM", "Type=oneshot", exited("killed", 15), "signal", signal},
		{"oneshot exit 1", "Type=oneshot", exited("exited", 1), "exit-code", unclean},
		{"oom", "OOMPolicy=kill", func(w *world) {
			w.step(machine.OOMKill{Count: 1})
			w.exit(101, machine.CodeKilled, 9)
		}, "oom-kill", abnormal},
		{"start-pre fails", "ExecStartPre=/bin/p", func(w *world) { w.exit(101, machine.CodeExited, 1) }, "exit-code", unclean},
		{"no process", "refuse", func(*world) {}, "resources", abnormal},
		{"condition", "ExecCondition=/bin/c", func(w *world) { w.exit(101, machine.CodeExited, 1) }, "exec-condition", ""},
		{"prevented", "RestartPreventExitStatus=7", exited("exited", 7), "exit-code", ""},
		{"prevented signal", "RestartPreventExitStatus=SIGKILL", exited("killed", 9), "signal", ""},
		{"forced", "RestartForceExitStatus=7", exited("exited", 7), "exit-code", strings.Join(settings, " ")},
		{"forced signal", "RestartForceExitStatus=SIGTERM", exited("killed", 15), "success", strings.Join(settings, " ")},
		{"prevented and forced", "RestartForceExitStatus=7\nRestartPreventExitStatus=7", exited("exited", 7), "exit-code", ""},
		{"stop", "", func(w *world) { w.stop(); w.exit(101, machine.CodeExited, 1) }, "exit-code", ""},
	}
	for _, tt := range tests {
		for _, setting := range settings {
			config, exec := tt.config, "ExecStart=/bin/d\n"
			if config == "-" {
				config, exec = "", "ExecStart=-/bin/d\n"
			}
			w := newWorld(t, exec+"RestartSec=1h\nRestart="+setting+"\n"+strings.TrimPrefix(config, "refuse"))
			if config == "refuse" {
				w.refuse["ExecStart"] = machine.SpawnFailed{Limits: true}
			}
			w.start()
			tt.end(w)
			want := false
			for _, s := range strings.Fields(tt.again) {
				want = want || s == setting
			}
			if got := w.m.s.Sub == AutoRestart; got != want {
				t.Errorf("%s, Restart=%s: restarts %v, want %v (%s)", tt.name, setting, got, want, w.m.s.Sub)
			}
			if got := w.m.Result(); got != tt.result {
				t.Errorf("%s, Restart=%s: result %s, want %s", tt.name, setting, got, tt.result)
			}
		}
	}
}

// TestRestartDelay is the growth of the hold-off time.
func TestRestartDelay(t *testing.T) {
	tests := []struct {
		config string
		want   []uint64 // µs, for the restarts in turn
	}{
		{"RestartSec=100ms", []uint64{100000, 100000, 100000}},
		{"RestartSec=50ms\nRestartSteps=2\nRestartMaxDelaySec=400ms", []uint64{50000, 141421, 400000, 400000}},
		{"RestartSec=1s\nRestartSteps=3\nRestartMaxDelaySec=8s", []uint64{1000000, 2000000, 4000000, 8000000}},
		{"RestartSec=1s\nRestartSteps=3", []uint64{1000000, 1000000, 1000000}},
		{"RestartSec=9s\nRestartSteps=3\nRestartMaxDelaySec=8s", []uint64{9000000, 9000000}},
		{"RestartSec=0\nRestartSteps=1\nRestartMaxDelaySec=1s", []uint64{0, 1000000}},
	}
	for _, tt := range tests {
		w := newWorld(t, "ExecStart=/bin/d\nRestart=always\n"+tt.config)
		for i, want := range tt.want {
			w.start()
			w.exit(w.m.s.MainPID, machine.CodeExited, 0)
			if got := w.m.RestartUSecNext(w.cfg); got != want {
				t.Errorf("%q, restart %d: %d µs, want %d", tt.config, i+1, got, want)
			}
			if got := w.m.Deadline(w.cfg) - w.now; got != want {
				t.Errorf("%q, restart %d: due in %d µs, want %d", tt.config, i+1, got, want)
			}
			w.advance(want)
		}
	}
}

// TestCommandStatus: what the bus shows of each command.
func TestCommandStatus(t *testing.T) {
	w := newWorld(t, "Type=oneshot\nExecStartPre=/bin/p\nExecStart=/bin/a\nExecStart=-/bin/b\nRemainAfterExit=yes")
	w.start()
	w.now = 2000000
	w.exit(101, machine.CodeExited, 0)
	s := w.m.State()
	if st := s.CommandStatus(machine.ExecStartPre, 0); st.PID != 101 || st.Start.Monotonic != 1000000 || st.Exit.Monotonic != 2000000 || st.Code != "exited" {
		t.Errorf("ExecStartPre= %+v", st)
	}
	if st := s.CommandStatus(machine.ExecStart, 0); st.PID != 102 || st.Ended() {
		t.Errorf("first ExecStart= %+v", st)
	}
	w.exit(102, machine.CodeExited, 0)
	w.exit(103, machine.CodeExited, 4)
	s = w.m.State()
	if st := s.CommandStatus(machine.ExecStart, 1); st.PID != 103 || st.Status != 4 {
		t.Errorf("second ExecStart= %+v", st)
	}
	if s.Main.PID != 103 || s.Main.Status != 4 || s.Sub != Exited {
		t.Errorf("main %+v in %s", s.Main, s.Sub)
	}
	w.stop()
	w.start()
	if st := w.m.State().CommandStatus(machine.ExecStart, 1); st.PID != 0 {
		t.Errorf("a new activation remembers %+v", st)
	}
}
