package ctl

import (
	"github.com/muster-init/muster/pkg/bus"
)

// degraded are the settings of a unit that can't be had where the manager runs, with reasons. A manager that isn't muster has no such property.
func (s *systemctl) degraded(path bus.ObjectPath) (list [][2]string) {
	v, err := getProperty(s.bus, path, unitIface, "Degraded")
	if err != nil {
		return nil
	}
	rows, _ := v.([][]any)
	for _, r := range rows {
		if len(r) == 2 {
			list = append(list, [2]string{text(r[0]), text(r[1])})
		}
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
