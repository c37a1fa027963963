//go:build amd64 || arm64

package kernel

import (
	"fmt"
	"os"
	"runtime"
	"testing"

	"github.com/muster-init/muster/pkg/kernel/rawsig"
	"golang.org/x/sys/unix"
)

func init() {
	helpers["early"] = earlyHelper
}

// earlyHelper is process 1 and does at the start of main what package early
// does in its initialisation. The signals come before there is a pipe.
func earlyHelper([]string) {
	runtime.LockOSThread()
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGHUP, unix.SIGINT} {
		rawsig.Install(int(sig), rawsig.Writer)
		// To this thread, which has it when the call returns; one to the process may be another thread's, some time.
		_ = unix.Tgkill(os.Getpid(), unix.Gettid(), sig)
	}
	fd, err := InstallSignals(ManagerSignals())
	if err != nil {
		fmt.Println(err)
		return
	}
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 60_000)
	for err == unix.EINTR {
		n, err = unix.Poll(fds, 60_000)
	}
	fmt.Println(os.Getpid(), n, err)
	for {
		s, ok := ReadSignal(fd)
		if !ok {
			return
		}
		fmt.Println(int(s.Signo), s.Lost)
	}
}

func TestEarlySignals(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to make a pid namespace")
	}
	var l OpList
	out, ws, res := spawnRead(t, &l, SpawnOptions{Flags: unix.CLONE_NEWPID}, func(l *OpList) {
		execHelper(l, "early")
	})
	if want := "1 1 <nil>\n1 true\n2 true\n15 true\n"; out != want {
		t.Errorf("%q %v %+v", out, ws, res)
	}
	if rawsig.IsInit() {
		t.Error("the test is process 1")
	}
}
