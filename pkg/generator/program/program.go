// Package program is the outside of our own generators: it finds out what they ask about, calls one and writes down what it made.
//
// One program answers to the names of all of them (systemd-fstab-generator and so on), so that of two directories with a generator of one name only
// one is run: where Debian's are installed, ours aren't used (systemd.generator(7), the first directory wins).
//
// Invariants:
//  1. Nothing is written but below the directories that were given; a file that is there already is left, and reported.
//  2. Bad input never ends in a crash: what is right is written, the rest is a message, and the status is 1 where something asked for is missing.
package program

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"sort"
	"strings"

	"github.com/muster-init/muster/pkg/generator/output"
)

// Process is one call of a generator.
type Process struct {
	Root   string // "" for the real root; below it everything is read
	Getenv func(key string) string
	Env    []string // for the environment generator
	Stdout io.Writer
	Stderr io.Writer
}

// generators are the names and what they do.
var generators = map[string]func(m *machine) *output.Tree{
	"systemd-fstab-generator":         fstabTree,
	"systemd-getty-generator":         gettyTree,
	"systemd-debug-generator":         debugTree,
	"systemd-run-generator":           runTree,
	"systemd-system-update-generator": systemUpdateTree,
	"systemd-rc-local-generator":      rcLocalTree,
	"systemd-sysv-generator":          sysvTree,

	"systemd-cryptsetup-generator":       cryptsetupTree,
	"systemd-veritysetup-generator":      veritysetupTree,
	"systemd-integritysetup-generator":   integritysetupTree,
	"systemd-hibernate-resume-generator": hibernateResumeTree,
	"systemd-gpt-auto-generator":         gptAutoTree,
}

// environmentGenerator prints assignments instead of writing units (systemd.environment-generator(7)).
const environmentGenerator = "30-systemd-environment-d-generator"

// userGenerators are those of user managers.
var userGenerators = map[string]func(m *machine) *output.Tree{
	"systemd-xdg-autostart-generator": xdgAutostartTree,
}

// Paths are all names that the program answers to, each with the directory it belongs into.
func Paths() []string {
	names := []string{"user-environment-generators/" + environmentGenerator}
	for n := range generators {
		names = append(names, "system-generators/"+n)
	}
	for n := range userGenerators {
		names = append(names, "user-generators/"+n)
	}
	sort.Strings(names)
	return names
}

// Main runs the generator that argv[0], or else argv[1], names and returns the exit status: 0, 1 where something went wrong, 2 for a wrong call.
func Main(p Process, argv []string) (status int) {
	name := ""
	if len(argv) > 0 {
		name = filepath.Base(argv[0])
	}
	if !known(name) && len(argv) > 1 {
		name, argv = filepath.Base(argv[1]), argv[1:]
		if long := "systemd-" + name + "-generator"; known(long) {
			name = long
		}
	}
	defer func() {
		if r := recover(); r != nil {
			fmt.Fprintf(p.Stderr, "%s: internal error: %v\n%s", name, r, debug.Stack())
			status = 1
		}
	}()
	m := &machine{Process: p}
	generate := generators[name]
	if generate == nil {
		generate = userGenerators[name]
	}
	switch {
	case name == "--list":
		fmt.Fprintln(p.Stdout, strings.Join(Paths(), "\n"))
		return 0
	case name == environmentGenerator:
		return m.environment()
	case !known(name):
		fmt.Fprintf(p.Stderr, "muster-generator NORMAL-DIR [EARLY-DIR LATE-DIR] (or --list), called as one of:\n  %s\n", strings.Join(Paths(), "\n  "))
		return 2
	case len(argv) != 2 && len(argv) != 4:
		fmt.Fprintf(p.Stderr, "%s: one or three directories are wanted, not %d\n", name, len(argv)-1)
		return 2
	}
	dirs := [3]string{argv[1], argv[1], argv[1]}
	if len(argv) == 4 {
		copy(dirs[:], argv[1:])
	}
	tree := generate(m)
	if !m.write(tree, dirs) || tree.Failed() {
		status = 1
	}
	for _, text := range tree.Messages() {
		fmt.Fprintf(p.Stderr, "%s\n", text)
	}
	return status
}

func known(name string) bool {
	return name == environmentGenerator || generators[name] != nil || userGenerators[name] != nil
}

// write puts the tree into the directories. It goes on after an error: one unit that is there already must not cost the others.
func (m *machine) write(tree *output.Tree, dirs [3]string) bool {
	good := true
	for _, f := range tree.Files() {
		path := filepath.Join(dirs[f.Dir], f.Path)
		if err := m.writeOne(f, path); err != nil {
			fmt.Fprintf(m.Stderr, "%v\n", err)
			good = false
		}
	}
	return good
}

func (m *machine) writeOne(f output.File, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	target := f.Target
	if f.Shipped != "" {
		target = m.shipped(f.Shipped)
	}
	if target != "" {
		err := os.Symlink(target, path)
		if old, readErr := os.Readlink(path); err != nil && readErr == nil && old == target {
			return nil
		}
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	if _, err := file.WriteString(f.Text); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}

// unitDirs are where units come from that aren't generated, those of packages first.
var unitDirs = []string{output.ShippedDir, "/lib/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/muster/system"}

// shipped is the path of a unit that comes with the system.
func (m *machine) shipped(name string) string {
	for _, dir := range unitDirs {
		if _, err := os.Lstat(m.path(dir + "/" + name)); err == nil {
			return dir + "/" + name
		}
	}
	return output.ShippedDir + "/" + name
}
