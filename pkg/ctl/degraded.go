package ctl

import (
	"github.com/muster-init/muster/pkg/bus"
)

// degraded are the settings of a unit that can't be had where the manager runs, with reasons. A manager that isn't muster has no such property.
func (s *systemctl) degraded(path bus.ObjectPath) (list [][2]string) {
	r, err := s.bus.Call(makeCall(path, propertyIface, "Get", unitIface, "Degraded"))
	if err != nil {
		return nil
	}
	d := r.Decoder()
	if d.Variant() != "a(ss)" {
		return nil
	}
	for a := d.BeginArray('('); d.More(a); {
		d.Struct()
		list = append(list, [2]string{d.String(), d.String()})
	}
	if d.Err() != nil {
		return nil
	}
	return list
}

// statusDegraded prints them in the status of a unit.
func (s *systemctl) statusDegraded(name string) {
	var lines []string
	for _, d := range s.degraded(bus.UnitPath(name)) {
		lines = append(lines, s.in(colorYellow, d[0]+"= has no effect: "+d[1]))
	}
	s.statusField("Degraded", lines)
}
