package ctl

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/bus"
)

// killUnits is kill.
func killUnits(s *systemctl, _ string, args []string) int {
	if !s.online() {
		return exitFailure
	}
	names, _, ok := s.expandNames(args, ".service")
	if !ok {
		return exitFailure
	}
	whom := orDefault(s.o.killWhom, "all")
	if s.o.killValue != nil && s.o.killWhom == "" {
		// A value goes to one process that waits for it.
		whom = "main"
	}
	if s.o.wait {
		if err := s.watchUnits(); err != nil {
			s.errorf("Failed to watch unit: %s", errorText(err))
			return exitFailure
		}
	}
	r := 0
	var killed []string
	for _, n := range names {
		var err error
		if s.o.killValue != nil {
			_, err = s.call("QueueSignalUnit", n, whom, int32(s.o.signal), int32(*s.o.killValue))
		} else {
			_, err = s.call("KillUnit", n, whom, int32(s.o.signal))
		}
		if err != nil {
			s.errorf("Failed to kill unit %s: %s", n, errorText(err))
			r = exitFailure
			continue
		}
		killed = append(killed, n)
	}
	if s.o.wait {
		if w := s.waitInactive(killed); r == 0 {
			r = w
		}
	}
	return r
}

// cleanUnits is clean, freezeUnits freeze and thaw: calls on each unit after which they may wait for the unit's state.
func cleanUnits(s *systemctl, _ string, args []string) int {
	if !s.online() {
		return exitFailure
	}
	what := s.o.what
	if len(what) == 0 {
		what = []string{"cache", "runtime", "fdstore"}
	}
	return s.eachUnit(args, "clean unit", func(n string) error {
		_, err := s.bus.Call(makeCall(bus.ManagerPath, managerIface, "CleanUnit", n, what))
		if err != nil || s.o.noBlock {
			return err
		}
		return s.waitState(n, "cleaning")
	})
}

func freezeUnits(s *systemctl, name string, args []string) int {
	if !s.online() {
		return exitFailure
	}
	method := "FreezeUnit"
	if name == "thaw" {
		method = "ThawUnit"
	}
	return s.eachUnit(args, name+" unit", func(n string) error {
		_, err := s.call(method, n)
		return err
	})
}

// eachUnit calls something for each unit that the arguments name.
func (s *systemctl) eachUnit(args []string, words string, call func(name string) error) int {
	names, _, ok := s.expandNames(args, ".service")
	if !ok {
		return exitFailure
	}
	r := 0
	for _, n := range names {
		if refused := s.requireLoaded(n); refused != nil {
			s.errorf("Failed to add reference to unit %s: %s", n, errorText(refused))
			r = exitFailure
			continue
		}
		// A reference keeps a unit loaded that nothing else needs; it ends with the connection.
		_, _ = s.call("RefUnit", n)
		if err := call(n); err != nil {
			s.errorf("Failed to %s %s: %s", words, n, errorText(err))
			r = exitFailure
		}
	}
	return r
}

// requireLoaded is the error for a unit that doesn't exist.
func (s *systemctl) requireLoaded(name string) error {
	load, err := s.unitString(name, "LoadState")
	if err != nil {
		return err
	}
	if load == "not-found" {
		return bus.Errorf(bus.ErrNoSuchUnit, "Unit %s not found.", name)
	}
	return nil
}

// waitState waits until a unit has left a sub-state.
func (s *systemctl) waitState(name, sub string) error {
	if err := s.watchUnits(); err != nil {
		return err
	}
	for {
		now, err := s.unitString(name, "SubState")
		if err != nil || now != sub {
			return err
		}
		if _, err := s.bus.Process(-1); err != nil {
			return err
		}
	}
}

// resetFailed is reset-failed, without arguments of all units.
func resetFailed(s *systemctl, _ string, args []string) int {
	if !s.online() {
		return exitFailure
	}
	if len(args) == 0 && len(s.o.types) == 0 && len(s.o.states) == 0 {
		if _, err := s.call("ResetFailed"); err != nil {
			s.errorf("Failed to reset failed state: %s", errorText(err))
			return exitFailure
		}
		return 0
	}
	if len(args) == 0 {
		args = []string{"*"}
	}
	names, _, ok := s.expandNames(args, ".service")
	if !ok {
		return exitFailure
	}
	r := 0
	for _, n := range names {
		if _, err := s.call("ResetFailedUnit", n); err != nil {
			s.errorf("Failed to reset failed state of unit %s: %s", n, errorText(err))
			r = exitFailure
		}
	}
	return r
}

// whoAmI is whoami: the units that processes belong to, without arguments this one.
func whoAmI(s *systemctl, _ string, args []string) int {
	if !s.online() {
		return exitFailure
	}
	var pids []uint32
	for _, a := range args {
		n, err := strconv.ParseUint(a, 10, 31)
		if err != nil || n == 0 {
			s.errorf("Invalid PID specified: %s", a)
			return exitFailure
		}
		pids = append(pids, uint32(n))
	}
	if len(args) == 0 {
		pids = []uint32{uint32(unix.Getpid())}
	}
	r := 0
	for _, pid := range pids {
		path, err := s.callString("GetUnitByPID", pid)
		if err != nil {
			s.pidError(pid, err)
			r = exitFailure
			continue
		}
		name, _ := bus.UnitFromPath(bus.ObjectPath(path))
		s.printf("%s\n", name)
	}
	return r
}

// bindMount is bind and mount-image.
func bindMount(s *systemctl, name string, args []string) int {
	if !s.online() {
		return exitFailure
	}
	n, ok := s.mangle(args[0], ".service", false)
	if !ok {
		return exitFailure
	}
	destination := args[1]
	if len(args) > 2 {
		destination = args[2]
	}
	var err error
	words := "bind mount"
	if name == "bind" {
		_, err = s.call("BindMountUnit", n, args[1], destination, s.o.readOnly, s.o.mkdir)
	} else {
		words = "mount image"
		options := [][2]string{}
		if len(args) > 3 {
			for _, o := range strings.Split(args[3], ",") {
				partition, text, ok := strings.Cut(o, ":")
				if !ok {
					partition, text = "root", partition
				}
				options = append(options, [2]string{partition, text})
			}
		}
		err = s.callMountImage(n, args[1], destination, options)
	}
	if err != nil {
		s.errorf("Failed to %s: %s", words, errorText(err))
		return exitFailure
	}
	return 0
}

func (s *systemctl) callMountImage(name, source, destination string, options [][2]string) error {
	m := bus.NewCall(busName, bus.ManagerPath, managerIface, "MountImageUnit")
	var e bus.Encoder
	e.String(name)
	e.String(source)
	e.String(destination)
	e.Bool(s.o.readOnly)
	e.Bool(s.o.mkdir)
	mark := e.BeginArray('(')
	for _, o := range options {
		e.Struct()
		e.String(o[0])
		e.String(o[1])
	}
	e.EndArray(mark)
	m.SetBody("sssbba(ss)", &e)
	_, err := s.bus.Call(m)
	return err
}
