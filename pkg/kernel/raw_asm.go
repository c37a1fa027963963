//go:build amd64 || arm64

package kernel

import "unsafe"

const haveRawSpawn = true

// rawSpawn blocks all signals, calls clone3 with the arguments in the header,
// lets the child run the ops and restores the signals. It returns the pid or
// -errno.
//
//go:noescape
func rawSpawn(hdr, ops unsafe.Pointer) (ret int)
