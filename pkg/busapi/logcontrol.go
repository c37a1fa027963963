package busapi

import (
	"github.com/muster-init/muster/pkg/bus"
)

// logControlPath is where every service that lets its logging be changed has an object (org.freedesktop.LogControl1(5)).
const logControlPath = "/org/freedesktop/LogControl1"

// logControlInterface has the two properties of the manager under the names that are common to all services.
func logControlInterface() *iface {
	i := &iface{name: "org.freedesktop.LogControl1"}
	for _, p := range managerProperties() {
		if p.name == "LogLevel" || p.name == "LogTarget" {
			i.props = append(i.props, p)
		}
	}
	i.props = append(i.props, managerString("SyslogIdentifier", bus.EmitsNothing, func(*Server) string { return "systemd" }))
	return i.finish()
}
