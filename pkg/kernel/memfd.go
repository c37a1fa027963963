package kernel

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// NewMemfd makes an anonymous file in memory, close-on-exec and sealable;
// memfd_create(2). The name shows up in /proc/PID/fd only. executable says
// whether it may be executed (MFD_EXEC, where the kernel knows the difference).
func NewMemfd(name string, executable bool) (fd int, err error) {
	flags := unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	kind := unix.MFD_NOEXEC_SEAL
	if executable {
		kind = unix.MFD_EXEC
	}
	fd, err = unix.MemfdCreate(name, flags|kind)
	if err == unix.EINVAL {
		// Before Linux 6.3 there was no such distinction.
		fd, err = unix.MemfdCreate(name, flags)
	}
	if err != nil {
		return -1, fmt.Errorf("memfd %s: %w", name, err)
	}
	return fd, nil
}

// SealedMemfd makes a memfd that holds data and can never change again; its
// offset is 0.
func SealedMemfd(name string, data []byte, executable bool) (fd int, err error) {
	fd, err = NewMemfd(name, executable)
	if err != nil {
		return -1, err
	}
	for off := 0; off < len(data); {
		n, err := unix.Pwrite(fd, data[off:], int64(off))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			_ = unix.Close(fd)
			return -1, fmt.Errorf("memfd %s: write: %w", name, err)
		}
		off += n
	}
	if err := SealMemfd(fd); err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("memfd %s: %w", name, err)
	}
	return fd, nil
}

// SealMemfd forbids any further change of size, content and seals.
func SealMemfd(fd int) error {
	const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	return nil
}

// MemfdSeals returns the F_SEAL_ bits of fd; EINVAL if it is not a memfd.
func MemfdSeals(fd int) (int, error) { return unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0) }

// StateMemory is a memfd mapped shared: what is stored in it survives the end
// of the process image at any instruction, in the file.
type StateMemory struct {
	fd   int
	data []byte
}

// NewStateMemory makes a zeroed memory of size bytes, rounded up to pages. Its
// size is sealed against shrinking, so no access can fault.
func NewStateMemory(name string, size int) (*StateMemory, error) {
	fd, err := NewMemfd(name, false)
	if err != nil {
		return nil, err
	}
	page := unix.Getpagesize()
	if err := unix.Ftruncate(fd, int64((size+page-1)/page*page)); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("memfd %s: size %d: %w", name, size, err)
	}
	m, err := MapStateMemory(fd)
	if err != nil {
		_ = unix.Close(fd)
	}
	return m, err
}

// MapStateMemory maps an existing memfd, e.g. one that was handed over an
// execve, whole. It owns fd from then on.
func MapStateMemory(fd int) (*StateMemory, error) {
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK); err != nil {
		return nil, fmt.Errorf("state memory: seal: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, fmt.Errorf("state memory: %w", err)
	}
	data, err := unix.Mmap(fd, 0, int(st.Size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("state memory: map %d bytes: %w", st.Size, err)
	}
	return &StateMemory{fd, data}, nil
}

// FD is the memfd, close-on-exec unless that was cleared ([SetCloexec]).
func (m *StateMemory) FD() int { return m.fd }

// Bytes is the mapped memory; it moves on [StateMemory.Grow].
func (m *StateMemory) Bytes() []byte { return m.data }

// Grow makes the memory at least size bytes long. Old addresses are invalid
// afterwards; new bytes are zero.
func (m *StateMemory) Grow(size int) error {
	page := unix.Getpagesize()
	size = (size + page - 1) / page * page
	if size <= len(m.data) {
		return nil
	}
	if err := unix.Ftruncate(m.fd, int64(size)); err != nil {
		return fmt.Errorf("state memory: size %d: %w", size, err)
	}
	data, err := unix.Mmap(m.fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("state memory: map %d bytes: %w", size, err)
	}
	_ = unix.Munmap(m.data)
	m.data = data
	return nil
}

// Close unmaps the memory and closes the file.
func (m *StateMemory) Close() error {
	err := unix.Munmap(m.data)
	m.data = nil
	if cerr := unix.Close(m.fd); err == nil {
		err = cerr
	}
	return err
}
