// Package facts reads what Condition…= and Assert…= ask about: the machine,
// its firmware, its virtualization, its files. It gives raw facts; comparing
// them with an argument is the condition's affair. See systemd.unit(5),
// "Conditions and Asserts".
//
// Every function takes the root directory to look in, "" for the real one, so
// that tests can fake a machine. Most of them open files: call them from a
// worker, never from PID 1's loop, as a foreign path may hang.
package facts

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// FileMax bounds every file that is read here.
const FileMax = 1 << 20

// read returns a file below root, without the final newline; at most FileMax
// bytes.
func read(root, path string) (string, error) {
	f, err := os.Open(filepath.Join(slash(root), path))
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, FileMax+1))
	if err != nil {
		return "", err
	}
	if len(b) > FileMax {
		return "", fmt.Errorf("%s: longer than %d bytes", path, FileMax)
	}
	return strings.TrimSuffix(string(b), "\n"), nil
}

// line is the trimmed content of a small file, "" if it cannot be read.
func line(root, path string) string {
	s, err := read(root, path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(s)
}

func exists(root, path string) bool {
	_, err := os.Lstat(filepath.Join(slash(root), path))
	return err == nil
}

func slash(root string) string {
	if root == "" {
		return "/"
	}
	return root
}

func isReal(root string) bool { return root == "" || root == "/" }

// notThere tells an absent file from one that cannot be read.
func notThere(err error) bool { return errors.Is(err, os.ErrNotExist) }
