package spawn

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/muster-init/muster/pkg/execplan/plan"
)

// MaxImage bounds the executor's image in bytes.
const MaxImage = 64 << 20

// Image copies the executor at path into a sealed memfd, so that later starts
// touch no file system and survive a changed one. Call it at boot and after a
// re-execution, from a worker: path is opened.
func Image(path string) (fd int, err error) {
	in, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("executor %s: %w", path, err)
	}
	defer unix.Close(in)
	var st unix.Stat_t
	if err := unix.Fstat(in, &st); err != nil {
		return -1, fmt.Errorf("executor %s: %w", path, err)
	}
	if st.Size <= 0 || st.Size > MaxImage {
		return -1, fmt.Errorf("executor %s: %d bytes are not a program", path, st.Size)
	}
	fd, err = sealedMemfd("muster-executor", func(out int) error { return copyAll(out, in, st.Size) })
	if err != nil {
		return -1, fmt.Errorf("executor %s: %w", path, err)
	}
	return fd, nil
}

// ImageFD says whether fd is a sealed image, e.g. one that was kept over a
// re-execution.
func ImageFD(fd int) bool {
	seals, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	return err == nil && seals&allSeals == allSeals
}

const allSeals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE

// memfdExec is MFD_EXEC: executable also where the kernel's default
// (vm.memfd_noexec) says otherwise. Kernels before 6.3 refuse it.
const memfdExec = 0x10

func sealedMemfd(name string, fill func(fd int) error) (int, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|memfdExec)
	if errors.Is(err, unix.EINVAL) {
		fd, err = unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return -1, fmt.Errorf("memfd: %w", err)
	}
	if err := fill(fd); err != nil {
		unix.Close(fd)
		return -1, err
	}
	if _, err := unix.Seek(fd, 0, unix.SEEK_SET); err != nil {
		unix.Close(fd)
		return -1, err
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, allSeals); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("memfd: seal: %w", err)
	}
	return fd, nil
}

// PlanFile makes a sealed file in memory that holds a plan for the executor, closed on execve.
func PlanFile(p *plan.Plan) (int, error) {
	return sealedMemfd("muster-plan", func(fd int) error { return writeAll(fd, plan.Encode(p)) })
}

func writeAll(fd int, data []byte) error {
	for len(data) > 0 {
		n, err := unix.Write(fd, data)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

func copyAll(out, in int, size int64) error {
	for size > 0 {
		n, err := unix.Sendfile(out, in, nil, int(size))
		if err != nil {
			return err
		}
		if n == 0 {
			return unix.EIO
		}
		size -= int64(n)
	}
	return nil
}
