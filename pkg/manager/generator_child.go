package manager

import (
	"errors"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/generator"
	"github.com/muster-init/muster/pkg/kernel"
)

// generatorChild is a generator that runs.
type generatorChild struct {
	program        string
	child          *kernel.Child
	output, errors stream
	ended, killed  bool
	status         string // how it ended, "" for well
}

// stream is a pipe that a generator writes to.
type stream struct {
	fd   int // -1: closed
	text []byte
	max  int
	over bool // it said more than max
}

// start starts a generator in a session of its own. Of an environment generator the standard output is wanted, of others it belongs to the errors.
func (g *generatorRun) start(program string, args, env []string, sandbox bool) (*generatorChild, error) {
	c := &generatorChild{program: program, output: stream{fd: -1, max: generatorEnvironmentMax}, errors: stream{fd: -1, max: helperOutputMax}}
	errorsIn, err := c.errors.open()
	if err != nil {
		return nil, err
	}
	defer unix.Close(errorsIn)
	outputIn := errorsIn
	if len(args) == 1 {
		if outputIn, err = c.output.open(); err != nil {
			c.errors.close()
			return nil, err
		}
		defer unix.Close(outputIn)
	}
	var l kernel.OpList
	var opt kernel.SpawnOptions
	l.Setsid(generatorStatus)
	l.OpenTo(generatorStatus, "/dev/null", unix.O_RDWR, 0, 0)
	l.PlaceFDs(generatorStatus, []int{outputIn, errorsIn}, 1)
	l.CloexecFrom(generatorStatus, 3)
	helperLimits(&l)
	l.Setrlimit(generatorStatus, unix.RLIMIT_FSIZE, generator.FileBytesMax, generator.FileBytesMax)
	l.Setrlimit(generatorStatus, unix.RLIMIT_CORE, 0, 0)
	l.Umask(0o022)
	if sandbox {
		opt.Flags = unix.CLONE_NEWNS
		g.enterSandbox(&l)
	}
	l.Exec(generatorStatus, program, args, env)
	if c.child, err = g.helpers.spawn(&l, opt); err != nil {
		c.errors.close()
		c.output.close()
		return nil, err
	}
	return c, nil
}

// sandboxWritable are file systems that stay as they are: generators have always kept notes for each other in /run, and take a /sys that is
// read-only for that of a container, whose disks are not its own: the one of fstab would leave out every disk.
var sandboxWritable = []string{"/run", "/dev", "/dev/shm", "/sys"}

// writableMounts are those of them that are mount points of their own and can be written.
func writableMounts() (list []string) {
	for _, dir := range sandboxWritable {
		var st unix.Statfs_t
		if mounted, err := kernel.IsMounted(dir); err == nil && mounted && unix.Statfs(dir, &st) == nil && st.Flags&unix.ST_RDONLY == 0 {
			list = append(list, dir)
		}
	}
	return list
}

// enterSandbox makes everything read-only in the mount namespace of the child but the output, a /tmp of its own and sandboxWritable
// (systemd.generator(7)).
func (g *generatorRun) enterSandbox(l *kernel.OpList) {
	mount := func(source, target, fstype string, flags uintptr, data string) {
		l.Syscall(kernel.OpMount, sandboxStatus, unix.SYS_MOUNT, l.String(source), l.String(target), l.String(fstype), kernel.Value(flags), l.String(data))
	}
	attr := func(path string, flags uintptr, set, clear uint64) {
		a := unix.MountAttr{Attr_set: set, Attr_clr: clear}
		bytes := unsafe.Slice((*byte)(unsafe.Pointer(&a)), unsafe.Sizeof(a))
		l.Syscall(kernel.OpMount, sandboxStatus, unix.SYS_MOUNT_SETATTR, kernel.FD(unix.AT_FDCWD), l.String(path), kernel.Value(flags), l.Bytes(bytes),
			kernel.Value(unsafe.Sizeof(a)))
	}
	mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, "")
	for i, dir := range g.output.Dirs() {
		mount(g.staging.Dirs()[i], dir, "", unix.MS_BIND, "")
	}
	mount("tmpfs", "/tmp", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_STRICTATIME, "mode=1777,size=10%,nr_inodes=100k")
	attr("/", unix.AT_RECURSIVE, unix.MOUNT_ATTR_RDONLY, 0)
	for _, dir := range append(append(g.output.Dirs(), "/tmp"), g.writable...) {
		attr(dir, 0, 0, unix.MOUNT_ATTR_RDONLY)
	}
}

// await waits until all have ended. Those that haven't when the time is over are killed, with what they started, and given up if they can't be killed.
func (g *generatorRun) await(list []*generatorChild, deadline time.Time) {
	giveUp := deadline.Add(generatorGrace)
	for {
		var fds []unix.PollFd
		var what []func()
		for _, c := range list {
			for _, s := range []*stream{&c.output, &c.errors} {
				if s.fd >= 0 {
					fds = append(fds, unix.PollFd{Fd: int32(s.fd), Events: unix.POLLIN})
					what = append(what, s.read)
				}
			}
			if !c.ended {
				fds = append(fds, unix.PollFd{Fd: int32(c.child.PidFD), Events: unix.POLLIN})
				what = append(what, func() { c.reap(g.helpers) })
			}
		}
		if len(fds) == 0 {
			return
		}
		left := time.Until(deadline)
		if left <= 0 {
			for _, c := range list {
				c.kill()
				if time.Now().After(giveUp) {
					c.abandon(g.helpers)
				}
			}
			deadline = time.Now().Add(time.Second) // a process that dies slowly is killed again
			continue
		}
		if g.atBoot {
			kernel.Beat() // nothing else says that the loop is alive
		}
		n, err := unix.Poll(fds, int(min(left, time.Second).Milliseconds())+1)
		if err != nil && err != unix.EINTR || n <= 0 {
			continue
		}
		for i, f := range fds {
			if f.Revents != 0 {
				what[i]()
			}
		}
	}
}

// kill ends the generator and everything in its session that did not leave its process group.
func (c *generatorChild) kill() {
	if c.ended {
		return
	}
	c.killed = true
	_ = unix.Kill(-c.child.Pid, unix.SIGKILL)
	_ = kernel.PidFDSignal(c.child.PidFD, unix.SIGKILL)
}

// abandon leaves a generator to itself that does not die. Its memory is not given back, as it may still use it.
func (c *generatorChild) abandon(h *helpers) {
	if c.ended {
		return
	}
	c.ended, c.status = true, "did not end in time and can't be killed"
	h.forget(c.child.Pid)
	_ = unix.Close(c.child.PidFD)
	c.output.close()
	c.errors.close()
}

// reap takes the exit of a generator that has ended. What it left running is killed: its work is over when it ends, and an open pipe must not hold up
// the boot.
func (c *generatorChild) reap(h *helpers) {
	if unix.Waitid(unix.P_PIDFD, c.child.PidFD, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil) == nil {
		_ = unix.Kill(-c.child.Pid, unix.SIGKILL) // not reaped yet, so the number is still that of its group
	}
	exit, ok, err := kernel.ReapPidFD(c.child.PidFD)
	if err != nil || !ok {
		taken := h.take(c.child.Pid)
		switch {
		case taken != nil:
			exit = *taken
		case err != nil && !errors.Is(err, unix.ECHILD):
			c.status = err.Error()
		default:
			time.Sleep(time.Millisecond) // reaped by the loop, which is about to hand it over
			return
		}
	}
	c.ended = true
	if c.status == "" {
		c.status = exitText(exit)
	}
	if c.killed {
		c.status = "did not end in time and was killed"
	}
	h.forget(c.child.Pid)
	if err := c.child.Release().Err(); err != nil {
		c.status = "could not be started: " + err.Error()
	}
	_ = unix.Close(c.child.PidFD)
	for _, s := range []*stream{&c.output, &c.errors} {
		for n := 0; s.fd >= 0 && n <= s.max/len(streamBuffer{}); n++ {
			if !s.readOne() {
				break
			}
		}
		s.close()
	}
	if c.output.over {
		c.status = "printed more than 1 MiB"
	}
}

// open makes the pipe and returns the end to write to.
func (s *stream) open() (int, error) {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return -1, err
	}
	s.fd = pipe[0]
	// The generator's end blocks as that of any program does.
	return pipe[1], unix.SetNonblock(pipe[1], false)
}

func (s *stream) close() {
	if s.fd >= 0 {
		_ = unix.Close(s.fd)
		s.fd = -1
	}
}

func (s *stream) read() { s.readOne() }

type streamBuffer [4096]byte

// readOne reads once and reports whether there may be more. One that says too much finds its pipe closed.
func (s *stream) readOne() bool {
	if s.fd < 0 {
		return false
	}
	var buf streamBuffer
	n, err := unix.Read(s.fd, buf[:])
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return false
	case n <= 0:
		s.close()
		return false
	}
	s.text = append(s.text, buf[:n]...)
	if len(s.text) > s.max {
		s.text, s.over = s.text[:s.max], true
		s.close()
		return false
	}
	return true
}
