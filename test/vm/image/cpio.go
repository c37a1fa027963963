package image

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strings"
)

// Archive is an initramfs: an archive in the "newc" form of cpio(5), which the
// kernel unpacks (Documentation/driver-api/early-userspace/buffer-format.rst).
// Paths are absolute; directories on the way are made when they are missing.
type Archive struct {
	entries map[string]entry
}

type entry struct {
	mode uint32
	data []byte
}

// Types of a file in a mode, as stat(2) has them.
const (
	typeDir  = 0o040000
	typeFile = 0o100000
	typeLink = 0o120000
	typeMask = 0o170000
)

// NewArchive is an empty one.
func NewArchive() *Archive { return &Archive{entries: map[string]entry{}} }

// File adds a regular file.
func (a *Archive) File(name string, mode fs.FileMode, data []byte) {
	a.add(name, entry{typeFile | uint32(mode.Perm()), data})
}

// Link adds a symbolic link.
func (a *Archive) Link(name, target string) { a.add(name, entry{typeLink | 0o777, []byte(target)}) }

func (a *Archive) add(name string, e entry) {
	name = path.Clean(name)
	a.entries[name] = e
	for dir := path.Dir(name); dir != "/"; dir = path.Dir(dir) {
		if _, ok := a.entries[dir]; !ok {
			a.entries[dir] = entry{typeDir | 0o755, nil}
		}
	}
}

// Tree adds a file of this machine, or a directory with what is in it.
func (a *Archive) Tree(name, source string) error {
	return filepath.WalkDir(source, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		inside := filepath.Join(name, strings.TrimPrefix(path, source))
		switch {
		case d.IsDir():
			a.add(inside, entry{typeDir | 0o755, nil})
			return nil
		case d.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			a.Link(inside, target)
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		a.File(inside, info.Mode(), data)
		return err
	})
}

// Bytes is the whole archive. The order is by name, so that a directory comes
// before what is in it.
func (a *Archive) Bytes() []byte {
	var names []string
	for name := range a.entries {
		names = append(names, name)
	}
	sort.Strings(names)
	var out bytes.Buffer
	for i, name := range names {
		writeEntry(&out, i+1, strings.TrimPrefix(name, "/"), a.entries[name])
	}
	writeEntry(&out, 0, "TRAILER!!!", entry{})
	for out.Len()%512 != 0 {
		out.WriteByte(0)
	}
	return out.Bytes()
}

func writeEntry(out *bytes.Buffer, inode int, name string, e entry) {
	links := 1
	if e.mode&typeDir == typeDir {
		links = 2
	}
	// magic, inode, mode, uid, gid, links, time, size, device ×2, node ×2, length of the name, check
	fmt.Fprintf(out, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
		inode, e.mode, 0, 0, links, 0, len(e.data), 0, 0, 0, 0, len(name)+1, 0)
	out.WriteString(name)
	out.WriteByte(0)
	pad(out)
	out.Write(e.data)
	pad(out)
}

func pad(out *bytes.Buffer) {
	for out.Len()%4 != 0 {
		out.WriteByte(0)
	}
}

// Copy is an archive with the same entries, to add more to.
func (a *Archive) Copy() *Archive { return &Archive{entries: maps.Clone(a.entries)} }

// Remove takes an entry out.
func (a *Archive) Remove(name string) { delete(a.entries, name) }

// Sum is a checksum of the files below these directories, or of these files.
func (a *Archive) Sum(under ...string) string {
	sum := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(a.entries)) {
		for _, top := range under {
			if name == top || strings.HasPrefix(name, top+"/") {
				fmt.Fprintf(sum, "%s %o %d\n", name, a.entries[name].mode, len(a.entries[name].data))
				sum.Write(a.entries[name].data)
			}
		}
	}
	return hex.EncodeToString(sum.Sum(nil)[:6])
}

// Under lists the files and links below a directory in their order, and gives what they are: permissions, and content or target.
func (a *Archive) Under(dir string) (names []string, get func(name string) (mode int64, data []byte, link bool)) {
	for _, name := range slices.Sorted(maps.Keys(a.entries)) {
		if strings.HasPrefix(name, dir) && a.entries[name].mode&typeMask != typeDir {
			names = append(names, name)
		}
	}
	return names, func(name string) (int64, []byte, bool) {
		e := a.entries[name]
		return int64(e.mode & 0o777), e.data, e.mode&typeMask == typeLink
	}
}
