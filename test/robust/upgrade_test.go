package robust

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/muster-init/muster/test/container/box"
)

// plantedPrograms makes a directory with a manager that has the faults of pkg/manager/plant.go in it, each asleep until /run/muster-plant names it,
// and shorter times.
func plantedPrograms(t *testing.T) string {
	t.Helper()
	repository, err := box.Repository()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, tags := range map[string]string{"muster": "godbus_no_tcp,muster_plant", "muster-executor": "godbus_no_tcp"} {
		cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-tags", tags, "-ldflags", "-s -w", "-o", filepath.Join(dir, name), "./cmd/"+name)
		cmd.Dir, cmd.Env = repository, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go build: %v\n%s", err, out)
		}
	}
	return dir
}

// replace puts a file in the place of the manager, as a package manager does.
func replace(t *testing.T, programs string, content []byte, mode os.FileMode) {
	t.Helper()
	path := filepath.Join(programs, "muster")
	if err := os.WriteFile(path+".new", content, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path+".new", mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func plant(t *testing.T, b *box.Box, words string) {
	t.Helper()
	shell(t, b, "echo '"+words+"' >/run/muster-plant")
}

// image tells which file PID 1 executes.
func image(t *testing.T, b *box.Box) string {
	t.Helper()
	return strings.TrimSpace(shell(t, b, "stat -L -c %i /proc/1/exe"))
}

func reexec(t *testing.T, b *box.Box) (output string, ok bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	result, err := b.Exec(ctx, "systemctl", "daemon-reexec")
	if err != nil {
		t.Fatalf("daemon-reexec: %v", err)
	}
	return result.Stdout + result.Stderr, result.Code == 0
}

// otherArchitecture turns an ELF file into one for a machine that this isn't.
func otherArchitecture(program []byte) []byte {
	out := append([]byte(nil), program...)
	out[18], out[19] = 21, 0 // EM_PPC64
	return out
}

// TestRefusedImages offers images that are no good: each time the running one must stay, say why, and go on with everything.
func TestRefusedImages(t *testing.T) {
	programs := plantedPrograms(t)
	good, err := os.ReadFile(filepath.Join(programs, "muster"))
	if err != nil {
		t.Fatal(err)
	}
	b := bootProgram(t, programs)
	before := steady(t, b)
	first := image(t, b)
	stop := underLoad(t, b)
	for _, test := range []struct {
		name, plant string
		content     []byte
		mode        os.FileMode
		want        string
	}{
		{"missing", "", nil, 0, "no such file"},
		{"not executable", "", good, 0o644, "permission denied"},
		{"empty", "", []byte{}, 0o755, "exec"},
		{"truncated header", "", good[:40], 0o755, "exec"},
		{"truncated", "", good[:len(good)/3], 0o755, "a trial process"},
		{"other architecture", "", otherArchitecture(good), 0o755, "exec format error"},
		{"a program that exits", "", []byte("#!/bin/sh\nexit 0\n"), 0o755, "without a verdict"},
		{"a program that fails", "", []byte("#!/bin/sh\necho no way; exit 7\n"), 0o755, "status 7: no way"},
		{"a program that hangs", "", []byte("#!/bin/sh\nexec sleep 1000\n"), 0o755, "no verdict within 3s"},
		{"a flood of output", "", []byte("#!/bin/sh\nexec yes muster-proof: ok\n"), 0o755, "a trial process"},
		{"panic in init", "init", good, 0o755, "planted in init"},
		{"panic over the state", "prove-panic", good, 0o755, "planted at prove"},
		{"hang over the state", "prove-hang", good, 0o755, "no verdict within 3s"},
		{"refuses the state", "prove-refuse", good, 0o755, "the state is refused"},
		{"eats memory", "prove-eat", good, 0o755, "a trial process"},
	} {
		if test.content == nil {
			if err := os.Remove(filepath.Join(programs, "muster")); err != nil {
				t.Fatal(err)
			}
		} else {
			replace(t, programs, test.content, test.mode)
		}
		plant(t, b, test.plant)
		out, ok := reexec(t, b)
		if ok || !strings.Contains(strings.ToLower(out), test.want) {
			t.Errorf("%s: reexecution went through: %v, want %q in %q", test.name, ok, test.want, out)
		}
		answers(t, b, test.name)
		if now := image(t, b); now != first {
			t.Fatalf("%s: the image is another one", test.name)
		}
	}
	plant(t, b, "")
	replace(t, programs, good, 0o755)
	if out, ok := reexec(t, b); !ok {
		t.Errorf("a good image: %q", out)
	}
	answers(t, b, "a good image")
	if image(t, b) == first {
		t.Error("a good image was not executed")
	}
	stop()
	if after := steady(t, b); after != before {
		t.Errorf("the services were disturbed:\n%s\nnow\n%s", before, after)
	}
	settled(t, b)
}

// TestImageThatFailsLater has images that convince in the trial and fail as PID 1: the one before must run again, with the state.
func TestImageThatFailsLater(t *testing.T) {
	programs := plantedPrograms(t)
	good, err := os.ReadFile(filepath.Join(programs, "muster"))
	if err != nil {
		t.Fatal(err)
	}
	b := bootProgram(t, programs)
	before := steady(t, b)
	first := image(t, b)
	for _, fault := range []string{"boot-panic", "boot-spin", "loop-panic", "loop-spin", "loop-version"} {
		plant(t, b, "")
		replace(t, programs, good, 0o755)
		plant(t, b, fault)
		shell(t, b, "systemctl --no-block restart load@5.service")
		if out, ok := reexec(t, b); !ok {
			t.Errorf("%s: %q", fault, out)
		}
		deadline := time.Now().Add(time.Minute)
		for !strings.Contains(shell(t, b, "journalctl -q -b -o cat _PID=1 --since=-90s || true"), "the one before runs again") || image(t, b) != first {
			if time.Now().After(deadline) {
				t.Fatalf("%s: the image before did not come back", fault)
			}
			time.Sleep(100 * time.Millisecond)
		}
		shell(t, b, "journalctl --rotate -q; journalctl --vacuum-time=1s -q")
		plant(t, b, "")
		answers(t, b, fault)
		if name := shell(t, b, "cat /proc/1/comm"); strings.TrimSpace(name) != "muster" {
			t.Errorf("%s: PID 1 is called %q", fault, name)
		}
		if after := steady(t, b); after != before {
			t.Errorf("%s: the services were disturbed:\n%s\nnow\n%s", fault, before, after)
		}
		settled(t, b)
	}
}

// TestReexecStorm asks for re-executions from all sides at once, while there are no descriptors to be had and while there are.
func TestReexecStorm(t *testing.T) {
	b := boot(t)
	before := steady(t, b)
	shell(t, b, `n=$(ls /proc/1/fd | sort -n | tail -1)
		old=$(prlimit --pid=1 --nofile -o SOFT,HARD --noheadings --raw | tr ' ' ':')
		prlimit --pid=1 --nofile=$((n + 1)):${old#*:}
		for i in $(seq 5); do kill -TERM 1; done; sleep 1
		prlimit --pid=1 --nofile=$old`)
	answers(t, b, "no descriptors")
	shell(t, b, `for i in $(seq 20); do (systemctl daemon-reexec || systemctl is-active steady@1.service) >/dev/null 2>&1 & kill -TERM 1; done; wait`)
	answers(t, b, "a storm")
	if after := steady(t, b); after != before {
		t.Errorf("the services were disturbed:\n%s\nnow\n%s", before, after)
	}
	settled(t, b)
}

// TestQuarantine has a unit whose messages crash the engine in different ways. That unit must be set aside with its processes alive, everything else
// must go on, and it must be possible to take it back.
func TestQuarantine(t *testing.T) {
	b := bootProgram(t, plantedPrograms(t))
	shell(t, b, `for f in panic stack hang; do
		printf '[Unit]\nDescription=%s\n[Service]\nType=notify\nNotifyAccess=all\nExecStart=/bin/sh -c "systemd-notify --ready; exec sleep infinity"\n' $f >/etc/systemd/system/victim-$f.service
		printf '[Unit]\nBindsTo=victim-%s.service\nAfter=victim-%s.service\n[Service]\nExecStart=sleep infinity\n' $f $f >/etc/systemd/system/friend-$f.service
		done; systemctl daemon-reload; systemctl start friend-panic friend-stack friend-hang`)
	before := steady(t, b)
	for _, fault := range []string{"panic", "stack", "hang"} {
		unit := "victim-" + fault + ".service"
		stop := underLoad(t, b)
		pid := strings.TrimSpace(shell(t, b, "systemctl show -P MainPID "+unit))
		say := fmt.Sprintf("export NOTIFY_SOCKET=/run/systemd/notify; echo $$ >/sys/fs/cgroup/$(systemctl show -P ControlGroup %s)/cgroup.procs; systemd-notify --status=plant:%s", unit, fault)
		shell(t, b, say)
		if fault == "stack" {
			// A fault that the runtime ends the process for may have come from outside: it takes two to be sure.
			time.Sleep(500 * time.Millisecond)
			answers(t, b, "the first stack overflow")
			if state := shell(t, b, "systemctl is-active "+unit+" || true"); state != "active\n" {
				t.Errorf("after one stack overflow %s is %q", unit, state)
			}
			shell(t, b, say)
		}
		time.Sleep(3 * time.Second)
		answers(t, b, fault)
		got := shell(t, b, "systemctl show -P ActiveState -P SubState -P Result -P MainPID -P StatusText "+unit)
		if !hasAll(got, pid, "failed", "quarantined", "Notify", "reset-failed") {
			t.Errorf("%s: %q", fault, got)
		}
		shell(t, b, "kill -0 "+pid)
		shell(t, b, "systemctl is-active friend-"+fault+".service")
		shell(t, b, "systemctl status "+unit+" | grep -q 'systemctl reset-failed "+unit+"'")
		shell(t, b, "! systemctl restart "+unit+" && kill -0 "+pid)
		stop()
		if after := steady(t, b); after != before {
			t.Errorf("%s: the services were disturbed:\n%s\nnow\n%s", fault, before, after)
		}
		settled(t, b)
		shell(t, b, "systemctl daemon-reexec; systemctl is-failed "+unit)
		shell(t, b, fmt.Sprintf("systemctl reset-failed %s; [ $(systemctl is-active %s) = active ] && [ $(systemctl show -P MainPID %s) = %s ] && systemctl restart %s && ! kill -0 %s", unit, unit, unit, pid, unit, pid))
	}
	shell(t, b, "systemctl reset-failed; [ $(systemctl is-system-running) = running ]")
}

func hasAll(text string, parts ...string) bool {
	for _, p := range parts {
		if !strings.Contains(text, p) {
			return false
		}
	}
	return true
}
