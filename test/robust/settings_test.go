package robust

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestSettings has settings of system.conf that real systemd refuses in a container, doesn't know yet, or that only show when the manager is in trouble.
func TestSettings(t *testing.T) {
	const minimum = 9 * time.Second
	began := time.Now()
	b := bootFiles(t, "", map[string]string{"/etc/systemd/system.conf.d/50-test.conf": "[Manager]\n" +
		"CapabilityBoundingSet=~CAP_WAKE_ALARM CAP_BLOCK_SUSPEND\nDefaultRestrictSUIDSGID=yes\nMinimumUptimeSec=9s\n"})
	shell(t, b, `for f in /proc/1/status "$(mktemp)"; do
		[ -s $f ] || systemd-run -q --wait -p StandardOutput=file:$f cat /proc/self/status
		bounding=$((0x$(sed -n 's/^CapBnd:\t//p' $f)))
		[ $((bounding >> 35 & 1)) = 0 ] && [ $((bounding >> 36 & 1)) = 0 ] && [ $((bounding & 1)) = 1 ] || { cat $f; exit 1; }
		done`)
	shell(t, b, `touch /run/suid; ! systemd-run -q --wait chmod u+s /run/suid && [ ! -u /run/suid ] && systemd-run -q --wait -p RestrictSUIDSGID=no chmod u+s /run/suid`)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	status, err := b.Shutdown(ctx)
	if err != nil || !status.PowerOff {
		t.Fatalf("%v, %v", status, err)
	}
	if up := time.Since(began); up < minimum {
		t.Errorf("MinimumUptimeSec=: off after %v", up)
	}
}

// TestCrashAction crashes the manager until it gives up.
func TestCrashAction(t *testing.T) {
	b := bootFiles(t, "", map[string]string{"/etc/systemd/system.conf.d/50-test.conf": "[Manager]\nCrashAction=reboot\n"})
	// A crash counts when the image has lived for less than a second, so each comes as soon as the one before is over.
	// On a machine with much else to do an image must come so far in that time that it can crash.
	if err := syscall.Setpriority(syscall.PRIO_PROCESS, b.PID(), -15); err != nil {
		t.Log(err)
	}
	deadline := time.Now().Add(patience)
	for !strings.Contains(b.Console(), "CrashAction=reboot in 10s") {
		if time.Now().After(deadline) {
			t.Fatal("the manager did not give up")
		}
		_ = b.Signal(syscall.SIGSEGV)
		time.Sleep(150 * time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	status, err := b.Wait(ctx)
	if err != nil || !status.Reboot {
		t.Fatalf("%v, %v", status, err)
	}
}
