package ctl

import (
	"strconv"

	"github.com/muster-init/muster/pkg/bus"
)

// show prints the properties of units, of jobs (given by number), or of the manager.
func show(s *systemctl, _ string, args []string) int {
	if !s.online() {
		return exitFailure
	}
	s.startPager(s.o.noPager)
	if len(args) == 0 {
		if s.o.all || len(s.o.states) > 0 || len(s.o.types) > 0 {
			return s.showPatterns(nil)
		}
		return s.showObject(bus.ManagerPath, "")
	}
	status, first := 0, true
	separate := func() {
		if !first {
			s.printf("\n")
		}
		first = false
	}
	var patterns []string
	for _, a := range args {
		if id, err := strconv.ParseUint(a, 10, 32); err == nil {
			separate()
			if r := s.showObject(bus.JobPath(uint32(id)), ""); r != 0 {
				status = r
			}
			continue
		}
		patterns = append(patterns, a)
	}
	if len(patterns) == 0 {
		return status
	}
	names, _, ok := s.expandNames(patterns, ".service")
	if !ok {
		return exitFailure
	}
	for _, n := range names {
		separate()
		if r := s.showObject(bus.UnitPath(n), n); r != 0 {
			return r
		}
	}
	return status
}

// showPatterns shows every unit in memory that the options let through.
func (s *systemctl) showPatterns(patterns []string) int {
	list, err := s.fetchUnits(s.o.states, patterns)
	if err != nil {
		s.errorf("Failed to list units: %s", errorText(err))
		return exitFailure
	}
	sortUnits(list)
	first := true
	for i := range list {
		if !s.shown(&list[i], patterns) {
			continue
		}
		if !first {
			s.printf("\n")
		}
		first = false
		if r := s.showObject(bus.UnitPath(list[i].name), list[i].name); r != 0 {
			return r
		}
	}
	return 0
}

// showObject prints the properties of one object.
func (s *systemctl) showObject(path bus.ObjectPath, _ string) int {
	list, err := getAll(s.bus, path, "")
	if err != nil {
		s.errorf("Failed to get properties: %s", errorText(err))
		return exitFailure
	}
	if len(s.o.properties) > 0 {
		// What GetAll leaves out still answers when asked for.
		list = s.withHidden(path, list)
	}
	for _, p := range list {
		if len(s.o.properties) > 0 && !contains(s.o.properties, p.name) {
			continue
		}
		s.printProperty(p)
	}
	return 0
}

func (s *systemctl) withHidden(path bus.ObjectPath, list []busProperty) []busProperty {
	for _, name := range s.o.properties {
		found := name == ""
		for _, p := range list {
			found = found || p.name == name
		}
		if found {
			continue
		}
		for _, iface := range hiddenInterfaces(path) {
			r, err := s.bus.Call(makeCall(path, propertyIface, "Get", iface, name))
			if err != nil {
				continue
			}
			d := r.Decoder()
			v := d.VariantValue()
			if d.Err() == nil {
				list = append(list, busProperty{name, v.Signature().String(), v.Value()})
				break
			}
		}
	}
	return list
}

// hiddenInterfaces are the interfaces that may have a property.
func hiddenInterfaces(path bus.ObjectPath) []string {
	if path == bus.ManagerPath {
		return []string{managerIface}
	}
	if name, ok := bus.UnitFromPath(path); ok {
		return []string{unitIface, typeIface(name)}
	}
	return nil
}

// printProperty prints one property: a line, or one for each element of a list of structures.
func (s *systemctl) printProperty(p busProperty) {
	wanted := len(s.o.properties) > 0
	f := propertyFormat{all: s.o.all || wanted, timestamp: s.o.timestamp, zone: s.Location}
	for _, line := range f.lines(p) {
		if s.o.value {
			s.printf("%s\n", line)
		} else {
			s.printf("%s=%s\n", p.name, line)
		}
	}
}
