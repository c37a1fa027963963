package loader

import (
	"os"
	"strings"
)

// MusterUnits is the last directory of the search path: what we ship stands behind every package's own files.
const (
	MusterSystemUnits = "/usr/lib/muster/system"
	MusterUserUnits   = "/usr/lib/muster/user"
)

// SystemPath is the search path of the system manager, in order of precedence (systemd.unit(5), table 1).
func SystemPath() []string {
	return fromEnvironment([]string{
		"/etc/systemd/system.control", "/run/systemd/system.control", "/run/systemd/transient", "/run/systemd/generator.early",
		"/etc/systemd/system", "/etc/systemd/system.attached", "/run/systemd/system", "/run/systemd/system.attached", "/run/systemd/generator",
		"/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system", "/run/systemd/generator.late", MusterSystemUnits,
	}, false)
}

// UserPath is the search path of a user manager, from the environment of that user.
func UserPath(getenv func(string) string) []string {
	config, data, run := getenv("XDG_CONFIG_HOME"), getenv("XDG_DATA_HOME"), getenv("XDG_RUNTIME_DIR")
	if config == "" {
		config = getenv("HOME") + "/.config"
	}
	if data == "" {
		data = getenv("HOME") + "/.local/share"
	}
	path := []string{
		config + "/systemd/user.control", run + "/systemd/user.control", run + "/systemd/transient", run + "/systemd/generator.early",
		config + "/systemd/user",
	}
	for _, d := range splitOr(getenv("XDG_CONFIG_DIRS"), "/etc/xdg") {
		path = append(path, d+"/systemd/user")
	}
	path = append(path, "/etc/systemd/user", run+"/systemd/user", "/run/systemd/user", run+"/systemd/generator", data+"/systemd/user")
	for _, d := range splitOr(getenv("XDG_DATA_DIRS"), "/usr/local/share:/usr/share") {
		path = append(path, d+"/systemd/user")
	}
	path = append(path, "/usr/local/lib/systemd/user", "/usr/lib/systemd/user", run+"/systemd/generator.late", MusterUserUnits)
	return fromEnvironment(path, true)
}

func splitOr(list, def string) []string {
	if list == "" {
		list = def
	}
	return strings.Split(list, ":")
}

// fromEnvironment applies $SYSTEMD_UNIT_PATH: it replaces the path, or with a trailing colon stands before it. Double entries (a merged /usr) are
// dropped by the index, which looks at what directories are, not at their names.
func fromEnvironment(def []string, _ bool) []string {
	env := os.Getenv("SYSTEMD_UNIT_PATH")
	if env == "" {
		return def
	}
	rest, more := strings.CutSuffix(env, ":")
	path := strings.Split(rest, ":")
	if more {
		path = append(path, def...)
	}
	return path
}
