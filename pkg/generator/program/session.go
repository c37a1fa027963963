package program

import (
	"strings"

	"github.com/muster-init/muster/pkg/generator/output"
	"github.com/muster-init/muster/pkg/generator/xdgautostart"
)

func xdgAutostartTree(m *machine) *output.Tree {
	in := xdgautostart.Input{Condition: m.helper("systemd-xdg-autostart-condition"), Find: func(program string) string {
		switch {
		case strings.HasPrefix(program, "/"):
			if m.executable(program) {
				return program
			}
			return ""
		default:
			return m.find(program)
		}
	}}
	for _, dir := range m.autostartDirs() {
		for _, name := range m.names(dir) {
			path := dir + "/" + name
			if text, ok := m.readOK(path); ok {
				in.Files = append(in.Files, xdgautostart.File{Name: name, Path: path, Text: text})
			}
		}
	}
	return xdgautostart.Generate(in)
}

func (m *machine) autostartDirs() []string {
	var dirs []string
	if dir := m.Getenv("XDG_CONFIG_HOME"); dir != "" {
		dirs = append(dirs, dir+"/autostart")
	} else if home := m.Getenv("HOME"); home != "" {
		dirs = append(dirs, home+"/.config/autostart")
	}
	system := m.Getenv("XDG_CONFIG_DIRS")
	if system == "" {
		system = "/etc/xdg"
	}
	for dir := range strings.SplitSeq(system, ":") {
		if strings.HasPrefix(dir, "/") {
			dirs = append(dirs, dir+"/autostart")
		}
	}
	return dirs
}
