package program

import (
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/muster-init/muster/pkg/generator/environmentd"
)

// environmentFilesMax bounds the files that are read.
const environmentFilesMax = 1024

// environment prints what the files of environment.d(5) say.
func (m *machine) environment() int {
	var files []environmentd.Source
	for _, path := range m.configFiles(m.environmentDirs(), ".conf") {
		files = append(files, environmentd.Source{Path: path, Text: m.read(path)})
	}
	vars := map[string]string{}
	for _, v := range m.Env {
		if key, text, ok := strings.Cut(v, "="); ok {
			vars[key] = text
		}
	}
	list, messages := environmentd.Generate(files, func(name string) (string, bool) { text, ok := vars[name]; return text, ok })
	for _, text := range messages {
		io.WriteString(m.Stderr, text+"\n")
	}
	if _, err := io.WriteString(m.Stdout, environmentd.Format(list)); err != nil {
		io.WriteString(m.Stderr, err.Error()+"\n")
		return 1
	}
	return 0
}

func (m *machine) environmentDirs() []string {
	var dirs []string
	if dir := m.Getenv("XDG_CONFIG_HOME"); dir != "" {
		dirs = append(dirs, dir+"/environment.d")
	} else if home := m.Getenv("HOME"); home != "" {
		dirs = append(dirs, home+"/.config/environment.d")
	}
	return append(dirs, "/etc/environment.d", "/run/environment.d", "/usr/local/lib/environment.d", "/usr/lib/environment.d")
}

// configFiles lists the files that end with suffix in directories of falling precedence, sorted by name. Of one name the first counts, and nothing at
// all if it is masked by a link to /dev/null.
func (m *machine) configFiles(dirs []string, suffix string) []string {
	found := map[string]string{}
	for _, dir := range dirs {
		for _, name := range m.names(dir) {
			if _, taken := found[name]; taken || !strings.HasSuffix(name, suffix) || strings.HasPrefix(name, ".") || len(found) >= environmentFilesMax {
				continue
			}
			path := filepath.Join(dir, name)
			if target, err := os.Readlink(m.path(path)); err == nil && target == "/dev/null" {
				path = ""
			}
			found[name] = path
		}
	}
	var names []string
	for name, path := range found {
		if path != "" {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	paths := make([]string, len(names))
	for i, name := range names {
		paths[i] = found[name]
	}
	return paths
}
