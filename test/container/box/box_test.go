package box

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/muster-init/muster/test/root"
)

// prepared boots nothing; it returns the cached Debian root.
func prepared(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("the namespace container needs root: run `sudo make test`")
	}
	spec, err := root.Find("trixie")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := spec.Prepare(t.Context(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func start(t *testing.T, options Options) *Box {
	t.Helper()
	b, err := Start(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Stop(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(b.cgroup.top); !os.IsNotExist(err) {
			t.Errorf("%s is left: %v", b.cgroup.top, err)
		}
		if _, err := os.Stat(b.scratch); !os.IsNotExist(err) {
			t.Errorf("%s is left: %v", b.scratch, err)
		}
	})
	return b
}

func TestNamespacesAndOverlay(t *testing.T) {
	dir := prepared(t)
	b := start(t, Options{
		Root: dir, Init: "/bin/busybox", Args: []string{"sleep", "60"}, Hostname: "inside",
		Files: map[string]File{"/etc/greeting": {Content: "hello"}, "/etc/greeting.link": {Link: "greeting"}},
		Binds: []Bind{{Source: "/etc/os-release", Target: "/opt/host-release"}},
	})
	result, err := b.Exec(t.Context(), "/bin/sh", "-c", `
		hostname; cat /etc/greeting.link; echo
		grep ^0: /proc/1/cgroup
		ip -brief address show lo | grep -o 127.0.0.1/8
		stat -f -c %T /run /sys/fs/cgroup | tr '\n' ' '; echo
		test -e /opt/host-release && ! touch /opt/host-release 2>/dev/null && echo bound read-only
		! sysctl -qw kernel.panic=7 2>/dev/null && echo sysctl refused
		echo seen >/etc/seen; echo out of line >&2; exit 7`)
	if err != nil {
		t.Fatal(err)
	}
	want := "inside\nhello\n0::/\n127.0.0.1/8\ntmpfs cgroup2fs \nbound read-only\nsysctl refused\n"
	if result.Stdout != want || result.Stderr != "out of line\n" || result.Code != 7 {
		t.Errorf("got %q, %q, %d, want %q", result.Stdout, result.Stderr, result.Code, want)
	}
	if _, err := os.Stat(filepath.Join(dir, "etc/seen")); !os.IsNotExist(err) {
		t.Errorf("a write inside reached the cached root: %v", err)
	}
	if text, err := os.ReadFile(b.Path("/etc/seen")); err != nil || string(text) != "seen\n" {
		t.Errorf("Path: %q, %v", text, err)
	}
}

func TestExecEndsWithItsContext(t *testing.T) {
	b := start(t, Options{Root: prepared(t), Init: "/bin/busybox", Args: []string{"sleep", "60"}})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := b.Exec(ctx, "/bin/sh", "-c", "sleep 1001 & sleep 1001")
	if err == nil {
		t.Fatal("Exec returned without an error")
	}
	result, err := b.Exec(t.Context(), "/bin/sh", "-c", "for i in $(seq 600); do pgrep -f 'sleep 1001$' || exit 1; sleep 0.1; done")
	if err != nil || result.Code != 1 {
		t.Errorf("processes of the cancelled Exec still run: %q, %v", result.Stdout, err)
	}
}

func TestExitStatusAndConsole(t *testing.T) {
	dir := prepared(t)
	for _, test := range []struct {
		script, want string
		clean        bool
	}{
		{"echo last words; exit 3", "exited with 3", false},
		{"exit 0", "exited with 0", true},
		{"busybox poweroff -f; sleep 9", "powered off", true},
		{"busybox reboot -f; sleep 9", "rebooted", true},
	} {
		b := start(t, Options{Root: dir, Init: "/bin/sh", Args: []string{"-c", "echo on console; " + test.script}})
		status, err := b.Wait(t.Context())
		if err != nil || status.String() != test.want || status.Clean() != test.clean {
			t.Errorf("%q: %v, clean %v, %v", test.script, status, status.Clean(), err)
		}
		if !strings.Contains(b.Console(), "on console") {
			t.Errorf("%q: console has %q", test.script, b.Console())
		}
	}
}

func TestStartTellsWhatIsMissing(t *testing.T) {
	_, err := Start(Options{Root: prepared(t), Init: "/no/such/init"})
	if err == nil || !strings.Contains(err.Error(), "/no/such/init: no such file") {
		t.Errorf("got %v", err)
	}
}

func TestSystemdBootsAndPowersOff(t *testing.T) {
	program, err := FindProgram(t.Context(), "systemd", "")
	if err != nil {
		t.Fatal(err)
	}
	b := start(t, Options{Root: prepared(t), Init: program.Path, Files: Identity()})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	state, err := b.WaitRunning(ctx, program.Ctl)
	if err != nil || state != "running" {
		failed, _ := b.Exec(ctx, "systemctl", "--failed", "--no-legend")
		t.Fatalf("state %q, %v\n%s\n%s", state, err, failed.Stdout, b.Console())
	}
	page, err := b.Exec(ctx, "busybox", "wget", "-qO-", "http://127.0.0.1/")
	if err != nil || !strings.Contains(page.Stdout, "Welcome to nginx") {
		t.Errorf("nginx: %q %q %v", page.Stdout, page.Stderr, err)
	}
	conn, err := b.DialUnix(ctx, "/run/systemd/private")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "\x00AUTH EXTERNAL 30\r\n"); err != nil {
		t.Error(err)
	}
	answer := make([]byte, 64)
	if n, err := conn.Read(answer); err != nil || !strings.HasPrefix(string(answer[:n]), "OK ") {
		t.Errorf("private socket answers %q, %v", answer[:n], err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	if _, err := b.DialUnix(ctx, "/run/no-such-socket"); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("a socket that isn't there: %v", err)
	}
	status, err := b.Shutdown(ctx)
	if err != nil || !status.Clean() {
		t.Errorf("power-off: %v, %v\n%s", status, err, b.Console())
	}
}
