package sandbox

import (
	"cmp"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/kernel"
)

// getent asks the C library's name service, for users that are in no file and
// that userdb does not know: LDAP, SSSD and the like.
func getent(database, name string) ([]byte, error) {
	const program = "/usr/bin/getent"
	if there, err := exists(program); err != nil || !there {
		return nil, cmp.Or(err, error(unix.ENOENT))
	}
	var out [2]int
	if err := unix.Pipe2(out[:], unix.O_CLOEXEC); err != nil {
		return nil, err
	}
	defer unix.Close(out[0])
	var l kernel.OpList
	l.OpenTo(plan.ExitStdin, "/dev/null", unix.O_RDONLY, 0, 0)
	l.Dup(plan.ExitStdout, out[1], 1)
	l.OpenTo(plan.ExitStderr, "/dev/null", unix.O_WRONLY, 0, 2)
	l.Exec(plan.ExitExec, program, []string{"getent", database, name}, []string{"PATH=/usr/bin:/bin", "LC_ALL=C"})
	child, err := kernel.Spawn(&l, kernel.SpawnOptions{})
	unix.Close(out[1])
	if err != nil {
		return nil, err
	}
	text, err := readUntil(out[0], lookupTimeoutMSec)
	if err != nil {
		// Only our own child: a name service that hangs is given up.
		_ = unix.PidfdSendSignal(child.PidFD, unix.SIGKILL, nil, 0)
	}
	var status unix.WaitStatus
	for {
		if _, werr := unix.Wait4(child.Pid, &status, 0, nil); werr != unix.EINTR {
			break
		}
	}
	unix.Close(child.PidFD)
	child.Release()
	if err != nil {
		return nil, err
	}
	if !status.Exited() || status.ExitStatus() != 0 {
		return nil, errNoEntry
	}
	return text, nil
}

// readUntil reads to the end, for at most timeoutMSec without news.
func readUntil(fd, timeoutMSec int) ([]byte, error) {
	var text []byte
	buf := make([]byte, 4096)
	for {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, timeoutMSec)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return nil, unix.ETIMEDOUT
		}
		if n, err = unix.Read(fd, buf); err != nil {
			return nil, err
		}
		if n == 0 {
			return text, nil
		}
		if text = append(text, buf[:n]...); len(text) > maxReply {
			return nil, unix.EFBIG
		}
	}
}
