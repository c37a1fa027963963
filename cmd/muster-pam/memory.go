//go:build linux && (amd64 || arm64)

package main

import (
	"os"
	"strconv"
	"unsafe"
)

// pointer makes a pointer of an address in C's memory, which the garbage
// collector has nothing to do with.
func pointer(address uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&address)) }

// gostring copies a string of C.
func gostring(address uintptr) string {
	if address == 0 {
		return ""
	}
	b := unsafe.Slice((*byte)(pointer(address)), maxString)
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return ""
}

// commandLine is the memory that /proc/PID/cmdline shows: the arguments lie
// one behind the other.
func commandLine() (address, size uintptr) {
	for _, a := range os.Args {
		size += uintptr(len(a)) + 1
	}
	return uintptr(unsafe.Pointer(unsafe.StringData(os.Args[0]))), size
}

func itoa(n int32) string { return strconv.Itoa(int(n)) }
