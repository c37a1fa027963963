//go:build !amd64 && !arm64

package kernel

import "unsafe"

const haveRawSpawn = false

func rawSpawn(hdr, ops unsafe.Pointer) (ret int) { panic("kernel: rawSpawn has no assembly here") }
