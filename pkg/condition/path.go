package condition

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

func testPathExists(f *Facts, p string) (bool, error) {
	return unix.Faccessat(unix.AT_FDCWD, f.path(p), unix.F_OK, 0) == nil, nil
}

func testPathExistsGlob(f *Facts, p string) (bool, error) {
	m, err := filepath.Glob(f.path(p))
	return len(m) > 0, err
}

func testPathIsDirectory(f *Facts, p string) (bool, error) {
	st, err := os.Stat(f.path(p))
	return err == nil && st.IsDir(), nil
}

func testPathIsSymbolicLink(f *Facts, p string) (bool, error) {
	st, err := os.Lstat(f.path(p))
	return err == nil && st.Mode()&os.ModeSymlink != 0, nil
}

func testPathIsSocket(f *Facts, p string) (bool, error) {
	st, err := os.Stat(f.path(p))
	return err == nil && st.Mode()&os.ModeSocket != 0, nil
}

func testFileNotEmpty(f *Facts, p string) (bool, error) {
	st, err := os.Stat(f.path(p))
	return err == nil && st.Mode().IsRegular() && st.Size() > 0, nil
}

func testFileIsExecutable(f *Facts, p string) (bool, error) {
	st, err := os.Stat(f.path(p))
	return err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0, nil
}

func testDirectoryNotEmpty(f *Facts, p string) (bool, error) {
	d, err := os.Open(f.path(p))
	if err != nil {
		return false, nil
	}
	defer d.Close()
	names, err := d.Readdirnames(1)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, nil
	}
	return len(names) > 0, nil
}

func testPathIsReadWrite(f *Facts, p string) (bool, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(f.path(p), &st); err != nil {
		return false, nil
	}
	return st.Flags&unix.ST_RDONLY == 0, nil
}

func testPathIsMountPoint(f *Facts, p string) (bool, error) {
	target, err := filepath.EvalSymlinks(f.path(p))
	if err != nil {
		return false, nil
	}
	is, err := mountinfo.Mounted(target)
	if err != nil {
		return false, nil
	}
	return is, nil
}

// testPathIsEncrypted finds the block device behind a path and looks for a dm-crypt (or other encrypting) device in its chain of slaves.
func testPathIsEncrypted(f *Facts, p string) (bool, error) {
	var st unix.Stat_t
	if err := unix.Stat(f.path(p), &st); err != nil {
		return false, nil
	}
	dev := st.Dev
	if st.Mode&unix.S_IFMT == unix.S_IFBLK {
		dev = st.Rdev
	}
	sys := f.path("/sys/dev/block/" + itoa(unix.Major(dev)) + ":" + itoa(unix.Minor(dev)))
	return encrypted(sys, 16), nil
}

func encrypted(sys string, depth int) bool {
	uuid, err := os.ReadFile(filepath.Join(sys, "dm", "uuid"))
	if err == nil && strings.HasPrefix(string(uuid), "CRYPT-") {
		return true
	}
	slaves, err := os.ReadDir(filepath.Join(sys, "slaves"))
	if err != nil || len(slaves) == 0 || depth == 0 {
		return false
	}
	for _, s := range slaves {
		if !encrypted(filepath.Join(sys, "slaves", s.Name()), depth-1) {
			return false
		}
	}
	return true
}

// testNeedsUpdate compares the time stamp of /usr/ with that of the .updated file in /etc/ or /var/, as systemd-update-done.service(8) describes.
func testNeedsUpdate(f *Facts, p string) (bool, error) {
	for _, w := range f.CommandLine {
		if v, ok := strings.CutPrefix(w, "systemd.condition_needs_update="); ok {
			return boolean(v)
		}
	}
	if rw, _ := testPathIsReadWrite(f, p); !rw {
		return false, nil
	}
	usr, err := os.Lstat(f.path("/usr"))
	if err != nil {
		return true, nil
	}
	stamp := filepath.Join(f.path(p), ".updated")
	done, err := os.Lstat(stamp)
	if err != nil {
		return true, nil
	}
	if data, err := os.ReadFile(stamp); err == nil {
		for _, line := range strings.Split(string(data), "\n") {
			if ns, ok := strings.CutPrefix(line, "TIMESTAMP_NSEC="); ok {
				if n, ok := parseUint(ns); ok {
					return uint64(usr.ModTime().UnixNano()) > n, nil
				}
			}
		}
	}
	return usr.ModTime().After(done.ModTime()), nil
}
