package sandbox

import (
	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/cgroup/bpf"
	"github.com/muster-init/muster/pkg/execplan/plan"
)

// restrictFileSystems gives the unit's control group the program of
// RestrictFileSystems=. From here on it holds for this process, too: what the
// steps behind it open has to be on a file system that is allowed.
func restrictFileSystems(r *run) *plan.Failure {
	fs := r.p.Sandbox.FileSystems
	dir, err := -1, error(unix.ENOENT)
	if fs.CgroupDir != "" {
		dir, err = unix.Open(fs.CgroupDir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	}
	if err == nil {
		defer unix.Close(dir)
		err = bpf.RestrictFileSystems(dir, fs.Magic, fs.Allow)
	}
	if err != nil {
		// Which error says that the kernel has no such hooks depends on what of them is missing.
		return without(r.p, failed(plan.ExitBPF, "RestrictFileSystems", fs.CgroupDir, err))
	}
	return nil
}
