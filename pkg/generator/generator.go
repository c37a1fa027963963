// Package generator knows which generators there are, and with what arguments and environment they are run (systemd.generator(7)).
//
// It starts nothing: the manager spawns what List gives, in parallel and with a timeout, before it loads units and again at each reload.
//
// Invariants:
//  1. Of generators with one name only the one in the directory of the highest precedence counts; an empty file or a link to /dev/null there switches
//     it off.
//  2. What a generator wrote again as it was keeps its inode and time stamps, so that a reload reads only what changed.
package generator

import (
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
)

// Directories hold generators, in order of precedence. Our own stand last: they are used where systemd's, which have the same names, aren't installed.
var (
	SystemDirectories            = directories("system-generators")
	UserDirectories              = directories("user-generators")
	SystemEnvironmentDirectories = directories("system-environment-generators")
	UserEnvironmentDirectories   = directories("user-environment-generators")
)

func directories(name string) []string {
	return []string{
		"/run/systemd/" + name, "/etc/systemd/" + name, "/usr/local/lib/systemd/" + name, "/usr/lib/systemd/" + name, "/lib/systemd/" + name,
		"/usr/lib/muster/" + name,
	}
}

// Output is the three directories that generators write to, below a base (/run/systemd, or a user manager's runtime directory).
type Output struct{ Normal, Early, Late string }

// OutputBelow gives the directories below base.
func OutputBelow(base string) Output {
	return Output{base + "/generator", base + "/generator.early", base + "/generator.late"}
}

// Dirs lists them in the order of the arguments.
func (o Output) Dirs() []string { return []string{o.Normal, o.Early, o.Late} }

// Make makes the directories where they are missing.
func (o Output) Make() error {
	for _, d := range o.Dirs() {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// Remove removes the directories with what is in them.
func (o Output) Remove() error {
	for _, d := range o.Dirs() {
		if err := os.RemoveAll(d); err != nil {
			return err
		}
	}
	return nil
}

// Apply makes the directories of to hold what those of o hold, see the function Apply.
func (o Output) Apply(to Output) (problems []string) {
	for i, d := range o.Dirs() {
		problems = append(problems, Apply(d, to.Dirs()[i])...)
	}
	return problems
}

// Trim removes directories that stayed empty.
func (o Output) Trim() {
	for _, d := range o.Dirs() {
		_ = os.Remove(d)
	}
}

// List gives the executables of dirs, below root ("" is the running system), sorted by name.
func List(root string, dirs []string) []string {
	seen := map[string]string{}
	visited := []fs.FileInfo{}
	for _, dir := range dirs {
		dir = filepath.Join("/", root, dir)
		info, err := os.Stat(dir)
		if err != nil || sameAsAny(info, visited) {
			continue // /lib is a link to /usr/lib on a merged system
		}
		visited = append(visited, info)
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			if _, shadowed := seen[e.Name()]; shadowed {
				continue
			}
			if path := filepath.Join(dir, e.Name()); masked(path) {
				seen[e.Name()] = ""
			} else if executable(path) {
				seen[e.Name()] = path
			}
		}
	}
	names := make([]string, 0, len(seen))
	for n, path := range seen {
		if path != "" {
			names = append(names, n)
		}
	}
	sort.Strings(names)
	paths := make([]string, len(names))
	for i, n := range names {
		paths[i] = seen[n]
	}
	return paths
}

func sameAsAny(info fs.FileInfo, list []fs.FileInfo) bool {
	for _, other := range list {
		if os.SameFile(info, other) {
			return true
		}
	}
	return false
}

func masked(path string) bool {
	if target, err := os.Readlink(path); err == nil && target == "/dev/null" {
		return true
	}
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Size() == 0
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// Context is what a generator is told about where it runs, by environment variables.
type Context struct {
	User           bool
	Initrd         bool
	FirstBoot      bool
	SoftReboots    int
	Virtualization string // as systemd-detect-virt names it; "none" and "" say nothing
	Container      bool
	Architecture   string
	Confidential   string // technology of confidential virtualization, "" for none
	Credentials    string // directories of the system's credentials
	Encrypted      string
}

// Environment gives the assignments on top of base.
func (c Context) Environment(base []string) []string {
	env := append([]string(nil), base...)
	scope := "system"
	if c.User {
		scope = "user"
	}
	env = append(env, "SYSTEMD_SCOPE="+scope)
	if !c.User {
		env = append(env, "SYSTEMD_IN_INITRD="+zeroOne(c.Initrd))
		if c.SoftReboots > 0 {
			env = append(env, "SYSTEMD_SOFT_REBOOTS_COUNT="+strconv.Itoa(c.SoftReboots))
		}
		if !c.Initrd {
			env = append(env, "SYSTEMD_FIRST_BOOT="+zeroOne(c.FirstBoot))
		}
	}
	if c.Virtualization != "" && c.Virtualization != "none" {
		kind := "vm"
		if c.Container {
			kind = "container"
		}
		env = append(env, "SYSTEMD_VIRTUALIZATION="+kind+":"+c.Virtualization)
	}
	if c.Confidential != "" && c.Confidential != "none" {
		env = append(env, "SYSTEMD_CONFIDENTIAL_VIRTUALIZATION="+c.Confidential)
	}
	if c.Architecture != "" {
		env = append(env, "SYSTEMD_ARCHITECTURE="+c.Architecture)
	}
	if c.Credentials != "" {
		env = append(env, "CREDENTIALS_DIRECTORY="+c.Credentials)
	}
	if c.Encrypted != "" {
		env = append(env, "ENCRYPTED_CREDENTIALS_DIRECTORY="+c.Encrypted)
	}
	return env
}

func zeroOne(b bool) string {
	if b {
		return "1"
	}
	return "0"
}
