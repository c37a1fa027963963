package mount

import (
	"strings"

	"github.com/muster-init/muster/pkg/engine/machine"
	"github.com/muster-init/muster/pkg/unit"
	"github.com/muster-init/muster/pkg/unit/value"
)

// Programs that do the work; mount(8), umount(8).
const (
	mountProgram  = "/usr/bin/mount"
	umountProgram = "/usr/bin/umount"
)

// Commands gives the command line of a phase. It follows from the settings alone, so it is the same after a reload as long as they are.
func Commands(u *unit.Unit, phase machine.Phase) []value.Command {
	c := u.GetMount()
	where := Where(u)
	var argv []string
	switch phase {
	case machine.ExecMount:
		argv = []string{mountProgram, c.What, where}
		if c.SloppyOptions {
			argv = append(argv, "-s")
		}
		if c.ReadWriteOnly {
			argv = append(argv, "-w")
		}
		if c.Type != "" {
			argv = append(argv, "-t", c.Type)
		}
		if o := options(c.Options); o != "" {
			argv = append(argv, "-o", o)
		}
	case machine.ExecRemount:
		o := "remount"
		if rest := options(c.Options); rest != "" {
			o += "," + rest
		}
		argv = []string{mountProgram, c.What, where, "-o", o}
		if c.SloppyOptions {
			argv = append(argv, "-s")
		}
		if c.ReadWriteOnly {
			argv = append(argv, "-w")
		}
		if c.Type != "" {
			argv = append(argv, "-t", c.Type)
		}
	case machine.ExecUnmount:
		argv = []string{umountProgram, where, "-c"}
		if c.LazyUnmount {
			argv = append(argv, "-l")
		}
		if c.ForceUnmount {
			argv = append(argv, "-f")
		}
	default:
		return nil
	}
	return []value.Command{{Path: argv[0], Argv: argv}}
}

// options leaves out what is meant for whoever reads fstab(5) and is no option of a mount.
func options(list string) string {
	var out []string
	for o := range strings.SplitSeq(list, ",") {
		switch o {
		case "", "nofail", "fail", "auto", "noauto":
		default:
			out = append(out, o)
		}
	}
	return strings.Join(out, ",")
}

// Where is the mount point.
func Where(u *unit.Unit) string {
	if w := u.GetMount().Where; w != "" {
		return w
	}
	p, err := unit.NameToPath(u.Name)
	if err != nil {
		return ""
	}
	return p
}
