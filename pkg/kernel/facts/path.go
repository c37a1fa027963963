package facts

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

func stat(root, path string) (unix.Stat_t, bool) {
	var st unix.Stat_t
	err := unix.Stat(filepath.Join(slash(root), path), &st)
	return st, err == nil
}

func isType(st unix.Stat_t, kind uint32) bool { return st.Mode&unix.S_IFMT == kind }

// PathExists follows symbolic links.
func PathExists(root, path string) bool { _, ok := stat(root, path); return ok }

// PathExistsGlob tells whether a pattern of glob(7) matches anything.
func PathExistsGlob(root, pattern string) bool {
	for _, p := range expandBraces(pattern, braceMax) {
		list, err := filepath.Glob(filepath.Join(slash(root), goPattern(p)))
		if err == nil && len(list) > 0 {
			return true
		}
	}
	return false
}

// braceMax bounds the patterns one pattern with braces stands for.
const braceMax = 256

// goPattern spells a pattern of glob(7) for package filepath: a set is negated
// with "^".
func goPattern(p string) string { return strings.ReplaceAll(p, "[!", "[^") }

// expandBraces expands {a,b} groups, nested ones too, as GLOB_BRACE does. A
// group that is not closed is literal.
func expandBraces(p string, limit int) []string {
	open := strings.IndexByte(p, '{')
	if open < 0 || limit <= 1 {
		return []string{p}
	}
	depth, start := 0, open+1
	var parts []string
	for i := open; i < len(p); i++ {
		switch p[i] {
		case '{':
			depth++
		case ',':
			if depth == 1 {
				parts = append(parts, p[start:i])
				start = i + 1
			}
		case '}':
			if depth--; depth > 0 {
				continue
			}
			parts = append(parts, p[start:i])
			var out []string
			for _, part := range parts {
				out = append(out, expandBraces(p[:open]+part+p[i+1:], limit/len(parts))...)
			}
			return out
		}
	}
	return []string{p}
}

// PathIsDirectory follows symbolic links.
func PathIsDirectory(root, path string) bool {
	st, ok := stat(root, path)
	return ok && isType(st, unix.S_IFDIR)
}

// PathIsSymbolicLink doesn't follow.
func PathIsSymbolicLink(root, path string) bool {
	fi, err := os.Lstat(filepath.Join(slash(root), path))
	return err == nil && fi.Mode()&os.ModeSymlink != 0
}

// PathIsSocket follows symbolic links.
func PathIsSocket(root, path string) bool {
	st, ok := stat(root, path)
	return ok && isType(st, unix.S_IFSOCK)
}

// PathIsMountPoint tells whether something is mounted on the path itself.
func PathIsMountPoint(root, path string) bool {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, filepath.Join(slash(root), path), unix.AT_NO_AUTOMOUNT, 0, &st)
	return err == nil && st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
}

// PathIsReadWrite tells whether the file system below is writable; false if
// there is no such path.
func PathIsReadWrite(root, path string) bool {
	var st unix.Statfs_t
	err := unix.Statfs(filepath.Join(slash(root), path), &st)
	return err == nil && st.Flags&unix.ST_RDONLY == 0
}

// DirectoryNotEmpty is false for what is no directory.
func DirectoryNotEmpty(root, path string) bool {
	f, err := os.Open(filepath.Join(slash(root), path))
	if err != nil {
		return false
	}
	defer f.Close()
	names, err := f.Readdirnames(1)
	return err == nil && len(names) > 0
}

// FileNotEmpty tells whether it is a regular file with content.
func FileNotEmpty(root, path string) bool {
	st, ok := stat(root, path)
	return ok && isType(st, unix.S_IFREG) && st.Size > 0
}

// FileIsExecutable tells whether it is a regular file with an executable bit.
func FileIsExecutable(root, path string) bool {
	st, ok := stat(root, path)
	return ok && isType(st, unix.S_IFREG) && st.Mode&0o111 != 0
}

// PathIsEncrypted tells whether the block device of the path's file system is,
// or lies on, a dm-crypt volume. For a file system on several devices (btrfs)
// the first one counts.
func PathIsEncrypted(root, path string) bool {
	st, ok := stat(root, path)
	if !ok {
		return false
	}
	dev := st.Dev
	if isType(st, unix.S_IFBLK) {
		dev = st.Rdev
	}
	return deviceEncrypted(root, fmt.Sprintf("%d:%d", unix.Major(uint64(dev)), unix.Minor(uint64(dev))), 8)
}

// deviceEncrypted goes down the stack of devices; depth bounds a loop.
func deviceEncrypted(root, device string, depth int) bool {
	dir := "sys/dev/block/" + device
	if strings.HasPrefix(line(root, dir+"/dm/uuid"), "CRYPT-") {
		return true
	}
	slaves, _ := os.ReadDir(filepath.Join(slash(root), dir, "slaves"))
	if len(slaves) == 0 || depth == 0 {
		return false
	}
	// Encrypted only if everything below is.
	for _, s := range slaves {
		below := line(root, dir+"/slaves/"+s.Name()+"/dev")
		if below == "" || !deviceEncrypted(root, below, depth-1) {
			return false
		}
	}
	return true
}

// CredentialExists tells whether a credential whose name matches a pattern was
// passed to the manager; dirs are its directories (plain and encrypted).
func CredentialExists(dirs []string, pattern string) bool {
	for _, dir := range dirs {
		if dir == "" {
			continue
		}
		f, err := os.Open(dir)
		if err != nil {
			continue
		}
		for {
			names, err := f.Readdirnames(256)
			for _, name := range names {
				if ok, _ := filepath.Match(goPattern(pattern), name); ok {
					_ = f.Close()
					return true
				}
			}
			if err != nil {
				break
			}
		}
		_ = f.Close()
	}
	return false
}
