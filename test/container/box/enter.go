package box

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// allNamespaces are those a program run inside is in. The pid namespace counts
// for children only, so it is no obstacle to the thread itself.
var allNamespaces = []string{"cgroup", "ipc", "uts", "net", "pid", "mnt"}

var namespaceFlags = map[string]int{
	"cgroup": unix.CLONE_NEWCGROUP, "ipc": unix.CLONE_NEWIPC, "uts": unix.CLONE_NEWUTS,
	"net": unix.CLONE_NEWNET, "pid": unix.CLONE_NEWPID, "mnt": unix.CLONE_NEWNS,
}

// inside calls do on a thread of its own that is in namespaces of PID 1. What
// it forks is a direct child of this process: nsenter(1) in between would stop
// itself when its child is stopped, as a shutdown does, and never wake up.
func (b *Box) inside(namespaces []string, do func() error) error {
	result := make(chan error, 1)
	go func() {
		// Never unlocked, so the thread ends with this goroutine.
		runtime.LockOSThread()
		result <- b.enter(namespaces, do)
	}()
	return <-result
}

func (b *Box) enter(namespaces []string, do func() error) error {
	var files []*os.File
	for _, name := range namespaces {
		file, err := os.Open(filepath.Join("/proc", strconv.Itoa(b.pid), "ns", name))
		if err != nil {
			return err
		}
		defer file.Close()
		files = append(files, file)
	}
	// A thread that shares its root directory with others can't change the
	// mount namespace.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	for i, name := range namespaces {
		if err := unix.Setns(int(files[i].Fd()), namespaceFlags[name]); err != nil {
			return fmt.Errorf("%s namespace: %w", name, err)
		}
	}
	return do()
}

// lookPath finds a program in the directories of insideEnv; it is called on a
// thread that is inside.
func lookPath(name string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	path := strings.TrimPrefix(insideEnv[0], "PATH=")
	for _, dir := range filepath.SplitList(path) {
		candidate := filepath.Join(dir, name)
		if info, err := os.Stat(candidate); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return candidate, nil
		}
	}
	return "", &exec.Error{Name: name, Err: exec.ErrNotFound}
}
