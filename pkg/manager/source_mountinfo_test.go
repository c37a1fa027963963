package manager

import "testing"

func TestMountOptions(t *testing.T) {
	for _, test := range []struct{ mount, super, want string }{
		{"rw,nosuid,nodev", "rw,size=1k", "rw,nosuid,nodev,size=1k"},
		{"rw,relatime", "ro", "ro,relatime"},
		{"ro,relatime", "rw,x=1", "ro,relatime,x=1"},
		{"rw", "rw", "rw"},
	} {
		if got := mountOptions(test.mount, test.super); got != test.want {
			t.Errorf("%s + %s: got %s, want %s", test.mount, test.super, got, test.want)
		}
	}
}

// TestMountInfoLine: what has a unit and what has none.
func TestMountInfoLine(t *testing.T) {
	for line, where := range map[string]string{
		`88 44 0:53 / / rw,relatime shared:17 - overlay overlay rw`:            "/",
		`89 88 0:56 / /proc rw - proc proc rw`:                                 "",
		`99 89 0:56 /irq /proc/irq ro - proc proc rw`:                          "/proc/irq",
		`97 92 0:26 /1 /dev/console rw - devpts devpts rw`:                     "",
		`47 88 0:64 / /mnt/sp\040ace rw - tmpfs tmpfs rw`:                      "/mnt/sp ace",
		`50 88 0:66 / /proc/sys/fs/binfmt_misc rw - autofs systemd-1 rw,fd=30`: "",
		`51 88 0:67 / /run/credentials/a.service ro - tmpfs tmpfs rw`:          "",
		`52 88 0:68 / /gone//deleted rw - tmpfs tmpfs rw`:                      "",
		`53 88 0:69 / /run/host/x rw - tmpfs tmpfs rw`:                         "",
		`garbage`: "",
	} {
		if got := mountInfo([]byte(line+"\n"), "/run"); got.Where != where {
			t.Errorf("%s: got %q, want %q", line, got.Where, where)
		}
	}
}
