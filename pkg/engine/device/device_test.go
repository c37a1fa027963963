package device_test

import (
	"testing"

	"github.com/muster-init/muster/pkg/engine/device"
	"github.com/muster-init/muster/pkg/engine/enginetest"
	"github.com/muster-init/muster/pkg/engine/mount"
)

// TestScripts runs devices with what the script says about them.
func TestScripts(t *testing.T) { enginetest.RunScripts(t, device.Descriptor(true), mount.Descriptor()) }

func TestTotality(t *testing.T) {
	const there = `event Devices {"Changed":[{"sysfs":"/sys/d","node":"/dev/t","ready":true}]}`
	table := enginetest.Table{
		Type: device.Descriptor(true), Unit: "dev-t.device", Units: "u.service: After=dev-t.device\n",
		Columns: []enginetest.Column{
			{Name: "start", Commands: "start dev-t.device\nrun"},
			{Name: "stop", Commands: "stop dev-t.device\nrun"},
			{Name: "found", Commands: there},
			{Name: "found-not-ready", Commands: `event Devices {"Changed":[{"sysfs":"/sys/d","node":"/dev/t"}]}`},
			{Name: "gone", Commands: there + "\nevent Devices {\"Gone\":[\"/sys/d\"]}"},
			{Name: "none", Commands: `event Devices {"All":true}`},
			{Name: "in-use", Commands: `event MountTable {"Mounts":[{"Where":"/t","What":"/dev/t","Type":"x","Options":"rw"}]}`},
			{Name: "reset-failed", Commands: "reset-failed dev-t.device"},
			{Name: "restore", Commands: "restore"},
		},
		Put: func(sub string) (any, []int32) {
			s := device.State{Sub: device.SubState(sub)}
			if s.Sub == device.Plugged {
				s.Sysfs = "/sys/d"
			}
			return s, nil
		},
	}
	for _, s := range device.SubStates() {
		if device.ActiveStateOf(s) == "" {
			t.Errorf("%s has no active state", s)
		}
		table.Subs = append(table.Subs, string(s))
	}
	table.Run(t)
}
