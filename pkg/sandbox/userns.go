package sandbox

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/kernel"
)

// mapEverything is the length of a map of all ids but the last.
const mapEverything = 1<<32 - 1

// identityRange is how many ids PrivateUsers=identity maps to themselves.
const identityRange = 65536

// users enters the user namespace of PrivateUsers=. A process may write its own
// maps only for itself, so a helper outside writes them. The kernel lets only
// single-threaded processes unshare users: the runtime's other threads end
// here, and what follows does without them.
func users(r *run) *plan.Failure {
	if r.p.Sandbox.UsersPath != "" {
		return joinUsers(r.p.Sandbox.UsersPath)
	}
	fail := func(err error) *plan.Failure { return failed(plan.ExitUser, "PrivateUsers", "", err) }
	if delegatesBPF(r.p.Sandbox) {
		if err := r.bpf.start(r.p.Sandbox.BPFOptions); err != nil {
			return failed(plan.ExitBPF, "BPFDelegateCommands", "", err)
		}
	}
	uidMap, gidMap := idMaps(r.p)
	var ready, done [2]int
	if err := errors.Join(unix.Pipe2(ready[:], unix.O_CLOEXEC), unix.Pipe2(done[:], unix.O_CLOEXEC)); err != nil {
		return fail(err)
	}
	var l kernel.OpList
	proc := fmt.Sprintf("/proc/%d/", unix.Getpid())
	buf := l.Bytes(make([]byte, 8))
	l.Close(kernel.FD(ready[1]))
	l.Syscall(kernel.OpOther, plan.ExitUser, unix.SYS_READ, kernel.FD(ready[0]), buf, kernel.Value(1))
	l.WriteFile(plan.ExitUser, proc+"uid_map", uidMap)
	l.WriteFile(plan.ExitUser, proc+"gid_map", gidMap)
	l.Exit(0)
	child, err := kernel.Spawn(&l, kernel.SpawnOptions{})
	if err != nil {
		return fail(err)
	}
	unix.Close(child.PidFD)
	if err := endOtherThreads(); err != nil {
		return fail(err)
	}
	unshared := rawErr(unix.RawSyscall(unix.SYS_UNSHARE, unix.CLONE_NEWUSER, 0, 0))
	if unshared == nil {
		unshared = rawWrite(ready[1])
	}
	// If that failed, closing lets the helper go on and end by itself.
	rawClose(ready[1])
	status, err := rawWait(child.Pid)
	switch {
	case unshared != nil:
		return fail(unshared)
	case err != nil:
		return fail(err)
	case status != 0:
		if r := child.Release(); r.Errno != 0 {
			return fail(r.Errno)
		}
		return fail(unix.ECHILD)
	}
	return nil
}

// joinUsers enters the user namespace of UserNamespacePath=.
func joinUsers(path string) *plan.Failure {
	fail := func(err error) *plan.Failure { return failed(plan.ExitUser, "UserNamespacePath", path, err) }
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		return fail(err)
	}
	if err := endOtherThreads(); err != nil {
		return fail(err)
	}
	err = rawErr(unix.RawSyscall(unix.SYS_SETNS, uintptr(fd), unix.CLONE_NEWUSER, 0))
	rawClose(fd)
	if err != nil {
		return fail(err)
	}
	return nil
}

// delegated makes the namespaces of DelegateNamespaces= once more, now as
// property of the user namespace: what was mounted before is in the new one,
// and can't be taken off there. The process has one thread by now.
func delegated(r *run) *plan.Failure {
	s := r.p.Sandbox
	flags := uint64(0)
	for _, ns := range []struct {
		flag uint64
		on   bool
	}{
		{unix.CLONE_NEWNS, s.MountNamespace},
		{unix.CLONE_NEWNET, s.PrivateNetwork && s.NetworkPath == ""},
		{unix.CLONE_NEWIPC, s.PrivateIPC && s.IPCPath == ""},
		{unix.CLONE_NEWUTS, isOn(s.ProtectHostname)},
		{unix.CLONE_NEWCGROUP, ownCgroups(s)},
	} {
		if ns.on {
			flags |= ns.flag & s.Delegated
		}
	}
	if flags == 0 {
		return nil
	}
	if err := rawErr(unix.RawSyscall(unix.SYS_UNSHARE, uintptr(flags), 0, 0)); err != nil {
		return namespaceFailure("DelegateNamespaces", "", err)
	}
	if flags&unix.CLONE_NEWNET != 0 {
		if err := rawLoopbackUp(); err != nil {
			return failed(plan.ExitNetwork, "PrivateNetwork", "lo", err)
		}
	}
	return nil
}

// idMaps are the lines of uid_map and gid_map: "inside outside length".
func idMaps(p *plan.Plan) (uids, gids string) {
	switch p.Sandbox.PrivateUsers {
	case "identity":
		m := fmt.Sprintf("0 0 %d\n", identityRange)
		return m, m
	case "full":
		m := fmt.Sprintf("0 0 1\n1 1 %d\n", uint32(mapEverything-1))
		return m, m
	}
	uid, gid := uint32(0), uint32(0)
	if p.ChangeUser && p.Identity != nil {
		uid, gid = p.Identity.UID, p.Identity.GID
	}
	return selfMap(uid), selfMap(gid)
}

// selfMap maps root and one id to themselves, and nobody else.
func selfMap(id uint32) string {
	m := "0 0 1\n"
	if id != 0 {
		m += fmt.Sprintf("%d %d 1\n", id, id)
	}
	return m
}
