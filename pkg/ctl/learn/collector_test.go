package learn

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// slice makes a control group to watch and one in it.
func slice(t *testing.T) (parent, unit string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test loads programs into the kernel: it needs root")
	}
	root := "/sys/fs/cgroup"
	if _, err := os.Stat(root + "/cgroup.controllers"); err != nil {
		root += "/unified"
	}
	parent, err := os.MkdirTemp(root, "muster-learn-")
	if err != nil {
		t.Fatal(err)
	}
	unit = filepath.Join(parent, "probe.service")
	if err := os.Mkdir(unit, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = os.WriteFile(parent+"/cgroup.kill", []byte("1"), 0)
		var err error
		for range 6000 {
			if _ = unix.Rmdir(unit); true {
				if err = unix.Rmdir(parent); err == nil {
					return
				}
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Error(err)
	})
	return parent, unit
}

// observe runs a script in the group under a collector.
func observe(t *testing.T, script string) *Observation {
	t.Helper()
	parent, unit := slice(t)
	c, err := Open(parent, "probe.service")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	dir, err := os.Open(unit)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.Dir = t.TempDir()
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c.Unit(unit)
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for ended := false; !ended; {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			ended = true
		default:
		}
		if err := c.Drain(20 * time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Drain(time.Second); err != nil { // what there was no turn for yet
		t.Fatal(err)
	}
	o, err := c.Seen()
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestCollector(t *testing.T) {
	out := t.TempDir()
	o := observe(t, `echo x >`+out+`/made; mkdir `+out+`/dir; cat /etc/hostname /home/none 2>/dev/null; ls /root >/dev/null; sleep 0.3; echo late >relative; sleep 2
perl -e 'socket(my $s, 2, 1, 0); socket(my $n, 16, 3, 0); syscall(9, 0, 4096, 7, 0x22, -1, 0)'; chown 1 `+out+`/made; unshare -u true`)
	for _, name := range []string{"openat", "execve", "read", "write", "socket", "mmap", "unshare"} {
		if o.Calls[name] == 0 {
			t.Errorf("%s was not seen", name)
		}
	}
	if o.Calls["reboot"]+o.Calls["init_module"] != 0 || o.Unknown != 0 || o.Lost != 0 {
		t.Errorf("calls %v, unknown %d, lost %d", o.Calls, o.Unknown, o.Lost)
	}
	if !o.Families[unix.AF_INET] || !o.Families[unix.AF_NETLINK] || o.Families[unix.AF_INET6] {
		t.Errorf("families %v", o.Families)
	}
	if o.Namespaces != unix.CLONE_NEWUTS || len(o.WriteExecute) == 0 {
		t.Errorf("namespaces %#x, memory %v", o.Namespaces, o.WriteExecute)
	}
	if got := o.touched(true, out); got == "" || o.touched(true, "/etc", "/root") != "" {
		t.Errorf("written: %q", got)
	}
	relative := false
	for a := range o.Paths {
		relative = relative || a.Write && strings.HasSuffix(a.Path, "/relative") && strings.HasPrefix(a.Path, "/")
	}
	if !relative {
		t.Error("the relative path was not completed")
	}
	if o.touched(false, "/root") == "" || o.touched(false, "/home") != "" {
		t.Error("what was read is not right")
	}
	if o.NoCapabilities == nil {
		if len(o.needed(unix.CAP_SYS_ADMIN)) == 0 {
			t.Errorf("capabilities %v", o.Caps)
		}
		if _, ok := o.Caps[unix.CAP_CHOWN]; !ok {
			t.Errorf("capabilities %v", o.Caps)
		}
		if _, ok := o.Caps[unix.CAP_NET_RAW]; ok {
			t.Errorf("capabilities %v", o.Caps)
		}
	}
	// A service that does less doesn't ask for CAP_SYS_ADMIN.
	if o = observe(t, `cat /etc/hostname`); o.NoCapabilities == nil && len(o.needed(unix.CAP_SYS_ADMIN)) > 0 {
		t.Errorf("CAP_SYS_ADMIN in %v", o.Caps[unix.CAP_SYS_ADMIN])
	}
}
