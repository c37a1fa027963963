package device

import "github.com/muster-init/muster/pkg/generator/output"

// Check writes the service of the initrd that checks a file system of the real root before it is mounted. program is the beginning of its command line;
// root tells the root file system from /usr.
func Check(t *output.Tree, d output.Dir, generator, file, what, program string, root bool) error {
	u := output.NewUnit(generator)
	u.Set("Unit", "Description", "File system check of "+what)
	u.Set("Unit", "DefaultDependencies", "no")
	u.Set("Unit", "Conflicts", "shutdown.target")
	if err := Bind(u, what); err != nil {
		return err
	}
	if root {
		u.Set("Unit", "After", "initrd-root-device.target")
	}
	u.Set("Unit", "After", "local-fs-pre.target")
	u.Set("Unit", "Before", "shutdown.target")
	u.Set("Service", "Type", "oneshot")
	u.Set("Service", "RemainAfterExit", "yes")
	u.Set("Service", "ExecStart", program+" "+Argument(what))
	u.Set("Service", "TimeoutSec", "infinity")
	return t.Write(d, file, u)
}
