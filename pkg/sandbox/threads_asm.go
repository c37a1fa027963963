//go:build amd64 || arm64

package sandbox

// threadExitAddr is the address of a signal handler that ends its thread.
func threadExitAddr() uintptr
