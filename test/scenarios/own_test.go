package scenarios

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/muster-init/muster/test/container/box"
)

// ownBoot is the file `boot` of a scenario that gets a boot of its own, with
// its units in place from the start. Lines:
//
//	root=NAME       the prepared root to boot, test/root
//	arg=TEXT        a further argument of PID 1
//	state=WORD      the system state to reach; running or degraded when not given
//	end=TEXT        after the script PID 1 must end like this: powered off,
//	                rebooted, exited with N
//	reply=TEXT=TYPED after TEXT was shown this is typed at the console
//	absent=TEXT     the console must not show this
//	console=TEXT    the console must show this, in the order of the lines
type ownBoot struct {
	root    string
	args    []string
	state   string
	end     string
	console []string
	absent  []string
	replies []box.Reply
}

// readOwnBoot returns nil for a scenario that shares a boot.
func readOwnBoot(dir string) (*ownBoot, error) {
	text, err := os.ReadFile(filepath.Join(dir, "boot"))
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	own := &ownBoot{}
	for _, line := range strings.Split(string(text), "\n") {
		key, value, _ := strings.Cut(line, "=")
		switch key {
		case "":
		case "root":
			own.root = value
		case "arg":
			own.args = append(own.args, value)
		case "state":
			own.state = value
		case "end":
			own.end = value
		case "reply":
			question, typed, _ := strings.Cut(value, "=")
			own.replies = append(own.replies, box.Reply{Question: question, Text: typed})
		case "absent":
			own.absent = append(own.absent, value)
		case "console":
			own.console = append(own.console, value)
		default:
			return nil, fmt.Errorf("%s/boot: unknown key %q", dir, key)
		}
	}
	return own, nil
}

// consoleMisses returns the first wanted text that isn't there in order.
func (own *ownBoot) consoleMisses(console string) string {
	for _, want := range own.console {
		_, rest, ok := strings.Cut(console, want)
		if !ok {
			return want
		}
		console = rest
	}
	return ""
}

// unitFiles are the scenario's units and, from its directory files, other files of the container: those count for a boot of its own only.
func unitFiles(dir string) (map[string]box.File, error) {
	files := map[string]box.File{}
	for top, target := range map[string]string{filepath.Join(dir, "units"): "/etc/systemd/system", filepath.Join(dir, "files"): "/"} {
		if err := addFiles(files, top, target); err != nil {
			return nil, err
		}
	}
	return files, nil
}

func addFiles(files map[string]box.File, top, target string) error {
	return filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			if os.IsNotExist(err) {
				return nil
			}
			return err
		}
		inside := filepath.Join(target, strings.TrimPrefix(path, top))
		if entry.Type()&fs.ModeSymlink != 0 {
			target, err := os.Readlink(path)
			files[inside] = box.File{Link: target}
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		files[inside] = box.File{Content: string(content), Mode: info.Mode().Perm()}
		return err
	})
}
