package sandbox

import (
	"errors"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/plan"
	"github.com/muster-init/muster/pkg/unit/value"
)

// openFiles opens OpenFile= with the rights of the manager, before the service
// has its own view of the file system, and names all that is passed.
func openFiles(r *run) *plan.Failure {
	p := r.p
	names := append([]string(nil), p.FDNames...)
	for _, f := range p.OpenFiles {
		fd, err := openOrConnect(f)
		if err != nil {
			if f.Graceful {
				continue
			}
			return failed(plan.ExitFDs, "OpenFile", f.Path, err)
		}
		p.FDs, names = append(p.FDs, int32(fd)), append(names, f.Name)
	}
	if n := len(p.FDs); n > 0 {
		p.ListenVars()
		p.Env = value.MergeEnvironment(p.Env, []string{"LISTEN_FDS=" + strconv.Itoa(n), "LISTEN_FDNAMES=" + strings.Join(names, ":")})
	}
	return nil
}

func openOrConnect(f plan.OpenFile) (int, error) {
	fd, err := unix.Open(f.Path, int(f.Flags)|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != unix.ENXIO {
		return fd, err
	}
	// open(2) refuses sockets with that, and FIFOs, which have no other way in.
	var st unix.Stat_t
	if err := unix.Stat(f.Path, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return -1, unix.ENXIO
	}
	return connectTo(f)
}

// connectTo connects to a socket of whatever type it is.
func connectTo(f plan.OpenFile) (int, error) {
	for _, typ := range []int{unix.SOCK_STREAM, unix.SOCK_DGRAM, unix.SOCK_SEQPACKET} {
		fd, err := unix.Socket(unix.AF_UNIX, typ|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return -1, err
		}
		err = unix.Connect(fd, &unix.SockaddrUnix{Name: f.Path})
		if err == nil && f.Flags&unix.O_ACCMODE == unix.O_RDONLY {
			err = unix.Shutdown(fd, unix.SHUT_WR)
		}
		if err == nil {
			return fd, nil
		}
		unix.Close(fd)
		if !errors.Is(err, unix.EPROTOTYPE) {
			return -1, err
		}
	}
	return -1, unix.EPROTOTYPE
}
