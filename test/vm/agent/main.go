// Agent is the part of the virtual machine level that runs inside: first as
// /init of the initramfs, then beside the init under test.
//
// As /init it loads the modules that the root disk needs, mounts the root,
// copies the files of this test over it, leaves a child behind and becomes
// /sbin/init of the root. The child runs the commands that come over the second
// serial port; it is no unit and nobody's service, so it answers whatever state
// PID 1 is in. Its argv[0] begins with '@': at shutdown such a process, which
// came from the initramfs, is spared.
//
// Called by the name `host` it asks the host for something on behalf of a script.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	var err error
	switch {
	case filepath.Base(os.Args[0]) == "host":
		err = askHost(os.Args[1:])
	case os.Args[0] == agentName:
		err = serve()
	case filepath.Base(os.Args[0]) == "vm-agent":
		err = behindDebian()
	default:
		err = initramfs()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "agent:", err)
		os.Exit(1)
	}
}
