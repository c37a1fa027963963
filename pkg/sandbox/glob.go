package sandbox

import (
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// maxMatches bounds what one pattern may match.
const maxMatches = 4096

// glob lists the paths an absolute pattern matches, sorted. A pattern without
// wildcards is returned as it is, whether or not it exists.
func glob(pattern string) ([]string, error) {
	if !strings.ContainsAny(pattern, `*?[\`) {
		return []string{pattern}, nil
	}
	found := []string{""}
	for part := range strings.SplitSeq(strings.Trim(pattern, "/"), "/") {
		if _, err := path.Match(part, ""); err != nil {
			return nil, unix.EINVAL
		}
		var next []string
		for _, dir := range found {
			if !strings.ContainsAny(part, `*?[\`) {
				there, err := exists(dir + "/" + part)
				if err != nil && err != unix.EACCES {
					return nil, err
				}
				if there {
					next = append(next, dir+"/"+part)
				}
				continue
			}
			names, err := readDir(dir + "/")
			if err != nil {
				continue
			}
			for _, name := range names {
				if ok, _ := path.Match(part, name); ok && (name[0] != '.' || part[0] == '.') && len(next) < maxMatches {
					next = append(next, dir+"/"+name)
				}
			}
		}
		found = next
	}
	slices.Sort(found)
	return found, nil
}

// exists says whether there is something at path. What can't be looked at is not taken for absent: protections depend on the answer.
func exists(path string) (bool, error) {
	var st unix.Stat_t
	err := unix.Fstatat(unix.AT_FDCWD, path, &st, unix.AT_SYMLINK_NOFOLLOW)
	if err == unix.ENOENT || err == unix.ENOTDIR {
		return false, nil
	}
	return err == nil, err
}

// readDir lists the names in a directory, without . and ..
func readDir(path string) ([]string, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	return readDirFD(fd)
}

func readDirFD(fd int) ([]string, error) {
	var names []string
	buf := make([]byte, 8192)
	for {
		n, err := unix.ReadDirent(fd, buf)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return names, nil
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names)
	}
}
