package sandbox

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/plan"
)

// network enters the network namespace of PrivateNetwork= or
// NetworkNamespacePath=.
func network(r *run) *plan.Failure {
	s := r.p.Sandbox
	if s.NetworkPath != "" {
		return join("NetworkNamespacePath", s.NetworkPath, unix.CLONE_NEWNET, plan.ExitNetwork)
	}
	made, err := enterShared(s.NetStore, unix.CLONE_NEWNET, "/proc/self/ns/net")
	if err != nil {
		f := failed(plan.ExitNetwork, "PrivateNetwork", "", err)
		if forbidden(err) {
			return without(r.p, f)
		}
		return f
	}
	if !made {
		return nil
	}
	if err := loopbackUp(); err != nil {
		return failed(plan.ExitNetwork, "PrivateNetwork", "lo", err)
	}
	if err := keepShared(s.NetStore, "/proc/self/ns/net"); err != nil {
		return failed(plan.ExitNetwork, "PrivateNetwork", "", err)
	}
	return nil
}

// ipc does the same for PrivateIPC= and IPCNamespacePath=.
func ipc(r *run) *plan.Failure {
	s := r.p.Sandbox
	if s.IPCPath != "" {
		return join("IPCNamespacePath", s.IPCPath, unix.CLONE_NEWIPC, plan.ExitNamespace)
	}
	made, err := enterShared(s.IPCStore, unix.CLONE_NEWIPC, "/proc/self/ns/ipc")
	if err == nil && made {
		err = keepShared(s.IPCStore, "/proc/self/ns/ipc")
	}
	if err != nil {
		f := namespaceFailure("PrivateIPC", "", err)
		if forbidden(err) {
			return without(r.p, f)
		}
		return f
	}
	return nil
}

func join(setting, path string, kind int, status uint8) *plan.Failure {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		return failed(status, setting, path, err)
	}
	defer unix.Close(fd)
	if err := unix.Setns(fd, kind); err != nil {
		return failed(status, setting, path, err)
	}
	return nil
}

// loopbackUp starts the one interface a new network namespace has.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	req := loopback()
	return ioctl(fd, unix.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&req)))
}

// rawLoopbackUp does the same where there is no scheduler any more.
func rawLoopbackUp() error {
	fd, _, errno := unix.RawSyscall(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if errno != 0 {
		return errno
	}
	defer rawClose(int(fd))
	req := loopback()
	return rawErr(unix.RawSyscall(unix.SYS_IOCTL, fd, unix.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&req))))
}

// ifreq is struct ifreq with the flags member of its union.
type ifreq struct {
	name  [unix.IFNAMSIZ]byte
	flags uint16
	_     [22]byte
}

func loopback() ifreq {
	req := ifreq{flags: unix.IFF_UP}
	copy(req.name[:], "lo")
	return req
}

// hostname enters the UTS namespace of ProtectHostname=.
func hostname(r *run) *plan.Failure {
	if err := unix.Unshare(unix.CLONE_NEWUTS); err != nil {
		f := namespaceFailure("ProtectHostname", "", err)
		if forbidden(err) {
			return without(r.p, f)
		}
		return f
	}
	if name := r.p.Sandbox.Hostname; name != "" {
		if err := unix.Sethostname([]byte(name)); err != nil {
			return namespaceFailure("ProtectHostname", name, err)
		}
	}
	return nil
}
