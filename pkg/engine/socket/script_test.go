package socket

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/muster-init/muster/pkg/engine/enginetest"
	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/job"
	"github.com/muster-init/muster/pkg/unit/value"
)

// TestScripts runs testdata/*.txt. A script is a list of blocks: command lines, a line "----", the output that is expected,
// an empty line. A block that begins with "unit" is the configuration of a new socket. Lines with # are comments.
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
			hold(t, file, string(text), runScript(t, string(text)))
		})
	}
}

// hold compares with what a file has, or rewrites it.
func hold(t *testing.T, file, want, got string) {
	t.Helper()
	if *enginetest.Rewrite {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(w), len(g)) {
		if i >= len(w) || i >= len(g) || w[i] != g[i] {
			t.Fatalf("%s:%d differs; run with -rewrite and look at the difference\nwant %q\ngot  %q", file, i+1, w[min(i, len(w)-1)], g[min(i, len(g)-1)])
		}
	}
}

func runScript(t *testing.T, text string) string {
	var out strings.Builder
	var w *world
	for _, block := range strings.Split(strings.TrimSpace(text), "\n\n") {
		commands, _, _ := strings.Cut(block, "\n----")
		fmt.Fprintln(&out, commands)
		var lines []string
		for line := range strings.Lines(commands) {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
				lines = append(lines, line)
			}
		}
		if len(lines) > 0 && lines[0] == "unit" {
			w = newWorld(t, strings.Join(lines[1:], "\n")+"\n")
			out.WriteString("\n")
			continue
		}
		w.out = nil
		for _, line := range lines {
			w.command(strings.Fields(line))
		}
		out.WriteString("----\n")
		for _, line := range w.out {
			fmt.Fprintln(&out, line)
		}
		out.WriteString("\n")
	}
	return strings.TrimRight(out.String(), "\n") + "\n"
}

// command runs one line of a script.
func (w *world) command(f []string) {
	arg := func(i int) string {
		if i < len(f) {
			return f[i]
		}
		return ""
	}
	number := func(i int) int {
		n, err := strconv.Atoi(arg(i))
		if err != nil {
			w.t.Fatalf("%v: %v", f, err)
		}
		return n
	}
	switch f[0] {
	case "start", "stop":
		a := w.start
		if f[0] == "stop" {
			a = w.stop
		}
		w.printf("answer %d", a())
	case "up":
		w.up()
	case "reply":
		if !w.reply() {
			w.t.Fatal("no query is open")
		}
	case "fail": // fail open|chown|clean TEXT
		switch text := strings.Join(f[2:], " "); arg(1) {
		case "open":
			w.openFails = text
		case "chown":
			w.chownFails = text
		case "clean":
			w.cleanFails = text
		case "spawn":
			w.refuseSpawn = &machine.SpawnFailed{Status: 203, Message: text}
		case "trigger":
			w.refuseStart = &machine.Error{Name: "org.freedesktop.systemd1." + arg(2), Message: "it can't be"}
		}
	case "heal":
		w.openFails, w.chownFails, w.refuseSpawn, w.refuseStart = "", "", nil, nil
	case "ready": // ready LISTENER [SOURCE]
		w.ready(number(1), arg(2))
	case "problem":
		w.step(machine.SocketReady{Unit: "t.socket", Port: w.m.s.Ports[0].Handle, Problem: strings.Join(f[1:], " ")})
	case "peer": // peer NAME ACTIVE SUB [JOB] [limit]
		p := machine.Peer{Name: arg(1), Loaded: true, Active: machine.ActiveState(arg(2)), Sub: arg(3), LimitHit: f[len(f)-1] == "limit"}
		if arg(4) != "limit" {
			p.Job = job.Type(arg(4))
		}
		w.peer(p)
	case "jobs":
		w.m.JobsChanged(w, number(1))
		w.settle()
	case "stopping":
		w.stopPending = true
	case "exit": // exit PID STATUS|SIGNAL
		if n, err := strconv.Atoi(arg(2)); err == nil {
			w.exit(int32(number(1)), machine.CodeExited, int32(n))
			return
		}
		sig, err := value.ParseSignal(arg(2))
		if err != nil {
			w.t.Fatal(err)
		}
		w.exit(int32(number(1)), machine.CodeKilled, int32(sig))
	case "after": // after MSEC
		w.advance(uint64(number(1)) * 1000)
	case "reset-failed":
		w.m.ResetFailed(w)
		w.settle()
	case "clean":
		if err := w.m.Clean(w, f[1:]); err != nil {
			w.printf("%s", err.Message)
		}
		w.settle()
	case "config":
		w.cfg = parseUnit(w.t, strings.ReplaceAll(strings.Join(f[1:], "\n"), "^", " ")+"\n")
		w.m.ConfigChanged(w)
		w.settle()
	case "limit":
		w.limit = number(1)
	case "catch-up":
		w.catchUp()
	case "show":
		s := &w.m.s
		w.printf("%s result=%s connections=%d accepted=%d refused=%d ports=%d", s.Sub, s.ResultName(), s.NConnections(), s.NAccepted, s.NRefused, len(s.Ports))
	default:
		w.t.Fatalf("unknown command %q", f[0])
	}
}
