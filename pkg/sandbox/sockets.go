package sandbox

import (
	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/kernel"
)

// makeSockets makes the sockets of a socket unit in its control group and sends
// them to the manager, which binds them.
func makeSockets(p *plan.Plan) *plan.Failure {
	s := p.Sockets
	fail := func(path string, err error) *plan.Failure { return failed(plan.ExitNetwork, "sockets", path, err) }
	if len(p.FDs) == 0 {
		return fail("", unix.EBADF)
	}
	switch {
	case s.NetNS != "":
		ns, err := unix.Open(s.NetNS, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
		if err == nil {
			err = unix.Setns(ns, unix.CLONE_NEWNET)
			unix.Close(ns)
		}
		if err != nil {
			return fail(s.NetNS, err)
		}
	case s.PrivateNet:
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fail("", err)
		}
		if err := loopbackUp(); err != nil {
			return fail("lo", err)
		}
	}
	var made []int
	for _, k := range s.Kinds {
		fd, err := kernel.MakeSocket(int(k[0]), int(k[1]), int(k[2]))
		if err != nil {
			return fail("", err)
		}
		made = append(made, fd)
	}
	if err := kernel.SendFDs(int(p.FDs[0]), made); err != nil {
		return fail("", err)
	}
	return nil
}
