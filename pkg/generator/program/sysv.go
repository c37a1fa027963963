package program

import (
	"fmt"
	"os"
	"strings"

	"github.com/muster-init/muster/pkg/generator/output"
	"github.com/muster-init/muster/pkg/generator/sysv"
)

// sysvScriptsMax bounds the scripts that are read.
const sysvScriptsMax = 4096

func sysvTree(m *machine) *output.Tree {
	scripts, runlevels := []string{"/etc/init.d"}, []string{"/etc"}
	if p := m.Getenv("SYSTEMD_SYSVINIT_PATH"); p != "" {
		scripts = strings.Split(p, ":")
	}
	if p := m.Getenv("SYSTEMD_SYSVRCND_PATH"); p != "" {
		runlevels = strings.Split(p, ":")
	}
	in := sysv.Input{HasUnit: m.hasUnit}
	for _, dir := range scripts {
		for _, name := range m.names(dir) {
			if path := dir + "/" + name; !backup(name) && m.executable(path) && len(in.Scripts) < sysvScriptsMax {
				in.Scripts = append(in.Scripts, sysv.Script{Name: name, Path: path, Text: m.read(path)})
			}
		}
	}
	for _, dir := range runlevels {
		for level := 1; level <= 5; level++ {
			for _, name := range m.names(fmt.Sprintf("%s/rc%d.d", dir, level)) {
				in.Links = append(in.Links, sysv.Link{Runlevel: level, Name: name})
			}
		}
	}
	return sysv.Generate(in)
}

// backup reports names that editors and package managers leave behind.
func backup(name string) bool {
	if strings.HasPrefix(name, ".") || strings.HasSuffix(name, "~") || name == "lost+found" {
		return true
	}
	for _, suffix := range []string{"rpmnew", "rpmsave", "rpmorig", "dpkg-old", "dpkg-new", "dpkg-tmp", "dpkg-dist", "dpkg-bak", "dpkg-backup", "dpkg-remove",
		"ucf-new", "ucf-old", "ucf-dist", "swp", "bak", "old", "new"} {
		if strings.HasSuffix(name, "."+suffix) {
			return true
		}
	}
	return false
}

// hasUnit reports a unit file that isn't made by a generator.
func (m *machine) hasUnit(name string) bool {
	dirs := append([]string{"/etc/systemd/system.control", "/run/systemd/system.control", "/run/systemd/transient", "/etc/systemd/system",
		"/etc/systemd/system.attached", "/run/systemd/system", "/run/systemd/system.attached"}, unitDirs...)
	for _, dir := range dirs {
		if _, err := os.Lstat(m.path(dir + "/" + name)); err == nil {
			return true
		}
	}
	return false
}
