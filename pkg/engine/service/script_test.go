package service

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/muster-init/muster/pkg/engine/enginetest"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit/value"
)

var rewrite = enginetest.Rewrite

// TestScripts runs testdata/*.txt. A script is a list of blocks: command lines, a line "----", the output that is expected,
// an empty line. The first block of each script is the configuration, introduced by "unit". Lines with # are comments.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := runScript(t, string(text))
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(text) {
				t.Errorf("output differs; run with -rewrite and look at the difference\n%s", firstDifference(string(text), got))
			}
		})
	}
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			return fmt.Sprintf("line %d:\nwant %s\ngot  %s", i+1, w[i], g[i])
		}
	}
	return fmt.Sprintf("%d lines wanted, %d got", len(w), len(g))
}

func runScript(t *testing.T, text string) string {
	var out strings.Builder
	var w *world
	for _, block := range strings.Split(strings.TrimSpace(text), "\n\n") {
		commands, _, _ := strings.Cut(block, "\n----")
		fmt.Fprintln(&out, commands)
		if rest, ok := strings.CutPrefix(stripComments(commands), "unit\n"); ok {
			w = newWorld(t, rest)
			out.WriteString("\n")
			continue
		}
		w.out = nil
		for line := range strings.Lines(stripComments(commands)) {
			w.command(strings.Fields(strings.TrimSpace(line)))
		}
		out.WriteString("----\n")
		for _, line := range w.out {
			fmt.Fprintln(&out, line)
		}
		out.WriteString("\n")
	}
	return strings.TrimRight(out.String(), "\n") + "\n"
}

func stripComments(text string) string {
	var kept []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "#") {
			kept = append(kept, line)
		}
	}
	return strings.TrimSpace(strings.Join(kept, "")) + "\n"
}

func number(t *testing.T, s string) int32 {
	t.Helper()
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return int32(n)
}

// command runs one line of a script.
func (w *world) command(f []string) {
	if len(f) == 0 {
		return
	}
	arg := func(i int) string {
		if i < len(f) {
			return f[i]
		}
		w.t.Fatalf("%s wants more arguments", f[0])
		return ""
	}
	switch f[0] {
	case "start", "stop", "reload":
		w.jobCommand(f[0])
	case "exit": // exit PID STATUS | exit PID SIGNAL [dumped]
		pid := number(w.t, arg(1))
		if n, err := strconv.Atoi(arg(2)); err == nil {
			w.exit(pid, machine.CodeExited, int32(n))
			return
		}
		sig, err := value.ParseSignal(arg(2))
		if err != nil {
			w.t.Fatal(err)
		}
		code := machine.CodeKilled
		if len(f) > 3 {
			code = machine.CodeDumped
		}
		w.exit(pid, code, int32(sig))
	case "fork": // a process of the unit that nobody knows
		w.alive[number(w.t, arg(1))] = true
	case "outside":
		w.outside[number(w.t, arg(1))] = true
	case "gone": // an unknown process ends
		delete(w.alive, number(w.t, arg(1)))
	case "empty":
		w.step(machine.CgroupEmpty{Unit: w.cfg.Name})
	case "executed":
		w.step(machine.ExecDone{PID: number(w.t, arg(1)), Handoff: w.Now()})
	case "oom":
		w.step(machine.OOMKill{Unit: w.cfg.Name, Count: 1, Managed: len(f) > 1})
	case "owner":
		owner := ""
		if len(f) > 1 {
			owner = f[1]
		}
		w.step(machine.NameOwnerChanged{Bus: w.cfg.GetService().BusName, New: owner})
	case "notify":
		w.step(machine.Notify{Unit: w.cfg.Name, PID: number(w.t, arg(1)), Msg: parseNotify(w.t, f[2:]), UID: 1000})
	case "notify-root":
		w.step(machine.Notify{Unit: w.cfg.Name, PID: number(w.t, arg(1)), Msg: parseNotify(w.t, f[2:])})
	case "frozen":
		w.step(machine.CgroupFrozen{Unit: w.cfg.Name, Frozen: arg(1) == "yes"})
	case "hangup":
		w.step(machine.HandleHangup{Handle: machine.Handle(number(w.t, arg(1)))})
	case "advance":
		usec, err := value.ParseSec(arg(1), 1)
		if err != nil {
			w.t.Fatal(err)
		}
		w.advance(uint64(usec))
	case "job":
		w.job = ""
		if len(f) > 1 {
			w.job = job.Type(f[1])
		}
	default:
		w.worldCommand(f, arg)
	}
}

func (w *world) jobCommand(verb string) {
	var a machine.Answer
	switch verb {
	case "start":
		a = w.start()
	case "stop":
		a = w.stop()
	default:
		a = w.reload()
	}
	names := []string{"accepted", "already", "again", "invalid", "refused", "unsupported", "start limit"}
	w.printf("= %s", names[a])
}

// worldCommand changes what the world answers, or looks at the state.
func (w *world) worldCommand(f []string, arg func(int) string) {
	switch f[0] {
	case "pidfile": // what the PID file holds from now on; a watching query is answered
		w.pidFile = number(w.t, arg(1))
		for _, token := range slices.Sorted(maps.Keys(w.waiting)) {
			if _, ok := w.waiting[token].(machine.ReadPIDFile); ok {
				delete(w.waiting, token)
				w.step(machine.PIDFileRead{Token: token, PID: w.pidFile})
			}
		}
	case "removed":
		for _, token := range slices.Sorted(maps.Keys(w.waiting)) {
			delete(w.waiting, token)
			w.step(machine.DirectoriesRemoved{Token: token, Message: strings.Join(f[1:], " ")})
		}
	case "clean":
		err := w.m.Clean(w, f[1:])
		w.settle()
		w.printf("= %v", err)
	case "guess":
		w.guess = number(w.t, arg(1))
	case "limit":
		w.limit = int(number(w.t, arg(1)))
	case "stop-pending":
		w.stopPending = arg(1) == "yes"
	case "refuse": // refuse PHASE STATUS | refuse PHASE resources
		if arg(2) == "resources" {
			w.refuse[arg(1)] = machine.SpawnFailed{Limits: true, Message: "Resource temporarily unavailable"}
		} else {
			w.refuse[arg(1)] = machine.SpawnFailed{Status: number(w.t, arg(2)), Message: "Failed at step"}
		}
	case "allow":
		w.refuse = map[string]machine.SpawnFailed{}
	case "trigger":
		w.triggerEnv = f[1:]
	case "reset-failed":
		w.m.ResetFailed(w)
	case "release":
		w.m.Release(w)
	case "catch-up":
		w.m.CatchUp(w)
		w.settle()
	case "show":
		w.show()
	default:
		w.t.Fatalf("unknown command %q", f[0])
	}
}

func (w *world) show() {
	s := w.m.State()
	line := fmt.Sprintf("%s result=%s main=%d control=%d", s.Sub, s.ResultName(), s.MainPID, s.ControlPID)
	if s.ReloadResult != "" {
		line += " reload=" + s.ReloadResult
	}
	if s.NRestarts != 0 {
		line += fmt.Sprintf(" restarts=%d", s.NRestarts)
	}
	if s.Main.Code != "" {
		line += fmt.Sprintf(" code=%s status=%d", s.Main.Code, s.Main.Status)
	}
	if s.StatusText != "" {
		line += " text=" + s.StatusText
	}
	for _, fd := range s.Store {
		line += fmt.Sprintf(" fd:%d=%s", fd.Handle, fd.Name)
	}
	if due := w.m.Deadline(w.cfg); due != machine.Never {
		line += " due in " + value.USec(due-w.now).String()
	}
	w.printf("%s", line)
}

// parseNotify reads fields as sd_notify(3) has them; FD=n attaches handle n.
func parseNotify(t *testing.T, fields []string) machine.NotifyMessage {
	t.Helper()
	var m machine.NotifyMessage
	for _, field := range fields {
		key, val, _ := strings.Cut(field, "=")
		usec := func() *uint64 {
			u, err := strconv.ParseUint(val, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return &u
		}
		num := func() *int32 { n := number(t, val); return &n }
		switch key {
		case "READY":
			m.Ready = true
		case "RELOADING":
			m.Reloading = true
		case "STOPPING":
			m.Stopping = true
		case "STATUS":
			m.Status = &val
		case "ERRNO":
			m.Errno = num()
		case "BUSERROR":
			m.BusError = &val
		case "MAINPID":
			m.MainPID = num()
		case "WATCHDOG":
			m.Watchdog, m.WatchdogTrigger = val == "1", val == "trigger"
		case "WATCHDOG_USEC":
			m.WatchdogUSec = usec()
		case "EXTEND_TIMEOUT_USEC":
			m.ExtendTimeoutUSec = usec()
		case "MONOTONIC_USEC":
			m.MonotonicUSec = usec()
		case "NOTIFYACCESS":
			m.NotifyAccess = &val
		case "FDSTORE":
			m.FDStore = true
		case "FDSTOREREMOVE":
			m.FDStoreRemove = true
		case "FDNAME":
			m.FDName = val
		case "FDPOLL":
			m.FDPollOff = val == "0"
		case "FD":
			m.FDs = append(m.FDs, machine.Handle(*num()))
		case "RESTART_RESET":
			m.RestartReset = true
		default:
			t.Fatalf("unknown field %q", field)
		}
	}
	return m
}
