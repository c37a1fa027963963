package box

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// stageName is argv[0] of the second start of this program inside the new
// namespaces. It is PID 1 there, prepares the file system and then executes
// the init in its place.
const stageName = "muster-box-stage"

type stageConfig struct {
	Options Options
	Scratch string // host directory to mount the overlay's tmpfs on
	Console string // host path of the console's slave
}

// Descriptors handed over by spawn.
const (
	stageConfigFD  = 3
	stageFailureFD = 4
)

func init() {
	// The main thread is kept for the main goroutine, for two reasons. In a
	// stage one thread does it all: namespaces and capabilities are per thread,
	// and execve takes those of the calling thread. In other programs the main
	// thread must never be the one that enters a box (see enter.go): it can't
	// end with its goroutine, and /proc/self would show the box.
	runtime.LockOSThread()
	if len(os.Args) == 2 && os.Args[0] == connectName {
		runConnect(os.Args[1])
	}
	if len(os.Args) == 0 || os.Args[0] != stageName {
		return
	}
	unix.CloseOnExec(stageConfigFD)
	unix.CloseOnExec(stageFailureFD)
	err := runStage()
	fmt.Fprintf(os.NewFile(stageFailureFD, "failure"), "preparing the root: %v", err)
	os.Exit(1)
}

// runStage only returns with an error.
func runStage() error {
	text, err := io.ReadAll(os.NewFile(stageConfigFD, "config"))
	if err != nil {
		return err
	}
	var config stageConfig
	if err := json.Unmarshal(text, &config); err != nil {
		return err
	}
	options := config.Options
	steps := []struct {
		name string
		run  func() error
	}{
		{"cgroup namespace", func() error { return unix.Unshare(unix.CLONE_NEWCGROUP) }},
		{"hostname", func() error { return unix.Sethostname([]byte(options.Hostname)) }},
		{"loopback", loopbackUp},
		{"file system", func() error { return prepareRoot(config) }},
		{"capabilities", dropCapabilities},
		{"console", attachConsole},
		{"user", func() error { return dropAll(options.Unprivileged) }},
	}
	for _, step := range steps {
		if err := step.run(); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	unix.Umask(0o022)
	environment := append([]string{"container=muster-box", "TERM=linux", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"}, options.Env...)
	err = syscall.Exec(options.Init, append([]string{options.Init}, options.Args...), environment)
	return fmt.Errorf("%s: %w", options.Init, err)
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
}

// dropCapabilities gives up what reaches the host through no namespace: its
// clock, modules, raw memory and kernel log.
func dropCapabilities() error {
	for _, capability := range []uintptr{unix.CAP_SYS_TIME, unix.CAP_SYS_MODULE, unix.CAP_SYS_RAWIO, unix.CAP_SYSLOG, unix.CAP_MAC_ADMIN, unix.CAP_MAC_OVERRIDE} {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0); err != nil {
			return err
		}
	}
	return nil
}

// dropAll becomes a user with no rights at all; nothing for user 0.
func dropAll(uid int) error {
	if uid == 0 {
		return nil
	}
	for capability := uintptr(0); capability <= unix.CAP_LAST_CAP; capability++ {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0); err != nil {
			return err
		}
	}
	if err := syscall.Setgroups(nil); err != nil {
		return err
	}
	if err := syscall.Setresgid(uid, uid, uid); err != nil {
		return err
	}
	if err := syscall.Setresuid(uid, uid, uid); err != nil {
		return err
	}
	return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
}

func attachConsole() error {
	fd, err := unix.Open("/dev/console", unix.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	for target := range 3 {
		if err := unix.Dup3(fd, target, 0); err != nil {
			return err
		}
	}
	return unix.Close(fd)
}

// writeFile puts one file of Options.Files under the new root.
func writeFile(root, inside string, file File) error {
	path := filepath.Join(root, inside)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	if file.Link != "" {
		return os.Symlink(file.Link, path)
	}
	mode := file.Mode
	if mode == 0 {
		mode = 0o644
	}
	if err := os.WriteFile(path, []byte(file.Content), mode); err != nil {
		return err
	}
	return os.Chmod(path, mode) // the umask took bits away
}
