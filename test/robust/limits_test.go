package robust

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/muster-init/muster/test/container/box"
)

// crashes counts what the manager says when it was executed again after a crash.
func crashes(b *box.Box) int {
	return strings.Count(b.Console(), "crashed") + strings.Count(b.Console(), "panic:")
}

// TestNoDescriptors lets PID 1 run out of descriptors: what is asked of it meanwhile may fail, it must not burn the processor, and nothing may be lost.
func TestNoDescriptors(t *testing.T) {
	b := bootBinds(t, "", map[string]string{
		"/etc/systemd/system/echo.socket":   "[Socket]\nListenStream=/run/echo\nAccept=yes\nMaxConnections=1000\n",
		"/etc/systemd/system/echo@.service": "[Service]\nStandardInput=socket\nExecStart=/bin/cat\n",
		"/etc/systemd/system/touch.path":    "[Path]\nPathExists=/run/touched\nUnit=load@8.service\n",
		"/etc/systemd/system/store.service": "[Service]\nType=notify\nNotifyAccess=all\nFileDescriptorStoreMax=50\nExecStart=/bin/sh -c 'systemd-notify --ready; exec sleep infinity'\n",
	})
	shell(t, b, "systemctl start dbus steady@{1..5}.service echo.socket store.service")
	before := steady(t, b)
	was := crashes(b)
	for _, spare := range []string{"0", "1", "2", "4", "8"} {
		shell(t, b, `sleep 1; n=0; while [ -e /proc/1/fd/$n ]; do n=$((n + 1)); done; was=$(prlimit --pid 1 --nofile --output=SOFT --noheadings | tr -d ' '); prlimit --pid 1 --nofile=$((n + `+spare+`)):
			cpu() { read -r -a f </proc/1/stat; echo $((f[13] + f[14])); }
			began=$(cpu)
			for i in $(seq 12); do timeout 2 systemctl show -P ActiveState steady@1 >/dev/null 2>&1 || echo no >>/run/refused & done
			timeout 3 systemctl start load@1 >/dev/null 2>&1 &
			timeout 3 systemctl start touch.path >/dev/null 2>&1 &
			timeout 3 systemctl daemon-reload >/dev/null 2>&1 &
			timeout 3 systemctl restart store >/dev/null 2>&1 &
			timeout 3 systemd-run -q --pipe --wait true >/dev/null 2>&1 &
			for i in $(seq 5); do (echo hello | timeout 2 busybox nc local:/run/echo || true) >/dev/null 2>&1 & done
			wait
			used=$(($(cpu) - began))
			[ $used -lt 150 ] || { echo "1.5 s of CPU time in 3 s: $used"; exit 1; }
			prlimit --pid 1 --nofile=$was:`)
		answers(t, b, spare+" descriptors left")
	}
	shell(t, b, "[ -s /run/refused ]") // else there was no lack
	shell(t, b, "systemctl stop touch.path load@1 load@8; systemctl reset-failed; timeout 120 systemctl daemon-reload; timeout 120 systemctl restart store echo.socket; touch /run/touched; timeout 120 systemctl start touch.path; timeout 120 systemctl start load@1 && systemctl stop load@1 && systemd-run -q --wait true")
	if after := steady(t, b); after != before {
		t.Errorf("the services were disturbed:\n%s\nnow\n%s", before, after)
	}
	if now := crashes(b); now != was {
		t.Errorf("%d crashes", now-was)
	}
}

// TestNoSpace fills /run: what has to write there fails or goes on without, and nothing of what runs is lost, over reloads and re-executions.
func TestNoSpace(t *testing.T) {
	b := boot(t)
	shell(t, b, "systemd-run -q --unit=before sleep infinity; systemctl set-property --runtime steady@1 CPUWeight=50")
	before, was := steady(t, b), crashes(b)
	pid := property(t, b, "before.service", "MainPID")
	shell(t, b, `used=$(df --output=used -k /run | tail -1); mount -o remount,size=$((used + 8))k /run; dd if=/dev/zero of=/run/ballast bs=1k 2>/dev/null || true; dd if=/dev/zero of=/run/ballast2 bs=1 count=5000 2>/dev/null || true`)
	for _, command := range []string{
		"systemctl daemon-reload", "systemctl daemon-reexec", "systemd-run --unit=during true", "systemctl enable --runtime /lib/systemd/system/cron.service",
		"systemctl set-property --runtime steady@2 CPUWeight=60", "systemctl mask --runtime steady@9", "systemctl start load@1", "systemctl stop load@1",
		"systemctl set-environment A=b", "systemctl edit --runtime --stdin steady@3 </dev/null", "systemctl daemon-reload", "systemctl daemon-reexec",
	} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		result, err := b.Exec(ctx, "/bin/sh", "-c", command)
		cancel()
		if err != nil {
			t.Fatalf("%s: %v", command, err)
		}
		t.Logf("%s: exit status %d, %s", command, result.Code, strings.TrimSpace(result.Stderr))
		answers(t, b, command)
	}
	shell(t, b, "rm /run/ballast /run/ballast2; mount -o remount,size=200m /run; timeout 120 systemctl daemon-reload; timeout 120 systemctl daemon-reexec; timeout 120 systemd-run -q --wait --unit=after true; systemctl enable --runtime steady@7")
	if after := steady(t, b); after != before {
		t.Errorf("the services were disturbed:\n%s\nnow\n%s", before, after)
	}
	if now := property(t, b, "before.service", "MainPID"); now != pid {
		t.Errorf("the transient service: pid %s, was %s", now, pid)
	}
	if now := crashes(b); now != was {
		t.Errorf("%d crashes", now-was)
	}
}

// TestManyEvents lets more happen than the kernel keeps for a manager that is stopped: of inotify, of mounts, of processes.
func TestManyEvents(t *testing.T) {
	b := bootBinds(t, "", map[string]string{
		"/etc/systemd/system/many.path":    "[Path]\nPathChanged=/run/many\n",
		"/etc/systemd/system/many.service": "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo x >>/run/many.log'\n",
	})
	shell(t, b, "systemctl start steady@{1..3}.service; mkdir /run/many; systemctl start many.path")
	before := steady(t, b)
	if err := b.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	shell(t, b, `max=$(cat /proc/sys/fs/inotify/max_queued_events)
		cd /run/many && for i in $(seq $((max / 3 + 2000))); do : >f$((i % 7)); done; rm -f f*
		for i in $(seq 300); do mkdir -p /run/m/$i; mount -t tmpfs m /run/m/$i; umount /run/m/$i; done`)
	if err := b.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	answers(t, b, "a queue that ran over")
	wait(t, b, 10*time.Second, "the path unit has seen it", "[ -s /run/many.log ]")
	wait(t, b, 10*time.Second, "and waits again", `[ "$(systemctl show -P SubState many.path)" = waiting ]`)
	shell(t, b, "rm /run/many.log; touch /run/many/again")
	wait(t, b, 10*time.Second, "a change after it", "[ -s /run/many.log ]")
	if after := steady(t, b); after != before {
		t.Errorf("the services were disturbed:\n%s\nnow\n%s", before, after)
	}
}

// TestManyUnitFiles has 20,000 unit files in one directory and a cycle over 5,000 of them.
func TestManyUnitFiles(t *testing.T) {
	b := boot(t)
	before := steady(t, b)
	shell(t, b, `mkdir -p /run/systemd/system; cd /run/systemd/system
		awk 'BEGIN { for (i = 0; i < 20000; i++) { f = "many-" i ".service"
			if (i < 5000) { n = (i + 1) % 5000; printf "[Unit]\nDefaultDependencies=no\nRequires=many-%d.service\nAfter=many-%d.service\n[Service]\nExecStart=/bin/true\n", n, n >f }
			else if (i < 10000) { n = 5000 + (i + 1) % 5000; printf "[Unit]\nDefaultDependencies=no\nWants=many-%d.service\nAfter=many-%d.service\n[Service]\nType=oneshot\nExecStart=/bin/true\n", n, n >f }
			else printf "[Service]\nExecStart=/bin/true\n" >f
			close(f) } }'`)
	shell(t, b, "timeout 120 systemctl daemon-reload")
	answers(t, b, "20,000 files")
	shell(t, b, "timeout 120 systemctl list-unit-files 'many-*' | grep -q '^20000 unit files'")
	out := shell(t, b, "timeout 120 systemctl start many-0.service 2>&1; echo $?")
	if !strings.HasSuffix(out, "\n1\n") || !strings.Contains(out, "cycl") {
		t.Errorf("a cycle of 5,000 requirements: %q", out)
	}
	answers(t, b, "a cycle of 5,000 requirements")
	shell(t, b, "timeout 120 systemctl --no-block start many-5000.service")
	answers(t, b, "a cycle of 5,000 wants")
	shell(t, b, "journalctl -b -o cat | grep -i cycl | grep -q many-")
	wait(t, b, 50*time.Second, "all of them have run", `[ -z "$(systemctl list-jobs --no-legend | grep many-)" ]`)
	shell(t, b, "rm -f /run/systemd/system/many-*; timeout 120 systemctl daemon-reload")
	if after := steady(t, b); after != before {
		t.Errorf("the services were disturbed:\n%s\nnow\n%s", before, after)
	}
}
