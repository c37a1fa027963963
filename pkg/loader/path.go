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
	}, os.Getenv("SYSTEMD_UNIT_PATH"))
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
	var path []string
	add := func(root string, below ...string) {
		for _, d := range below {
			if root != "" {
				path = append(path, root+"/systemd/"+d)
			}
		}
	}
	add(config, "user.control")
	add(run, "user.control", "transient", "generator.early")
	add(config, "user", "user.attached")
	for _, d := range splitOr(getenv("XDG_CONFIG_DIRS"), "/etc/xdg") {
		add(d, "user")
	}
	add("/etc", "user")
	add(run, "user", "user.attached")
	add("/run", "user")
	add(run, "generator")
	add(data, "user")
	for _, d := range splitOr(getenv("XDG_DATA_DIRS"), "/usr/local/share:/usr/share") {
		add(d, "user")
	}
	add("/usr/local/lib", "user")
	add("/usr/lib", "user")
	add(run, "generator.late")
	return fromEnvironment(append(path, MusterUserUnits), getenv("SYSTEMD_UNIT_PATH"))
}

func splitOr(list, def string) []string {
	if list == "" {
		list = def
	}
	return strings.Split(list, ":")
}

// fromEnvironment applies $SYSTEMD_UNIT_PATH: it replaces the path, or with a trailing colon stands before it. Double entries (a merged /usr) are
// dropped by the index, which looks at what directories are, not at their names.
func fromEnvironment(def []string, env string) []string {
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
