//go:build !amd64

package machine

// tscKHz is 0: what the emulated counter counts isn't known here.
func tscKHz() uint64 { return 0 }
