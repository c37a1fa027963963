package ctl

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/unit"
)

// dialHost connects to the bus of another machine by ssh, where systemd-stdio-bridge joins ssh's streams to it. host is [USER@]HOST[:PORT][/CONTAINER].
func (e *Env) dialHost(host string, user bool) (*bus.Client, error) {
	args, err := sshArguments(host, user)
	if err != nil {
		return nil, err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	theirs := os.NewFile(uintptr(pair[1]), "ssh")
	defer theirs.Close()
	ssh := e.Getenv("SYSTEMD_SSH")
	if ssh == "" {
		ssh = "ssh"
	}
	cmd := exec.Command(ssh, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, os.Stderr
	if err := cmd.Start(); err != nil {
		unix.Close(pair[0])
		return nil, err
	}
	// ssh ends with the connection; nobody else waits for it.
	go func() { _ = cmd.Wait() }()
	c, err := bus.NewClient(pair[0])
	if err != nil {
		return nil, unix.ENOTCONN
	}
	if err := c.Hello(); err != nil {
		c.Close()
		return nil, unix.ENOTCONN
	}
	return c, nil
}

// sshArguments makes ssh's command line of a host.
func sshArguments(host string, user bool) ([]string, error) {
	container := ""
	if i := strings.IndexByte(host, '/'); i >= 0 {
		host, container = host[:i], host[i+1:]
	}
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.Contains(host[i:], "]") && strings.Trim(host[i+1:], "0123456789") != "" {
		// host:container, as in older releases
		host, container = host[:i], host[i+1:]
	}
	port := ""
	if i := strings.LastIndexByte(host, ':'); i >= 0 && strings.Count(host, ":") == 1 {
		host, port = host[:i], host[i+1:]
	}
	if host == "" || strings.HasPrefix(host, "-") {
		return nil, fmt.Errorf("host name %q is not valid", host)
	}
	args := []string{"-xT"}
	if port != "" {
		args = append(args, "-p", port)
	}
	args = append(args, "--", host, "systemd-stdio-bridge")
	if user {
		args = append(args, "--user")
	}
	if container != "" {
		args = append(args, "--machine="+container)
	}
	return args, nil
}

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
