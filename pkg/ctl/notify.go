package ctl

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/notify"
)

// notifyOptions are the options of systemd-notify(1).
type notifyOptions struct {
	ready, reloading, stopping, booted, noBlock, exec bool
	status, pid, uid, fdName                          string
	statusSet, pidSet                                 bool
	fds                                               []int
}

// notifyTool is systemd-notify: it tells the service manager what $NOTIFY_SOCKET leads to.
func notifyTool(e *Env, args []string) int {
	var o notifyOptions
	usage := "systemd-notify [OPTIONS...] [VARIABLE=VALUE...]\nsystemd-notify [OPTIONS...] --exec [VARIABLE=VALUE...] ; COMMAND...\n\n" +
		"Tell the service manager of the state of a service.\n\nOptions:\n"
	table := []option{
		{long: "ready", doc: "start-up or reload is done", set: setBool(&o.ready, true)},
		{long: "reloading", doc: "a reload begins", set: setBool(&o.reloading, true)},
		{long: "stopping", doc: "the service is ending", set: setBool(&o.stopping, true)},
		{long: "pid", arg: mayHaveArgument, name: "PID", doc: "main pid of the service: a number, auto, parent or self", set: func(v string) error {
			o.pid, o.pidSet = orDefault(v, "auto"), true
			return nil
		}},
		{long: "uid", arg: needsArgument, name: "USER", doc: "send as this user", set: setString(&o.uid)},
		{long: "status", arg: needsArgument, name: "TEXT", doc: "status text", set: func(v string) error { o.status, o.statusSet = v, true; return nil }},
		{long: "booted", doc: "tell whether a service manager is init here", set: setBool(&o.booted, true)},
		{long: "no-block", doc: "don't wait until the manager has read it", set: setBool(&o.noBlock, true)},
		{long: "exec", doc: "execute the command behind ; afterwards", set: setBool(&o.exec, true)},
		{long: "fd", arg: needsArgument, name: "FD", doc: "pass a file descriptor", set: func(v string) error {
			n, err := strconv.Atoi(v)
			if err != nil || n < 0 {
				return fmt.Errorf("Failed to parse file descriptor: %s", v)
			}
			o.fds = append(o.fds, n)
			return nil
		}},
		{long: "fdname", arg: needsArgument, name: "NAME", doc: "name of the file descriptors", set: func(v string) error {
			if !notify.ValidFDName(v) {
				return fmt.Errorf("File descriptor name invalid: %s", v)
			}
			o.fdName = v
			return nil
		}},
	}
	words, status, done := e.parseTool(usage, table, args, true)
	if done {
		return status
	}
	if o.booted {
		if booted() {
			return 0
		}
		return exitFailure
	}
	return e.notify(&o, words, usage, table)
}

func (e *Env) notify(o *notifyOptions, words []string, usage string, table []option) int {
	var command []string
	if o.exec {
		for i, w := range words {
			if w == ";" {
				words, command = words[:i], words[i+1:]
				break
			}
		}
		if len(command) == 0 {
			e.errorf("If --exec is used argument list must contain ';' separator, refusing.")
			return exitFailure
		}
	}
	lines, err := o.assignments(words)
	if err != nil {
		e.errorf("%s", err)
		return exitFailure
	}
	if len(lines) == 0 && !o.exec {
		e.printf("%s%s", usage, optionHelp(table))
		return exitFailure
	}
	address := e.Getenv("NOTIFY_SOCKET")
	if address == "" {
		e.errorf("No status data could be sent: $NOTIFY_SOCKET was not set")
		return exitFailure
	}
	if err := o.send(address, lines); err != nil {
		e.errorf("Failed to notify init system: %s", errnoText(err))
		return exitFailure
	}
	if o.exec {
		return e.execute(command)
	}
	return 0
}

// assignments are the lines of the message.
func (o *notifyOptions) assignments(words []string) ([]string, error) {
	var lines []string
	add := func(on bool, line string) {
		if on {
			lines = append(lines, line)
		}
	}
	if o.reloading {
		var t unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
			return nil, err
		}
		lines = append(lines, "RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", t.Nano()/1000))
	}
	add(o.ready, "READY=1")
	add(o.stopping, "STOPPING=1")
	add(o.statusSet, "STATUS="+o.status)
	if o.pidSet {
		pid, err := o.mainPID()
		if err != nil {
			return nil, err
		}
		lines = append(lines, "MAINPID="+strconv.Itoa(pid))
	}
	add(len(o.fds) > 0, "FDSTORE=1")
	add(o.fdName != "", "FDNAME="+o.fdName)
	return append(lines, words...), nil
}

func (o *notifyOptions) mainPID() (int, error) {
	switch o.pid {
	case "self":
		return os.Getpid(), nil
	case "auto", "parent":
		return os.Getppid(), nil
	}
	n, err := strconv.Atoi(o.pid)
	if err != nil || n <= 0 {
		return 0, fmt.Errorf("Failed to refer to --pid='%s': Invalid argument", o.pid)
	}
	return n, nil
}

// sender is the process in whose name the message goes: our parent, usually the shell script that is the service.
func (o *notifyOptions) sender() (pid, uid, gid int, err error) {
	pid, uid, gid = os.Getppid(), os.Getuid(), os.Getgid()
	if o.exec || pid == 1 {
		pid = os.Getpid()
	}
	if o.pidSet && o.pid != "auto" {
		if pid, err = o.mainPID(); err != nil {
			return 0, 0, 0, err
		}
	}
	if o.uid != "" {
		u, err := user.Lookup(o.uid)
		if err != nil {
			if u, err = user.LookupId(o.uid); err != nil {
				return 0, 0, 0, fmt.Errorf("Can't resolve user %s: %w", o.uid, err)
			}
		}
		uid, _ = strconv.Atoi(u.Uid)
		gid, _ = strconv.Atoi(u.Gid)
	}
	return pid, uid, gid, nil
}

// send writes the datagram with credentials, and then waits for the barrier unless told not to.
func (o *notifyOptions) send(address string, lines []string) error {
	sa := &unix.SockaddrUnix{Name: address}
	if !strings.HasPrefix(address, "/") && !strings.HasPrefix(address, "@") {
		return sendVsock(address, lines)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	pid, uid, gid, err := o.sender()
	if err != nil {
		return err
	}
	if len(lines) > 0 {
		control := unix.UnixCredentials(&unix.Ucred{Pid: int32(pid), Uid: uint32(uid), Gid: uint32(gid)})
		if len(o.fds) > 0 {
			control = append(control, unix.UnixRights(o.fds...)...)
		}
		err = unix.Sendmsg(fd, []byte(strings.Join(lines, "\n")), control, sa, unix.MSG_NOSIGNAL)
		if errors.Is(err, unix.EPERM) {
			// Only root may speak for another process; then it is us who speak.
			control = nil
			if len(o.fds) > 0 {
				control = unix.UnixRights(o.fds...)
			}
			err = unix.Sendmsg(fd, []byte(strings.Join(lines, "\n")), control, sa, unix.MSG_NOSIGNAL)
		}
		if err != nil {
			return err
		}
	}
	if o.noBlock {
		return nil
	}
	return barrier(fd, sa)
}

// barrierMSec is how long the manager may take to come to our message.
const barrierMSec = 5000

// barrier sends one end of a pipe, which the manager closes when it has read everything before it.
func barrier(fd int, sa unix.Sockaddr) error {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return err
	}
	defer unix.Close(p[0])
	err := unix.Sendmsg(fd, []byte("BARRIER=1"), unix.UnixRights(p[1]), sa, unix.MSG_NOSIGNAL)
	unix.Close(p[1])
	if err != nil {
		return err
	}
	poll := []unix.PollFd{{Fd: int32(p[0])}}
	for {
		n, err := unix.Poll(poll, barrierMSec)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return err
		case n == 0:
			return unix.ETIMEDOUT
		}
		return nil
	}
}

func sendVsock(address string, lines []string) error {
	s, err := notify.Open(address)
	if err != nil {
		return err
	}
	defer s.Close()
	return s.Send(lines...)
}

// execute replaces this process by a command.
func (e *Env) execute(argv []string) int {
	program, err := exec.LookPath(argv[0])
	if err == nil {
		e.Flush()
		err = unix.Exec(program, argv, e.Environ())
	}
	e.errorf("Failed to execute command '%s': %s", argv[0], errnoText(err))
	return exitFailure
}
