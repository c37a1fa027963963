package install

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Apply carries out a plan and gives what was really changed. It stops at the first error; what couldn't be planned is an error too, in the end.
func Apply(p Paths, plan Plan) (done []Change, err error) {
	for _, c := range plan.Changes {
		switch c.Type {
		case Symlink:
			err = makeLink(p, c)
		case Unlink:
			err = os.Remove(p.abs(c.Path))
			if errors.Is(err, os.ErrNotExist) {
				continue
			}
			if err == nil {
				removeEmpty(p, filepath.Dir(c.Path))
			}
		}
		if err != nil {
			return done, fmt.Errorf("%s: %w", c.Path, err)
		}
		done = append(done, c)
	}
	return done, plan.Failed
}

// makeLink makes a link by renaming, so that no moment has none.
func makeLink(p Paths, c Change) error {
	path := p.abs(c.Path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	temp := fmt.Sprintf("%s/.#%s%d", filepath.Dir(path), filepath.Base(path), os.Getpid())
	_ = os.Remove(temp)
	if err := os.Symlink(c.Source, temp); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		_ = os.Remove(temp)
		return err
	}
	return nil
}

// removeEmpty removes dependency and drop-in directories that nothing is left in, never the configuration directories themselves.
func removeEmpty(p Paths, dir string) {
	if dir != p.Config && dir != p.Runtime {
		_ = os.Remove(p.abs(dir))
	}
}
