// Package box boots an init as PID 1 in its own pid, mount, uts, ipc, network
// and cgroup namespaces over an overlay of a root directory, for tests,
// `make run` and the benchmark.
//
// Invariants:
//  1. The root directory is only read: everything written lands in a tmpfs
//     that lives in the box's mount namespace and vanishes with it.
//  2. Every process of the box, also one started by Exec, is in the box's own
//     cgroup tree, so Stop can kill all of them whatever they became.
//  3. If the program that started the box dies, its PID 1 is killed
//     (PR_SET_PDEATHSIG) and the kernel ends the pid namespace; the empty
//     cgroups left behind are swept by the next Start.
//  4. The host keeps its clock, modules, sysctls and kernel log: the
//     capabilities for them are dropped, /proc/sys is read-only but for net.
//
// A program that imports this package is started a second time as the first
// process of the box (see stage.go); init() here takes over in that case.
package box

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Bind makes a host path visible inside.
type Bind struct {
	Source   string // host path, file or directory
	Target   string // path inside; made when missing
	Writable bool
}

// File is written into the overlay before the init starts.
type File struct {
	Content string
	Mode    os.FileMode // 0 means 0644
	Link    string      // when set, a symlink to this instead
}

// Options says what to boot. Root and Init are required.
type Options struct {
	Root     string          // directory of a complete root file system
	Init     string          // program inside the root that becomes PID 1
	Args     []string        // further arguments of the init
	Env      []string        // further environment of the init
	Binds    []Bind          // host files inside
	Files    map[string]File // path inside to content
	Hostname string          // "muster" when empty
	// Unprivileged is the user an init without any rights runs as, the way an
	// orchestrator starts a pod that drops all capabilities: no capability, no
	// new privileges, cgroups read-only, no mounts. 0: a privileged box.
	Unprivileged int
	Log          io.Writer // gets the console as it comes; may be nil
	Replies      []Reply   // what is typed at the console, one after the other
}

// Status is how PID 1 ended. In a pid namespace reboot(2) ends PID 1 with a
// signal, see pid_namespaces(7): SIGINT for halt and power-off, SIGHUP for
// restart.
type Status struct {
	Code     int // exit code; -1 when it ended by a signal
	Signal   syscall.Signal
	PowerOff bool // halt or power-off was asked for
	Reboot   bool // restart was asked for
}

func (s Status) String() string {
	switch {
	case s.PowerOff:
		return "powered off"
	case s.Reboot:
		return "rebooted"
	case s.Code >= 0:
		return "exited with " + strconv.Itoa(s.Code)
	}
	return "killed by " + s.Signal.String()
}

// Clean is true when PID 1 ended as asked, not by a fault.
func (s Status) Clean() bool { return s.PowerOff || s.Reboot || s.Code == 0 }

// Box is one running container.
type Box struct {
	pid     int
	scratch string // host directory, mount point of the tmpfs inside the box
	cgroup  *cgroupTree
	console *console

	done   chan struct{} // closed when PID 1 was reaped
	status Status

	mutex sync.Mutex
	execs int
}

// Start boots Options.Init and returns once it was executed. It fails without
// root, and says so.
func Start(options Options) (*Box, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("container: needs root (namespaces, overlay mounts and cgroups): run it with sudo")
	}
	if options.Root == "" || options.Init == "" {
		return nil, errors.New("container: Root and Init are required")
	}
	if options.Hostname == "" {
		options.Hostname = "muster"
	}
	tree, err := newCgroupTree()
	if err != nil {
		return nil, fmt.Errorf("container: %w", err)
	}
	b := &Box{cgroup: tree, done: make(chan struct{})}
	if err := b.launch(options); err != nil {
		b.cleanup()
		return nil, fmt.Errorf("container: %w", err)
	}
	return b, nil
}

func (b *Box) launch(options Options) error {
	var err error
	if b.scratch, err = os.MkdirTemp("", "muster-box-"); err != nil {
		return err
	}
	if b.console, err = openConsole(options.Log, options.Replies); err != nil {
		return err
	}
	config, err := json.Marshal(stageConfig{Options: withoutLog(options), Scratch: b.scratch, Console: b.console.slave})
	if err != nil {
		return err
	}
	failure, err := b.spawn(config)
	if err != nil {
		return err
	}
	defer failure.Close()
	text, err := io.ReadAll(io.LimitReader(failure, 64<<10))
	if err != nil {
		return err
	}
	if len(text) > 0 { // the stage reports before it executes the init, else the pipe just closes
		<-b.done
		return errors.New(string(text))
	}
	return nil
}

func withoutLog(options Options) Options {
	options.Log = nil
	return options
}

// spawn starts the stage as PID 1 of new namespaces and returns the pipe it
// reports failure on. PDEATHSIG follows the thread that forked, so one locked
// thread forks, waits and stays.
func (b *Box) spawn(config []byte) (*os.File, error) {
	failureRead, failureWrite, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	configFile, err := memfd("muster-box", config)
	if err != nil {
		return nil, err
	}
	payload, err := os.Open(b.cgroup.payload)
	if err != nil {
		return nil, err
	}
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		cmd := &exec.Cmd{
			Path: "/proc/self/exe", Args: []string{stageName}, Env: []string{"PATH=" + os.Getenv("PATH")},
			ExtraFiles: []*os.File{configFile, failureWrite},
			SysProcAttr: &syscall.SysProcAttr{
				Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWNET,
				Setsid:     true, Pdeathsig: syscall.SIGKILL,
				UseCgroupFD: true, CgroupFD: int(payload.Fd()),
			},
		}
		err := cmd.Start()
		for _, file := range []*os.File{configFile, failureWrite, payload} {
			file.Close()
		}
		if err == nil {
			b.pid = cmd.Process.Pid
		}
		result <- err
		if err == nil {
			// The error only repeats what ProcessState says.
			_ = cmd.Wait()
			b.status = statusOf(cmd.ProcessState)
			b.console.finish()
			close(b.done)
		}
	}()
	if err := <-result; err != nil {
		failureRead.Close()
		close(b.done)
		return nil, err
	}
	return failureRead, nil
}

func statusOf(state *os.ProcessState) Status {
	wait, ok := state.Sys().(syscall.WaitStatus)
	if !ok || !wait.Signaled() {
		return Status{Code: state.ExitCode()}
	}
	return Status{
		Code: -1, Signal: wait.Signal(),
		PowerOff: wait.Signal() == syscall.SIGINT, Reboot: wait.Signal() == syscall.SIGHUP,
	}
}

// PID is PID 1 of the box as seen from the host.
func (b *Box) PID() int { return b.pid }

// Done is closed when PID 1 has ended, and all it wrote to the console is there.
func (b *Box) Done() <-chan struct{} { return b.done }

// Wait waits for PID 1 to end.
func (b *Box) Wait(ctx context.Context) (Status, error) {
	select {
	case <-b.done:
		return b.status, nil
	case <-ctx.Done():
		return Status{}, fmt.Errorf("container: PID 1 still runs: %w", ctx.Err())
	}
}

// Console is the newest part of what was written to the console, at most 1 MiB.
func (b *Box) Console() string { return b.console.text() }

// Signal sends a signal to PID 1; SIGRTMIN+4 asks for a clean power-off.
func (b *Box) Signal(signal syscall.Signal) error { return syscall.Kill(b.pid, signal) }

// PowerOff is SIGRTMIN+4 of systemd(1): start poweroff.target.
const PowerOff = syscall.Signal(34 + 4)

// Path is a path of the box's file system as the host reaches it.
func (b *Box) Path(inside string) string {
	return filepath.Join("/proc", strconv.Itoa(b.pid), "root", inside)
}

// Stop kills every process of the box and removes its cgroups and files. It is
// safe to call twice and after PID 1 has ended.
func (b *Box) Stop() error {
	if err := b.cgroup.kill(); err != nil {
		return fmt.Errorf("container: %w", err)
	}
	select {
	case <-b.done:
	case <-time.After(2 * time.Minute):
		return fmt.Errorf("container: pid %d does not go away after SIGKILL", b.pid)
	}
	return b.cleanup()
}

func (b *Box) cleanup() error {
	var errs []error
	if b.console != nil {
		b.console.close()
	}
	if b.scratch != "" {
		if err := os.Remove(b.scratch); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	errs = append(errs, b.cgroup.remove())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("container: %w", err)
	}
	return nil
}

func memfd(name string, content []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd: %w", err)
	}
	file := os.NewFile(uintptr(fd), name)
	if _, err := file.Write(content); err != nil {
		return nil, err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return file, nil
}

// overlayEscape makes a path fit for the lowerdir= option, where a colon and a
// backslash separate and a comma ends the option.
func overlayEscape(path string) string {
	return strings.NewReplacer(`\`, `\\`, `:`, `\:`, `,`, `\,`).Replace(path)
}
