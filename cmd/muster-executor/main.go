// muster-executor is started by the manager between clone and execve of a
// service whose plan needs more than a fixed list of system calls. It is not
// for people: its one argument is the number of a file descriptor with the
// plan.
package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/sandbox"
)

const exitUsage = 64

func init() {
	// Credentials and priorities belong to the thread that executes.
	runtime.LockOSThread()
	// The program lives for a millisecond or two.
	debug.SetGCPercent(-1)
}

func main() {
	args := os.Args
	if len(args) != 2 {
		_, _ = unix.Write(2, []byte("muster-executor: is started by muster only\n"))
		unix.Exit(exitUsage)
	}
	fd, err := strconv.Atoi(args[1])
	if err != nil {
		unix.Exit(exitUsage)
	}
	unix.Exit(int(sandbox.Main(fd)))
}
