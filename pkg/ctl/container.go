package ctl

import (
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/unit"
)

// machineNameIsValid follows machinectl(1): a host name.
func machineNameIsValid(s string) bool {
	return s != "" && len(s) <= 64 && s[0] != '.' && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == "" && !strings.Contains(s, "..")
}

// machineData reads what systemd-machined keeps about a container: NAME=value lines (/run/systemd/machines/NAME).
func (e *Env) machineData(name string) (map[string]string, error) {
	text, err := os.ReadFile(e.path("/run/systemd/machines/" + name))
	if err != nil {
		return nil, err
	}
	data := map[string]string{}
	for line := range strings.Lines(string(text)) {
		key, v, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if ok {
			data[key] = strings.Trim(v, `"`)
		}
	}
	return data, nil
}

// machineGroup is the control group that a container is in, asked of the manager here.
func (s *systemctl) machineGroup(name string) (group string, ok bool) {
	if !machineNameIsValid(name) {
		s.errorf("Machine name is not valid: %s", name)
		return "", false
	}
	data, err := s.machineData(name)
	if err != nil {
		s.errorf("Failed to load machine data: %s", errnoText(err))
		return "", false
	}
	unitName := orDefault(data["SCOPE"], data["UNIT"])
	if unitName == "" {
		s.errorf("Nothing says which unit machine %s is.", name)
		return "", false
	}
	if !s.online() {
		return "", false
	}
	p, err := unitProperties(s.bus, unitName)
	if err != nil {
		s.errorf("Failed to query ControlGroup: %s", errorText(err))
		return "", false
	}
	return p.str("ControlGroup"), true
}

// dialMachine connects to the manager of a container: to its private socket, else to its message bus, through the root of its first process. A name
// with @ in it is a user's manager there, which only that container's own session could reach.
func (e *Env) dialMachine(name string, user bool) (*bus.Client, error) {
	if user || strings.Contains(name, "@") || !machineNameIsValid(name) {
		return nil, unix.EHOSTDOWN
	}
	data, err := e.machineData(name)
	if err != nil || atoi(data["LEADER"]) == 0 {
		return nil, unix.EHOSTDOWN
	}
	root := e.path("/proc/" + data["LEADER"] + "/root")
	if c, err := bus.DialPath(root + "/run/systemd/private"); err == nil {
		return c, nil
	}
	c, err := bus.DialBus("unix:path=" + root + "/run/dbus/system_bus_socket")
	if err != nil {
		return nil, unix.EHOSTDOWN
	}
	return c, nil
}

func (s *systemctl) machineOption() option {
	return option{long: "machine", short: 'M', arg: needsArgument, name: "NAME", doc: "talk to the manager of a container", set: func(v string) error {
		// The host itself, also with a user: root@.host.
		if _, host, ok := strings.Cut(v, "@"); ok && host == ".host" || v == ".host" {
			return nil
		}
		s.o.machine = v
		return nil
	}}
}

func (s *systemctl) capsuleOption() option {
	return option{long: "capsule", short: 'C', arg: needsArgument, name: "NAME", doc: "talk to the manager of a capsule", set: s.setCapsule}
}

// setCapsule takes the name of a capsule, which is part of a path and the instance of a unit.
func (s *systemctl) setCapsule(v string) error {
	if v == "" || v == "." || v == ".." || strings.ContainsRune(v, '/') || !unit.ValidName("capsule@"+unit.Escape(v)+".service", unit.NameInstance) {
		return usageError("Invalid capsule name: " + v)
	}
	s.o.capsule, s.o.scope = v, scopeUser
	return nil
}

// dialCapsule connects to the manager of a capsule (capsule@.service(5)).
func (e *Env) dialCapsule(name string) (*bus.Client, error) {
	c, err := bus.DialPath(e.path(filepath.Join("/run/capsules", name, "systemd/private")))
	if err != nil {
		return nil, unix.ENOENT
	}
	return c, nil
}

// transport is the way to the manager that the options ask for, and what it is called; nil is the local one.
func (s *systemctl) transport() (dial func(user bool) (*bus.Client, error), name string) {
	switch o := &s.o; {
	case o.host != "":
		return func(user bool) (*bus.Client, error) { return s.dialHost(o.host, user) }, ""
	case o.machine != "":
		return func(user bool) (*bus.Client, error) { return s.dialMachine(o.machine, user) }, "machine"
	case o.capsule != "":
		return func(bool) (*bus.Client, error) { return s.dialCapsule(o.capsule) }, "capsule"
	}
	return nil, ""
}
