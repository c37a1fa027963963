package ctl

import (
	"os"
	"path/filepath"

	"github.com/muster-init/muster/pkg/bus"
	"github.com/muster-init/muster/pkg/unit/value"
)

// rebootParameter is where the argument of reboot(2) waits for the end of the shutdown.
const rebootParameter = "/run/systemd/reboot-param"

// prepareReboot hands on what options say about the next boot: to logind, which tells the firmware, and the argument of reboot(2) in its file.
func (s *systemctl) prepareReboot() int {
	if s.o.rebootArgument != "" && !s.o.dryRun {
		file := s.path(rebootParameter)
		err := os.MkdirAll(filepath.Dir(file), 0o755)
		if err == nil {
			err = os.WriteFile(file, []byte(s.o.rebootArgument), 0o644)
		}
		if err != nil {
			s.errorf("Failed to write reboot parameter file: %s", errnoText(err))
			return exitFailure
		}
	}
	var calls []*bus.Message
	if s.o.firmwareSetup {
		calls = append(calls, logindCall("SetRebootToFirmwareSetup", true))
	}
	if s.o.bootLoaderMenu != "" {
		n, err := value.ParseSec(s.o.bootLoaderMenu, value.USecPerSec)
		if err != nil {
			s.errorf("Failed to parse --boot-loader-menu= argument '%s': Invalid argument", s.o.bootLoaderMenu)
			return exitFailure
		}
		calls = append(calls, logindCall("SetRebootToBootLoaderMenu", uint64(n)))
	}
	if s.o.bootLoaderEntry != "" {
		calls = append(calls, logindCall("SetRebootToBootLoaderEntry", s.o.bootLoaderEntry))
	}
	if len(calls) == 0 || s.o.dryRun {
		return 0
	}
	c, ok := s.dialLogind()
	if !ok {
		s.errorf("Cannot indicate to the boot loader what to boot: logind is not running")
		return exitFailure
	}
	defer c.Close()
	for _, m := range calls {
		if _, err := c.Call(m); err != nil {
			s.errorf("Cannot indicate to the boot loader what to boot: %s", errorText(err))
			return exitFailure
		}
	}
	return 0
}
