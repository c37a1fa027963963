package manager

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// setEarly does what the kernel command line asks for before anything else of the machine runs: systemd.clock_usec=, systemd.random_seed=,
// systemd.early_core_pattern=. None of it belongs to a container.
func (m *Manager) setEarly() error {
	if !m.system || m.opt.Deserialize || m.container {
		return nil
	}
	var errs []error
	if m.opt.ClockUSec > 0 {
		ts := unix.NsecToTimespec(int64(m.opt.ClockUSec) * 1000)
		errs = append(errs, named("systemd.clock_usec=", setClock(&ts)))
	}
	if m.opt.RandomSeed != "" {
		errs = append(errs, named("systemd.random_seed=", seedRandom(m.opt.RandomSeed)))
	}
	// Until there is something that takes dumps, they would lie in / and fill it.
	pattern := "|/bin/false"
	if m.opt.CorePattern != "" {
		pattern = m.opt.CorePattern
	}
	errs = append(errs, os.WriteFile("/proc/sys/kernel/core_pattern", []byte(pattern), 0))
	return errors.Join(errs...)
}

func setClock(ts *unix.Timespec) error {
	return unix.ClockSettime(unix.CLOCK_REALTIME, ts)
}

// randomSeedMax bounds a seed on the kernel command line, in bytes.
const randomSeedMax = 4096

// seedRandom adds entropy that counts, as somebody vouches for it; see random(4), RNDADDENTROPY.
func seedRandom(text string) error {
	seed, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return err
	}
	if len(seed) == 0 || len(seed) > randomSeedMax {
		return fmt.Errorf("%d bytes are not between 1 and %d", len(seed), randomSeedMax)
	}
	file, err := os.OpenFile("/dev/urandom", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	// struct rand_pool_info: bits, bytes, then the bytes, in words.
	info := make([]uint32, 2+(len(seed)+3)/4)
	info[0], info[1] = uint32(len(seed)*8), uint32(len(seed))
	padded := append(seed, 0, 0, 0)
	for i := range info[2:] {
		info[2+i] = binary.NativeEndian.Uint32(padded[4*i:])
	}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, file.Fd(), unix.RNDADDENTROPY, uintptr(unsafe.Pointer(&info[0]))); errno != 0 {
		return fmt.Errorf("RNDADDENTROPY: %w", errno)
	}
	return nil
}
