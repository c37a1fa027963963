package loader

import (
	"os"
	"sort"

	"golang.org/x/sys/unix"
)

// eachEntry calls use for every entry of a directory in the order of names, with its lstat and the open directory. It stats by the open directory,
// which costs about a µs an entry.
func eachEntry(dir string, use func(name string, st *unix.Stat_t, fd int)) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	names, err := d.Readdirnames(entriesMax)
	if err != nil {
		return err
	}
	sort.Strings(names)
	fd := int(d.Fd())
	var st unix.Stat_t
	for _, name := range names {
		if unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil {
			use(name, &st, fd)
		}
	}
	return nil
}
