package generator

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	// OutputFilesMax bounds what all generators together may write, so that one that runs wild fills neither /run nor the index of units.
	OutputFilesMax = 1 << 17
	// FileBytesMax is the size of one file that they may write.
	FileBytesMax = 16 << 20
)

// errTooMany says that the bound was met.
var errTooMany = fmt.Errorf("more than %d files, the rest is left out", OutputFilesMax)

// Apply makes the directory to hold what from holds, by moving files. What is equal stays in place with its inode and time stamps: who watches them
// (the index of units, NeedDaemonReload) sees that nothing changed. Both must be in one file system. from is used up.
//
// Only regular files and links count, and directories on the first level, which is all that units have; anything else is reported and left out.
func Apply(from, to string) (problems []string) {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return []string{err.Error()}
	}
	a := applying{}
	a.dir(from, to, 0)
	return a.problems
}

type applying struct {
	files    int
	problems []string
}

const problemsMax = 50

func (a *applying) problem(err error) {
	if err != nil && len(a.problems) < problemsMax {
		a.problems = append(a.problems, err.Error())
	}
}

func (a *applying) dir(from, to string, depth int) {
	now, err := os.ReadDir(from)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		a.problem(err)
	}
	keep := map[string]bool{}
	for _, e := range now {
		if a.files++; a.files > OutputFilesMax {
			a.problem(errTooMany)
			break
		}
		source, target := filepath.Join(from, e.Name()), filepath.Join(to, e.Name())
		switch kind := e.Type(); {
		case kind.IsDir() && depth == 0:
			a.subdir(source, target)
		case kind.IsRegular() || kind&fs.ModeSymlink != 0:
			a.file(source, target, kind)
		default:
			a.problem(fmt.Errorf("%s is neither a file nor a link, left out", target))
			continue
		}
		keep[e.Name()] = true
	}
	old, err := os.ReadDir(to)
	if err != nil {
		a.problem(err)
	}
	for _, e := range old {
		if !keep[e.Name()] {
			a.problem(os.RemoveAll(filepath.Join(to, e.Name())))
		}
	}
}

func (a *applying) subdir(source, target string) {
	info, err := os.Lstat(target)
	switch {
	case err == nil && info.IsDir():
		a.dir(source, target, 1)
		return
	case err == nil:
		a.problem(os.Remove(target))
	}
	if err := os.Mkdir(target, 0o755); err != nil {
		a.problem(err)
		return
	}
	a.dir(source, target, 1)
}

func (a *applying) file(source, target string, kind fs.FileMode) {
	if equal(source, target, kind) {
		return
	}
	if info, err := os.Lstat(target); err == nil && info.IsDir() {
		a.problem(os.RemoveAll(target))
	}
	a.problem(os.Rename(source, target))
}

// equal compares two entries: the type, and the content or what a link points to.
func equal(a, b string, kind fs.FileMode) bool {
	x, err := os.Lstat(a)
	if err != nil {
		return false
	}
	y, err := os.Lstat(b)
	if err != nil || y.Mode() != x.Mode() || y.Size() != x.Size() {
		return false
	}
	if kind&fs.ModeSymlink != 0 {
		s, err1 := os.Readlink(a)
		t, err2 := os.Readlink(b)
		return err1 == nil && err2 == nil && s == t
	}
	if x.Size() > FileBytesMax {
		return false
	}
	s, err1 := os.ReadFile(a)
	t, err2 := os.ReadFile(b)
	return err1 == nil && err2 == nil && bytes.Equal(s, t)
}
