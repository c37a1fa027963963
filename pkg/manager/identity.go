package manager

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/unit/value"
)

// setIdentity sets host name, machine ID and the loopback interface, as PID 1 of a machine has to before anything else runs.
func (m *Manager) setIdentity() error {
	if !m.system || m.opt.Deserialize && !m.opt.SwitchedRoot {
		return nil
	}
	var errs []string
	if err := setHostname(m.opt.HostName); err != nil {
		errs = append(errs, err.Error())
	}
	if err := m.setMachineID(); err != nil {
		errs = append(errs, err.Error())
	}
	if err := loopbackUp(); err != nil {
		errs = append(errs, err.Error())
	}
	if len(errs) > 0 {
		return fmt.Errorf("%s", strings.Join(errs, "; "))
	}
	return nil
}

// setHostname sets the name that was given on the kernel command line, or follows hostname(5): the first line that is no comment. In a container a name that was given from outside stands.
func setHostname(given string) error {
	if given != "" {
		return unix.Sethostname([]byte(given))
	}
	data, err := os.ReadFile("/etc/hostname")
	if err != nil {
		return nil
	}
	for _, line := range strings.Split(string(data), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if len(line) > 64 {
			return fmt.Errorf("/etc/hostname: %q is longer than 64 bytes", line)
		}
		var u unix.Utsname
		if unix.Uname(&u) == nil && unix.ByteSliceToString(u.Nodename[:]) == line {
			return nil
		}
		return unix.Sethostname([]byte(line))
	}
	return nil
}

// setMachineID follows machine-id(5): a missing or empty /etc/machine-id is filled; where that can't be done, a temporary file is put over it.
func (m *Manager) setMachineID() error {
	const file = "/etc/machine-id"
	if data, err := os.ReadFile(file); err == nil && len(strings.TrimSpace(string(data))) == 32 {
		return nil
	}
	id := m.opt.MachineID
	for _, source := range []string{os.Getenv("container_uuid"), readLine("/var/lib/dbus/machine-id"), randomID()} {
		if id == "" {
			id = strings.ToLower(strings.ReplaceAll(source, "-", ""))
		}
		if len(id) != 32 || strings.Trim(id, "0123456789abcdef") != "" {
			id = ""
		}
	}
	if err := os.WriteFile(file, []byte(id+"\n"), 0o444); err == nil {
		return nil
	}
	const run = "/run/machine-id"
	if err := os.WriteFile(run, []byte(id+"\n"), 0o444); err != nil {
		return fmt.Errorf("machine ID: %w", err)
	}
	if err := unix.Mount(run, file, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("machine ID: %s can't be put over %s: %w", run, file, err)
	}
	return nil
}

func readLine(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(data), "\n")
	return strings.TrimSpace(line)
}

// loopbackUp brings up lo, without which half of all services fail.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("lo: %w", err)
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, req); err != nil {
		return fmt.Errorf("lo: %w", err)
	}
	if req.Uint16()&unix.IFF_UP != 0 {
		return nil
	}
	req.SetUint16(req.Uint16() | unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req); err != nil {
		return fmt.Errorf("lo: %w", err)
	}
	return nil
}

// defaultEnvironment is the manager's environment block for services: what the kernel and the container manager gave is not passed on; PATH and the
// locale are (systemd.exec(5), "Environment Variables in Spawned Processes").
func (m *Manager) defaultEnvironment() []string {
	return value.MergeEnvironment(m.defaultEnvironmentWithout(), m.generatedEnvironment)
}

// defaultEnvironmentWithout is the block without what environment generators gave.
func (m *Manager) defaultEnvironmentWithout() []string {
	var env []string
	if m.system {
		env = append(env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin")
		if merged, err := os.Readlink("/sbin"); err != nil || merged == "" {
			env[0] += ":/sbin:/bin"
		}
		env = append(env, m.locale()...)
	} else {
		for _, e := range os.Environ() {
			if !privateVariable(e) {
				env = append(env, e)
			}
		}
	}
	env = append(env, m.cfg.DefaultEnvironment...)
	return env
}

// privateVariable reports variables that are meant for the manager itself.
func privateVariable(e string) bool {
	name, _, _ := strings.Cut(e, "=")
	switch name {
	case "NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID", "WATCHDOG_USEC", "INVOCATION_ID", "JOURNAL_STREAM",
		"SYSTEMD_EXEC_PID", "CREDENTIALS_DIRECTORY", "MANAGERPID", "MANAGERPIDFDID", "MAINPID", "MAINPIDFDID", "EXIT_CODE", "EXIT_STATUS", "SERVICE_RESULT",
		"RUNTIME_DIRECTORY", "STATE_DIRECTORY", "CACHE_DIRECTORY", "LOGS_DIRECTORY", "CONFIGURATION_DIRECTORY", "LOG_NAMESPACE", "PIDFILE",
		"FDSTORE", "MEMORY_PRESSURE_WATCH", "MEMORY_PRESSURE_WRITE", "REMOTE_ADDR", "REMOTE_PORT", "SHLVL",
		"XDG_SESSION_ID", "XDG_SESSION_CLASS", "XDG_SESSION_TYPE", "XDG_SESSION_DESKTOP", "XDG_SEAT", "XDG_VTNR":
		return true
	}
	return strings.HasPrefix(name, "TRIGGER_") || strings.HasPrefix(name, "MONITOR_")
}

// locale reads locale.conf(5), overridden by locale.* on the kernel command line.
func (m *Manager) locale() []string {
	values := map[string]string{}
	order := []string{"LANG", "LANGUAGE", "LC_CTYPE", "LC_NUMERIC", "LC_TIME", "LC_COLLATE", "LC_MONETARY", "LC_MESSAGES", "LC_PAPER", "LC_NAME",
		"LC_ADDRESS", "LC_TELEPHONE", "LC_MEASUREMENT", "LC_IDENTIFICATION"}
	for _, file := range []string{"/etc/default/locale", "/etc/locale.conf"} {
		data, _ := os.ReadFile(filepath.Clean(file))
		for _, line := range strings.Split(string(data), "\n") {
			if k, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
				values[k] = strings.Trim(v, `"'`)
			}
		}
	}
	for _, w := range m.facts.CommandLine {
		if rest, ok := strings.CutPrefix(w, "locale."); ok {
			if k, v, ok := strings.Cut(rest, "="); ok {
				values[k] = v
			}
		}
	}
	if values["LANG"] == "" {
		values["LANG"] = "C.UTF-8"
	}
	var env []string
	for _, k := range order {
		if v := values[k]; v != "" {
			env = append(env, k+"="+v)
		}
	}
	return env
}

// setClientEnvironment keeps what of a whole block differs from the configured one. What is configured can be overridden by clients, not taken away.
func (m *Manager) setClientEnvironment(env []string) {
	base := map[string]bool{}
	for _, e := range m.defaultEnvironment() {
		base[e] = true
	}
	m.clientEnvironment = nil
	for _, e := range env {
		if !base[e] {
			m.clientEnvironment = append(m.clientEnvironment, e)
		}
	}
	m.environment = value.MergeEnvironment(m.defaultEnvironment(), m.clientEnvironment)
}
