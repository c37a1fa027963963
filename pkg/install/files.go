package install

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/muster-init/muster/pkg/unit"
)

// Paths are the directories that matter, in the root that is worked on.
type Paths struct {
	Root       string   // "" is the running system
	Search     []string // the whole search path, in order of precedence
	Config     string   // persistent links: /etc/systemd/system
	Runtime    string   // links until the next boot: /run/systemd/system
	Generators []string // output of generators
	Transient  string
	Presets    []string // directories of preset files, in order of precedence
}

// SystemPaths are those of the system manager.
func SystemPaths(root string, search []string) Paths {
	return Paths{
		Root: root, Search: search, Config: "/etc/systemd/system", Runtime: "/run/systemd/system",
		Generators: []string{"/run/systemd/generator", "/run/systemd/generator.early", "/run/systemd/generator.late"}, Transient: "/run/systemd/transient",
		Presets: []string{"/etc/systemd/system-preset", "/run/systemd/system-preset", "/usr/local/lib/systemd/system-preset", "/usr/lib/systemd/system-preset"},
	}
}

// GlobalPaths are those of `--global`: the units of all user managers.
func GlobalPaths(root string, search []string) Paths {
	return Paths{
		Root: root, Search: search, Config: "/etc/systemd/user", Runtime: "/run/systemd/user",
		Presets: []string{"/etc/systemd/user-preset", "/run/systemd/user-preset", "/usr/local/lib/systemd/user-preset", "/usr/lib/systemd/user-preset"},
	}
}

func (p Paths) abs(path string) string {
	if p.Root == "" {
		return path
	}
	return filepath.Join(p.Root, path)
}

// dir is where links are made.
func (p Paths) dir(runtime bool) string {
	if runtime {
		return p.Runtime
	}
	return p.Config
}

// ErrNotFound says that there is no unit file of a name.
var ErrNotFound = errors.New("does not exist")

// file is the unit file of a name that counts.
type file struct {
	name    string // asked for
	path    string // below the root
	target  string // what a link at path points to
	masked  bool
	install *unit.Install
}

const fileMax = 16 << 20

// find looks for the file of a name (or of its template), or of an absolute path.
func (p Paths) find(name string) (*file, error) {
	if strings.HasPrefix(name, "/") {
		if _, err := os.Stat(p.abs(name)); err != nil {
			return nil, fmt.Errorf("unit file %s %w", name, ErrNotFound)
		}
		return p.read(filepath.Base(name), name)
	}
	if unit.Form(name) == 0 {
		return nil, fmt.Errorf("%q is not a valid unit name", name)
	}
	candidates := []string{name}
	if unit.Form(name) == unit.NameInstance {
		candidates = append(candidates, unit.TemplateOf(name))
	}
	for _, c := range candidates {
		for _, dir := range p.Search {
			path := filepath.Join(dir, c)
			if _, err := os.Lstat(p.abs(path)); err == nil {
				return p.read(name, path)
			}
		}
	}
	return nil, fmt.Errorf("unit file %s %w", name, ErrNotFound)
}

// read reads the [Install] section of a file.
func (p Paths) read(name, path string) (*file, error) {
	f := &file{name: name, path: path}
	if target, err := os.Readlink(p.abs(path)); err == nil {
		f.target = target
		if target == "/dev/null" {
			f.masked = true
			return f, nil
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
	}
	info, err := os.Stat(p.abs(path))
	if err != nil {
		return f, fmt.Errorf("unit file %s: %w", f.path, err)
	}
	if info.Size() == 0 {
		f.masked = true
		return f, nil
	}
	if !info.Mode().IsRegular() || info.Size() > fileMax {
		return f, fmt.Errorf("unit file %s is not a regular file of at most %d bytes", f.path, fileMax)
	}
	text, err := os.ReadFile(p.abs(path))
	if err != nil {
		return f, err
	}
	src := unit.Source{Name: name, Fragment: &unit.File{Path: path, Text: onlyInstall(string(text))}}
	for _, d := range p.dropIns(name) {
		if text, err := os.ReadFile(p.abs(d)); err == nil {
			src.DropIns = append(src.DropIns, unit.File{Path: d, Text: onlyInstall(string(text))})
		}
	}
	u, _ := unit.Load(&unit.Host{Specifiers: &unit.SpecifierContext{}}, unit.BuiltinDefaults(), &src)
	f.install = u.Install
	return f, nil
}

// onlyInstall keeps the lines of [Install]. What stands in other sections must not matter: a command line with a specifier that only the manager
// knows would make the whole unit bad here.
func onlyInstall(text string) string {
	var b strings.Builder
	inside, continued := false, false
	for line := range strings.Lines(text) {
		trimmed := strings.TrimSpace(line)
		if !continued && strings.HasPrefix(trimmed, "[") {
			inside = trimmed == "[Install]"
		}
		if inside {
			b.WriteString(line)
		} else {
			b.WriteString("\n") // messages name the line
		}
		comment := strings.HasPrefix(trimmed, "#") || strings.HasPrefix(trimmed, ";")
		if !(continued && comment) { // comments don't end a continuation
			continued = !comment && strings.HasSuffix(strings.TrimRight(line, "\r\n"), "\\")
		}
	}
	return b.String()
}

// dropIns lists NAME.d/*.conf: [Install] may be extended there too.
func (p Paths) dropIns(name string) []string {
	seen := map[string]string{}
	units := []string{name}
	if unit.Form(name) == unit.NameInstance {
		units = append(units, unit.TemplateOf(name))
	}
	for _, n := range units {
		for _, dir := range p.Search {
			entries, _ := filepath.Glob(p.abs(filepath.Join(dir, n+".d", "*.conf")))
			for _, e := range entries {
				if _, ok := seen[filepath.Base(e)]; !ok {
					seen[filepath.Base(e)] = strings.TrimPrefix(e, strings.TrimSuffix(p.Root, "/"))
				}
			}
		}
	}
	names := make([]string, 0, len(seen))
	for n := range seen {
		names = append(names, n)
	}
	sort.Strings(names)
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = seen[n]
	}
	return out
}

// real is the file itself behind links of the same name, for the target of new links.
func (f *file) real() string {
	if f.target != "" && filepath.Base(f.target) == filepath.Base(f.path) {
		if filepath.IsAbs(f.target) {
			return f.target
		}
		return filepath.Join(filepath.Dir(f.path), f.target)
	}
	return f.path
}

// carriesInstallInfo reports whether enabling means anything for the file.
func (f *file) carriesInstallInfo() bool {
	i := f.install
	return i != nil && (len(f.aliases(f.name)) > 0 || len(i.WantedBy) > 0 || len(i.RequiredBy) > 0 || len(i.UpheldBy) > 0)
}

// UserPaths are those of a user's own manager.
func UserPaths(search []string) Paths {
	config, run := os.Getenv("XDG_CONFIG_HOME"), os.Getenv("XDG_RUNTIME_DIR")
	if config == "" {
		config = os.Getenv("HOME") + "/.config"
	}
	p := GlobalPaths("", search)
	p.Config, p.Runtime = config+"/systemd/user", run+"/systemd/user"
	p.Generators = []string{run + "/systemd/generator", run + "/systemd/generator.early", run + "/systemd/generator.late"}
	p.Transient = run + "/systemd/transient"
	return p
}
