package spawn

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/plan"
)

// WriteState brings files of plan.UnitStateDir up to date. It is a few calls on
// the manager's own tmpfs, some 10 µs, and fit for the loop.
func WriteState(files []plan.StateFile) error {
	if len(files) == 1 && files[0].Link != "" {
		// The usual case: a new activation, whose link there is none of yet.
		if err := unix.Symlink(files[0].Link, plan.UnitStateDir+"/"+files[0].Name); err == nil {
			return nil
		}
	}
	dir, err := openState()
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	var errs []error
	for _, f := range files {
		if err := writeState(dir, f); err != nil {
			errs = append(errs, fmt.Errorf("%s/%s: %w", plan.UnitStateDir, f.Name, err))
		}
	}
	return errors.Join(errs...)
}

// ListState names the files there are in plan.UnitStateDir, at most max.
func ListState(max int) []string {
	dir, err := os.Open(plan.UnitStateDir)
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(max)
	return names
}

func openState() (int, error) {
	dir, err := unix.Open(plan.UnitStateDir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != unix.ENOENT {
		return dir, err
	}
	for _, path := range []string{"/run/systemd", plan.UnitStateDir} {
		if err := unix.Mkdir(path, 0o755); err != nil && err != unix.EEXIST {
			return -1, fmt.Errorf("%s: %w", path, err)
		}
	}
	return unix.Open(plan.UnitStateDir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
}

// writeState puts a new link or file in the place of the old one, so that
// readers never miss it.
func writeState(dir int, f plan.StateFile) error {
	if f.Link == "" && len(f.Data) == 0 {
		if err := unix.Unlinkat(dir, f.Name, 0); err != nil && err != unix.ENOENT {
			return err
		}
		return nil
	}
	if f.Link != "" {
		// Mostly there is none yet.
		if err := unix.Symlinkat(f.Link, dir, f.Name); err != unix.EEXIST {
			return err
		}
	}
	temporary := ".#" + f.Name
	if err := unix.Unlinkat(dir, temporary, 0); err != nil && err != unix.ENOENT {
		return err
	}
	if f.Link != "" {
		if err := unix.Symlinkat(f.Link, dir, temporary); err != nil {
			return err
		}
		return unix.Renameat(dir, temporary, dir, f.Name)
	}
	fd, err := unix.Openat(dir, temporary, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o644)
	if err != nil {
		return err
	}
	err = writeAll(fd, f.Data)
	unix.Close(fd)
	if err != nil {
		return err
	}
	return unix.Renameat(dir, temporary, dir, f.Name)
}
