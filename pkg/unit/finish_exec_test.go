package unit

import (
	"fmt"
	"testing"
)

// TestImpliedSettings has what systemctl show of systemd 257 shows after loading these services.
func TestImpliedSettings(t *testing.T) {
	const all = 1<<41 - 1
	for text, want := range map[string]string{
		"User=foo":        "foo  no no no false yes auto [] 41",
		"DynamicUser=yes": "t-1 t-1 disconnected strict read-only true yes auto [] 41",
		"DynamicUser=yes\nPrivateTmp=yes\nProtectHome=tmpfs\nProtectSystem=full\nGroup=bar": "t-1 bar yes strict tmpfs true yes auto [] 41",
		"PrivateDevices=yes":                      "  no no no false unset closed [] 39",
		"PrivateDevices=yes\nDevicePolicy=strict": "  no no no false unset strict [] 39",
		"ProtectClock=yes":                        "  no no no false unset auto [] 39",
		"ProtectClock=yes\nDevicePolicy=closed\nDeviceAllow=/dev/null rw":                       "  no no no false unset closed [{char-rtc r} {/dev/null rw}] 39",
		"ProtectKernelLogs=yes\nProtectKernelModules=yes\nCapabilityBoundingSet=~CAP_SYS_ADMIN": "  no no no false unset auto [] 38",
		"PAMName=login": "  no no no false yes auto [] 41",
		"RootImage=/x\nDevicePolicy=closed": "  no no no false unset closed " +
			"[{block-device-mapper rwm} {block-blkext rwm} {block-loop rwm} {/dev/mapper/control rw} {/dev/loop-control rw}] 41",
	} {
		u, _ := Load(&Host{}, BuiltinDefaults(), &Source{Name: "t-1.service", Fragment: &File{Path: "t-1.service", Text: "[Service]\nExecStart=/bin/true\n" + text + "\n"}})
		e, s, c := u.GetExec(), u.GetSandbox(), u.GetCgroup()
		caps := 0
		for b := e.CapabilityBoundingSet & all; b != 0; b &= b - 1 {
			caps++
		}
		login := [...]string{Unset: "unset", No: "no", Yes: "yes"}[e.SetLoginEnvironment]
		got := fmt.Sprintf("%s %s %s %s %s %v %s %s %v %d", e.User, e.Group, s.PrivateTmp, s.ProtectSystem, s.ProtectHome, e.NoNewPrivileges, login, c.DevicePolicy, c.DeviceAllow, caps)
		if got != want {
			t.Errorf("%q:\n got %s\nwant %s", text, got, want)
		}
	}
}
