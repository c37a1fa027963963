package bpf

import (
	"errors"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The arguments of bpf(2) are structs with 64-bit addresses in them. They are held as pointers here, so that the collector and a stack that moves
// see them; that takes a machine with 64-bit addresses, see [Probe].

// call is bpf(2).
func call(cmd int, attr unsafe.Pointer, size uintptr) (int, error) {
	for {
		n, _, errno := unix.Syscall(unix.SYS_BPF, uintptr(cmd), uintptr(attr), size)
		if errno == unix.EINTR || errno == unix.EAGAIN && cmd == unix.BPF_PROG_LOAD {
			continue // the verifier gives up for a pending signal
		}
		if errno != 0 {
			return -1, errno
		}
		return int(n), nil
	}
}

// objectName is the form that the kernel takes names in.
func objectName(name string) (b [16]byte) {
	copy(b[:15], name)
	return b
}

// license of the programs. Nothing called by them is reserved to the GPL.
var license = []byte("MIT\x00")

const verifierLogBytes = 64 << 10

// A Program is a loaded program. Close it after it was attached: the attachment keeps it.
type Program struct {
	fd   int
	name string
}

// Close closes the descriptor.
func (p Program) Close() { _ = unix.Close(p.fd) }

// loadAttr is the head of the argument of BPF_PROG_LOAD; what is behind expectedAttachsTo is for programs of the kernel's own functions.
type loadAttr struct {
	progType, count            uint32
	code, license              unsafe.Pointer
	logLevel, logSize          uint32
	log                        unsafe.Pointer
	kernelVersion, flags       uint32
	name                       [16]byte
	ifindex, expectedAttachsTo uint32
	btf, funcSize              uint32
	funcs                      unsafe.Pointer
	funcCount, lineSize        uint32
	lines                      unsafe.Pointer
	lineCount, hook, target, _ uint32
}

// load gives a program to the kernel.
func load(name string, progType uint32, expected AttachType, code []instruction) (Program, error) {
	return loadFor(name, progType, expected, 0, license, code)
}

// loadFor is load for a function of the kernel, by its BTF id, 0 none. The error of a program that the verifier refuses has the last line of its log.
func loadFor(name string, progType uint32, expected AttachType, hook uint32, license []byte, code []instruction) (Program, error) {
	attr := loadAttr{
		progType: progType, count: uint32(len(code)), code: unsafe.Pointer(&code[0]), license: unsafe.Pointer(&license[0]),
		name: objectName(name), expectedAttachsTo: uint32(expected), hook: hook,
	}
	fd, err := call(unix.BPF_PROG_LOAD, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	if err != nil && (errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EACCES)) {
		log := make([]byte, verifierLogBytes)
		attr.logLevel, attr.logSize, attr.log = 1, verifierLogBytes, unsafe.Pointer(&log[0])
		fd, err = call(unix.BPF_PROG_LOAD, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
		if err != nil {
			err = &LoadError{Name: name, Log: lastLine(unix.ByteSliceToString(log)), Err: err}
		}
	}
	if err != nil {
		return Program{fd: -1}, err
	}
	return Program{fd, name}, nil
}

// A LoadError is a program that the kernel refused.
type LoadError struct {
	Name, Log string
	Err       error
}

// Error has the verifier's reason.
func (e *LoadError) Error() string {
	return "BPF program " + e.Name + ": " + e.Err.Error() + ": " + e.Log
}

// Unwrap is the errno.
func (e *LoadError) Unwrap() error { return e.Err }

// lastLine of the verifier's log says why; the statistics behind it don't.
func lastLine(log string) string {
	last := ""
	for line := range strings.Lines(log) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "processed ") && !strings.HasPrefix(line, "verification time") {
			last = line
		}
	}
	return last
}

type mapAttr struct {
	mapType, keySize, valueSize, entries, flags, inner, node uint32
	name                                                     [16]byte
}

func createMap(name string, mapType uint32, key, value, entries int, flags uint32) (int, error) {
	attr := mapAttr{mapType: mapType, keySize: uint32(key), valueSize: uint32(value), entries: uint32(entries), flags: flags, name: objectName(name)}
	return call(unix.BPF_MAP_CREATE, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
}

type elementAttr struct {
	fd, _      uint32
	key, value unsafe.Pointer
	flags      uint64
}

// element is one access to a map; key and value have the sizes that it was made with.
func element(cmd, fd int, key, value []byte) error {
	attr := elementAttr{fd: uint32(fd), key: unsafe.Pointer(&key[0]), value: unsafe.Pointer(&value[0])}
	_, err := call(cmd, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	return err
}

type infoAttr struct {
	fd, size uint32
	info     unsafe.Pointer
}

func objectInfo(fd int, info unsafe.Pointer, size uintptr) error {
	attr := infoAttr{uint32(fd), uint32(size), info}
	_, err := call(unix.BPF_OBJ_GET_INFO_BY_FD, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	return err
}

type idAttr struct{ id, next, flags uint32 }

func byID(cmd int, id uint32) (int, error) {
	attr := idAttr{id: id}
	return call(cmd, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
}

type pathAttr struct {
	path      unsafe.Pointer
	fd, flags uint32
}

// openPinned opens an object of a bpf file system.
func openPinned(path string) (int, error) {
	b, err := unix.BytePtrFromString(path)
	if err != nil {
		return -1, err
	}
	attr := pathAttr{path: unsafe.Pointer(b)}
	fd, err := call(unix.BPF_OBJ_GET, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	return fd, err
}

// Pin gives a program a name in a bpf file system.
func Pin(p Program, path string) error {
	b, err := unix.BytePtrFromString(path)
	if err != nil {
		return err
	}
	attr := pathAttr{path: unsafe.Pointer(b), fd: uint32(p.fd)}
	_, err = call(unix.BPF_OBJ_PIN, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	return err
}
