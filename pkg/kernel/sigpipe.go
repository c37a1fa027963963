package kernel

import (
	"os/signal"

	"golang.org/x/sys/unix"
)

// IgnoreBrokenPipes keeps the process alive when somebody stops reading our
// standard output or error: Go ends a program that writes to such an os.File,
// and for process 1 a vanished console reader would be the end of the machine.
// Children inherit the ignored signal; set it anew in their op lists.
func IgnoreBrokenPipes() { signal.Ignore(unix.SIGPIPE) }
