package manager

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/muster-init/muster/pkg/engine/machine"
)

// tree makes files; a value that begins with "->" is a symbolic link.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if len(content) > 2 && content[:2] == "->" {
			err = os.Symlink(content[2:], p)
		} else {
			err = os.WriteFile(p, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestListUdevDevices(t *testing.T) {
	root := tree(t, map[string]string{
		"sys/devices/pci/block/xda/uevent":  "MAJOR=8\nMINOR=0\nDEVNAME=xda\nDEVTYPE=disk\n",
		"sys/devices/pci/net/eth7/ifindex":  "3\n",
		"sys/devices/pci/net/eth7/uevent":   "INTERFACE=eth7\nIFINDEX=3\n",
		"sys/dev/block/8:0":                 "->../../devices/pci/block/xda",
		"sys/class/net/eth7":                "->../../devices/pci/net/eth7",
		"run/tags/systemd/b8:0":             "",
		"run/tags/systemd/n3":               "",
		"run/tags/systemd/b9:9":             "",
		"run/tags/systemd/+nothing:special": "",
		"run/data/b8:0": "S:disk/by-label/no\\x20such\nI:123\nE:ID_MODEL=Disk\nE:ID_FS_LABEL=root\nE:SYSTEMD_WANTS=foo@.service bar /bad\n" +
			"G:systemd\nQ:systemd\nV:1\n",
		"run/data/n3": "E:SYSTEMD_READY=0\nE:SYSTEMD_ALIAS=/sys/subsystem/net/devices/eth7 relative\nG:systemd\n",
	})
	sys := filepath.Join(root, "sys")
	disk := filepath.Join(sys, "devices/pci/block/xda")
	got := listUdevDevices(filepath.Join(root, "run"), sys, false)
	want := []machine.DeviceInfo{
		{Sysfs: disk, Node: "/dev/xda", Links: []string{`/dev/disk/by-label/no\x20such`}, Ready: true, Description: "Disk root",
			Wants: []string{wantedName("foo@.service", disk), "bar.service"}},
		{Sysfs: filepath.Join(sys, "devices/pci/net/eth7"), Links: []string{"/sys/subsystem/net/devices/eth7"}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if name := wantedName("foo@.service", "/sys/a-b"); name != `foo@sys-a\x2db.service` {
		t.Errorf("instance: %s", name)
	}
}

func TestListKernelDevices(t *testing.T) {
	root := tree(t, map[string]string{
		"devices/v/block/vda/uevent":    "DEVNAME=vda\n",
		"devices/v/block/vda/size":      "2048\n",
		"devices/v/block/vda/subsystem": "->../../../../class/block",
		"devices/v/block/lo0/uevent":    "DEVNAME=lo0\n",
		"devices/v/block/lo0/size":      "0\n",
		"devices/v/block/lo0/subsystem": "->../../../../class/block",
		"devices/v/tty/ttyS0/uevent":    "DEVNAME=ttyS0\n",
		"devices/v/tty/ttyS0/subsystem": "->../../../../class/tty",
		"devices/v/tty/tty1/uevent":     "DEVNAME=tty1\n",
		"devices/v/tty/tty1/subsystem":  "->../../../../class/tty",
		"class/block/vda":               "->../../devices/v/block/vda",
		"class/block/lo0":               "->../../devices/v/block/lo0",
		"class/tty/ttyS0":               "->../../devices/v/tty/ttyS0",
		"class/tty/tty1":                "->../../devices/v/tty/tty1",
	})
	var got []string
	for _, d := range listKernelDevices(root) {
		text := d.Node
		if !d.Ready {
			text += " not ready"
		}
		got = append(got, text)
	}
	if d := cmp.Diff([]string{"/dev/lo0 not ready", "/dev/vda", "/dev/ttyS0"}, got); d != "" {
		t.Error(d)
	}
}
