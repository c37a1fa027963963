package ctl

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/muster-init/muster/pkg/bus"
)

// The marks between which the editor's text counts.
const (
	markBegin = "### Edits between these two marks become the drop-in"
	markEnd   = "### Edits below this mark are discarded"
)

// editMax bounds what edit --stdin reads.
const editMax = 16 << 20

// edit is edit: a drop-in of each unit, or with --full its whole file, through an editor or from standard input.
func edit(s *systemctl, _ string, args []string) int {
	switch {
	case !s.o.stdin && !(s.InTerminal && s.OutTerminal):
		s.errorf("Cannot edit units interactively if not on a tty.")
		return exitFailure
	case s.o.full && s.o.dropIn != "":
		s.errorf("--drop-in=NAME cannot be used with --full.")
		return exitFailure
	case s.o.stdin && s.o.full && len(args) > 1:
		s.errorf("With 'edit --stdin --full', exactly one unit for editing must be specified.")
		return exitFailure
	}
	local := s.installClientSide()
	if !local && !s.online() {
		return exitFailure
	}
	names, ok := s.patternNames(local, args)
	if !ok {
		return exitFailure
	}
	var files []editFile
	for _, n := range names {
		f, status := s.editTarget(n)
		if status != 0 {
			return status
		}
		files = append(files, f)
	}
	status, changed := s.editFiles(files)
	if status == 0 && changed && !s.o.noReload && !local {
		return s.reloadManager("daemon-reload")
	}
	return status
}

// editFile is one file to edit.
type editFile struct {
	unit     unitPaths
	path     string // that is written
	original string // whose content edit starts with, "" for none
}

// editTarget finds which file an edit of a unit changes.
func (s *systemctl) editTarget(name string) (editFile, int) {
	u, err := s.findPaths(name)
	if err != nil {
		s.errorf("Failed to get properties: %s", errorText(err))
		return editFile{}, exitFailure
	}
	p := s.paths()
	dir := p.Config
	if s.o.runtime {
		dir = p.Runtime
	}
	dir = p.Root + dir
	switch {
	case u.masked:
		s.errorf("Cannot edit %s: unit is masked.", name)
		return editFile{}, exitFailure
	case u.fragment == "" && len(u.dropIns) == 0 && (s.o.force == 0 || !s.o.full && s.o.force == 0):
		s.errorf("No files found for %s.", name)
		s.notef("Run 'systemctl edit%s --force --full %s' to create a new unit.", map[bool]string{true: " --user", false: ""}[s.o.scope == scopeUser], name)
		return editFile{}, exitFailure
	case s.o.full:
		return editFile{unit: u, path: filepath.Join(dir, name), original: u.fragment}, 0
	}
	file := filepath.Join(dir, name+".d", orDefault(s.o.dropIn, "override.conf"))
	return editFile{unit: u, path: file, original: file}, 0
}

// editFiles lets the user edit, and writes what came of it.
func (s *systemctl) editFiles(files []editFile) (status int, changed bool) {
	var input []byte
	if s.o.stdin {
		var err error
		if input, err = io.ReadAll(io.LimitReader(s.In, editMax)); err != nil {
			s.errorf("Failed to read stdin: %s", errnoText(err))
			return exitFailure, false
		}
	}
	for _, f := range files {
		content := input
		if !s.o.stdin {
			var err error
			if content, err = s.runEditor(f); err != nil {
				s.errorf("%s", err)
				return exitFailure, changed
			}
		}
		content = bytes.TrimSpace(content)
		if len(content) == 0 {
			if s.o.stdin {
				s.notef("Stripped stdin content is empty, not writing file.")
			} else {
				s.notef("%s: after editing, new contents are empty, not writing file.", f.path)
			}
			continue
		}
		if err := writeFile(f.path, append(content, '\n')); err != nil {
			s.errorf("Failed to install edited file '%s': %s", f.path, errnoText(err))
			return exitFailure, changed
		}
		changed = true
		s.notef("Successfully installed edited file '%s'.", f.path)
	}
	return 0, changed
}

// writeFile replaces a file at once.
func writeFile(file string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	t, err := os.CreateTemp(filepath.Dir(file), ".#"+filepath.Base(file))
	if err != nil {
		return err
	}
	defer os.Remove(t.Name())
	_, err = t.Write(content)
	if err == nil {
		err = t.Chmod(0o644)
	}
	if e := t.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	return os.Rename(t.Name(), file)
}

// runEditor gives the text after the user has edited it.
func (s *systemctl) runEditor(f editFile) ([]byte, error) {
	t, err := os.CreateTemp("", "musterctl-edit-*.conf")
	if err != nil {
		return nil, err
	}
	defer os.Remove(t.Name())
	_, err = t.WriteString(s.editText(f))
	if e := t.Close(); err == nil {
		err = e
	}
	if err != nil {
		return nil, err
	}
	if err := s.editor(t.Name()); err != nil {
		return nil, err
	}
	content, err := os.ReadFile(t.Name())
	if err != nil || s.o.full {
		return content, err
	}
	if _, rest, ok := bytes.Cut(content, []byte(markBegin+"\n")); ok {
		content = rest
	}
	if head, _, ok := bytes.Cut(content, []byte(markEnd)); ok {
		content = head
	}
	return content, nil
}

// editText is what the editor opens with: the file, for a drop-in between two marks with the unit's other files below as a comment.
func (s *systemctl) editText(f editFile) string {
	old, err := os.ReadFile(s.path(f.original))
	if err != nil {
		old = nil
	}
	if s.o.full {
		return string(old)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "### Editing %s\n%s\n\n%s\n\n%s\n\n", f.path, markBegin, old, markEnd)
	for _, p := range append([]string{f.unit.fragment}, f.unit.dropIns...) {
		if p == "" || p == f.path {
			continue
		}
		content, err := os.ReadFile(s.path(p))
		if err != nil {
			continue
		}
		fmt.Fprintf(&b, "\n### %s\n", p)
		for _, line := range strings.Split(strings.TrimSuffix(string(content), "\n"), "\n") {
			fmt.Fprintf(&b, "# %s\n", line)
		}
	}
	return b.String()
}

// editor runs the user's editor on a file.
func (s *systemctl) editor(file string) error {
	var commands [][]string
	for _, name := range []string{"SYSTEMD_EDITOR", "EDITOR", "VISUAL"} {
		if words := strings.Fields(s.Getenv(name)); len(words) > 0 {
			commands = append(commands, words)
			break
		}
	}
	if len(commands) == 0 {
		commands = [][]string{{"editor"}, {"nano"}, {"vim"}, {"vi"}}
	}
	for _, words := range commands {
		program, err := exec.LookPath(words[0])
		if err != nil {
			continue
		}
		cmd := exec.Command(program, append(words[1:], file)...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("Editing failed: %s", err)
		}
		return nil
	}
	return fmt.Errorf("Cannot edit files, no editor available. Please set either $SYSTEMD_EDITOR, $EDITOR or $VISUAL.")
}

// helpUnits is help: the manual pages of units.
func helpUnits(s *systemctl, _ string, args []string) int {
	if !s.online() {
		return exitFailure
	}
	for i, a := range args {
		if pid, err := strconv.ParseUint(a, 10, 31); err == nil && pid > 0 {
			path, err := s.callString("GetUnitByPID", uint32(pid))
			if err != nil {
				s.pidError(uint32(pid), err)
				return exitFailure
			}
			args[i], _ = bus.UnitFromPath(bus.ObjectPath(path))
		}
	}
	names, _, ok := s.expandNames(args, ".service")
	if !ok {
		return exitFailure
	}
	for _, n := range names {
		p, err := unitProperties(s.bus, n)
		if err != nil {
			s.errorf("Failed to get properties: %s", errorText(err))
			return exitFailure
		}
		if p.str("LoadState") == "not-found" {
			s.errorf("Unit %s could not be found.", n)
			return exitFailure
		}
		docs := p.strings("Documentation")
		if len(docs) == 0 {
			s.notef("Documentation for %s not known.", n)
			continue
		}
		for _, d := range docs {
			s.showDocumentation(d)
		}
	}
	return 0
}

// showDocumentation runs man for a page, and prints where other documentation is.
func (s *systemctl) showDocumentation(d string) {
	page, ok := strings.CutPrefix(d, "man:")
	if !ok {
		s.notef("Can't show: %s", d)
		return
	}
	args := []string{page}
	if name, section, ok := strings.Cut(strings.TrimSuffix(page, ")"), "("); ok {
		args = []string{section, name}
	}
	s.Flush()
	cmd := exec.Command("man", args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		s.errorf("Failed to execute man: %s", errnoText(err))
	}
}
