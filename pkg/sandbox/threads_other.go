//go:build !amd64 && !arm64

package sandbox

// threadExitAddr says that there is no such handler.
func threadExitAddr() uintptr { return 0 }
