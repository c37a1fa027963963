//go:build !amd64 && !arm64

// Package rawsig has no handlers on this architecture: the manager falls back
// to os/signal and to recover.
package rawsig
