package kernel

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// CapData is the capset(2) argument: low and high half of each set.
type capDataPair [2]unix.CapUserData

func capData(effective, permitted, inheritable uint64) capDataPair {
	return capDataPair{
		{Effective: uint32(effective), Permitted: uint32(permitted), Inheritable: uint32(inheritable)},
		{Effective: uint32(effective >> 32), Permitted: uint32(permitted >> 32), Inheritable: uint32(inheritable >> 32)},
	}
}

// Capabilities are the five sets of a process as bit masks; capabilities(7).
type Capabilities struct {
	Effective, Permitted, Inheritable, Bounding, Ambient uint64
}

// LastCapability is the highest capability number the running kernel knows.
func LastCapability() int {
	last := 40 // CAP_CHECKPOINT_RESTORE, the highest as of Linux 5.9
	for last < 63 {
		if _, err := prctl(unix.PR_CAPBSET_READ, uintptr(last+1), 0, 0, 0); err != nil {
			return last
		}
		last++
	}
	return last
}

// ThreadCapabilities reads the five sets of the calling thread.
func ThreadCapabilities() (Capabilities, error) {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data capDataPair
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return Capabilities{}, fmt.Errorf("capget: %w", err)
	}
	caps := Capabilities{
		Effective:   uint64(data[0].Effective) | uint64(data[1].Effective)<<32,
		Permitted:   uint64(data[0].Permitted) | uint64(data[1].Permitted)<<32,
		Inheritable: uint64(data[0].Inheritable) | uint64(data[1].Inheritable)<<32,
	}
	for c := range LastCapability() + 1 {
		if on, err := prctl(unix.PR_CAPBSET_READ, uintptr(c), 0, 0, 0); err == nil && on == 1 {
			caps.Bounding |= 1 << c
		}
		if on, err := prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_IS_SET, uintptr(c), 0, 0); err == nil && on == 1 {
			caps.Ambient |= 1 << c
		}
	}
	return caps, nil
}

// SetThreadCapabilities sets effective, permitted and inheritable of the
// calling thread only: use it before other threads exist, or on a locked one.
func SetThreadCapabilities(effective, permitted, inheritable uint64) error {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := capData(effective, permitted, inheritable)
	if err := unix.Capset(&hdr, &data[0]); err != nil {
		return fmt.Errorf("capset: %w", err)
	}
	return nil
}

// DropBoundingCapability removes one capability from the calling thread's
// bounding set.
func DropBoundingCapability(c int) error {
	if _, err := prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0); err != nil {
		return fmt.Errorf("PR_CAPBSET_DROP %d: %w", c, err)
	}
	return nil
}
