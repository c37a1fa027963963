package ctl

import (
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/bus"
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
