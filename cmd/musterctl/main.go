// Command musterctl talks to the service manager: systemctl(1) and more. Called by another name (systemctl, systemd-run, shutdown …) it is that tool.
package main

import (
	"os"

	"github.com/muster-init/muster/pkg/ctl"
)

func main() {
	os.Exit(ctl.Main(os.Args))
}
