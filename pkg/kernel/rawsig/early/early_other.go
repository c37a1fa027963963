//go:build !amd64 && !arm64

// Package early does nothing on this architecture.
package early
