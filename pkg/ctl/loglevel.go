package ctl

import (
	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/unit/value"
)

const (
	logControlIface                = "org.freedesktop.LogControl1"
	logControlPath  bus.ObjectPath = "/org/freedesktop/LogControl1"
)

// setProperty sets a property of an object.
func setProperty(c *bus.Client, destination string, path bus.ObjectPath, iface, name string, v any) error {
	m := bus.NewCall(destination, path, propertyIface, "Set")
	var e bus.Encoder
	m.SetBody(e.Append(iface, name, bus.MakeVariant(v)), &e)
	_, err := c.Call(m)
	return err
}

// logLevel is log-level and log-target, of the manager.
func logLevel(s *systemctl, name string, args []string) int {
	property, what := "LogLevel", "log level"
	if name == "log-target" {
		property, what = "LogTarget", "log target"
	}
	if len(args) == 1 && name == "log-level" {
		if _, err := value.ParseLogLevel(args[0]); err != nil {
			s.errorf("\"%s\" is not a valid log level.", args[0])
			return exitFailure
		}
	}
	if !s.online() {
		return exitFailure
	}
	if len(args) == 0 {
		v, err := s.managerProperty(property)
		if err != nil {
			s.errorf("Failed to get %s of %s: %s", what, busName, errorText(err))
			return exitFailure
		}
		s.printf("%s\n", text(v))
		return 0
	}
	if err := setProperty(s.bus, busName, bus.ManagerPath, managerIface, property, args[0]); err != nil {
		s.errorf("Failed to set %s of %s to %s: %s", what, busName, args[0], errorText(err))
		return exitFailure
	}
	return 0
}

// serviceWatchdogs is service-watchdogs.
func serviceWatchdogs(s *systemctl, _ string, args []string) int {
	on, parseErr := false, error(nil)
	if len(args) == 1 {
		on, parseErr = value.ParseBool(args[0])
	}
	if parseErr != nil {
		s.errorf("Failed to parse service-watchdogs argument: Invalid argument")
		return exitFailure
	}
	if !s.online() {
		return exitFailure
	}
	if len(args) == 0 {
		v, err := s.managerProperty("ServiceWatchdogs")
		if err != nil {
			s.errorf("Failed to get service-watchdog state: %s", errorText(err))
			return exitFailure
		}
		b, _ := v.(bool)
		s.printf("%s\n", yesNo(b))
		return 0
	}
	if err := setProperty(s.bus, busName, bus.ManagerPath, managerIface, "ServiceWatchdogs", on); err != nil {
		s.errorf("Failed to set service-watchdog state: %s", errorText(err))
		return exitFailure
	}
	return 0
}

// serviceLog is service-log-level and service-log-target: of a service that has the LogControl1 interface on the message bus.
func serviceLog(s *systemctl, name string, args []string) int {
	property, what := "LogLevel", "log level"
	if name == "service-log-target" {
		property, what = "LogTarget", "log target"
	}
	if len(args) == 2 && property == "LogLevel" {
		if _, err := value.ParseLogLevel(args[1]); err != nil {
			s.errorf("\"%s\" is not a valid log level.", args[1])
			return exitFailure
		}
	}
	if !s.online() {
		return exitFailure
	}
	n, ok := s.mangle(args[0], ".service", false)
	if !ok {
		return exitFailure
	}
	p, err := unitProperties(s.bus, n)
	if err != nil {
		s.errorf("Failed to obtain BusName= property of %s: %s", n, errorText(err))
		return exitFailure
	}
	if !p.has("BusName") {
		s.errorf("Failed to obtain BusName= property of %s: Unknown interface org.freedesktop.systemd1.Service or property BusName.", n)
		return exitFailure
	}
	name = p.str("BusName")
	if name == "" {
		s.errorf("Unit %s doesn't declare BusName=.", n)
		s.notef("Hint: the service must declare BusName= and implement the appropriate D-Bus interface.\n      See the org.freedesktop.LogControl1(5) man page for details.")
		return exitFailure
	}
	dial := bus.DialSystem
	if s.o.scope == scopeUser {
		dial = bus.DialUser
	}
	c, err := dial()
	if err != nil {
		s.reportConnect(err, s.o.scope == scopeUser)
		return exitFailure
	}
	defer c.Close()
	if len(args) == 1 {
		m := bus.NewCall(name, logControlPath, propertyIface, "Get")
		var e bus.Encoder
		m.SetBody(e.Append(logControlIface, property), &e)
		r, err := c.Call(m)
		if err != nil {
			s.errorf("Failed to get %s of %s: %s", what, name, errorText(err))
			return exitFailure
		}
		d := r.Decoder()
		s.printf("%s\n", text(d.VariantValue().Value()))
		return 0
	}
	if err := setProperty(c, name, logControlPath, logControlIface, property, args[1]); err != nil {
		s.errorf("Failed to set %s of %s to %s: %s", what, name, args[1], errorText(err))
		return exitFailure
	}
	return 0
}
