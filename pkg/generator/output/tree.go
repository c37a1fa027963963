// Package output is what a generator makes: a list of unit files, drop-ins and links in three directories, and messages.
//
// Nothing is written here: a generator is a function from what it was told to a Tree, so that it can be tested without a machine; package program
// writes the tree down.
//
// Invariants:
//  1. Every path is `unit`, `unit.d/file.conf`, `unit.wants/unit`, `unit.requires/unit` or `unit.upholds/unit` with valid names: text of a foreign
//     file never becomes another path.
//  2. No value holds a newline or NUL: a field of a foreign file never becomes another setting.
//  3. The first one to write a path wins; the second is an error and is reported. Links may be asked for twice.
package output

import (
	"errors"
	"fmt"
	"sort"
	"strings"

	"github.com/muster-init/muster/pkg/unit"
)

// Dir is one of the three output directories of systemd.generator(7).
type Dir uint8

// The directories, in the order of a generator's arguments.
const (
	Normal Dir = iota
	Early
	Late
)

// File is an entry of a Tree: a regular file with Text, or a link. Target is what a link points to, relative to the directory of the link or absolute;
// Shipped is a unit that comes with the system instead: whoever writes the tree knows in which directory it is.
type File struct {
	Dir                   Dir
	Path                  string
	Text, Target, Shipped string
}

// Tree is what a generator wants to have written. The zero value is empty and ready.
type Tree struct {
	files    map[Dir]map[string]File
	messages []string
	failed   bool
}

// FilesMax bounds what one generator makes. A file of foreign lines must not fill /run.
const FilesMax = 1 << 16

// messagesMax bounds the messages of a run: a megabyte of garbage is not worth a megabyte of log.
const (
	messagesMax     = 100
	messageBytesMax = 1000
)

// Warn adds a message. Where something could not be done that was asked for, use Fail.
func (t *Tree) Warn(format string, args ...any) {
	switch {
	case len(t.messages) < messagesMax:
		text := fmt.Sprintf(format, args...)
		if len(text) > messageBytesMax {
			text = strings.ToValidUTF8(text[:messageBytesMax], "") + " …"
		}
		t.messages = append(t.messages, text)
	case len(t.messages) == messagesMax:
		t.messages = append(t.messages, "more messages are left out")
	}
}

// Fail adds a message and makes the generator end with a status other than 0. What is right is written all the same.
func (t *Tree) Fail(format string, args ...any) {
	t.Warn(format, args...)
	t.failed = true
}

// Messages are in the order in which they came.
func (t *Tree) Messages() []string { return t.messages }

// Failed reports whether Fail was called.
func (t *Tree) Failed() bool { return t.failed }

// Files are sorted by directory and path.
func (t *Tree) Files() []File {
	var list []File
	for _, files := range t.files {
		for _, f := range files {
			list = append(list, f)
		}
	}
	sort.Slice(list, func(i, j int) bool {
		if list[i].Dir != list[j].Dir {
			return list[i].Dir < list[j].Dir
		}
		return list[i].Path < list[j].Path
	})
	return list
}

// Errors of a Tree.
var (
	ErrExists  = errors.New("a unit of that name was made already")
	ErrTooMany = errors.New("too many units")
)

func (t *Tree) add(f File) error {
	if err := checkPath(f.Path); err != nil {
		return err
	}
	if t.files == nil {
		t.files = map[Dir]map[string]File{}
	}
	if t.files[f.Dir] == nil {
		t.files[f.Dir] = map[string]File{}
	}
	if _, taken := t.files[f.Dir][f.Path]; taken {
		return fmt.Errorf("%s: %w", f.Path, ErrExists)
	}
	if len(t.files[f.Dir]) >= FilesMax {
		return ErrTooMany
	}
	t.files[f.Dir][f.Path] = f
	return nil
}

// checkPath holds invariant 1.
func checkPath(path string) error {
	dir, name, below := strings.Cut(path, "/")
	if !below {
		if !unit.ValidName(path, unit.NameAny) {
			return fmt.Errorf("%q is no valid unit name", path)
		}
		return nil
	}
	owner := dir
	for _, suffix := range []string{".wants", ".requires", ".upholds", ".d"} {
		if o, ok := strings.CutSuffix(dir, suffix); ok {
			owner = o
			if suffix == ".d" {
				if strings.Contains(name, "/") || !strings.HasSuffix(name, ".conf") || len(name) > 255 {
					return fmt.Errorf("%q is no valid name of a drop-in", name)
				}
			} else if !unit.ValidName(name, unit.NameAny) {
				return fmt.Errorf("%q is no valid unit name", name)
			}
			break
		}
	}
	if owner == dir || !unit.ValidName(owner, unit.NameAny) {
		return fmt.Errorf("%q is no valid unit name", owner)
	}
	return nil
}

// Write adds a unit file.
func (t *Tree) Write(d Dir, name string, u *Unit) error {
	text, err := u.text()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return t.add(File{Dir: d, Path: name, Text: text})
}

// DropIn adds the drop-in file (with its .conf) of a unit. One with the same name and content may be there already.
func (t *Tree) DropIn(d Dir, name, file string, u *Unit) error {
	text, err := u.text()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	path := name + ".d/" + file
	if old, ok := t.files[d][path]; ok && old.Text == text {
		return nil
	}
	return t.add(File{Dir: d, Path: path, Text: text})
}

// Verbatim adds a file whose text comes from the administrator as it is.
func (t *Tree) Verbatim(d Dir, path, text string) error {
	return t.add(File{Dir: d, Path: path, Text: text})
}

// Pull makes a unit that this generator wrote a dependency of another: kind is "wants", "requires" or "upholds".
func (t *Tree) Pull(d Dir, by, kind, name string) error {
	return t.link(File{Dir: d, Path: by + "." + kind + "/" + name, Target: "../" + name})
}

// PullShipped does the same for a unit that comes with the system; instances are linked to their template.
func (t *Tree) PullShipped(d Dir, by, kind, name string) error {
	return t.link(File{Dir: d, Path: by + "." + kind + "/" + name, Shipped: template(name)})
}

// PullNamed links a unit of which only the name is known: the directory of shipped units stands for wherever it is.
func (t *Tree) PullNamed(d Dir, by, kind, name string) error {
	return t.link(File{Dir: d, Path: by + "." + kind + "/" + name, Target: ShippedDir + "/" + name})
}

// ShippedDir is where packages put their units.
const ShippedDir = "/usr/lib/systemd/system"

// Alias makes name stand for a shipped unit.
func (t *Tree) Alias(d Dir, name, shipped string) error {
	return t.link(File{Dir: d, Path: name, Shipped: shipped})
}

// AliasOwn makes name stand for a unit that this generator wrote into the same directory.
func (t *Tree) AliasOwn(d Dir, name, own string) error {
	return t.link(File{Dir: d, Path: name, Target: own})
}

// Mask makes a unit one that can't be started.
func (t *Tree) Mask(d Dir, name string) error {
	return t.link(File{Dir: d, Path: name, Target: "/dev/null"})
}

func (t *Tree) link(f File) error {
	if old, ok := t.files[f.Dir][f.Path]; ok && old == f {
		return nil
	}
	return t.add(f)
}

func template(name string) string {
	if prefix, _, suffix, has := unit.SplitName(name); has {
		return prefix + "@" + suffix
	}
	return name
}
