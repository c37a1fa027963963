package robust

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/muster-init/muster/test/container/box"
)

// This is no scenario, because real systemd looks at many of these paths in PID 1 and hangs with them.

// withPayload is bootFiles with test/payload as /opt/tools/payload.
func withPayload(t *testing.T, more map[string]string) *box.Box {
	t.Helper()
	repository, err := box.Repository()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", dir+"/", "./test/payload")
	cmd.Dir, cmd.Env = repository, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	b := bootBinds(t, "", more, box.Bind{Source: dir, Target: "/opt/tools"})
	shell(t, b, "systemctl start steady@{1..3}.service")
	return b
}

// hang mounts a file system that hangs, see test/payload/hangfs.go, and gives what ends it.
func hang(t *testing.T, b *box.Box, words string) (end func()) {
	t.Helper()
	dir := strings.Split(words, ",")[1]
	shell(t, b, "mkdir -p "+dir+"; systemd-run -q --unit=hangfs -p TimeoutStopSec=1 /opt/tools/payload hangfs:"+words+" block; for i in $(seq 2400); do ! grep -q ' "+dir+" fuse' /proc/mounts || exit 0; sleep 0.05; done; exit 1")
	return func() { shell(t, b, "systemctl kill -s KILL hangfs; umount -l "+dir) }
}

// hangingDirectives are directives with a path each, and what has to come of a start: the result.
var hangingDirectives = map[string]struct{ lines, result string }{
	"exec":        {"ExecStart=/mnt/hang/x", "timeout"},
	"condition":   {"ExecCondition=/mnt/hang/x\nExecStart=/bin/true", "timeout"},
	"environment": {"EnvironmentFile=/mnt/hang/x\nExecStart=/bin/true", "timeout"},
	"directory":   {"WorkingDirectory=/mnt/hang/x\nExecStart=/bin/true", "timeout"},
	"root":        {"RootDirectory=/mnt/hang/x\nExecStart=/bin/true", "timeout"},
	"output":      {"StandardOutput=file:/mnt/hang/x\nExecStart=/bin/true", "timeout"},
	"append":      {"StandardError=append:/mnt/hang/x\nExecStart=/bin/true", "timeout"},
	"input":       {"StandardInput=file:/mnt/hang/x\nExecStart=/bin/true", "timeout"},
	"tty":         {"StandardInput=tty\nTTYPath=/mnt/hang/x\nExecStart=/bin/true", "timeout"},
	"open":        {"OpenFile=/mnt/hang/x\nExecStart=/bin/true", "timeout"},
	"credential":  {"LoadCredential=x:/mnt/hang/x\nExecStart=/bin/true", "timeout"},
	"bind":        {"BindPaths=/mnt/hang/x:/mnt/y\nExecStart=/bin/true", "timeout"},
	"readonly":    {"ReadOnlyPaths=/mnt/hang/x\nExecStart=/bin/true", "timeout"},
	"netns":       {"NetworkNamespacePath=/mnt/hang/x\nExecStart=/bin/true", "timeout"},
	"state":       {"StateDirectory=hang/x\nExecStart=/bin/true", "timeout"}, // /var/lib/hang is a link to it
	"logs":        {"LogsDirectory=hang/x\nExecStart=/bin/true", "timeout"},  // /var/log/hang too
}

// TestHangingPaths lets a file system hang under every directive with a path: PID 1 answers all along, and each start comes to an end.
func TestHangingPaths(t *testing.T) {
	for _, kind := range []string{"deaf", "mute"} {
		t.Run(kind, func(t *testing.T) {
			files := map[string]string{
				"/etc/systemd/system/x-condition.service": "[Unit]\nConditionPathExists=/mnt/hang/x\n[Service]\nExecStart=/bin/sleep 100\n",
				"/etc/systemd/system/x-assert.service":    "[Unit]\nAssertPathExists=/mnt/hang/x\n[Service]\nExecStart=/bin/sleep 100\n",
				"/etc/systemd/system/x-job.service":       "[Unit]\nConditionPathIsMountPoint=/mnt/hang/x\nJobTimeoutSec=2\n[Service]\nExecStart=/bin/sleep 100\n",
				"/etc/systemd/system/x-pid.service":       "[Service]\nType=forking\nTimeoutStartSec=2\nTimeoutStopSec=1\nPIDFile=/mnt/hang/x\nExecStart=/bin/sh -c 'sleep 100 &'\n",
				"/etc/systemd/system/x-path.path":         "[Path]\nPathExists=/mnt/hang/x\nUnit=load@9.service\n",
				"/etc/systemd/system/x-socket.socket":     "[Socket]\nListenStream=/mnt/hang/x\nTimeoutSec=2\n",
				"/etc/systemd/system/x-socket.service":    "[Service]\nExecStart=/bin/sleep 100\n",
				"/etc/systemd/system/mnt-hang-y.mount":    "[Mount]\nWhat=tmpfs\nType=tmpfs\nWhere=/mnt/hang/y\nTimeoutSec=2\n",
				"/etc/systemd/system/mnt-z.mount":         "[Mount]\nWhat=/mnt/hang/z\nWhere=/mnt/z\nOptions=bind\nTimeoutSec=2\n",
			}
			names := []string{}
			for name, d := range hangingDirectives {
				files["/etc/systemd/system/d-"+name+".service"] = "[Service]\nType=oneshot\nTimeoutStartSec=2\nTimeoutStopSec=1\n" + d.lines + "\n"
				names = append(names, "d-"+name+".service")
			}
			b := withPayload(t, files)
			shell(t, b, "mkdir -p /mnt; ln -s /mnt/hang /var/lib/hang; ln -s /mnt/hang /var/log/hang")
			end := hang(t, b, kind+",/mnt/hang")
			shell(t, b, "systemctl --no-block start "+strings.Join(names, " ")+" x-condition x-assert x-job x-pid x-path.path x-socket.socket mnt-hang-y.mount mnt-z.mount")
			for began := time.Now(); time.Since(began) < 8*time.Second; time.Sleep(200 * time.Millisecond) {
				answers(t, b, "everything hangs")
			}
			wait(t, b, 20*time.Second, "no job but those for conditions and the path", `! systemctl list-jobs --no-legend | grep -v -e 'No jobs' -e x-condition -e x-assert -e x-path`)
			for name, d := range hangingDirectives {
				if result := property(t, b, "d-"+name+".service", "Result"); result != d.result {
					t.Errorf("%s: result %q instead of %q", name, result, d.result)
				}
			}
			for unit, want := range map[string]string{"x-pid.service": "timeout", "x-socket.socket": "timeout", "mnt-hang-y.mount": "resources", "mnt-z.mount": "resources"} {
				if result := property(t, b, unit, "Result"); result != want {
					t.Errorf("%s: result %q instead of %q", unit, result, want)
				}
			}
			shell(t, b, "timeout 120 systemctl restart steady@1; timeout 120 systemctl start load@1; timeout 120 systemctl stop load@1")
			wait(t, b, 45*time.Second, "no job", "! systemctl list-jobs --no-legend | grep -v 'No jobs'")
			if result := property(t, b, "x-path.path", "Result"); result != "resources" {
				t.Errorf("x-path.path: result %q", result)
			}
			if kind == "mute" {
				if out, ok := reexec(t, b); ok || !strings.Contains(out, "does not answer") {
					t.Errorf("a re-execution that could wait for ever: %v %q", ok, out)
				}
			}
			end()
			answers(t, b, "the end of it")
			shell(t, b, "timeout 120 systemctl daemon-reload; timeout 120 systemctl restart steady@1")
		})
	}
}

// TestHangingUnitDirectories lets file systems hang where unit files are looked for.
func TestHangingUnitDirectories(t *testing.T) {
	for _, test := range []struct{ name, kind, dir, names string }{
		{"drop-ins", "deaf", "/etc/systemd/system/steady@.service.d", ""},
		{"drop-ins that list", "files", "/etc/systemd/system/steady@.service.d", ",a.conf,b.conf"},
		{"links", "mute", "/etc/systemd/system/robust.target.wants", ""},
		{"directory", "mute", "/usr/local/lib/systemd/system", ""},
		{"files", "files", "/usr/local/lib/systemd/system", ",dead.service,dead2.service,steady@.service.d/"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := withPayload(t, nil)
			before := steady(t, b)
			// Generators look there, too, and hang: those of Debian are left out.
			shell(t, b, "mkdir -p /etc/systemd/system-generators; for g in /usr/lib/{systemd,muster}/system-generators/*; do ln -sf /dev/null /etc/systemd/system-generators/${g##*/}; done")
			end := hang(t, b, test.kind+","+test.dir+test.names)
			for range 2 {
				shell(t, b, "timeout 120 systemctl daemon-reload")
				answers(t, b, "a reload")
			}
			shell(t, b, "! timeout 120 systemctl start dead.service dead2.service not-there.service")
			for _, command := range []string{"systemctl status steady@1", "systemctl restart load@1", "systemctl list-units", "systemctl show steady@2", "systemctl stop load@1", "systemctl start steady@4", "systemctl stop steady@4"} {
				shell(t, b, "timeout 120 "+command+" >/dev/null")
				answers(t, b, command)
			}
			if after := steady(t, b); after != before {
				t.Errorf("the services were disturbed:\n%s\nnow\n%s", before, after)
			}
			end()
			shell(t, b, "timeout 120 systemctl daemon-reload; timeout 120 systemctl restart load@1; timeout 120 systemctl stop load@1; ! systemctl start dead.service")
		})
	}
}

// TestHangingGenerators leaves a unit directory dead while generators look there, as that for SysV scripts does. They hang in the kernel, so the reload
// takes until their time is over. Meanwhile everybody is answered and jobs run; then it names who hung, and what the other generators gave holds.
func TestHangingGenerators(t *testing.T) {
	b := withPayload(t, nil)
	before := steady(t, b)
	shell(t, b, `mkdir -p /etc/systemd/system-generators; printf '#!/bin/sh\nexec stat /usr/local/lib/systemd/system/x\n' >/etc/systemd/system-generators/looks
		printf '#!/bin/sh\nprintf "[Service]\\\\nExecStart=/bin/true\\\\n" >"$1/given.service"\n' >/etc/systemd/system-generators/gives; chmod 755 /etc/systemd/system-generators/*`)
	end := hang(t, b, "mute,/usr/local/lib/systemd/system")
	shell(t, b, `systemd-run -q --unit=reloading bash -c '{ timeout 240 systemctl daemon-reload; echo $? >/run/reloaded; } >/run/reload.out 2>&1'`)
	began := time.Now()
	for ; time.Since(began) < 240*time.Second; time.Sleep(time.Second) {
		answers(t, b, "generators hang")
		shell(t, b, "timeout 15 systemctl restart load@1; timeout 15 systemctl stop load@1")
		if strings.TrimSpace(shell(t, b, "cat /run/reloaded 2>/dev/null || true")) != "" {
			break
		}
	}
	if result := strings.TrimSpace(shell(t, b, "cat /run/reloaded /run/reload.out || true")); result != "0" {
		t.Errorf("the reload ended with %q after %v", result, time.Since(began))
	}
	if took := time.Since(began); took < 80*time.Second {
		t.Errorf("the reload took %v: did nothing hang?", took)
	}
	said := shell(t, b, "journalctl -b -o cat _PID=1 | grep -e generator -e looks || true")
	if !strings.Contains(said, "looks: did not end in time") {
		t.Errorf("the generator is not named: %s", said)
	}
	shell(t, b, "timeout 15 systemctl start given.service")
	if after := steady(t, b); after != before {
		t.Errorf("the services were disturbed:\n%s\nnow\n%s", before, after)
	}
	end()
	shell(t, b, "rm /etc/systemd/system-generators/looks; timeout 25 systemctl daemon-reload; timeout 15 systemctl restart load@1")
	t.Logf("%v: %s", time.Since(began), said)
}

// wait waits until a script succeeds: it should within the limit, and a machine with much else to do gets several times that.
func wait(t *testing.T, b *box.Box, limit time.Duration, what, script string) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		result, err := b.Exec(ctx, "/bin/bash", "-c", script)
		cancel()
		if err == nil && result.Code == 0 {
			return
		}
		if time.Since(began) > 6*limit {
			t.Fatalf("%s: not within %v: %s", what, limit, shell(t, b, "systemctl list-jobs; journalctl -n 30 -o cat"))
		}
	}
}

func property(t *testing.T, b *box.Box, unit, name string) string {
	t.Helper()
	return strings.TrimSpace(shell(t, b, fmt.Sprintf("timeout 60 systemctl show -P %s %s", name, unit)))
}
