package busapi

import (
	"github.com/muster-init/muster/pkg/engine"
	"github.com/muster-init/muster/pkg/engine/device"
)

// deviceSysfs is the path of a device in /sys, "" while it isn't there.
func deviceSysfs(_ *Server, u *engine.Unit) string {
	if m, ok := u.Machine().(*device.Machine); ok {
		return m.State().Sysfs
	}
	return ""
}
